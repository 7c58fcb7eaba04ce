//! Every event of the store, by position.

use std::sync::Arc;

use super::stream_key::StreamKey;
use crate::backend::StoredEvent;
use crate::position::Position;

/// Events per chunk. Chunks never move, so that appending costs the same however long the log is.
const CHUNK: usize = 4_096;

/// An event and its stream.
pub(super) struct Entry {
    pub(super) stream: Arc<StreamKey>,
    pub(super) event: StoredEvent,
}

/// The log: position 1 is the first slot; the slots of deleted events stay, empty.
#[derive(Default)]
pub(super) struct Log {
    chunks: Vec<Vec<Option<Entry>>>,
    length: usize,
}

impl Log {
    /// The position of the last slot.
    pub(super) fn last(&self) -> Position {
        Position::from_i64(i64::try_from(self.length).unwrap_or(i64::MAX))
    }

    /// The position that the next event gets.
    pub(super) fn next(&self) -> Position {
        self.last().next()
    }

    pub(super) fn push(&mut self, entry: Entry) {
        match self.chunks.last_mut().filter(|chunk| chunk.len() < CHUNK) {
            Some(chunk) => chunk.push(Some(entry)),
            None => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(Some(entry));
                self.chunks.push(chunk);
            }
        }
        self.length += 1;
    }

    /// The event at a position, unless its stream was deleted.
    pub(super) fn get(&self, position: Position) -> Option<&Entry> {
        let slot = slot(position)?;
        self.chunks.get(slot / CHUNK)?.get(slot % CHUNK)?.as_ref().filter(is_there)
    }

    /// The same, to change it.
    pub(super) fn get_mut(&mut self, position: Position) -> Option<&mut Entry> {
        self.slot_mut(position)?.as_mut().filter(|entry| !entry.stream.is_deleted())
    }

    /// Empties the slot, whoever's event stands there.
    pub(super) fn take(&mut self, position: Position) -> Option<Entry> {
        self.slot_mut(position)?.take()
    }

    /// The events above a position and up to another, in order: no slot behind that is looked at, however many are empty.
    pub(super) fn between(&self, after: Position, up_to: Position) -> impl Iterator<Item = &Entry> {
        let [first, end] = [after, up_to].map(|position| slot(position).map_or(0, |slot| slot + 1));
        self.chunks
            .iter()
            .enumerate()
            .skip(first / CHUNK)
            .flat_map(move |(number, chunk)| chunk.iter().skip(first.saturating_sub(number * CHUNK)))
            .take(end.saturating_sub(first))
            .flatten()
            .filter(is_there)
    }

    fn slot_mut(&mut self, position: Position) -> Option<&mut Option<Entry>> {
        let slot = slot(position)?;
        self.chunks.get_mut(slot / CHUNK)?.get_mut(slot % CHUNK)
    }
}

fn is_there(entry: &&Entry) -> bool {
    !entry.stream.is_deleted()
}

fn slot(position: Position) -> Option<usize> {
    usize::try_from(position.to_i64()).ok()?.checked_sub(1)
}

//! Every event of the store, by position.

use std::sync::Arc;

use super::state::StreamKey;
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

    pub(super) fn get(&self, position: Position) -> Option<&Entry> {
        let slot = slot(position)?;
        self.chunks.get(slot / CHUNK)?.get(slot % CHUNK)?.as_ref()
    }

    /// Empties the slot.
    pub(super) fn take(&mut self, position: Position) -> Option<Entry> {
        self.slot_mut(position)?.take()
    }

    /// Fills the slot of an event that was taken.
    pub(super) fn put_back(&mut self, position: Position, entry: Entry) {
        if let Some(slot) = self.slot_mut(position) {
            *slot = Some(entry);
        }
    }

    /// The events above a position, in order.
    pub(super) fn after(&self, position: Position) -> impl Iterator<Item = &Entry> {
        let first = slot(position).map_or(0, |slot| slot + 1);
        self.chunks
            .iter()
            .enumerate()
            .skip(first / CHUNK)
            .flat_map(move |(number, chunk)| chunk.iter().skip(first.saturating_sub(number * CHUNK)))
            .flatten()
    }

    fn slot_mut(&mut self, position: Position) -> Option<&mut Option<Entry>> {
        let slot = slot(position)?;
        self.chunks.get_mut(slot / CHUNK)?.get_mut(slot % CHUNK)
    }
}

fn slot(position: Position) -> Option<usize> {
    usize::try_from(position.to_i64()).ok()?.checked_sub(1)
}

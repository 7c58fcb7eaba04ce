//! What is to be projected, by what the cursor and the stream say: decided here, whatever the transaction.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Projected;
use crate::backend::{Cursor, CursorId, HeldCursor, LoadRequest, LoadedStream, Span, StoredRecord};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::position::Position;
use crate::version::Version;
use crate::wrapped_event::Recorded;

/// How many missed events are in memory at once.
const PAGE: usize = 512;

/// An event on its way into a read model. It asks for what it needs to know, and is told.
pub(super) struct Feeding<E> {
    id: CursorId,
    position: Position,
    version: Option<Version>,
    /// The event; `None` once it was handed on, or if it is not to be.
    fed: Option<Recorded<E>>,
    stage: Stage,
    /// What to hand on next.
    pending: VecDeque<Projected<E>>,
}

/// How far it has come.
enum Stage {
    /// The cursor is not known.
    Begins,
    /// There may be missed events.
    CatchesUp(LoadRequest),
    /// Nothing is missed before the event.
    CaughtUp,
    /// Nothing is left to be done.
    Done,
}

/// What is needed to go on.
pub(super) enum Ask<'f, E> {
    Hold(&'f CursorId, Version),
    Load(&'f LoadRequest),
    Move(&'f CursorId, Cursor),
    /// Nothing: hand this on. `None` is the end.
    Hand(Option<Projected<E>>),
}

impl<E: Event> Feeding<E> {
    pub(super) fn new(projector: Arc<str>, recorded: Recorded<E>) -> Self {
        let (tenant, stream) = (recorded.tenant_id.clone(), recorded.stream_id.clone());
        Self {
            id: CursorId { projector, tenant, stream },
            position: recorded.position,
            version: recorded.wrapped_event.version,
            fed: Some(recorded),
            stage: Stage::Begins,
            pending: VecDeque::new(),
        }
    }

    pub(super) fn ask(&mut self) -> Result<Ask<'_, E>> {
        let Some(version) = self.version else {
            return Err(Error::CannotProjectUnversionedEvent {
                projector: self.id.projector.to_string(),
                stream: self.id.stream.clone(),
                position: self.position,
            });
        };
        if let Some(next) = self.pending.pop_front() {
            return Ok(Ask::Hand(Some(next)));
        }
        Ok(match &self.stage {
            Stage::Begins => Ask::Hold(&self.id, version),
            Stage::CatchesUp(request) => Ask::Load(request),
            Stage::CaughtUp => match self.fed.take() {
                Some(fed) => Ask::Hand(Some(Projected::Event(fed))),
                None => Ask::Move(&self.id, Cursor { version, position: self.position }),
            },
            Stage::Done => Ask::Hand(None),
        })
    }

    pub(super) fn held(&mut self, held: HeldCursor) {
        let Some(version) = self.version else { return };
        self.stage = match decide(held, Cursor { version, position: self.position }) {
            Verdict::Ignore => Stage::Done,
            Verdict::Anew => {
                let (stream_id, tenant_id) = (self.id.stream.clone(), self.id.tenant.clone());
                self.pending.push_back(Projected::Anew { stream_id, tenant_id });
                // Streams begin at 1: before that, nothing is looked for.
                if version <= 1 { Stage::CaughtUp } else { self.missed(0, version) }
            }
            Verdict::From(start) if start < version => self.missed(start, version),
            Verdict::From(_) => Stage::CaughtUp,
        };
    }

    fn missed(&self, start: Version, stop: Version) -> Stage {
        let CursorId { tenant, stream, .. } = self.id.clone();
        Stage::CatchesUp(LoadRequest {
            tenant,
            stream,
            span: Span::Versions { start, stop },
            limit: Some(PAGE),
        })
    }

    /// Events of other names are not for this read model.
    pub(super) fn loaded(&mut self, loaded: LoadedStream) -> Result<()> {
        let next = match (loaded.last_version().filter(|_| loaded.has_more), self.version) {
            (Some(last), Some(version)) => self.missed(last + 1, version),
            _ => Stage::CaughtUp,
        };
        let wanted = |name: &str| E::CATCH_ALL || E::NAMES.contains(&name);
        for event in loaded.events.into_iter().filter(|event| wanted(&event.name)) {
            let (stream, tenant) = (self.id.stream.clone(), self.id.tenant.clone());
            let recorded = Recorded::decode(&StoredRecord { stream, tenant, event })?;
            self.pending.push_back(Projected::Event(recorded));
        }
        self.stage = next;
        Ok(())
    }

    pub(super) fn moved(&mut self) {
        self.stage = Stage::Done;
    }
}

/// What becomes of an event.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It was projected, or its stream is gone.
    Ignore,
    /// The stream is projected from its beginning, up to the event.
    Anew,
    /// The stream is projected from this version on, up to the event.
    From(Version),
}

/// Decides about an event, by its version and position.
///
/// Within a stream position order is version order, and no position is given twice. So the cursor is about another stream
/// of the same id, deleted since, if its version has another position now, or if the event has a version that the cursor has
/// passed and a position that it has not.
fn decide(held: HeldCursor, fed: Cursor) -> Verdict {
    // The stream was deleted after the event was read. One that was made anew is handed over by itself.
    if held.at_version != Some(fed.position) {
        return Verdict::Ignore;
    }
    match held.cursor {
        Some(cursor) if fed.version > cursor.version && held.at_cursor == Some(cursor.position) => {
            Verdict::From(cursor.version + 1)
        }
        Some(cursor) if fed.version <= cursor.version && fed.position <= cursor.position => Verdict::Ignore,
        _ => Verdict::Anew,
    }
}

#[cfg(test)]
mod tests;

//! What is to be projected, by what the cursor and the stream say: decided here, whatever the transaction.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Projected;
use crate::backend::{
    BlockedStream, Cursor, CursorId, HeldCursor, LoadRequest, LoadedStream, Span, StoredEvent, StoredRecord,
};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::position::Position;
use crate::tag::Tag;
use crate::version::Version;
use crate::wrapped_event::Recorded;

/// How many missed events are in memory at once.
const PAGE: usize = 512;

/// The version that a stream begins with.
const FIRST: Version = 1;

/// An event on its way into a read model, or past it. It asks for what it needs to know, and is told.
pub(super) struct Feeding<E> {
    id: CursorId,
    /// What an event has that is not passed over.
    tags: Arc<[Tag]>,
    /// Where the event stands.
    position: Position,
    /// The event; `None` once it was handed on, or where it is passed over.
    fed: Option<Recorded<E>>,
    stage: Stage,
    /// What to hand on next.
    pending: VecDeque<Projected<E>>,
}

/// How far it has come.
enum Stage {
    /// The cursor is not known.
    Begins,
    /// There may be missed events before the one of this version.
    CatchesUp(Version, LoadRequest),
    /// Nothing is missed before it.
    CaughtUp(Version),
    /// Nothing is left to be done.
    Done,
    /// And that is known.
    Over,
}

/// What is needed to go on.
pub(super) enum Ask<'f, E> {
    Hold(&'f CursorId, Position),
    Load(&'f LoadRequest),
    Move(&'f CursorId, Cursor),
    /// Nothing: hand this on.
    Hand(Projected<E>),
    /// It has come to its end.
    Finish(&'f CursorId),
    /// It is over.
    Nothing,
}

impl<E: Event> Feeding<E> {
    pub(super) fn new((projector, tags): (Arc<str>, Arc<[Tag]>), recorded: Recorded<E>) -> Self {
        let (tenant, stream) = (recorded.tenant_id.clone(), recorded.stream_id.clone());
        let (id, position) = (CursorId { projector, tenant, stream }, recorded.position);
        let fed = Some(recorded).filter(|fed| tags.iter().all(|tag| fed.wrapped_event.tags.contains(tag)));
        Self { id, tags, position, fed, stage: Stage::Begins, pending: VecDeque::new() }
    }

    pub(super) fn past((projector, tags): (Arc<str>, Arc<[Tag]>), failed: &BlockedStream) -> Self {
        let BlockedStream { tenant, stream, position, .. } = failed.clone();
        let id = CursorId { projector, tenant, stream };
        Self { id, tags, position, fed: None, stage: Stage::Begins, pending: VecDeque::new() }
    }

    pub(super) fn ask(&mut self) -> Result<Ask<'_, E>> {
        if self.fed.as_ref().is_some_and(|fed| fed.wrapped_event.version.is_none()) {
            return Err(Error::CannotProjectUnversionedEvent {
                projector: self.id.projector.to_string(),
                stream: self.id.stream.clone(),
                position: self.position,
            });
        }
        if let Some(next) = self.pending.pop_front() {
            return Ok(Ask::Hand(next));
        }
        Ok(match &self.stage {
            Stage::Begins => Ask::Hold(&self.id, self.position),
            Stage::CatchesUp(_, request) => Ask::Load(request),
            Stage::CaughtUp(version) => match self.fed.take() {
                Some(fed) => Ask::Hand(Projected::Event(fed)),
                None => Ask::Move(&self.id, Cursor { version: *version, position: self.position }),
            },
            Stage::Done => Ask::Finish(&self.id),
            Stage::Over => Ask::Nothing,
        })
    }

    pub(super) fn held(&mut self, held: HeldCursor) {
        self.stage = match decide(held, self.position) {
            Verdict::Ignore => Stage::Done,
            Verdict::Anew { up_to } => {
                let (stream_id, tenant_id) = (self.id.stream.clone(), self.id.tenant.clone());
                self.pending.push_back(Projected::Anew { stream_id, tenant_id });
                self.missed(FIRST, up_to)
            }
            Verdict::From { next, up_to } => self.missed(next, up_to),
        };
    }

    /// What is missed before the event of version `up_to`, if it is not the next.
    fn missed(&self, next: Version, up_to: Version) -> Stage {
        if next >= up_to {
            return Stage::CaughtUp(up_to);
        }
        let (CursorId { tenant, stream, .. }, span) =
            (self.id.clone(), Span::Versions { start: next, stop: up_to });
        Stage::CatchesUp(up_to, LoadRequest { tenant, stream, span, limit: Some(PAGE) })
    }

    /// Events of other names, or without the tags, are not for this read model.
    pub(super) fn loaded(&mut self, loaded: LoadedStream) -> Result<()> {
        let Stage::CatchesUp(up_to, _) = self.stage else { return Ok(()) };
        let next = match loaded.last_version().filter(|_| loaded.has_more) {
            Some(last) => self.missed(last.saturating_add(1), up_to),
            None => Stage::CaughtUp(up_to),
        };
        let wanted = |name: &str| E::CATCH_ALL || E::NAMES.contains(&name);
        // Of one that cannot be read, the name may be another, and its version and its tags missing.
        let tags = Arc::clone(&self.tags);
        let wanted = |event: &StoredEvent| {
            let is_tagged = || tags.iter().all(|tag| event.tags.contains(tag));
            event.unreadable.is_some() || wanted(&event.name) && is_tagged()
        };
        for event in loaded.events.into_iter().filter(wanted) {
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

    pub(super) fn finished(&mut self) {
        self.stage = Stage::Over;
    }
}

/// What becomes of an event.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It was projected, or its stream is gone.
    Ignore,
    /// The stream is projected from its beginning, up to the event, which has this version.
    Anew { up_to: Version },
    /// The stream is projected from the next version on, up to the event.
    From { next: Version, up_to: Version },
}

/// Decides about the event at a position.
///
/// Within a stream position order is version order, and no position is given twice. So the cursor is about another stream
/// of the same id, deleted since, if its version has another position now, or if the event has a version that the cursor has
/// passed and a position that it has not.
fn decide(held: HeldCursor, position: Position) -> Verdict {
    // Else the stream was deleted after the event was read. One that was made anew is handed over by itself.
    let Some(up_to) = held.version else { return Verdict::Ignore };
    match held.cursor {
        Some(cursor) if up_to > cursor.version && held.at_cursor == Some(cursor.position) => {
            Verdict::From { next: cursor.version.saturating_add(1), up_to }
        }
        Some(cursor) if up_to <= cursor.version && position <= cursor.position => Verdict::Ignore,
        _ => Verdict::Anew { up_to },
    }
}

#[cfg(test)]
mod tests;

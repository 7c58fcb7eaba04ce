//! The cursors of projectors, for as long as the process lives.

use super::journal::{Done, Journal};
use super::state::State;
use super::stream_key::{StreamKey, key};
use crate::backend::{Cursor, CursorId, ForgetRequest, HeldCursor};
use crate::position::Position;

impl State {
    pub(super) fn cursor(&self, id: &CursorId, position: Position) -> HeldCursor {
        let stream = key(&id.tenant, &id.stream);
        let cursor = self.cursors.get(&stream).and_then(|cursors| cursors.get(&id.projector)).copied();
        HeldCursor {
            cursor,
            at_cursor: cursor.and_then(|cursor| self.position_of(&stream, cursor.version)),
            version: self.version_at(&stream, position),
        }
    }

    /// Puts a cursor, or takes it away.
    pub(super) fn put_cursor(&mut self, id: &CursorId, to: Option<Cursor>, journal: &mut Journal) {
        let before = self.replace_cursor(id, to);
        journal.note(Done::Cursor { id: id.clone(), before });
    }

    /// Puts a cursor, and gives what was there.
    pub(super) fn replace_cursor(&mut self, id: &CursorId, to: Option<Cursor>) -> Option<Cursor> {
        let cursors = self.cursors.get_or_default(key(&id.tenant, &id.stream))?;
        match to {
            Some(cursor) => cursors.insert(id.projector.clone(), cursor),
            None => cursors.remove(&id.projector),
        }
    }

    pub(super) fn forget_projector(&mut self, request: &ForgetRequest) {
        let meant =
            |stream: &StreamKey| request.tenant.as_ref().is_none_or(|tenant| tenant == stream.tenant());
        for (_, cursors) in self.cursors.iter_mut().filter(|(stream, _)| meant(stream)) {
            cursors.remove(&request.projector);
        }
    }

    /// No projector follows a stream that is gone.
    pub(super) fn forget_cursors(&mut self, stream: &StreamKey, journal: &mut Journal) {
        let projectors: Vec<_> =
            self.cursors.get(stream).into_iter().flatten().map(|(name, _)| name.clone()).collect();
        for projector in projectors {
            let (tenant, stream) = (stream.tenant().clone(), stream.stream().clone());
            self.put_cursor(&CursorId { projector, tenant, stream }, None, journal);
        }
        self.cursors.remove(stream);
    }
}

//! The cursors of projectors.

use event_sourcery::backend::{Cursor, CursorId, ForgetRequest, HeldCursor};
use event_sourcery::{Position, Result, TenantId, Version};

use super::{Operations, StreamRow};
use crate::rows::hex;

impl Operations<'_> {
    /// The cursor, where the event of its version stands, and the version of another one. There is one writer: whoever is in
    /// its transaction holds every cursor.
    pub(crate) fn hold_cursor(&self, id: &CursorId, position: Position) -> Result<HeldCursor> {
        let Some(row) = self.find_stream(&id.tenant, &id.stream)? else { return Ok(HeldCursor::default()) };
        let cursor = match self.cursor(id)? {
            Some(cursor) => cursor,
            None => {
                let (uuid, category, tenant, projector) = key(id);
                self.execute(&self.sql.begin_cursor, (uuid, category, tenant, projector, row.id))?;
                self.cursor(id)?.flatten()
            }
        };
        let at_cursor = match cursor {
            Some(cursor) => self.position_of(row, cursor.version)?,
            None => None,
        };
        Ok(HeldCursor::new(cursor, at_cursor, self.version_at(row, position)?))
    }

    pub(crate) fn move_cursor(&self, id: &CursorId, to: Cursor) -> Result<()> {
        let (uuid, category, tenant, projector) = key(id);
        let (version, position) = (stored(to.version), to.position.to_i64());
        let values = (uuid, category, tenant, projector, version, position);
        self.execute(&self.sql.move_cursor, values).map(drop)
    }

    pub(crate) fn forget_projector(&self, request: &ForgetRequest) -> Result<()> {
        let ForgetRequest { projector, tenant, .. } = request;
        self.atomically(|| {
            let tenant = tenant.as_ref().map(TenantId::as_str);
            self.execute(&self.sql.forget_projector, (&**projector, tenant))?;
            if tenant.is_none() {
                self.execute(&self.sql.outlive_projector, [&**projector])?;
            }
            Ok(())
        })
    }

    /// The cursor, if there is a row for it, and it tells one.
    fn cursor(&self, id: &CursorId) -> Result<Option<Option<Cursor>>> {
        self.first(&self.sql.cursor, key(id), |row| {
            let (version, position): (Option<i64>, Option<i64>) = (row.get(0)?, row.get(1)?);
            let position = position.map_or(Position::START, Position::from_i64);
            let version = version.and_then(|version| u64::try_from(version).ok());
            Ok(version.map(|version| Cursor::new(version, position)))
        })
    }

    fn position_of(&self, stream: StreamRow, version: Version) -> Result<Option<Position>> {
        let values = (stream.id, stored(version));
        self.first(&self.sql.position_of_version, values, |row| row.get(0).map(Position::from_i64))
    }

    fn version_at(&self, row: StreamRow, position: Position) -> Result<Option<Version>> {
        let values = (position.to_i64(), row.id);
        self.first(&self.sql.version_at_position, values, |row| row.get(0)).map(Option::flatten)
    }
}

fn key(id: &CursorId) -> (String, &str, &str, &str) {
    (hex(id.stream.uuid()), id.stream.stored_category(), id.tenant.as_str(), &id.projector)
}

/// A version as SQLite holds it; no stream is longer.
fn stored(version: Version) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

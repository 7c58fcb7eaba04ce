//! The cursors of projectors, in the caller's transaction.

use event_sourcery::backend::{Cursor, CursorId, ForgetRequest, HeldCursor};
use event_sourcery::{Error, Position, Result, TenantId, Version};
use sqlx::Postgres;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;

use super::Operations;
use crate::failure::Failure;
use crate::rows::value;
use crate::sql::Statement;
use crate::values::stored_version;

/// What was found of a cursor.
struct Found {
    has_stream: bool,
    has_row: bool,
    held: HeldCursor,
    isolation: String,
}

impl Operations<'_> {
    /// Holds a cursor, which is begun where there is none. Two transactions may begin one cursor: the second waits until the
    /// first has ended, and then holds what the first has left.
    pub(crate) async fn hold_cursor(&mut self, id: &CursorId, position: Position) -> Result<HeldCursor> {
        let mut found = self.find_cursor(id, position).await?;
        if found.isolation != "read committed" {
            let operation = "projecting in a transaction that is not READ COMMITTED";
            return Err(Error::unsupported("postgres", operation));
        }
        if found.has_stream && !found.has_row {
            let begin = about(&self.sql.cursors.begin, id);
            self.execute(begin).await.map_err(|failure| self.failed(failure))?;
            found = self.find_cursor(id, position).await?;
        }
        Ok(found.held)
    }

    pub(crate) async fn move_cursor(&mut self, id: &CursorId, to: Cursor) -> Result<()> {
        let query = about(&self.sql.cursors.move_to, id);
        let query = query.bind(stored_version(to.version)).bind(to.position.to_i64());
        self.execute(query).await.map(drop).map_err(|failure| self.failed(failure))
    }

    /// Forgets a projector. What it began meanwhile, it began before the first event.
    pub(crate) async fn forget_projector(&mut self, request: &ForgetRequest) -> Result<()> {
        self.try_forget_projector(request).await.map_err(|failure| self.failed_committing(failure))
    }

    async fn try_forget_projector(&mut self, request: &ForgetRequest) -> Result<(), Failure> {
        self.begin().await?;
        let forgotten = self.forget_rows(request).await.map(Some);
        self.end(forgotten).await.map(drop)
    }

    async fn forget_rows(&mut self, request: &ForgetRequest) -> Result<(), Failure> {
        let (sql, projector) = (&self.sql.cursors, &*request.projector);
        let tenant = request.tenant.as_ref().map(TenantId::as_str);
        self.execute(sql.forget_projector.query().bind(projector).bind(tenant)).await?;
        if tenant.is_none() {
            self.execute(sql.outlive_projector.query().bind(projector)).await?;
        }
        Ok(())
    }

    async fn find_cursor(&mut self, id: &CursorId, position: Position) -> Result<Found> {
        let query = about(&self.sql.cursors.hold, id).bind(position.to_i64());
        let found = async {
            let row = self.row(query).await?.ok_or(sqlx::Error::RowNotFound)?;
            Ok(Found::read(&row)?)
        };
        found.await.map_err(|failure: Failure| self.failed(failure))
    }
}

impl Found {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        let (version, position): (Option<i64>, Option<i64>) = (value(row, 2)?, value(row, 3)?);
        let position = position.map_or(Position::START, Position::from_i64);
        let read_version = |version: Option<i64>| version.and_then(|version| Version::try_from(version).ok());
        let held = HeldCursor::new(
            read_version(version).map(|version| Cursor::new(version, position)),
            value::<Option<i64>>(row, 4)?.map(Position::from_i64),
            read_version(value(row, 5)?),
        );
        Ok(Self {
            has_stream: value(row, 0)?,
            has_row: value::<Option<bool>>(row, 1)?.is_some(),
            held,
            isolation: value(row, 6)?,
        })
    }
}

/// A statement of ours with a cursor's key bound.
fn about<'q>(statement: &Statement, id: &'q CursorId) -> Query<'q, Postgres, PgArguments> {
    Operations::about(statement, &id.tenant, &id.stream).bind(&*id.projector)
}

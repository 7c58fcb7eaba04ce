//! What is in the schema: questions to its catalogue.

use std::time::Instant;

use event_sourcery::{Error, Result};
use sqlx::PgConnection;

use crate::at_work::{AtWork, answer};
use crate::failure::{During, Failure};
use crate::lease::Lease;
use crate::options::PostgresOptions;
use crate::tables::Tables;

/// What is in the schema.
pub(super) struct Schema<'c> {
    pub(super) connection: &'c mut PgConnection,
    /// To find out whether the server is still at work on a statement.
    pub(super) at_work: Option<AtWork>,
    pub(super) name: String,
    pub(super) tables: Tables,
    pub(super) place: String,
    pub(super) since: Instant,
    /// Whether a transaction is open around all this: see [`Lease::enter`](crate::lease::Lease::enter).
    pub(super) is_entered: bool,
}

impl<'c> Schema<'c> {
    pub(super) async fn of(
        connection: &'c mut Lease,
        options: &PostgresOptions,
        place: String,
    ) -> Result<Self> {
        let (since, at_work) = (Instant::now(), connection.at_work());
        let connection = &mut **connection;
        let asked = sqlx::query_as("SELECT current_schema()::text, current_user::text").persistent(false);
        let (found, role): (Option<String>, String) =
            answer(at_work.as_ref(), asked.fetch_one(&mut *connection))
                .await
                .map_err(|error| Failure::from(error).into_error(During::NothingKept, since.elapsed()))?;
        let name = options.schema.clone().or(found).ok_or_else(|| Error::InvalidOption {
            option: "schema",
            problem: "the connection's search_path names no schema that exists: name one".to_owned(),
        })?;
        let tables = Tables::new(&name, &options.prefix, &role).behind_pooler(options.transaction_pooler);
        Ok(Self { connection, at_work, name, tables, place, since, is_entered: options.transaction_pooler })
    }

    /// What was found before, to be looked at again.
    pub(super) fn known(connection: &'c mut Lease, tables: &Tables) -> Self {
        Self {
            at_work: connection.at_work(),
            place: connection.place_of_the_store(),
            is_entered: connection.is_behind_pooler(),
            name: tables.schema.clone(),
            tables: tables.clone(),
            since: Instant::now(),
            connection: &mut **connection,
        }
    }

    pub(super) fn failed(&self, error: sqlx::Error) -> Error {
        Failure::from(error).into_error(During::NothingKept, self.since.elapsed())
    }

    pub(super) fn foreign(&self, problem: String) -> Error {
        Error::ForeignLayout { place: self.place.clone(), problem }
    }

    pub(super) async fn exists(&mut self, sql: &'static str, about: &str) -> Result<bool> {
        let query = sqlx::query_scalar(sql).persistent(false).bind(about);
        let found = answer(self.at_work.as_ref(), query.fetch_one(&mut *self.connection)).await;
        found.map_err(|error| self.failed(error))
    }

    pub(super) async fn has_table(&mut self, name: &str) -> Result<bool> {
        let table = self.tables.table(name);
        self.exists("SELECT to_regclass($1) IS NOT NULL", &table).await
    }
}

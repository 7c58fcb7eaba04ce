//! Running what is pending, beside others who work on the tables.

use std::time::Duration;

use event_sourcery::{Error, Result};
use sqlx::{AssertSqlSafe, Connection as _, SqlSafeStr};

use super::schema::Schema;
use crate::at_work::{AtWork, answer};
use crate::failure::{During, Failure};

/// How long a migration waits in all for others that are at work on the tables.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it waits at a time, while those who come later wait behind it: less than the server takes to look for
/// deadlocks, so that it is never somebody else that is ended.
const MOMENT: &str = "SET LOCAL lock_timeout = '300ms'";

/// One migration at a time in a database, whatever the names of its tables: two could want to create one schema.
const ONE_AT_A_TIME: &str = "SELECT pg_advisory_xact_lock(hashtextextended('event_sourcery migration', 0))";

/// How long it leaves the tables to others in between.
const PAUSE: Duration = Duration::from_millis(100);

impl Schema<'_> {
    /// Runs what is pending. Others may be at work on the tables: whoever waits for them, or for whom they wait, is the
    /// migration, and it waits only for moments at a time, so that nobody queues up behind it.
    pub(super) async fn migrate(&mut self) -> Result<()> {
        loop {
            match self.try_migrate().await {
                Err(Error::Busy { .. } | Error::SerializationFailure { .. })
                    if self.since.elapsed() < PATIENCE =>
                {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(Error::SerializationFailure { .. }) => {
                    return Err(Error::busy(self.since.elapsed()));
                }
                other => return other,
            }
        }
    }

    /// Runs what is pending, in one transaction. Several processes may try at once: each looks again once it has the lock.
    async fn try_migrate(&mut self) -> Result<()> {
        let (name, tables, place, since) =
            (self.name.clone(), self.tables.clone(), self.place.clone(), self.since);
        let failed = |error: sqlx::Error| {
            match Failure::from(error) {
            failure if failure.is_about_what_depends_on_it() => {
                Error::MigrationNeeded { problem: failure.message() }
            }
            failure if failure.is_about_rights() => Error::MissingGrant {
                problem: failure.message(),
                grant: "open the store once as the role that owns its tables, or give this one what `PostgresOptions::grants` \
                        prints for `Rights::Migrator`"
                    .to_owned(),
            },
            failure => failure.into_error(During::NothingKept, since.elapsed()),
        }
        };
        if self.is_entered {
            self.run("COMMIT").await.map_err(failed)?;
        }
        let at_work = self.at_work.clone();
        let begun = self.connection.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED");
        let mut transaction = answer(at_work.as_ref(), begun).await.map_err(failed)?;
        let mut inside = Schema {
            connection: &mut transaction,
            at_work: at_work.clone(),
            name,
            tables,
            place,
            since,
            is_entered: false,
        };
        inside.set_the_mark().await.map_err(failed)?;
        inside.run(MOMENT).await.map_err(failed)?;
        inside.run(ONE_AT_A_TIME).await.map_err(failed)?;
        for statement in inside.plan().await? {
            inside.run(AssertSqlSafe(statement)).await.map_err(failed)?;
        }
        answer(at_work.as_ref(), transaction.commit()).await.map_err(failed)?;
        if self.is_entered {
            self.run("BEGIN").await.map_err(failed)?;
            self.set_the_mark().await.map_err(failed)?;
        }
        Ok(())
    }

    /// What takes long is waited for as long as the server is at work in this transaction.
    async fn set_the_mark(&mut self) -> Result<(), sqlx::Error> {
        let mark = self.at_work.as_ref().and_then(AtWork::sets_its_mark);
        match mark {
            Some(mark) => self.run(AssertSqlSafe(mark)).await,
            None => Ok(()),
        }
    }

    async fn run(&mut self, statement: impl SqlSafeStr) -> Result<(), sqlx::Error> {
        let run = sqlx::raw_sql(statement).execute(&mut *self.connection);
        answer(self.at_work.as_ref(), run).await.map(drop)
    }
}

//! The churn: how many lines each author added and removed in each month. A read model, in a table beside the events.
//!
//! A durable subscription counts each event in the transaction that moves its checkpoint. So the program can be killed at any
//! moment, and no line is counted twice or left out.

use std::io::Write;
use std::time::Duration;

use event_sourcery::{Durable, EventStore, Recorded, Within};
use event_sourcery_sqlite::{SqliteBackend, SqliteTransaction};
use indicatif::HumanCount;

use crate::events::{Commit, FileEvent, FilePath};
use crate::{Failure, Result};

/// How long the share of a program that was killed stays its own. Whoever starts it again does not want to wait for long.
const LEASE: Duration = Duration::from_secs(1);

/// How many lines a list has.
const LINES: usize = 10;

/// The subscription that keeps the read model.
pub(crate) fn subscription(store: &EventStore<SqliteBackend>) -> Result<Durable<SqliteBackend, FileEvent>> {
    Ok(store.subscribe::<FileEvent>().category(FilePath::category()?).durable("churn").lease(LEASE))
}

pub(crate) async fn create_table(store: &EventStore<SqliteBackend>) -> Result<()> {
    store
        .transaction::<_, Failure, _>(|tx| {
            Ok(tx.connection().execute_batch(
                "CREATE TABLE IF NOT EXISTS churn (
                     author TEXT NOT NULL,
                     month TEXT NOT NULL,
                     added INTEGER NOT NULL,
                     removed INTEGER NOT NULL,
                     PRIMARY KEY (author, month)
                 ) WITHOUT ROWID",
            )?)
        })
        .await
}

/// Counts an event: once, whatever happens.
pub(crate) fn count(recorded: Recorded<FileEvent>, tx: &mut Within<'_, SqliteTransaction<'_>>) -> Result<()> {
    let event = recorded.wrapped_event;
    let Some(lines) = event.event.lines() else { return Ok(()) };
    let commit = event.context.component::<Commit>()?.ok_or("an event that no commit made")?;
    let month = event.created_at.strftime("%Y-%m").to_string();
    tx.connection()
        .prepare_cached(
            "INSERT INTO churn (author, month, added, removed) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET added = added + excluded.added, removed = removed + excluded.removed",
        )?
        .execute((commit.author.name, month, lines.added, lines.removed))?;
    Ok(())
}

/// Writes the churn by author and by month, and says what was left out of it.
pub(crate) async fn write(store: &EventStore<SqliteBackend>, out: &mut impl Write) -> Result<()> {
    for (title, column) in [("Churn by author", "author"), ("Churn by month", "month")] {
        writeln!(out, "\n{title} (lines added, removed)")?;
        for (name, added, removed) in most(store, column).await? {
            let (added, removed) = (HumanCount(added).to_string(), HumanCount(removed).to_string());
            writeln!(out, "{added:>9} {removed:>9}  {name}")?;
        }
    }
    for parked in subscription(store)?.parked().await? {
        writeln!(out, "Not counted: an event of {}: {}", parked.stream, parked.error)?;
    }
    Ok(())
}

/// The first of them, by lines.
async fn most(store: &EventStore<SqliteBackend>, column: &'static str) -> Result<Vec<(String, u64, u64)>> {
    let sql = format!(
        "SELECT {column}, SUM(added), SUM(removed) FROM churn
         GROUP BY 1 ORDER BY SUM(added) + SUM(removed) DESC, 1 LIMIT {LINES}"
    );
    store
        .transaction::<_, Failure, _>(move |tx| {
            let mut rows = tx.connection().prepare(&sql)?;
            let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            Ok(rows.collect::<std::result::Result<_, _>>()?)
        })
        .await
}

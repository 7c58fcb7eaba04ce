//! The tables: made, adopted from Event Sourcery for Python, updated, or checked.

mod migrating;
mod planning;
mod relations;
mod rights;
mod schema;
mod server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use event_sourcery::{Error, Result};

use self::schema::Schema;
use crate::connections::Connections;
use crate::failure::{During, Failure};
use crate::options::PostgresOptions;
use crate::places::Purpose;
use crate::rights::Rights;
use crate::tables::Tables;

/// The layout that this version of the library makes and knows.
const LAYOUT: i32 = 4;

/// The index by which events without versions are read in order.
const UNVERSIONED: &str = include_str!("layout/unversioned.sql");

/// The table that has to be unlogged: what it holds means nothing after a crash.
const UNLOGGED: &str = "evidence";

/// How often it is looked what is there, while somebody's lock is in the way.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Makes the tables what this version needs, or checks that they are; refuses a server that they cannot be used on. What somebody
/// else has locked is waited for as long as by any other call, and without a connection.
pub(crate) async fn prepare(connections: &Arc<Connections>, options: &PostgresOptions) -> Result<Tables> {
    let since = Instant::now();
    loop {
        match try_to_prepare(connections, options).await {
            Err(Error::Busy { .. }) if since.elapsed() < connections.lock_timeout => {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Err(Error::Busy { .. }) => return Err(Error::Busy { waited: since.elapsed() }),
            prepared => return prepared,
        }
    }
}

async fn try_to_prepare(connections: &Arc<Connections>, options: &PostgresOptions) -> Result<Tables> {
    let (place, mut connection) =
        (connections.place_of_the_store(), connections.acquire(Purpose::Read).await?);
    entered(connection.enter().await)?;
    let mut schema = Schema::of(&mut connection, options, place).await?;
    schema.refuse_server().await?;
    schema.refuse_without_rights().await?;
    let pending = schema.plan().await?;
    if !pending.is_empty() {
        if !options.migrate {
            return Err(Error::MigrationNeeded { problem: summary(&pending) });
        }
        schema.migrate().await?;
    }
    schema.refuse_duplicates().await?;
    schema.refuse_sequence().await?;
    schema.refuse_numbering().await?;
    let tables = schema.tables;
    entered(connection.leave().await)?;
    connection.keep();
    Ok(tables)
}

fn entered(result: Result<(), sqlx::Error>) -> Result<()> {
    result.map_err(|error| Failure::from(error).into_error(During::NothingKept, Duration::ZERO))
}

/// What [`prepare`] would run.
pub(crate) async fn script(connections: &Arc<Connections>, options: &PostgresOptions) -> Result<String> {
    let (place, mut connection) =
        (connections.place_of_the_store(), connections.acquire(Purpose::Read).await?);
    entered(connection.enter().await)?;
    let mut schema = Schema::of(&mut connection, options, place).await?;
    Ok(schema.plan().await?.iter().map(|statement| format!("{statement};\n")).collect())
}

/// What a role is to be granted.
pub(crate) async fn grants(
    connections: &Arc<Connections>,
    options: &PostgresOptions,
    role: &str,
    rights: Rights,
) -> Result<String> {
    let (place, mut connection) =
        (connections.place_of_the_store(), connections.acquire(Purpose::Read).await?);
    entered(connection.enter().await)?;
    let mut schema = Schema::of(&mut connection, options, place).await?;
    if !schema.has_table("events").await? {
        let problem = "there are no tables yet to grant rights on: make them first".to_owned();
        return Err(Error::MigrationNeeded { problem });
    }
    let statements = schema.grants(role, rights).await?;
    Ok(statements.iter().map(|statement| format!("{statement};\n")).collect())
}

/// What is pending, short enough for a message.
fn summary(pending: &[String]) -> String {
    let first_lines = pending.iter().filter_map(|statement| statement.lines().next());
    first_lines.map(|line| line.trim_end_matches(" (")).collect::<Vec<_>>().join("; ")
}

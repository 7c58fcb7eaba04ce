//! The tables: made, adopted from Event Sourcery for Python, updated, or checked. Which there are, and their columns, stands in
//! `tables.rs`.

mod collations;
mod found;
mod migrating;
mod planning;
mod relations;
mod rights;
mod schema;
mod server;
mod unique;

use std::sync::Arc;
use std::time::{Duration, Instant};

use event_sourcery::{Error, Result};

use self::schema::Schema;
use crate::connections::Connections;
use crate::failure::{During, Failure};
use crate::lease::Lease;
use crate::options::PostgresOptions;
use crate::places::Purpose;
use crate::rights::Rights;
use crate::tables::Tables;

/// The layout that this version of the library makes and knows.
const LAYOUT: i32 = 8;

/// Indexes of ours on tables that may be there without them. On those of the reference: by which the streams of a category, or of a
/// tenant, are found, and listed by their names in one order whatever the collation of the database, events without versions are read in
/// order, and entries of the outbox are found: by their events, and those that are kept. And on the members of
/// subscriptions, by the presence that vouches for them: who renews one looks at no others, and who speaks for himself is not in it.
const INDEXES: [(&str, &str, &str); 6] = [
    ("streams", "ix_*streams_of_category", include_str!("layout/of_category.sql")),
    ("streams", "ix_*streams_by_name", include_str!("layout/by_name.sql")),
    ("events", "ix_*events_unversioned", include_str!("layout/unversioned.sql")),
    ("outbox_entries", "ix_*outbox_entries_position", include_str!("layout/outbox_by_position.sql")),
    ("outbox_entries", "ix_*outbox_entries_kept", include_str!("layout/outbox_kept.sql")),
    (
        "subscription_members",
        "ix_*subscription_members_presence",
        include_str!("layout/members_by_presence.sql"),
    ),
];

/// An index on the outbox that layouts 5 to 7 have. Every entry is in it by its stream, so that each append writes to a page of its own.
const BY_STREAM: &str = "ix_*outbox_entries_stream";

/// The table that has to be unlogged: what it holds means nothing after a crash.
const UNLOGGED: &str = "evidence";

/// How often it is looked what is there, while somebody's lock is in the way.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The tables, as they were found or made.
pub(crate) struct Prepared {
    pub(crate) tables: Tables,
    /// The highest position that was given.
    pub(crate) given: i64,
    /// The run of the server in which all this was found: see [`Run`](crate::settled::Run).
    pub(crate) run: String,
}

/// Makes the tables what this version needs, or checks that they are; refuses a server that they cannot be used on. What somebody
/// else has locked is waited for as long as by any other call, and without a connection.
pub(crate) async fn prepare(connections: &Arc<Connections>, options: &PostgresOptions) -> Result<Prepared> {
    let since = Instant::now();
    loop {
        match try_to_prepare(connections, options).await {
            Err(Error::Busy { .. }) if since.elapsed() < connections.lock_timeout => {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Err(Error::Busy { .. }) => return Err(Error::busy(since.elapsed())),
            prepared => return prepared,
        }
    }
}

async fn try_to_prepare(connections: &Arc<Connections>, options: &PostgresOptions) -> Result<Prepared> {
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
    let given = schema.refuse_numbering().await?;
    schema.refuse_directory().await?;
    let run = schema.run_of_the_server().await?;
    let tables = schema.tables;
    entered(connection.leave().await)?;
    connection.keep();
    Ok(Prepared { tables, given, run })
}

/// Refuses what a store that is open cannot be used on: another server, or the same one with other libraries, may have taken the
/// place of the one that it was opened on, and somebody may have altered the tables.
pub(crate) async fn refuse_another(connection: &mut Lease, tables: &Tables) -> Result<()> {
    entered(connection.enter().await)?;
    let mut schema = Schema::known(connection, tables);
    schema.refuse_server().await?;
    schema.refuse_relations().await?;
    schema.refuse_unfit_columns().await?;
    schema.refuse_duplicates().await?;
    schema.refuse_sequence().await?;
    entered(connection.leave().await)
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

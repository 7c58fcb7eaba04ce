//! The tables: made, adopted from Event Sourcery for Python, updated, or checked.

mod migrating;
mod planning;
mod relations;
mod rights;
mod schema;
mod server;

use std::sync::Arc;
use std::time::Duration;

use event_sourcery::{Error, Result};

use self::schema::Schema;
use crate::connections::Connections;
use crate::failure::{During, Failure};
use crate::options::PostgresOptions;
use crate::rights::Rights;
use crate::tables::Tables;

/// The layout that this version of the library makes and knows.
const LAYOUT: i32 = 4;

/// The tables of the reference, with what we add in columns that have defaults; and those of our own.
const TABLES: [(&str, &str); 17] = [
    ("streams", include_str!("layout/streams.sql")),
    ("events", include_str!("layout/events.sql")),
    ("snapshots", include_str!("layout/snapshots.sql")),
    ("outbox_entries", include_str!("layout/outbox_entries.sql")),
    ("projector_cursors", include_str!("layout/projector_cursors.sql")),
    ("settled", include_str!("layout/settled.sql")),
    ("evidence", include_str!("layout/evidence.sql")),
    ("subscriptions", include_str!("layout/subscriptions.sql")),
    ("subscription_segments", include_str!("layout/subscription_segments.sql")),
    ("subscription_members", include_str!("layout/subscription_members.sql")),
    ("blocked_streams", include_str!("layout/blocked_streams.sql")),
    ("projected_streams", include_str!("layout/projected_streams.sql")),
    ("event_blocks", include_str!("layout/event_blocks.sql")),
    ("event_blocks_listed", include_str!("layout/event_blocks_listed.sql")),
    ("aggregate_snapshots", include_str!("layout/aggregate_snapshots.sql")),
    ("outbox_of_deleted", include_str!("layout/outbox_of_deleted.sql")),
    ("layout", include_str!("layout/layout.sql")),
];

/// The index by which events without versions are read in order.
const UNVERSIONED: &str = include_str!("layout/unversioned.sql");

/// The tables that have to be unlogged: what they hold means nothing after a crash.
const UNLOGGED: [&str; 1] = ["evidence"];

/// The columns that a table has, whoever made it. A table of that name without them is somebody else's.
const COLUMNS: [(&str, &[&str]); 17] = [
    ("streams", &["id", "uuid", "name", "category", "tenant_id", "version"]),
    ("events", &["id", "version", "uuid", "name", "data", "event_context", "created_at", "db_stream_id"]),
    ("snapshots", &["uuid", "version", "name", "data", "event_context", "created_at", "db_stream_id"]),
    ("outbox_entries", &["id", "created_at", "data", "stream_name", "position", "tries_left"]),
    ("projector_cursors", &["id", "name", "stream_id", "category", "version"]),
    ("settled", &["only_row", "position"]),
    ("evidence", &["only_row", "run", "started", "events", "ceiling", "holders"]),
    ("subscriptions", &["tenant_id", "name", "kept"]),
    (
        "subscription_segments",
        &["tenant_id", "name", "segment", "position", "token", "member", "leased_until"],
    ),
    ("subscription_members", &["tenant_id", "name", "member", "member_until"]),
    (
        "blocked_streams",
        &[
            "stream_uuid",
            "category",
            "tenant_id",
            "subscription_tenant_id",
            "subscription_name",
            "after_position",
        ],
    ),
    ("projected_streams", &["stream_uuid", "category", "tenant_id", "projector", "version", "position"]),
    ("event_blocks", &["name", "block"]),
    ("event_blocks_listed", &["only_row", "below"]),
    (
        "aggregate_snapshots",
        &["db_stream_id", "name", "format", "version", "event_uuid", "data", "created_at"],
    ),
    ("outbox_of_deleted", &["position", "category", "dropped"]),
    ("layout", &["version"]),
];

/// Makes the tables what this version needs, or checks that they are; refuses a server that they cannot be used on.
pub(crate) async fn prepare(connections: &Arc<Connections>, options: &PostgresOptions) -> Result<Tables> {
    let (place, mut connection) = (connections.place_of_the_store(), connections.acquire().await?);
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
    let (place, mut connection) = (connections.place_of_the_store(), connections.acquire().await?);
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
    let (place, mut connection) = (connections.place_of_the_store(), connections.acquire().await?);
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

//! The statements, with the tables' names in them. Values are always parameters. Those about one subject stand in files of their own
//! beside this one (`look_sql.rs`, `key_sql.rs`).

use std::sync::Arc;

use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Postgres};

use crate::append_sql::AppendSql;
use crate::cursor_sql::CursorSql;
use crate::key_sql::KeySql;
use crate::look_sql::LookSql;
use crate::numbering::NumberingSql;
use crate::operations::{DamageSql, DirectorySql, ScanSql};
use crate::outbox_sql::OutboxSql;
use crate::page_sizes::PageSizes;
use crate::rights::MissingRights;
use crate::scans::Scans;
use crate::settled_sql::SettledSql;
use crate::subscription_sql::SubscriptionSql;
use crate::tables::{Sequence, Tables};
use crate::tag_sql::TagSql;

/// A statement of ours, prepared once per connection, or each time where the connection's server changes.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    text: Arc<str>,
    unnamed: bool,
}

impl Statement {
    pub(crate) fn new(tables: &Tables, sql: &str) -> Self {
        Self::made(tables.put_into(sql), tables.unnamed)
    }

    /// With the tables' names in it already.
    pub(crate) fn made(text: String, unnamed: bool) -> Self {
        Self { text: text.into(), unnamed }
    }

    /// The same, with nothing in the place of the payloads and contexts of events and snapshots.
    pub(crate) fn without_payloads(&self) -> Self {
        let text = self.text.replace("e.data, e.event_context", "NULL::jsonb, NULL::jsonb");
        let text = text.replace("n.data, n.event_context", "NULL::jsonb, NULL::jsonb");
        Self::made(text.replace("n.data, '{}'::jsonb", "NULL::jsonb, '{}'::jsonb"), self.unnamed)
    }

    /// The same, which fails where it would leave out a row that is there already.
    pub(crate) fn strict(&self) -> Self {
        Self::made(self.text.replace("ON CONFLICT DO NOTHING", ""), self.unnamed)
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The statement with no value bound yet.
    pub(crate) fn query<'q>(&self) -> Query<'q, Postgres, PgArguments> {
        sqlx::query(AssertSqlSafe(Arc::clone(&self.text))).persistent(!self.unnamed)
    }
}

/// Makes a struct of statements, and of parts that are made for the same tables; `{table}` stands for the table's full name.
macro_rules! statements {
    (
        $(#[$about:meta])* $Statements:ident $(with $($part:ident: $Part:ty),+)?;
        $($(#[$doc:meta])* $name:ident: $sql:expr;)+
    ) => {
        $(#[$about])*
        #[derive(Debug)]
        pub(crate) struct $Statements {
            $($(#[$doc])* pub(crate) $name: Statement,)+
            $($(pub(crate) $part: $Part,)+)?
        }

        impl $Statements {
            /// The statements for these tables.
            pub(crate) fn new(tables: &Tables) -> Self {
                Self {
                    $($name: Statement::new(tables, $sql),)+
                    $($($part: <$Part>::new(tables),)+)?
                }
            }
        }
    };
}
pub(crate) use statements;

/// The columns of an event or a snapshot behind its position, as `rows` reads them. Names are texts, whatever the columns hold: where
/// somebody makes one longer, what was prepared before would give another type, which the server refuses from then on.
macro_rules! event {
    ($e:literal) => {
        concat!(
            $e,
            ".version, ",
            $e,
            ".uuid, ",
            $e,
            ".name::text, ",
            $e,
            ".data, ",
            $e,
            ".event_context, ",
            $e,
            ".created_at, ",
            $e,
            ".schema_version"
        )
    };
}
pub(crate) use event;

/// The tags of an event, in a column of that name: none where it has none, or where somebody else has written it.
macro_rules! tags_of {
    ($e:literal) => {
        concat!("(SELECT x.tags FROM {tagged_events} x WHERE x.position = ", $e, ".id) AS tags")
    };
}
pub(crate) use tags_of;

/// What a stream's key is compared with: UUID, category, tenant.
macro_rules! key_is {
    ($s:literal, $uuid:literal, $category:literal, $tenant:literal) => {
        concat!(
            $s,
            ".uuid = ",
            $uuid,
            " AND ",
            $s,
            ".category = ",
            $category,
            " AND ",
            $s,
            ".tenant_id = ",
            $tenant
        )
    };
}
pub(crate) use key_is;

/// Rows out of arrays, each the answer of a subquery: so the planner does not see how long they are, estimates the same cost with their
/// values as without, and keeps one plan. Otherwise it makes a new one for each append, which takes longer than the append. For the
/// same reason no parameter stands directly in a `coalesce` with a subquery: a known value would leave that subquery out.
macro_rules! unnest {
    ($first:literal $(, $array:literal)*) => {
        concat!("unnest((SELECT ", $first, ")" $(, ", (SELECT ", $array, ")")*, ")")
    };
}
pub(crate) use unnest;

/// Any of an array, for the same reason.
macro_rules! any {
    ($array:literal, $of:literal) => {
        concat!("ANY ((SELECT ", $array, "::", $of, ")::", $of, ")")
    };
}
pub(crate) use any;

/// The stream's number, found once for the whole statement.
macro_rules! the_stream {
    () => {
        concat!("(SELECT s.id FROM {streams} s WHERE ", key_is!("s", "$1", "$2", "$3"), ")")
    };
}

/// The newest snapshot of these names ($4) up to a version ($5). One above the stream's version, or older than its first
/// event, was left over by a deleted stream. A snapshot has no position.
macro_rules! newest_snapshot {
    () => {
        concat!(
            "SELECT NULL::bigint AS id, ",
            event!("n"),
            " FROM {snapshots} n
            WHERE n.db_stream_id = ",
            the_stream!(),
            " AND n.name = ANY ($4) AND n.version <= $5
              AND n.version <= (SELECT max(e.version) FROM {events} e WHERE e.db_stream_id = n.db_stream_id)
              AND n.created_at >= (
                  SELECT e.created_at FROM {events} e WHERE e.db_stream_id = n.db_stream_id ORDER BY e.version LIMIT 1)
            ORDER BY n.version DESC, n.created_at DESC LIMIT 1"
        )
    };
}

/// The state of an aggregate, its name $4 and its format $5, while the event is there that it was taken behind. It has no
/// position, as a snapshot has none.
macro_rules! newest_state {
    () => {
        concat!(
            "SELECT NULL::bigint AS id, n.version, n.event_uuid AS uuid, n.name::text, n.data, '{}'::jsonb AS event_context,
                    n.created_at, n.format AS schema_version
            FROM {aggregate_snapshots} n
            JOIN {events} e ON e.db_stream_id = n.db_stream_id AND e.version = n.version AND e.uuid = n.event_uuid
            WHERE n.db_stream_id = ",
            the_stream!(),
            " AND n.name = $4 AND n.format = $5"
        )
    };
}

/// A snapshot, and the events above its version; without one, all events. In any order.
macro_rules! load_from {
    ($snapshot:expr) => {
        concat!(
            "WITH snapshot AS MATERIALIZED (",
            $snapshot,
            ")
            SELECT n.*, NULL::text[] AS tags FROM snapshot n
            UNION ALL
            SELECT e.id, ",
            event!("e"),
            ", ",
            tags_of!("e"),
            " FROM {events} e
            WHERE e.db_stream_id = ",
            the_stream!(),
            " AND e.version > (SELECT n.version FROM snapshot n)
            UNION ALL
            SELECT e.id, ",
            event!("e"),
            ", ",
            tags_of!("e"),
            " FROM {events} e
            WHERE e.db_stream_id = ",
            the_stream!(),
            " AND NOT EXISTS (SELECT FROM snapshot)"
        )
    };
}

statements! {
    /// Every statement that the operations run, and what they know of the pages that come next.
    Sql with append: AppendSql, scans: Scans, directory: DirectorySql, scan: ScanSql, damage: DamageSql,
        subscriptions: SubscriptionSql, cursors: CursorSql, settled: SettledSql, sequence: Sequence, numbering: NumberingSql, outbox: OutboxSql,
        keys: KeySql, look: LookSql, tags: TagSql, rights: MissingRights, page_sizes: PageSizes;
    /// All events of a stream, in any order.
    load_all: concat!("
        SELECT e.id, ", event!("e"), ", ", tags_of!("e"), " FROM {events} e WHERE e.db_stream_id = ", the_stream!());
    /// The newest snapshot, and what follows.
    load_from_snapshot: load_from!(newest_snapshot!());
    /// The state of an aggregate, and what follows.
    load_from_state: load_from!(newest_state!());
    /// The snapshot that [`load_from_snapshot`](Self::load_from_snapshot) would start at.
    load_snapshot: newest_snapshot!();
    /// The state that [`load_from_state`](Self::load_from_state) would start at.
    load_state: newest_state!();
    /// The event of an id.
    load_event: concat!("
        SELECT e.id, ", event!("e"), ", ", tags_of!("e"), " FROM {events} e WHERE e.uuid = $4 AND e.db_stream_id = ", the_stream!());
    /// Versions from $4 to below $5, at most $6 of them.
    load_versions: concat!("
        SELECT e.id, ", event!("e"), ", ", tags_of!("e"), " FROM {events} e
        WHERE e.db_stream_id = ", the_stream!(), " AND e.version >= $4 AND e.version < $5
        ORDER BY e.version LIMIT $6");
    /// Events without versions above a position.
    load_unversioned: concat!("
        SELECT e.id, ", event!("e"), ", ", tags_of!("e"), " FROM {events} e
        WHERE e.db_stream_id = ", the_stream!(), " AND e.version IS NULL AND e.id > $4
        ORDER BY e.id LIMIT $5");
    /// Whatever stands above a position.
    load_any: concat!("
        SELECT e.id, ", event!("e"), ", ", tags_of!("e"), " FROM {events} e
        WHERE e.db_stream_id = ", the_stream!(), " AND e.id > $4
        ORDER BY e.id LIMIT $5");
    /// The last event by version, and the last one without a version.
    load_last: concat!("
        (SELECT e.id, ", event!("e"), ", ", tags_of!("e"), " FROM {events} e
         WHERE e.db_stream_id = ", the_stream!(), " AND e.version IS NOT NULL ORDER BY e.version DESC LIMIT 1)
        UNION ALL
        (SELECT e.id, ", event!("e"), ", ", tags_of!("e"), " FROM {events} e
         WHERE e.db_stream_id = ", the_stream!(), " AND e.version IS NULL ORDER BY e.id DESC LIMIT 1)");
    /// The position of the stream's first event; the version of the event at a position ($4) and whether it is there;
    /// whether the stream has events without versions, with versions, and with versions that are none.
    shape: concat!("
        SELECT coalesce(
                   (SELECT e.id FROM {events} e WHERE e.db_stream_id = s.id AND e.version IS NOT NULL
                    ORDER BY e.version LIMIT 1),
                   (SELECT e.id FROM {events} e WHERE e.db_stream_id = s.id AND e.version IS NULL ORDER BY e.id LIMIT 1)),
               p.version, p.id IS NOT NULL,
               EXISTS (SELECT FROM {events} e WHERE e.db_stream_id = s.id AND e.version IS NULL),
               EXISTS (SELECT FROM {events} e WHERE e.db_stream_id = s.id AND e.version IS NOT NULL),
               EXISTS (SELECT FROM {events} e WHERE e.db_stream_id = s.id AND e.version < 0)
        FROM {streams} s LEFT JOIN {events} p ON p.id = $4 AND p.db_stream_id = s.id
        WHERE ", key_is!("s", "$1", "$2", "$3"));
    /// Stores a snapshot if the stream has reached its version.
    insert_snapshot: concat!("
        INSERT INTO {snapshots} (version, uuid, name, data, event_context, created_at, db_stream_id, schema_version)
        SELECT $4, $5, $6, $7, $8, $9, s.id, $10 FROM {streams} s
        WHERE ", key_is!("s", "$1", "$2", "$3"), "
          AND $4 BETWEEN 1 AND (SELECT max(e.version) FROM {events} e WHERE e.db_stream_id = s.id)");
    /// Keeps the state of an aggregate behind the event $7 at version $6, where $9 is at version $8; a later one stays, while
    /// its event is there. A stream that somebody is deleting is left alone.
    save_state: concat!("
        INSERT INTO {aggregate_snapshots} AS n (db_stream_id, name, format, version, event_uuid, data, created_at)
        SELECT s.id, $4, $5, e.version, e.uuid, $10, $11
        FROM {streams} s JOIN {events} e ON e.db_stream_id = s.id AND e.version = $6 AND e.uuid = $7
        WHERE ", key_is!("s", "$1", "$2", "$3"), "
          AND ($8::bigint IS NULL OR EXISTS (
              SELECT FROM {events} m WHERE m.db_stream_id = s.id AND m.version = $8 AND m.uuid = $9))
        FOR KEY SHARE OF s SKIP LOCKED
        ON CONFLICT (db_stream_id, name, format) DO UPDATE
        SET version = excluded.version, event_uuid = excluded.event_uuid, data = excluded.data,
            created_at = excluded.created_at
        WHERE n.version < excluded.version OR NOT EXISTS (
            SELECT FROM {events} k
            WHERE k.db_stream_id = n.db_stream_id AND k.version = n.version AND k.uuid = n.event_uuid)");
    delete_states: "
        DELETE FROM {aggregate_snapshots} WHERE db_stream_id = ANY ($1)";
    /// Locks the row against appends.
    lock_for_deletion: concat!("
        SELECT s.id FROM {streams} s WHERE ", key_is!("s", "$1", "$2", "$3"), " FOR UPDATE");
    delete_snapshots: "
        DELETE FROM {snapshots} WHERE db_stream_id = ANY ($1)";
    delete_events: "
        DELETE FROM {events} WHERE db_stream_id = ANY ($1)";
    delete_streams: "
        DELETE FROM {streams} WHERE id = ANY ($1)";
    /// The reference's cursors know no tenant: they go with the last stream of that id.
    delete_cursors: "
        DELETE FROM {projector_cursors}
        WHERE stream_id = $1 AND coalesce(category, '') = $2
          AND NOT EXISTS (SELECT FROM {streams} WHERE uuid = $1 AND category = $2)";
    /// Tells other processes that something was committed. Nothing of it is to wait for a standby: it holds a lock that all
    /// announcements take. Beside: the number of the server's process, by which a process knows its own announcements.
    announce: "
        WITH setting AS MATERIALIZED (
            SELECT set_config('synchronous_commit', 'off', true)
        )
        SELECT pg_notify('event_sourcery', {events as text}), pg_backend_pid() FROM setting";
}

impl Sql {
    /// The tables that the statements are about.
    pub(crate) const fn tables(&self) -> &Tables {
        self.rights.tables()
    }
}

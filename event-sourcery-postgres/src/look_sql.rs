//! The statements of those who look inside. Each goes through a bounded number of rows: in the order of an index, or within a stretch,
//! which the planner cannot take apart (`OFFSET 0`). Names are told as texts, whatever the columns hold: see `sql::event`.

use crate::sql::{Statement, event, key_is, statements, tags_of};
use crate::tables::Tables;

/// Streams, each with its last event in the columns that `rows` reads, without a payload; and the stream's number.
macro_rules! summaries {
    ($streams:literal, $order:literal) => {
        concat!(
            "
        SELECT e.id, e.version, e.uuid, e.name::text, '{}'::jsonb, '{}'::jsonb, e.created_at, e.schema_version,
               s.uuid, s.name::text, s.category::text, s.tenant_id::text, s.id
        FROM (",
            $streams,
            ") s
        LEFT JOIN LATERAL (
            SELECT l.* FROM (
                (SELECT v.id, v.version, v.uuid, v.name, v.created_at, v.schema_version FROM {events} v
                 WHERE v.db_stream_id = s.id AND v.version IS NOT NULL ORDER BY v.version DESC LIMIT 1)
                UNION ALL
                (SELECT u.id, u.version, u.uuid, u.name, u.created_at, u.schema_version FROM {events} u
                 WHERE u.db_stream_id = s.id AND u.version IS NULL ORDER BY u.id DESC LIMIT 1)
            ) l ORDER BY l.version DESC NULLS LAST LIMIT 1
        ) e ON TRUE
        ORDER BY ",
            $order
        )
    };
}

/// How many streams there are, and how many of them have events: of at most $2.
macro_rules! counted {
    ($condition:literal) => {
        concat!(
            "
        SELECT count(*), count(e.id)
        FROM (SELECT s.id FROM {streams} s WHERE ",
            $condition,
            " LIMIT $2) s
        LEFT JOIN LATERAL (
            SELECT o.id FROM {events} o WHERE o.db_stream_id = s.id ORDER BY o.db_stream_id, o.version LIMIT 1
        ) e ON TRUE"
        )
    };
}

/// Of the events above $1 and up to $2 those of the tenant $3, the category $4 and the names $5, and with one of the ids $6 in their
/// context, as far as these are given; at most $7.
macro_rules! events {
    ($order:literal) => {
        concat!(
            "
        SELECT e.id, ",
            event!("e"),
            ", s.uuid, s.name::text, s.category::text, s.tenant_id::text, ",
            tags_of!("e"),
            "
        FROM (SELECT o.* FROM {events} o WHERE o.id > $1 AND o.id <= $2 ORDER BY o.id",
            $order,
            " OFFSET 0) e
        LEFT JOIN LATERAL (
            SELECT t.uuid, t.name, t.category, t.tenant_id FROM {streams} t WHERE t.id = e.db_stream_id OFFSET 0
        ) s ON TRUE
        WHERE ($3::text IS NULL OR s.tenant_id = $3) AND ($4::text IS NULL OR s.category = $4)
          AND ($5::text[] IS NULL OR e.name = ANY ($5))
          AND ($6::text[] IS NULL OR (e.event_context ->> 'correlation_id') = ANY ($6)
               OR (e.event_context ->> 'causation_id') = ANY ($6))
        ORDER BY e.id",
            $order,
            " LIMIT $7"
        )
    };
}

/// The stream's number, found once for the whole statement.
macro_rules! the_stream {
    () => {
        concat!("(SELECT s.id FROM {streams} s WHERE ", key_is!("s", "$1", "$2", "$3"), ")")
    };
}

/// Durable subscriptions from $1 and $2 on, or behind them; each has a first segment.
macro_rules! subscriptions {
    ($compare:literal) => {
        concat!(
            "
        SELECT s.tenant_id::text, s.name::text FROM {subscription_segments} s
        WHERE s.segment = 0 AND (s.tenant_id, s.name) ",
            $compare,
            " ($1, $2)
        ORDER BY s.tenant_id, s.name LIMIT $3"
        )
    };
}

statements! {
    /// What is read by those who look inside.
    LookSql;
    /// Of the tenant $1 in the category $2, from the name $3 on.
    named: summaries!(
        "SELECT t.id, t.uuid, t.name, t.category, t.tenant_id FROM {streams} t
         WHERE t.tenant_id = $1 AND t.category = $2 AND t.name COLLATE \"C\" >= $3
         ORDER BY t.name COLLATE \"C\" LIMIT $4",
        "s.name COLLATE \"C\"");
    /// Those of a stretch of numbers, the highest first: below $1, and from $2 on.
    newest: summaries!(
        "SELECT t.* FROM (
             SELECT n.id, n.uuid, n.name, n.category, n.tenant_id FROM {streams} n
             WHERE n.id < $1 AND n.id >= $2 ORDER BY n.id DESC OFFSET 0
         ) t
         WHERE ($3::text IS NULL OR t.tenant_id = $3) AND ($4::text IS NULL OR t.category = $4)
         ORDER BY t.id DESC LIMIT $5",
        "s.id DESC");
    nth_stream_below: "
        SELECT s.id FROM {streams} s WHERE s.id < $1 ORDER BY s.id DESC LIMIT 1 OFFSET $2";
    stream_number: concat!("
        SELECT s.id FROM {streams} s WHERE ", key_is!("s", "$1", "$2", "$3"));
    next_place: "
        SELECT s.tenant_id::text, s.category::text FROM {streams} s WHERE (s.tenant_id, s.category) > ($1, $2)
        ORDER BY s.tenant_id, s.category LIMIT 1";
    next_tenant: "
        SELECT s.tenant_id::text FROM {streams} s WHERE s.tenant_id > $1 ORDER BY s.tenant_id LIMIT 1";
    next_category: "
        SELECT s.category::text FROM {streams} s WHERE s.category > $1 ORDER BY s.category LIMIT 1";
    /// An equality would make the order one of what is left, and the planner free to sort.
    count_tenant: counted!("s.tenant_id >= $1 AND s.tenant_id <= $1 ORDER BY s.tenant_id, s.category");
    count_category: counted!("s.category >= $1 AND s.category <= $1 ORDER BY s.category, s.tenant_id");
    count_both: counted!("(s.category, s.tenant_id) >= ($1, $3) AND (s.category, s.tenant_id) <= ($1, $3)
              ORDER BY s.category, s.tenant_id");
    event: concat!("
        SELECT e.id, ", event!("e"), ", s.uuid, s.name::text, s.category::text, s.tenant_id::text,
               ", tags_of!("e"), "
        FROM {events} e LEFT JOIN {streams} s ON s.id = e.db_stream_id WHERE e.uuid = $1");
    events_back: events!(" DESC");
    events_onwards: events!("");
    nth_event_below: "
        SELECT e.id FROM {events} e WHERE e.id < $1 ORDER BY e.id DESC LIMIT 1 OFFSET $2";
    nth_event_above: "
        SELECT e.id FROM {events} e WHERE e.id > $1 ORDER BY e.id LIMIT 1 OFFSET $2";
    /// How many there are of each name in a stretch; the parameters are those of the events.
    event_names: "
        SELECT e.name::text, count(*)
        FROM (SELECT o.id, o.name, o.db_stream_id FROM {events} o WHERE o.id > $1 AND o.id <= $2 OFFSET 0) e
        LEFT JOIN LATERAL (
            SELECT t.category, t.tenant_id FROM {streams} t WHERE t.id = e.db_stream_id OFFSET 0
        ) s ON TRUE
        WHERE ($3::text IS NULL OR s.tenant_id = $3) AND ($4::text IS NULL OR s.category = $4)
          AND ($5::text[] IS NULL OR e.name = ANY ($5))
        GROUP BY e.name ORDER BY e.name COLLATE \"C\"";
    /// The version of a stream's event at $4, if it is there.
    version_at: concat!("
        SELECT e.version FROM {events} e WHERE e.id = $4 AND e.db_stream_id = ", the_stream!());
    /// A stream's events below the version $4, the last one first.
    versions_below: concat!("
        SELECT e.id, ", event!("e"), ", ", tags_of!("e"), " FROM {events} e
        WHERE e.db_stream_id = ", the_stream!(), " AND e.version < $4 ORDER BY e.version DESC LIMIT $5");
    /// Those without versions, below the position $4.
    unversioned_below: concat!("
        SELECT e.id, ", event!("e"), ", ", tags_of!("e"), " FROM {events} e
        WHERE e.db_stream_id = ", the_stream!(), " AND e.version IS NULL AND e.id < $4 ORDER BY e.id DESC LIMIT $5");
    subscriptions_from: subscriptions!(">=");
    subscriptions_behind: subscriptions!(">");
    /// Of the streams of a stretch of numbers, the highest first: up to $1, of that one behind the projector $5, and from $2 on.
    cursors: "
        SELECT s.id, c.projector::text, c.version, c.position, s.uuid, s.name::text, s.category::text, s.tenant_id::text, e.version
        FROM (
            SELECT t.id, t.uuid, t.name, t.category, t.tenant_id FROM {streams} t
            WHERE t.id <= $1 AND t.id >= $2 ORDER BY t.id DESC OFFSET 0
        ) s
        CROSS JOIN LATERAL (
            SELECT p.projector, p.version, p.position FROM {projected_streams} p
            WHERE p.stream_uuid = s.uuid AND p.category = s.category AND p.tenant_id = s.tenant_id
              AND p.version IS NOT NULL
            ORDER BY p.projector OFFSET 0
        ) c
        LEFT JOIN LATERAL (
            SELECT v.version FROM {events} v WHERE v.db_stream_id = s.id AND v.version IS NOT NULL
            ORDER BY v.version DESC LIMIT 1
        ) e ON TRUE
        WHERE (s.id < $1 OR c.projector > $5)
          AND ($3::text IS NULL OR s.tenant_id = $3) AND ($4::text IS NULL OR c.projector = $4)
        ORDER BY s.id DESC, c.projector LIMIT $6";
    nth_entry_above: "
        SELECT o.position FROM {outbox_entries} o WHERE o.position > $1 ORDER BY o.position LIMIT 1 OFFSET $2";
}

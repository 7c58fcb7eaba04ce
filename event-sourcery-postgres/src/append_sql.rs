//! The statements of appends.

use crate::sql::{Statement, any, event, key_is, statements, unnest};
use crate::tables::Tables;

/// What the server says of a position that a new event would have got.
macro_rules! given_before {
    () => {
        "was given before"
    };
}
pub(crate) const GIVEN_BEFORE: &str = given_before!();

/// The position of a new event. Where it is not above this one, and above what is on record as settled, it is no number: an error,
/// so that nothing is written.
macro_rules! position_above {
    ($given:literal) => {
        concat!(
            "CASE WHEN id > ",
            highest_given!($given),
            " THEN id ELSE (id || ' ",
            given_before!(),
            ": ' || ",
            highest_given!($given),
            ")::bigint END AS id"
        )
    };
}

macro_rules! highest_given {
    ($given:literal) => {
        concat!("greatest(", $given, ", (SELECT settled.position FROM {settled} settled))")
    };
}

/// What is told of new events, `event`, where some of them go into the outbox.
macro_rules! told {
    ($given:literal) => {
        concat!(
            position_above!($given),
            ", version, uuid, name, data, event_context, created_at, db_stream_id, schema_version"
        )
    };
}

/// Puts those of the events, `event`, whose ids are listed into the outbox, as the reference writes it: with how often that tries
/// them. What else there is to know of an event's stream is found by the join.
macro_rules! enter {
    ($join:expr, $uuid:literal, $category:literal, $tenant:literal, $name:literal, $ids:literal) => {
        concat!(
            ", entry AS (
            INSERT INTO {outbox_entries} (created_at, data, stream_name, position, tries_left)
            SELECT clock_timestamp() AT TIME ZONE 'UTC', jsonb_build_object(
                'uuid', e.uuid, 'stream_id', ",
            $uuid,
            ", 'created_at', to_char(e.created_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.US'), 'version', e.version, 'name', e.name,
                'data', e.data, 'context', e.event_context, 'tenant_id', ",
            $tenant,
            ", 'category', ",
            $category,
            ", 'schema_version', e.schema_version),
                coalesce(",
            $name,
            ", (SELECT n.name FROM {streams} n WHERE n.id = e.db_stream_id)), e.id, 3
            FROM event e ",
            $join,
            " WHERE e.uuid = ANY ((SELECT ",
            $ids,
            "::uuid[])::uuid[]) ORDER BY e.id
        )"
        )
    };
}

/// The same of the events of one stream: $14 are the ids.
macro_rules! enter_of_one {
    () => {
        enter!("", "$1::uuid", "$2::text", "$3::text", "(SELECT $4::text)", "$14")
    };
}

/// The rest of an append to one stream, `stream`, whose first version is $6 or null: the events, in their order. Positions
/// are drawn after the stream is locked, and only if there is a stream. They are above $13.
macro_rules! insert_events {
    () => {
        insert_events!(position_above!("$13"), "")
    };
    ($told:expr, $enter:expr) => {
        concat!(
            ", event AS (
            INSERT INTO {events}
                (version, uuid, name, data, event_context, created_at, db_stream_id, schema_version)
            SELECT $6::bigint + e.number - 1, e.uuid, e.name, e.data, e.context, e.created_at, stream.id, e.schema_version
            FROM stream
            CROSS JOIN ", unnest!("$7::uuid[]", "$8::text[]", "$9::jsonb[]", "$10::jsonb[]", "$11::timestamp[]", "$12::int[]"), "
                WITH ORDINALITY AS e (uuid, name, data, context, created_at, schema_version, number)
            ORDER BY e.number
            RETURNING ",
            $told,
            "
        )",
            $enter,
            "
        SELECT max(id) FROM event"
        )
    };
}

/// The rest of an append of one event: without arrays, which cost a tenth of a short append.
macro_rules! insert_event {
    () => {
        concat!(
            "INSERT INTO {events} (version, uuid, name, data, event_context, created_at, db_stream_id, schema_version)
         SELECT stream.version, $7, $8, $9, $10, $11, stream.id, $12 FROM stream
         RETURNING ",
            position_above!("$13")
        )
    };
}

/// The keys that the events are sealed with, those of them that are there, locked before anything else, in one order for all: $15
/// are their subjects, $16 their ids.
macro_rules! sealing_keys {
    () => {
        concat!(
            "WITH held_key AS MATERIALIZED (
            SELECT k.key_id FROM {subject_keys} k
            JOIN ",
            unnest!("$15::text[]", "$16::uuid[]"),
            " AS n (subject, key_id)
                ON k.subject = n.subject AND k.key_id = n.key_id
            WHERE k.tenant_id = $3 AND k.wrapped IS NOT NULL AND k.shredded_at IS NULL
            ORDER BY k.subject FOR SHARE OF k
        ), "
        )
    };
}

/// Whether all of them are there.
macro_rules! keys_are_there {
    () => {
        "(SELECT count(*) FROM held_key) = cardinality($15::text[])"
    };
}

/// The stream of [`AppendSql::create`].
macro_rules! created {
    () => {
        created!("WITH ", "VALUES ($1, $2, $3, $4, $5)")
    };
    ($with:expr, $values:expr) => {
        concat!(
            $with,
            "stream AS (
            INSERT INTO {streams} (uuid, category, tenant_id, name, version) ",
            $values,
            "
            ON CONFLICT DO NOTHING RETURNING id, version
        ) "
        )
    };
}

/// The stream of [`AppendSql::extend`].
macro_rules! extended {
    () => {
        extended!("WITH ", "")
    };
    ($with:expr, $and:expr) => {
        concat!(
            $with,
            "stream AS (
            UPDATE {streams} s SET version = $5, name = coalesce(s.name, $4)
            WHERE ",
            key_is!("s", "$1", "$2", "$3"),
            " AND s.version = $6 - 1
              AND (SELECT max(e.version) FROM {events} e WHERE e.db_stream_id = s.id) = $6 - 1",
            $and,
            "
            RETURNING s.id, s.version
        )"
        )
    };
}

/// The stream of [`AppendSql::extend_or_create`].
macro_rules! extended_or_created {
    () => {
        extended_or_created!("WITH ", "")
    };
    ($with:expr, $and:expr) => {
        concat!(
            $with,
            "existing AS (
            UPDATE {streams} s SET version = NULL, name = coalesce(s.name, $4)
            WHERE ",
            key_is!("s", "$1", "$2", "$3"),
            " AND s.version IS NULL
              AND (SELECT max(e.version) FROM {events} e WHERE e.db_stream_id = s.id) IS NULL",
            $and,
            "
            RETURNING s.id, s.version
        ), created AS (
            INSERT INTO {streams} (uuid, category, tenant_id, name, version)
            SELECT $1, $2, $3, $4, $5::bigint WHERE NOT EXISTS (SELECT FROM existing)",
            $and,
            "
            ON CONFLICT DO NOTHING RETURNING id, version
        ), stream AS (
            SELECT id, version FROM existing UNION ALL SELECT id, version FROM created
        )"
        )
    };
}

/// Gives streams ($1: numbers) their versions and names: the beginning of [`AppendSql::write`].
macro_rules! write_streams {
    () => {
        concat!(
            "
        WITH stream AS (
            UPDATE {streams} s SET version = m.version, name = coalesce(s.name, m.name)
            FROM ",
            unnest!("$1::bigint[]", "$2::bigint[]", "$3::text[]"),
            " AS m (id, version, name) WHERE s.id = m.id
        )"
        )
    };
}

/// Stores events: $4 to $11 are an event's stream, version and values.
macro_rules! write_events {
    () => {
        concat!("
        INSERT INTO {events} (version, uuid, name, data, event_context, created_at, db_stream_id, schema_version)
        SELECT e.version, e.uuid, e.name, e.data, e.context, e.created_at, e.stream, e.schema_version
        FROM ", unnest!("$4::bigint[]", "$5::bigint[]", "$6::uuid[]", "$7::text[]", "$8::jsonb[]", "$9::jsonb[]", "$10::timestamp[]", "$11::int[]"), "
            WITH ORDINALITY AS e (stream, version, uuid, name, data, context, created_at, schema_version, number)
        ORDER BY e.number
        RETURNING ")
    };
}

// Behind the macros, which they use.
mod batches;
mod tagged;

pub(crate) use self::batches::BatchSql;
pub(crate) use self::tagged::TaggedSql;

statements! {
    /// The statements of appends.
    AppendSql with batches: BatchSql, tagged: TaggedSql;
    /// Creates a stream with events. $1 to $4: UUID, category, tenant, name; $5: the version it will have; $6: that of its
    /// first event; $7 to $12: the events' values; $13: what their positions are above. Nothing where the stream or the name
    /// exists.
    create: concat!(created!(), insert_events!());
    /// [`create`](Self::create) with one event.
    create_one: concat!(created!(), insert_event!());
    /// [`create`](Self::create) with events of which some go into the outbox: $14 are their ids.
    create_and_enter: concat!(created!(), insert_events!(told!("$13"), enter_of_one!()));
    /// Appends to a versioned stream whose row and last event are at the version before $6. Nothing where they are not.
    extend: concat!(extended!(), insert_events!());
    /// [`extend`](Self::extend) with one event.
    extend_one: concat!(extended!(), insert_event!());
    /// [`extend`](Self::extend), as [`create_and_enter`](Self::create_and_enter).
    extend_and_enter: concat!(extended!(), insert_events!(told!("$13"), enter_of_one!()));
    /// Appends to a stream without versions, or creates it: $5 and $6 are null. The row is locked, so that the events of
    /// one append stay next to each other. Nothing where the stream has versions, or somebody else is creating it.
    extend_or_create: concat!(extended_or_created!(), insert_events!());
    /// [`extend_or_create`](Self::extend_or_create) with one event.
    extend_or_create_one: concat!(extended_or_created!(), insert_event!());
    /// [`extend_or_create`](Self::extend_or_create), as [`create_and_enter`](Self::create_and_enter).
    extend_or_create_and_enter: concat!(extended_or_created!(), insert_events!(told!("$13"), enter_of_one!()));
    /// [`create_and_enter`](Self::create_and_enter) with events that are sealed. Nothing where one of the keys is not there.
    create_sealed: concat!(
        created!(
            sealing_keys!(),
            concat!("SELECT $1::uuid, $2, $3, $4, $5::bigint WHERE ", keys_are_there!())
        ),
        insert_events!(told!("$13"), enter_of_one!())
    );
    /// [`extend`](Self::extend), as [`create_sealed`](Self::create_sealed).
    extend_sealed: concat!(
        extended!(sealing_keys!(), concat!(" AND ", keys_are_there!())),
        insert_events!(told!("$13"), enter_of_one!())
    );
    /// [`extend_or_create`](Self::extend_or_create), as [`create_sealed`](Self::create_sealed).
    extend_or_create_sealed: concat!(
        extended_or_created!(sealing_keys!(), concat!(" AND ", keys_are_there!())),
        insert_events!(told!("$13"), enter_of_one!())
    );
    /// What streams are, in the order asked: number of the row, its version, whether it has a name; the last version and
    /// whether there are events; who else has the name that the stream is to have: its number, UUID, and whether it has
    /// events; and whether any of the events of $5 is there, in whatever stream.
    states: concat!("
        SELECT s.id, s.version, s.name IS NOT NULL,
               (SELECT max(e.version) FROM {events} e WHERE e.db_stream_id = s.id),
               EXISTS (SELECT FROM {events} e WHERE e.db_stream_id = s.id),
               h.id, h.uuid, EXISTS (SELECT FROM {events} e WHERE e.db_stream_id = h.id),
               EXISTS (SELECT FROM {events} e WHERE e.uuid = ", any!("$5", "uuid[]"), ")
        FROM ", unnest!("$1::uuid[]", "$2::text[]", "$4::text[]"), " WITH ORDINALITY AS k (uuid, category, name, number)
        LEFT JOIN {streams} s ON ", key_is!("s", "k.uuid", "k.category", "$3"), "
        LEFT JOIN {streams} h
            ON h.name = k.name AND h.category = k.category AND h.tenant_id = $3 AND h.uuid <> k.uuid
        ORDER BY k.number");
    /// Makes rows for streams that have none, in one order for all, so that no two calls wait for each other.
    insert_streams: concat!("
        INSERT INTO {streams} (uuid, category, tenant_id, name, version)
        SELECT k.uuid, k.category, $3, k.name, 0
        FROM ", unnest!("$1::uuid[]", "$2::text[]", "$4::text[]"), " AS k (uuid, category, name)
        ORDER BY k.uuid, k.category
        ON CONFLICT DO NOTHING");
    /// Locks the rows of streams, in one order for all.
    lock_streams: concat!("
        SELECT s.id FROM {streams} s
        JOIN ", unnest!("$1::uuid[]", "$2::text[]"), " AS k (uuid, category)
            ON ", key_is!("s", "k.uuid", "k.category", "$3"), "
        ORDER BY s.uuid, s.category FOR NO KEY UPDATE OF s");
    /// Gives streams ($1: numbers) their versions and names, which also mends rows that disagree with their events, and
    /// stores events: $4 to $11 are an event's stream, version and values, and their positions are above $12.
    write: concat!(write_streams!(), write_events!(), position_above!("$12"), ", db_stream_id");
    /// The same with events of which some go into the outbox: $13 are their ids.
    write_and_enter: concat!(write_streams!(), ", event AS (", write_events!(), told!("$12"), ")", enter!(
        concat!("JOIN {streams} s ON s.id = e.db_stream_id JOIN ", unnest!("$1::bigint[]", "$3::text[]"), " AS m (id, name) ON m.id = s.id"),
        "s.uuid", "s.category", "s.tenant_id", "coalesce(s.name, m.name)", "$13"
    ), " SELECT id, db_stream_id FROM event");
    /// The events of these ids, each with its stream and the id of the event before it in its stream.
    present: concat!("
        SELECT e.id, ", event!("e"), ", s.uuid, s.name::text, s.category::text, s.tenant_id::text, coalesce(
            (SELECT p.uuid FROM {events} p WHERE p.db_stream_id = e.db_stream_id AND p.version < e.version
             ORDER BY p.version DESC LIMIT 1),
            (SELECT p.uuid FROM {events} p WHERE p.db_stream_id = e.db_stream_id AND p.version IS NULL AND p.id < e.id
             ORDER BY p.id DESC LIMIT 1))
        FROM {events} e JOIN {streams} s ON s.id = e.db_stream_id WHERE e.uuid = ANY ($1)");
    /// Where the events of these ids stand.
    positions: "SELECT e.uuid, e.id FROM {events} e WHERE e.uuid = ANY ($1)";
    /// Writes to the log, so that the commit waits for the disk and for standbys; both have got all that was committed before by then.
    /// Answers with a type that the driver knows: it would look another one up, which takes the place of a statement without a name.
    confirm: "SELECT pg_logical_emit_message(true, 'event_sourcery', '') IS NOT NULL";
}

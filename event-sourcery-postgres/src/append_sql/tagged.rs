//! The statements of appends with tags to one stream.

use crate::sql::{Statement, key_is, statements, unnest};
use crate::tables::Tables;

/// Locks the tags $17, in one order for all, before the stream is locked and a position is drawn, and raises their versions by so much
/// ($18). One whose version, in its newest row, is not the one at $19 is left out.
macro_rules! held_tags {
    ($with:expr, $where:expr) => {
        concat!(
            $with,
            "wanted AS MATERIALIZED (
            SELECT w.value, w.raised, w.expected
            FROM ",
            unnest!("$17::text[]", "$18::bigint[]", "$19::bigint[]"),
            " AS w (value, raised, expected)
        ), tag AS (
            INSERT INTO {tags} AS t (tenant_id, value, version)
            SELECT $3, w.value, w.raised FROM wanted w ",
            $where,
            " ORDER BY w.value COLLATE \"C\"
            ON CONFLICT (value, tenant_id) DO UPDATE SET version = t.version + excluded.version
            WHERE coalesce((SELECT w.expected = t.version FROM wanted w WHERE w.value = excluded.value), TRUE)
            RETURNING t.id, t.value
        ), "
        )
    };
}

/// Whether none was left out. It is a count: all of them are locked before what depends on it.
macro_rules! tags_are_held {
    () => {
        "(SELECT count(*) FROM tag) = cardinality($17::text[])"
    };
}

/// What is created, where that holds.
macro_rules! values_if_held {
    () => {
        concat!("SELECT $1::uuid, $2, $3, $4, $5::bigint WHERE ", tags_are_held!())
    };
}

/// Tags alone.
macro_rules! held {
    () => {
        held_tags!("WITH ", "")
    };
}

/// The keys that events are sealed with, and then tags. Where a key is not there, no tag is.
macro_rules! sealed_and_held {
    () => {
        held_tags!(sealing_keys!(), concat!("WHERE ", keys_are_there!()))
    };
}

/// The rest of an append of one event, whose tags are $20.
macro_rules! insert_tagged_event {
    () => {
        concat!(
            ", event AS (
            INSERT INTO {events} (version, uuid, name, data, event_context, created_at, db_stream_id, schema_version)
            SELECT stream.version, $7, $8, $9, $10, $11, stream.id, $12 FROM stream
            RETURNING ",
            position_above!("$13"),
            ", name
        ), tagged AS (
            INSERT INTO {tagged_events} (position, tags)
            SELECT e.id, (SELECT $20::text[]) FROM event e WHERE cardinality((SELECT $20::text[])) > 0
        ), entered AS (
            INSERT INTO {event_tags} (tag_id, position, name)
            SELECT t.id, e.id, e.name FROM event e CROSS JOIN tag t WHERE t.value = ANY ((SELECT $20::text[])::text[])
        )
        SELECT max(id) FROM event"
        )
    };
}

/// The rest of an append of any events, of which some may go into the outbox: $20 is a list of tags for each of them.
macro_rules! insert_tagged_events {
    () => {
        insert_events!(
            told!("$13"),
            concat!(
                enter_of_one!(),
                ", tagged AS (
            INSERT INTO {tagged_events} (position, tags)
            SELECT e.id, ARRAY(SELECT jsonb_array_elements_text(n.tags))
            FROM ",
                unnest!("$7::uuid[]", "$20::jsonb[]"),
                " AS n (uuid, tags) JOIN event e ON e.uuid = n.uuid
            WHERE n.tags <> '[]'
            RETURNING position, tags
        ), entered AS (
            INSERT INTO {event_tags} (tag_id, position, name)
            SELECT t.id, n.position, e.name
            FROM tagged n JOIN event e ON e.id = n.position
            CROSS JOIN LATERAL unnest(n.tags) AS w (value)
            JOIN tag t ON t.value = w.value
        )"
            )
        )
    };
}

statements! {
    /// Those of [`AppendSql`](super::AppendSql) to one stream, with tags: nothing also where a tag is not at the version that is expected.
    /// The versions of the others are raised all the same, and the tags made: that moves no boundary, but sends those who have read
    /// them before the way of locks. $14 are the ids of what goes into the outbox, $15 and $16 the keys that events are sealed with.
    TaggedSql;
    create_one: concat!(created!(held!(), values_if_held!()), insert_tagged_event!());
    create: concat!(created!(sealed_and_held!(), values_if_held!()), insert_tagged_events!());
    extend_one: concat!(extended!(held!(), concat!(" AND ", tags_are_held!())), insert_tagged_event!());
    extend: concat!(extended!(sealed_and_held!(), concat!(" AND ", tags_are_held!())), insert_tagged_events!());
    extend_or_create_one: concat!(
        extended_or_created!(held!(), concat!(" AND ", tags_are_held!())),
        insert_tagged_event!()
    );
    extend_or_create: concat!(
        extended_or_created!(sealed_and_held!(), concat!(" AND ", tags_are_held!())),
        insert_tagged_events!()
    );
}

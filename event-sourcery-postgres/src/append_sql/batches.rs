//! The statements of appends that share one.

use crate::sql::{Statement, key_is, statements, unnest};
use crate::tables::Tables;

/// The statement of [`BatchSql::append`]. Of those that have tags, only a `$member` that has all of its tags goes on to its stream.
macro_rules! batch {
    ($told:expr, $enter:expr) => {
        batch!("", "member", $told, $enter, "")
    };
    ($tags:expr, $member:literal, $told:expr, $enter:expr, $held:expr) => {
        concat!("
        WITH patience AS MATERIALIZED (
            SELECT set_config('lock_timeout', $15::text, true)
        ), member AS MATERIALIZED (
            SELECT m.* FROM patience, ", unnest!("$1::uuid[]", "$2::text[]", "$3::text[]", "$4::text[]", "$5::bigint[]", "$6::bigint[]"), "
                WITH ORDINALITY AS m (uuid, category, tenant_id, name, expected, version, number)
        )", $tags, ", locked AS MATERIALIZED (
            SELECT m.number, m.name, m.version, s.id,
                   s.version IS NOT DISTINCT FROM m.expected
                   AND (SELECT max(e.version) FROM {events} e WHERE e.db_stream_id = s.id)
                       IS NOT DISTINCT FROM m.expected AS is_as_expected
            FROM ", $member, " m CROSS JOIN LATERAL (
                SELECT s.id, s.version FROM {streams} s
                WHERE ", key_is!("s", "m.uuid", "m.category", "m.tenant_id"), "
                FOR NO KEY UPDATE SKIP LOCKED
            ) s
            WHERE m.expected IS DISTINCT FROM 0
        ), extended AS (
            UPDATE {streams} s SET version = l.version, name = coalesce(s.name, l.name)
            FROM locked l WHERE s.id = l.id AND l.is_as_expected
            RETURNING l.number, s.id
        ), created AS (
            INSERT INTO {streams} (uuid, category, tenant_id, name, version)
            SELECT m.uuid, m.category, m.tenant_id, m.name, m.version FROM ", $member, " m WHERE m.expected = 0
            ORDER BY m.uuid, m.category, m.tenant_id
            ON CONFLICT DO NOTHING RETURNING id, uuid, category, tenant_id
        ), stream AS (
            SELECT number, id FROM extended
            UNION ALL
            SELECT m.number, c.id FROM created c JOIN member m USING (uuid, category, tenant_id)
        ), event AS (
            INSERT INTO {events}
                (version, uuid, name, data, event_context, created_at, db_stream_id, schema_version)
            SELECT m.expected + e.place, e.uuid, e.name, e.data, e.context, e.created_at, stream.id, e.schema_version
            FROM ", unnest!("$7::bigint[]", "$8::bigint[]", "$9::uuid[]", "$10::text[]", "$11::jsonb[]", "$12::jsonb[]", "$13::timestamp[]", "$14::int[]"), "
                WITH ORDINALITY AS e (member, place, uuid, name, data, context, created_at, schema_version, number)
            JOIN stream ON stream.number = e.member
            JOIN member m ON m.number = e.member
            ORDER BY e.number
            RETURNING ", $told, "
        )", $enter, "
        SELECT stream.number, max(event.id) FROM stream JOIN event ON event.db_stream_id = stream.id
        GROUP BY stream.number
        UNION ALL
        SELECT m.number, NULL FROM ", $member, " m
        WHERE m.expected IS DISTINCT FROM 0 AND m.number <> ALL (ARRAY(SELECT l.number FROM locked l))
          AND (SELECT s.id FROM {streams} s WHERE ", key_is!("s", "m.uuid", "m.category", "m.tenant_id"), ") IS NOT NULL", $held)
    };
}

/// Puts those of the events that are listed into the outbox: $17 are their ids.
macro_rules! enter_of_members {
    () => {
        enter!(
            "JOIN stream ON stream.id = e.db_stream_id JOIN member m ON m.number = stream.number",
            "m.uuid",
            "m.category",
            "m.tenant_id",
            "m.name",
            "$17"
        )
    };
}

/// The batch of members that have tags. A tag that is there is locked, unless somebody else has it; one that is not there is made. Two
/// members have no tag in common. Whether a tag is as expected, its newest row tells, which is locked: not the statement's snapshot.
macro_rules! tagged_batch {
    ($told:expr, $enter:expr) => {
        batch!(
            concat!(", wanted AS MATERIALIZED (
            SELECT w.* FROM patience, ", unnest!("$18::bigint[]", "$19::text[]", "$20::text[]", "$21::bigint[]", "$22::bigint[]"), "
                WITH ORDINALITY AS w (member, tenant_id, value, raised, expected, place)
        ), held_tag AS MATERIALIZED (
            SELECT w.member, w.value, w.raised, w.place, t.id, coalesce(w.expected = t.version, TRUE) AS is_as_expected
            FROM wanted w CROSS JOIN LATERAL (
                SELECT t.id, t.version FROM {tags} t WHERE t.value = w.value AND t.tenant_id = w.tenant_id
                FOR NO KEY UPDATE SKIP LOCKED
            ) t
        ), made_tag AS (
            INSERT INTO {tags} (tenant_id, value, version)
            SELECT w.tenant_id, w.value, w.raised FROM wanted w
            WHERE coalesce(w.expected, 0) = 0
              AND (SELECT t.id FROM {tags} t WHERE t.value = w.value AND t.tenant_id = w.tenant_id) IS NULL
            ORDER BY w.place
            ON CONFLICT DO NOTHING RETURNING id, tenant_id, value
        ), tag AS MATERIALIZED (
            SELECT h.member, h.id, h.value FROM held_tag h WHERE h.is_as_expected
            UNION ALL
            SELECT w.member, t.id, w.value FROM made_tag t JOIN wanted w ON w.value = t.value AND w.tenant_id = t.tenant_id
        ), ready AS MATERIALIZED (
            SELECT m.* FROM member m
            WHERE (SELECT count(*) FROM tag t WHERE t.member = m.number) = (SELECT count(*) FROM wanted w WHERE w.member = m.number)
        )"),
            "ready",
            $told,
            concat!($enter, ", raised AS (
            UPDATE {tags} t SET version = t.version + h.raised
            FROM held_tag h JOIN stream ON stream.number = h.member
            WHERE t.id = h.id AND h.raised > 0
        ), tagged AS (
            INSERT INTO {tagged_events} (position, tags)
            SELECT e.id, ARRAY(SELECT jsonb_array_elements_text(n.tags))
            FROM ", unnest!("$9::uuid[]", "$23::jsonb[]"), " AS n (uuid, tags) JOIN event e ON e.uuid = n.uuid
            WHERE n.tags <> '[]'
            RETURNING position, tags
        ), entered AS (
            INSERT INTO {event_tags} (tag_id, position, name)
            SELECT t.id, n.position, e.name
            FROM tagged n JOIN event e ON e.id = n.position
            JOIN stream ON stream.id = e.db_stream_id
            CROSS JOIN LATERAL unnest(n.tags) AS w (value)
            JOIN tag t ON t.member = stream.number AND t.value = w.value
        )"),
            "
        UNION ALL
        SELECT w.member, NULL FROM wanted w
        WHERE w.place <> ALL (ARRAY(SELECT h.place FROM held_tag h))
          AND (SELECT t.id FROM {tags} t WHERE t.value = w.value AND t.tenant_id = w.tenant_id) IS NOT NULL"
        )
    };
}

statements! {
    /// The statements of appends that share one.
    BatchSql;
    /// Several appends of one stream each, members of a batch. $1 to $6: a member's UUID, category, tenant, name, expected
    /// version or null, version that its stream will have or null; $7 to $14: an event's member and place in it, both from
    /// 1, and its values. A stream that cannot be locked at once is passed over, and a creation that has to wait for another
    /// transaction gives up after a while ($15, as `lock_timeout` takes it): a batch must not wait for anybody. The positions
    /// are above $16. Answers with the members that were written, by their number, and without a position with those that somebody
    /// else holds. Those are looked up one by one: no plan for many of them is any good for the usual few.
    append: batch!(concat!(position_above!("$16"), ", db_stream_id"), "");
    /// The same with events of which some go into the outbox: $17 are their ids.
    append_and_enter: batch!(told!("$16"), enter_of_members!());
    /// The same with tags: $18 to $22 are a tag's member, tenant, text, by how much it is raised, and the version at which it has to be,
    /// or null, in the order in which tags are locked; $23 are an event's tags, as a list. What holds of streams that others have holds
    /// of tags.
    append_tagged: tagged_batch!(concat!(position_above!("$16"), ", uuid, name, db_stream_id"), "");
    /// The same with events of which some go into the outbox.
    append_tagged_and_enter: tagged_batch!(told!("$16"), enter_of_members!());
}

//! The statements about tags, and those that read by them. $1 is the tenant, where nothing else is said.

use crate::sql::{Statement, event, key_is, statements, tags_of, unnest};
use crate::tables::Tables;

/// What is read of an event: its columns, and its stream.
macro_rules! record {
    () => {
        concat!("e.id, ", event!("e"), ", s.uuid, s.name::text, s.category::text, s.tenant_id::text")
    };
}

/// No event, in the same columns, with the tags and the number of the item.
macro_rules! nothing {
    () => {
        "NULL::bigint, NULL::integer, NULL::uuid, NULL::text, NULL::jsonb, NULL::jsonb, NULL::timestamp, NULL::integer,
            NULL::uuid, NULL::text, NULL::text, NULL::text, NULL::text[] AS tags, $item::bigint"
    };
}

/// Tells which streams of the tenant were deleted. Not how many: one that was seen where it was deleted, and is there again, would count
/// for the next one. Nor which was the last: the numbers are given before the commits.
macro_rules! deletions {
    () => {
        "coalesce((SELECT bit_xor(hashint8extended(d.id, 0)) FROM {stream_deletions} d WHERE d.tenant_id = $1), 0)"
    };
}

/// A number that comes no second time, whatever is taken back.
macro_rules! no_other {
    () => {
        "hashtextextended(gen_random_uuid()::text, 0)"
    };
}

/// What a query reads, item by item: [`by_query`] has the columns.
const OF_TAG: &str = concat!(
    "(WITH guard AS MATERIALIZED (
        SELECT w.place, t.id, coalesce(t.version, 0) AS version, coalesce(t.exact_from, 0) AS exact_from,
            coalesce(t.is_own, FALSE) AS is_own
        FROM unnest((SELECT $tags::text[])) WITH ORDINALITY AS w (value, place)
        LEFT JOIN LATERAL (
            SELECT t.id, t.version, t.exact_from, age(t.xmin) <= 0 AS is_own
            FROM {tags} t WHERE t.value = w.value AND t.tenant_id = $1 OFFSET 0
        ) t ON TRUE
        ORDER BY coalesce(t.version, 0), w.place LIMIT 1
    )
    SELECT ",
    nothing!(),
    ", g.place, g.version, coalesce((SELECT max(m.position) FROM {event_tags} m WHERE m.tag_id = g.id), 0), g.is_own,
        g.exact_from
    FROM guard g
    UNION ALL
    SELECT ",
    record!(),
    ", x.tags, $item::bigint, NULL, NULL, NULL, NULL, NULL
    FROM guard g JOIN {event_tags} m ON m.tag_id = g.id
    CROSS JOIN LATERAL (SELECT x.tags FROM {tagged_events} x WHERE x.position = m.position OFFSET 0) x
    CROSS JOIN LATERAL (SELECT e.* FROM {events} e WHERE e.id = m.position OFFSET 0) e
    LEFT JOIN LATERAL (SELECT s.* FROM {streams} s WHERE s.id = e.db_stream_id OFFSET 0) s ON TRUE
    WHERE ((SELECT $names::text[]) IS NULL OR m.name = ANY ((SELECT $names::text[])::text[]))
      AND x.tags @> (SELECT $tags::text[]))"
);

const OF_ALL: &str = concat!(
    "(SELECT ",
    nothing!(),
    ", NULL::bigint, coalesce((SELECT settled.position FROM {settled} settled), 0), ",
    deletions!(),
    ", pg_current_xact_id_if_assigned() IS NOT NULL, NULL::bigint
    UNION ALL
    SELECT ",
    record!(),
    ", ",
    tags_of!("e"),
    ", $item::bigint, NULL, NULL, NULL, NULL, NULL
    FROM {events} e JOIN {streams} s ON s.id = e.db_stream_id
    WHERE s.tenant_id = $1
      AND ((SELECT $names::text[]) IS NULL OR e.name = ANY ((SELECT $names::text[])::text[])))"
);

/// Statements of so many items are prepared once per connection; longer ones each time.
const FEW_ITEMS: usize = 4;

/// The statement that reads by a query; of each item, whether it has tags. $1 is the tenant, and each item has two values: its tags, and
/// its names or null.
///
/// An event is what `rows` reads, with its tags, and behind them in column 13 the number of the item, from 0. Each item has a row without
/// an event, which tells how far it is read. With tags: in column 14 the place, from 1, of the tag that has the lowest version, in 15 that
/// version, in 16 the tag's last position, in 17 whether this transaction may have written the version: its row is then no older than the
/// transaction; in 18 what tells since when it is exact. Without: in 15 what is on record as settled, in 16 what tells which streams of the
/// tenant were deleted, in 17 whether this transaction has written anything.
///
/// An event whose stream's row is lost is told of by its tags, as one that cannot be read.
///
/// What belongs to an event is looked up one by one, by subqueries that the planner cannot take apart (`OFFSET 0`): while it has no
/// statistics, it may read whole tables for a join, and keep that plan. The lists are answers of subqueries, so that it keeps one plan.
pub(crate) fn by_query(tables: &Tables, items: impl Iterator<Item = bool>) -> Statement {
    let parts = items.enumerate().map(|(number, is_tagged)| {
        let part = if is_tagged { OF_TAG } else { OF_ALL };
        let (tags, names) = (format!("${}", 2 * number + 2), format!("${}", 2 * number + 3));
        part.replace("$tags", &tags).replace("$names", &names).replace("$item", &number.to_string())
    });
    let parts: Vec<_> = parts.collect();
    Statement::made(tables.put_into(&parts.join(" UNION ALL ")), tables.unnamed || parts.len() > FEW_ITEMS)
}

statements! {
    /// What is run on tags; `operations::tags` has the argument for it.
    TagSql;
    isolation: "SELECT current_setting('transaction_isolation')";
    /// What an append takes later anyway, before any tag.
    lock_events: "LOCK TABLE {events} IN ROW EXCLUSIVE MODE";
    /// Nobody appends, and nobody has appended who has not committed.
    lock_all_events: "LOCK TABLE {events} IN SHARE ROW EXCLUSIVE MODE";
    /// Locks tags ($2), in one order for all, those too that no event has, and raises their versions by so much ($3).
    hold: concat!("
        INSERT INTO {tags} AS t (tenant_id, value, version)
        SELECT $1, w.value, w.raised FROM ", unnest!("$2::text[]", "$3::bigint[]"), " AS w (value, raised)
        ORDER BY w.value COLLATE \"C\"
        ON CONFLICT (value, tenant_id) DO UPDATE SET version = t.version + excluded.version");
    /// Whether there is an event of a tag ($2), of these names ($3) or of all, that has these tags too ($4), above a position ($5), or the
    /// tag is exact since another moment ($6): an event with it was deleted, or got it late, or that was taken back; or an event of the tag
    /// is not there ($7; 0: none). An event's tags are asked for one by one: in a join, without statistics, the planner may read all.
    tagged_moved: "
        SELECT EXISTS (
            SELECT FROM {event_tags} g JOIN {tags} t ON t.id = g.tag_id
            WHERE t.value = $2 AND t.tenant_id = $1 AND g.position > $5
              AND ($3::text[] IS NULL OR g.name = ANY ($3))
              AND (SELECT m.tags FROM {tagged_events} m WHERE m.position = g.position) @> $4::text[])
          OR coalesce((SELECT t.exact_from FROM {tags} t WHERE t.value = $2 AND t.tenant_id = $1), 0) <> $6
          OR ($7::bigint <> 0 AND NOT EXISTS (
            SELECT FROM {event_tags} g JOIN {tags} t ON t.id = g.tag_id
            WHERE t.value = $2 AND t.tenant_id = $1 AND g.position = $7))";
    /// Whether there is an event of the tenant, of these names ($2) or of all, above a position ($3), that is none of these ($4), or
    /// one of these ($6) is not there, or other deletions than $5 tells.
    whole_moved: concat!("
        SELECT EXISTS (
            SELECT FROM {events} e JOIN {streams} s ON s.id = e.db_stream_id
            WHERE e.id > $3 AND s.tenant_id = $1 AND ($2::text[] IS NULL OR e.name = ANY ($2))
              AND NOT EXISTS (SELECT FROM unnest($4::bigint[]) AS seen (id) WHERE seen.id = e.id))
          OR EXISTS (
            SELECT FROM unnest($6::bigint[]) AS seen (id)
            WHERE NOT EXISTS (SELECT FROM {events} e WHERE e.id = seen.id OFFSET 0))
          OR ", deletions!(), " <> $5");
    /// Gives the events of these ids ($2) their tags ($3: a list each), and enters them under these.
    enter: concat!("
        WITH tagged AS (
            INSERT INTO {tagged_events} (position, tags)
            SELECT e.id, ARRAY(SELECT jsonb_array_elements_text(n.tags))
            FROM ", unnest!("$2::uuid[]", "$3::jsonb[]"), " AS n (id, tags) JOIN {events} e ON e.uuid = n.id
            RETURNING position, tags
        )
        INSERT INTO {event_tags} (tag_id, position, name)
        SELECT t.id, m.position, e.name
        FROM tagged m JOIN {events} e ON e.id = m.position
        CROSS JOIN LATERAL unnest(m.tags) AS w (value)
        JOIN {tags} t ON t.value = w.value AND t.tenant_id = $1");
    /// Locks the tags of a stream's events, in one order for all, and lets nothing hold that was read before. $1 to $3 are the stream's
    /// key.
    raise_deleted: concat!("
        WITH tag AS MATERIALIZED (
            SELECT t.id FROM {tags} t
            WHERE t.tenant_id = $3 AND t.value = ANY (ARRAY(
                SELECT DISTINCT w.value FROM {events} e JOIN {tagged_events} m ON m.position = e.id
                CROSS JOIN LATERAL unnest(m.tags) AS w (value)
                WHERE e.db_stream_id = (SELECT s.id FROM {streams} s WHERE ", key_is!("s", "$1", "$2", "$3"), ")))
            ORDER BY t.value FOR UPDATE
        )
        UPDATE {tags} t SET version = t.version + 1, exact_from = ", no_other!(), " FROM tag WHERE tag.id = t.id");
    /// Takes the events of a stream ($2: its number) from under their tags.
    leave: "
        WITH gone AS (
            DELETE FROM {tagged_events} m USING {events} e
            WHERE e.db_stream_id = $2 AND m.position = e.id RETURNING m.position, m.tags
        )
        DELETE FROM {event_tags} g USING gone, {tags} t
        WHERE t.tenant_id = $1 AND t.value = ANY (gone.tags) AND g.tag_id = t.id AND g.position = gone.position";
    /// One at a time gives tags to what is stored. Who appends, or deletes, is not kept from it.
    lock_taggers: "LOCK TABLE {tagged_events} IN SHARE UPDATE EXCLUSIVE MODE";
    /// The events of the tenant at these positions ($2), with the tags that they have, and the numbers of their streams.
    stored_tags: "
        SELECT e.id, e.uuid, coalesce(m.tags, '{}'), e.db_stream_id
        FROM unnest($2::bigint[]) AS w (id) JOIN {events} e ON e.id = w.id
        JOIN {streams} s ON s.id = e.db_stream_id LEFT JOIN {tagged_events} m ON m.position = e.id
        WHERE s.tenant_id = $1";
    /// Locks tags ($2), in one order for all, those too that no event has, and lets nothing hold that was read before.
    raise_stored: concat!("
        INSERT INTO {tags} AS t (tenant_id, value, version, exact_from)
        SELECT $1, w.value, 1, ", no_other!(), " FROM unnest($2::text[]) AS w (value)
        ORDER BY w.value COLLATE \"C\"
        ON CONFLICT (value, tenant_id) DO UPDATE SET version = t.version + 1, exact_from = excluded.exact_from");
    /// Locks streams ($1: their numbers) against deletion.
    keep_streams: "SELECT s.id FROM {streams} s WHERE s.id = ANY ($1) ORDER BY s.id FOR KEY SHARE";
    untag_stored: "DELETE FROM {tagged_events} WHERE position = ANY ($1)";
    /// Gives the events at these positions ($2) all of their tags ($3: a list each), as far as they are there; tells how many are.
    enter_stored: "
        WITH tagged AS (
            INSERT INTO {tagged_events} (position, tags)
            SELECT e.id, ARRAY(SELECT jsonb_array_elements_text(n.tags))
            FROM unnest($2::bigint[], $3::jsonb[]) AS n (id, tags) JOIN {events} e ON e.id = n.id
            RETURNING position, tags
        ), entered AS (
            INSERT INTO {event_tags} (tag_id, position, name)
            SELECT t.id, m.position, e.name
            FROM tagged m JOIN {events} e ON e.id = m.position
            CROSS JOIN LATERAL unnest(m.tags) AS w (value)
            JOIN {tags} t ON t.value = w.value AND t.tenant_id = $1
            ON CONFLICT (tag_id, position) DO NOTHING
        )
        SELECT count(*) FROM tagged";
    note_deletion: "INSERT INTO {stream_deletions} (tenant_id) VALUES ($1)";
}

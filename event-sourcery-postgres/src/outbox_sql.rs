//! The statements about the outbox.
//!
//! Appends put entries in: see [`AppendSql`](crate::append_sql::AppendSql). Those of deleted streams stay.
//!
//! An entry that Python wrote finds its category through its event, which goes with the stream. So the category is kept in a
//! table of ours, by position, and whoever publishes the entry looks it up there. The entry itself is not touched: a
//! worker of Python's holds those that it is publishing (`FOR UPDATE SKIP LOCKED`) until its transaction ends, which may
//! be long, and may itself want the stream that is being deleted. Were the entries changed, then
//!
//! - the deletion would wait for the worker, with the stream's row locked: everybody who appends to it waits too;
//! - a worker that publishes by appending to that stream would wait for the deletion, which waits for it: a deadlock;
//! - passed over where they are held, those of a worker that fails would be left without a category for good.
//!
//! What the server has lost of an entry's JSON fails whatever asks for a part of that: so where entries stand is asked for without it, and
//! whose they are is told by their events, as long as these are there.
//!
//! Only what is to be dropped is locked, and what is held is passed over: it is being published at this moment. Whether that
//! succeeds is not known, so it is noted, and the next deletion of any stream drops it if it is still there.
//!
//! No index has every entry by its stream: each append would write to a page of its own for that. Only a blocked stream is asked what it
//! has in there, up to its checkpoint. So `blocked_entries` has the entries that a checkpoint has passed, because their stream was
//! blocked: whoever moves the checkpoint puts them in, in the same transaction. There are no others, for a stream is blocked by an entry
//! above its checkpoint. They are put in in one order for all, and taken out after that, so that two workers do not deadlock.

use crate::settled_sql::run;
use crate::sql::{Statement, any, event, statements, unnest};
use crate::tables::Tables;

/// The category of an entry's stream. What the reference writes does not tell it: its event does, or what is kept of one that is gone.
macro_rules! category {
    () => {
        "coalesce(o.data ->> 'category',
            (SELECT s.category FROM {events} e JOIN {streams} s ON s.id = e.db_stream_id WHERE e.id = o.position),
            (SELECT d.category FROM {outbox_of_deleted} d WHERE d.position = o.position), '')"
    };
}

/// The segment of an entry's stream, out of $4: what `Segments::number_of` says. One whose stream cannot be told is in the first.
macro_rules! segment {
    () => {
        "CASE WHEN o.data ->> 'stream_id' ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'
              THEN (get_byte(uuid_send((o.data ->> 'stream_id')::uuid), 3)
                    + get_byte(uuid_send((o.data ->> 'stream_id')::uuid), 15)) % $4
              ELSE 0 END"
    };
}

/// The stream of an entry; null where that cannot be told. Its event is asked first: the JSON may be lost, and is then not looked at.
macro_rules! stream_uuid {
    () => {
        "coalesce(
            (SELECT s.uuid FROM {events} e JOIN {streams} s ON s.id = e.db_stream_id WHERE e.id = o.position),
            CASE WHEN o.data ->> 'stream_id' ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'
              THEN (o.data ->> 'stream_id')::uuid END)"
    };
}

/// The first row: in the place of a name, in which run of the server it was read. Then the entries between $1 and $2 of the tenant
/// $3, in those of $4 segments that $5 lists, or in all; at most $6, in the columns that `rows` reads: nothing of the JSON is cast, because
/// what is not as it should be would fail the page.
macro_rules! entries {
    ($from:literal, $position:literal, $condition:expr) => {
        concat!(
            "
        SELECT NULL::bigint, NULL::text, NULL::text, ",
            run!(),
            ", NULL::jsonb, NULL::jsonb, NULL::text, NULL::text, NULL::text, NULL::text, NULL::text, NULL::text
        UNION ALL (
            SELECT o.position, o.data ->> 'version', o.data ->> 'uuid', o.data ->> 'name', o.data -> 'data', o.data -> 'context',
                   o.data ->> 'created_at', o.data ->> 'schema_version', o.data ->> 'stream_id', o.stream_name::text, ",
            category!(),
            ", coalesce(o.data ->> 'tenant_id', '')
            FROM ",
            $from,
            "
            WHERE ",
            $position,
            " > $1 AND ",
            $position,
            " <= $2 AND o.published_at IS NULL
              AND ($3::text IS NULL OR coalesce(o.data ->> 'tenant_id', '') = $3)
              AND ($4::integer IS NULL OR ",
            segment!(),
            " = ANY ($5::integer[]))
              AND NOT EXISTS (SELECT FROM {outbox_of_deleted} d WHERE d.position = o.position AND d.dropped)",
            $condition,
            "
            ORDER BY ",
            $position,
            " LIMIT $6
        )"
        )
    };
}

statements! {
    /// The statements about the outbox.
    OutboxSql;
    /// Entries that are not published, by the positions of their events.
    entries: entries!("{outbox_entries} o", "o.position", "");
    /// The same of a blocked stream, as far as checkpoints have passed them: $7 its UUID, $8 its category, $9 its tenant. Each is looked
    /// up for itself, whatever the planner thinks of how many there are.
    entries_of_stream: entries!("{blocked_entries} b
            CROSS JOIN LATERAL (SELECT * FROM {outbox_entries} e WHERE e.position = b.position OFFSET 0) o", "b.position", concat!("
              AND b.stream_uuid = $7::uuid AND o.data ->> 'stream_id' = $7::uuid::text AND coalesce(o.data ->> 'tenant_id', '') = $9 AND ", category!(), " = $8"));
    /// Where entries that are not published stand, above $1 and up to $2, at most so many: nothing of their JSON is looked at.
    entry_positions: "
        SELECT DISTINCT o.position FROM {outbox_entries} o
        WHERE o.position > $1 AND o.position <= $2 AND o.published_at IS NULL
          AND NOT EXISTS (SELECT FROM {outbox_of_deleted} d WHERE d.position = o.position AND d.dropped)
        ORDER BY o.position LIMIT $3";
    /// The same of a blocked stream, as far as checkpoints have passed them: $4 its UUID.
    entry_positions_of_stream: "
        SELECT DISTINCT b.position FROM {blocked_entries} b
        WHERE b.position > $1 AND b.position <= $2 AND b.stream_uuid = $4
          AND EXISTS (SELECT FROM {outbox_entries} o WHERE o.position = b.position AND o.published_at IS NULL)
          AND NOT EXISTS (SELECT FROM {outbox_of_deleted} d WHERE d.position = b.position AND d.dropped)
        ORDER BY b.position LIMIT $3";
    /// Of the [entries](Self::entries), those at the positions $7. No other entry's JSON is looked at.
    entries_at: entries!("unnest($7::bigint[]) AS b (position)
            CROSS JOIN LATERAL (SELECT * FROM {outbox_entries} e WHERE e.position = b.position OFFSET 0) o", "b.position", "");
    /// The event of the entry at $1.
    event_of_entry: concat!("
        SELECT e.id, ", event!("e"), ", s.uuid, s.name::text, s.category::text, s.tenant_id::text
        FROM {events} e LEFT JOIN {streams} s ON s.id = e.db_stream_id WHERE e.id = $1");
    /// Which of the entries at $1 are there, and whether nobody else is publishing them: they are locked, and what a worker of the
    /// reference holds is passed over. What somebody else has published since the statement began is not free: the row that is locked
    /// is looked at once more.
    hold_entries: concat!("
        WITH entry AS MATERIALIZED (
            SELECT o.id, o.position FROM {outbox_entries} o
            WHERE o.position = ", any!("$1", "bigint[]"), " AND o.published_at IS NULL
        ), free AS MATERIALIZED (
            SELECT o.id FROM {outbox_entries} o
            WHERE o.id IN (SELECT e.id FROM entry e) AND o.published_at IS NULL FOR UPDATE SKIP LOCKED
        )
        SELECT e.position, e.id IN (SELECT f.id FROM free f) FROM entry e");
    /// The entries at $1 were published.
    delete_entries: concat!("
        DELETE FROM {outbox_entries} WHERE position = ", any!("$1", "bigint[]"), " AND published_at IS NULL");
    /// The same where they are kept: the reference tries them no more.
    mark_entries: concat!("
        UPDATE {outbox_entries} SET published_at = clock_timestamp() AT TIME ZONE 'UTC', tries_left = 0
        WHERE position = ", any!("$1", "bigint[]"), " AND published_at IS NULL");
    /// Those go that were kept for longer than $1, in microseconds; not too many at once.
    forget_kept: "
        DELETE FROM {outbox_entries} WHERE id IN (
            SELECT o.id FROM {outbox_entries} o
            WHERE o.published_at < clock_timestamp() AT TIME ZONE 'UTC' - $1::bigint * INTERVAL '1 microsecond'
            LIMIT 1024 FOR UPDATE SKIP LOCKED)";
    /// What is there of streams that are blocked in the segments $2 of the outbox of $1, above $3, where one of the checkpoints was, and up
    /// to $4, where they are now. Whether a stream is blocked is looked up for each entry: there are few, and streams may be many.
    pass_entries: concat!("
        INSERT INTO {blocked_entries} (stream_uuid, position)
        SELECT DISTINCT p.stream_uuid, p.position FROM (
            SELECT ", stream_uuid!(), " AS stream_uuid, o.position FROM {outbox_entries} o
            WHERE o.position > $3 AND o.position <= $4 AND o.published_at IS NULL
        ) p
        WHERE (SELECT count(*) FROM {blocked_streams} b
               WHERE b.stream_uuid = p.stream_uuid AND b.subscription_tenant_id = $1 AND b.subscription_name = ''
                 AND b.segment = ", any!("$2", "int[]"), ") > 0
        ORDER BY 1, 2
        ON CONFLICT DO NOTHING");
    /// Of the streams $1, each up to a position, $2, those that are not there any more. Another tenant's stream of that UUID may wait for
    /// some.
    forget_passed: concat!("
        DELETE FROM {blocked_entries} b
        USING ", unnest!("$1::uuid[]", "$2::bigint[]"), " AS f (stream_uuid, up_to)
        WHERE b.stream_uuid = f.stream_uuid AND b.position <= f.up_to
          AND NOT EXISTS (SELECT FROM {outbox_entries} o WHERE o.position = b.position AND o.published_at IS NULL)");
    /// Keeps the category $2 of the entries of the stream $1.
    keep_category: "
        INSERT INTO {outbox_of_deleted} (position, category, dropped)
        SELECT DISTINCT o.position, $2::text, FALSE FROM {outbox_entries} o
        WHERE o.position IN (SELECT e.id FROM {events} e WHERE e.db_stream_id = $1)
        ON CONFLICT DO NOTHING";
    /// Drops the entries of the stream $1, in the category $2, but for those that somebody is publishing, which are noted.
    drop_entries: "
        WITH entry AS MATERIALIZED (
            SELECT o.id, o.position FROM {outbox_entries} o
            WHERE o.position IN (SELECT e.id FROM {events} e WHERE e.db_stream_id = $1)
        ), free AS MATERIALIZED (
            SELECT o.id FROM {outbox_entries} o WHERE o.id IN (SELECT id FROM entry) FOR UPDATE SKIP LOCKED
        ), gone AS (
            DELETE FROM {outbox_entries} o USING free f WHERE o.id = f.id
        )
        INSERT INTO {outbox_of_deleted} (position, category, dropped)
        SELECT DISTINCT e.position, $2::text, TRUE FROM entry e WHERE e.id NOT IN (SELECT f.id FROM free f)
        ON CONFLICT DO NOTHING";
    /// Drops what was held when it was to be dropped, and forgets what was published since. Waits for nobody.
    sweep: "
        WITH late AS MATERIALIZED (
            SELECT o.id FROM {outbox_of_deleted} d JOIN {outbox_entries} o ON o.position = d.position
            WHERE d.dropped FOR UPDATE OF o SKIP LOCKED
        ), dropped AS (
            DELETE FROM {outbox_entries} o USING late l WHERE o.id = l.id
        ), over AS MATERIALIZED (
            SELECT d.position FROM {outbox_of_deleted} d
            WHERE NOT EXISTS (SELECT FROM {outbox_entries} o WHERE o.position = d.position)
            FOR UPDATE SKIP LOCKED
        )
        DELETE FROM {outbox_of_deleted} d USING over v WHERE d.position = v.position";
}

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
//! Only what is to be dropped is locked, and what is held is passed over: it is being published at this moment. Whether that
//! succeeds is not known, so it is noted, and the next deletion of any stream drops it if it is still there.

use crate::settled_sql::run;
use crate::sql::{Statement, statements};
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

/// The first row: in the place of a name, in which run of the server it was read. Then the entries between $1 and $2 of the tenant
/// $3, in those of $4 segments that $5 lists, or in all; at most $6, in the columns that `rows` reads: nothing of the JSON is cast, because
/// what is not as it should be would fail the page.
macro_rules! entries {
    ($condition:expr) => {
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
            FROM {outbox_entries} o
            WHERE o.position > $1 AND o.position <= $2 AND o.published_at IS NULL
              AND ($3::text IS NULL OR coalesce(o.data ->> 'tenant_id', '') = $3)
              AND ($4::integer IS NULL OR ",
            segment!(),
            " = ANY ($5::integer[]))
              AND NOT EXISTS (SELECT FROM {outbox_of_deleted} d WHERE d.position = o.position AND d.dropped)",
            $condition,
            "
            ORDER BY o.position LIMIT $6
        )"
        )
    };
}

statements! {
    /// The statements about the outbox.
    OutboxSql;
    /// Entries that are not published, by the positions of their events.
    entries: entries!("");
    /// The same of one stream: $7 its UUID, $8 its category, $9 its tenant.
    entries_of_stream: entries!(concat!("
              AND o.data ->> 'stream_id' = $7 AND coalesce(o.data ->> 'tenant_id', '') = $9 AND ", category!(), " = $8"));
    /// Which of the entries at $1 are there, and whether nobody else is publishing them: they are locked, and what a worker of the
    /// reference holds is passed over. What somebody else has published since the statement began is not free: the row that is locked
    /// is looked at once more.
    hold_entries: "
        WITH entry AS MATERIALIZED (
            SELECT o.id, o.position FROM {outbox_entries} o
            WHERE o.position = ANY ($1::bigint[]) AND o.published_at IS NULL
        ), free AS MATERIALIZED (
            SELECT o.id FROM {outbox_entries} o
            WHERE o.id IN (SELECT e.id FROM entry e) AND o.published_at IS NULL FOR UPDATE SKIP LOCKED
        )
        SELECT e.position, e.id IN (SELECT f.id FROM free f) FROM entry e";
    /// The entries at $1 were published.
    delete_entries: "
        DELETE FROM {outbox_entries} WHERE position = ANY ($1::bigint[]) AND published_at IS NULL";
    /// The same where they are kept: the reference tries them no more.
    mark_entries: "
        UPDATE {outbox_entries} SET published_at = clock_timestamp() AT TIME ZONE 'UTC', tries_left = 0
        WHERE position = ANY ($1::bigint[]) AND published_at IS NULL";
    /// Those go that were kept for longer than $1, in microseconds; not too many at once.
    forget_kept: "
        DELETE FROM {outbox_entries} WHERE id IN (
            SELECT o.id FROM {outbox_entries} o
            WHERE o.published_at < clock_timestamp() AT TIME ZONE 'UTC' - $1::bigint * INTERVAL '1 microsecond'
            LIMIT 1024 FOR UPDATE SKIP LOCKED)";
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

//! The statements about the outbox entries of deleted streams.
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

use crate::sql::{Statement, statements};
use crate::tables::Tables;

statements! {
    /// The statements about the outbox entries of deleted streams.
    OutboxSql;
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

//! The statements about the outbox.
//!
//! No index has every entry by its stream: each append would write to a page of its own for that. Only a blocked stream is asked what it
//! has in there, up to its checkpoint. So `blocked_entries` has the entries that a checkpoint has passed, because their stream was
//! blocked: whoever moves the checkpoint puts them in, in the same transaction. There are no others, for a stream is blocked by an
//! entry above its checkpoint. Entries of the reference do not tell their stream there, and have an index of their own.

use crate::sql::statements;

statements! {
    /// What is run on the outbox, and on what waits there.
    OutboxSql;

    /// An entry of the reference finds its category through the event, which is about to go. What is not JSON,
    /// such as the NaN that Python writes, is left as it is.
    keep_category: "
        UPDATE {outbox_entries} SET data = json_set(data, '$.category', ?2)
        WHERE stream_uuid IS NULL
          AND EXISTS (SELECT 1 FROM {events} e WHERE e.id = {outbox_entries}.position AND e.db_stream_id = ?1)
          AND CASE WHEN json_valid(data) THEN json_extract(data, '$.category') IS NULL END";
    /// Those of a stream. Of a long one, no event is looked for that is older than all entries.
    drop_entries: "
        DELETE FROM {outbox_entries}
        WHERE position IN (
            SELECT e.id FROM {events} e
            WHERE e.db_stream_id = ?1 AND e.id >= (SELECT min(o.position) FROM {outbox_entries} o))";
    /// An entry of the outbox, as the reference writes it, which says how often that tries it. ?4: the number of the stream, which
    /// may know its name.
    insert_entry: "
        INSERT INTO {outbox_entries} (created_at, data, stream_name, position, tries_left, stream_uuid)
        VALUES (?1, ?2, coalesce(?3, (SELECT name FROM {streams} WHERE id = ?4)), ?5, 3, ?6)";
    /// Those that are not published, by the positions of their events.
    entries: "
        SELECT position, data, stream_name FROM {outbox_entries}
        WHERE position > ?1 AND position <= ?2 AND published_at IS NULL
        ORDER BY position";
    /// The same of a blocked stream, as far as checkpoints have passed them, and of whatever stream it does not tell.
    entries_of_stream: "
        SELECT b.position, o.data, o.stream_name
        FROM {blocked_entries} b CROSS JOIN {outbox_entries} o ON o.position = b.position
        WHERE b.stream_uuid = ?3 AND b.position > ?1 AND b.position <= ?2
          AND o.stream_uuid = ?3 AND o.published_at IS NULL
        UNION ALL
        SELECT position, data, stream_name FROM {outbox_entries}
        WHERE stream_uuid IS NULL AND position > ?1 AND position <= ?2 AND published_at IS NULL
        ORDER BY 1";
    /// The category of the stream of an event; none where that was deleted, and what is left of it is hidden.
    category_at: "
        SELECT s.category FROM {events} e JOIN {streams} s ON s.id = e.db_stream_id
        WHERE e.id = ?1 AND s.category <> char(0)";
    /// Which of these entries are there.
    waiting_entries: "
        SELECT position FROM {outbox_entries}
        WHERE position IN (SELECT value FROM json_each(?1)) AND published_at IS NULL";
    entry_waits: "
        SELECT 1 FROM {outbox_entries} WHERE position = ?1 AND published_at IS NULL";
    delete_entries: "
        DELETE FROM {outbox_entries} WHERE position IN (SELECT value FROM json_each(?1)) AND published_at IS NULL";
    /// Published entries that are kept. The reference tries them no more.
    keep_entries: "
        UPDATE {outbox_entries} SET published_at = ?2, tries_left = 0
        WHERE position IN (SELECT value FROM json_each(?1)) AND published_at IS NULL";
    /// Those that have been kept long enough.
    delete_kept_entries: "
        DELETE FROM {outbox_entries} WHERE published_at < ?1";
    /// What is there of blocked streams from the checkpoints of these segments up to ?4, where they are moved to.
    pass_entries: "
        INSERT OR IGNORE INTO {blocked_entries} (stream_uuid, position)
        SELECT o.stream_uuid, o.position FROM {outbox_entries} o
        WHERE o.position > (SELECT min(s.position) FROM {subscription_segments} s
                            WHERE s.tenant_id = ?1 AND s.name = ?2 AND s.segment IN (SELECT value FROM json_each(?3)))
          AND o.position <= ?4 AND o.published_at IS NULL
          AND EXISTS (SELECT 1 FROM {blocked_streams} b
                      WHERE b.stream_uuid = o.stream_uuid AND b.subscription_name = '')";
    /// Of a stream up to ?2, those that are not there any more. Another tenant's stream of that UUID may wait for some.
    forget_passed: "
        DELETE FROM {blocked_entries}
        WHERE stream_uuid = ?1 AND position <= ?2
          AND NOT EXISTS (SELECT 1 FROM {outbox_entries} o
                          WHERE o.position = {blocked_entries}.position AND o.published_at IS NULL)";
    /// Of a stream whose entries were dropped: it is looked at again for what is left, if it waits.
    look_again: "
        UPDATE {blocked_streams} SET attempts = 0, retry_at = since
        WHERE stream_uuid = ?1 AND category = ?2 AND tenant_id = ?3 AND subscription_name = ''";
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::OutboxSql;
    use crate::layout;
    use crate::sql::with_tables;

    /// How SQLite goes about a statement.
    fn plan(connection: &Connection, sql: &str) -> String {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = statement.raw_query().mapped(|row| row.get::<_, String>(3));
        steps.collect::<Result<Vec<_>, _>>().unwrap().join("\n")
    }

    #[test]
    fn entries_are_found_by_indexes_that_an_append_fills_at_their_end() {
        let connection = Connection::open_in_memory().unwrap();
        for (_, script) in layout::TABLES {
            connection.execute_batch(&with_tables(script, "event_sourcery_")).unwrap();
        }
        let sql = OutboxSql::new("event_sourcery_");
        let by_position = "INDEX ix_event_sourcery_outbox_entries_position (position";
        let of_others = "INDEX ix_event_sourcery_outbox_entries_of_others";
        let of_stream = "USING PRIMARY KEY (stream_uuid=? AND position>? AND position<?)";
        for (text, way) in [
            (&sql.entries, by_position),
            (&sql.entries_of_stream, of_stream),
            (&sql.entries_of_stream, by_position),
            (&sql.entries_of_stream, of_others),
            (&sql.keep_category, of_others),
            (&sql.drop_entries, by_position),
            (&sql.drop_entries, "(db_stream_id=?"),
            (&sql.waiting_entries, by_position),
            (&sql.entry_waits, by_position),
            (&sql.delete_entries, by_position),
            (&sql.keep_entries, by_position),
            (&sql.delete_kept_entries, "(published_at<?)"),
            (&sql.pass_entries, by_position),
            (&sql.pass_entries, "USING PRIMARY KEY (stream_uuid=?)"),
            (&sql.forget_passed, "USING PRIMARY KEY (stream_uuid=? AND position<?)"),
        ] {
            let steps = plan(&connection, text);
            assert!(steps.contains(way), "{text}: {steps}");
            assert!(!steps.contains("TEMP B-TREE"), "{text}: {steps}");
        }
    }
}

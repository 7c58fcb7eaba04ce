//! The statements about the outbox.

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
    /// ?2: the stream's UUID. Entries of the reference tell it in their text alone.
    drop_entries: "
        DELETE FROM {outbox_entries}
        WHERE (stream_uuid = ?2 OR stream_uuid IS NULL)
          AND EXISTS (SELECT 1 FROM {events} e WHERE e.id = {outbox_entries}.position AND e.db_stream_id = ?1)";
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
    /// The same of one stream, and of whatever stream it does not tell.
    entries_of_stream: "
        SELECT position, data, stream_name FROM {outbox_entries}
        WHERE stream_uuid = ?3 AND position > ?1 AND position <= ?2 AND published_at IS NULL
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
    /// Of a stream whose entries were dropped: it is looked at again for what is left, if it waits.
    look_again: "
        UPDATE {blocked_streams} SET attempts = 0, retry_at = since
        WHERE stream_uuid = ?1 AND category = ?2 AND tenant_id = ?3 AND subscription_name = ''";
}

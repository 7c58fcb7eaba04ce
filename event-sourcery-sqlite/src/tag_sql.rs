//! The statements about tags, and those that read by them.

use crate::sql::statements;

statements! {
    /// What is run on tags; `operations::tags` has the argument for it.
    TagSql;

    tag_event: "
        INSERT INTO {event_tags} (tag, tenant_id, position, name) VALUES (?1, ?2, ?3, ?4)";
    /// Whether the event of an id (?2) stands there, and is the tenant's (?3).
    is_there: "
        SELECT EXISTS (
            SELECT 1 FROM {events} e JOIN {streams} s ON s.id = e.db_stream_id
            WHERE e.id = ?1 AND e.uuid = ?2 AND s.tenant_id = ?3)";
    tag_stored: "
        INSERT INTO {event_tags} (tag, tenant_id, position, name)
        SELECT ?1, ?2, id, name FROM {events} WHERE id = ?3
        ON CONFLICT DO NOTHING";
    /// Whether an event between two positions may have tags.
    are_tagged: "
        SELECT EXISTS (SELECT 1 FROM {event_tags} WHERE position >= ?1 AND position <= ?2)";
    /// The tags of the events at these positions, in whatever order.
    tags_of: "
        SELECT g.position, g.tag FROM json_each(?1) p CROSS JOIN {event_tags} g ON g.position = p.value";
    untag: "
        DELETE FROM {event_tags} WHERE position = ?1";
    /// Of an event that gives up its id.
    untag_given_up: "
        DELETE FROM {event_tags} WHERE position IN (
            SELECT id FROM {events}
            WHERE uuid = ?1
              AND +db_stream_id IN (SELECT id FROM {streams} WHERE category = char(0) AND tenant_id = char(0)))";
    /// How many events a tenant's (?2) tag has, up to ?3.
    count_events: "
        SELECT count(*) FROM (SELECT 1 FROM {event_tags} WHERE tag = ?1 AND tenant_id = ?2 LIMIT ?3)";
    /// The events of a tenant's (?5) tag, above a position (?2), of these names (?3) or of all, that have a second tag (?4) and further
    /// ones (?6), if there are any. The order of the tables is that of the answer. A list is opened anew for each event, which costs as
    /// much as the look at a tag: so the second one is not in it. Where the row of an event's stream is lost, its tags tell whose it is;
    /// where that is being deleted, it is nobody's. What is no text, and stands behind every text, may be any of the names.
    tagged: "
        SELECT e.id, e.version, e.uuid, e.name, e.data, e.event_context, e.created_at, e.schema_version,
               s.uuid, s.name, s.category, s.tenant_id
        FROM {event_tags} g
        CROSS JOIN {events} e ON e.id = g.position
        LEFT JOIN {streams} s ON s.id = e.db_stream_id
        WHERE g.tag = ?1 AND g.tenant_id = ?5 AND g.position > ?2
          AND (?3 IS NULL OR g.name >= x'' OR g.name IN (SELECT value FROM json_each(?3)))
          AND (?4 IS NULL OR EXISTS (
              SELECT 1 FROM {event_tags} x WHERE x.tag = ?4 AND x.tenant_id = ?5 AND x.position = g.position))
          AND (?6 IS NULL OR NOT EXISTS (
              SELECT 1 FROM json_each(?6) o WHERE NOT EXISTS (
                  SELECT 1 FROM {event_tags} x
                  WHERE x.tag = o.value AND x.tenant_id = ?5 AND x.position = g.position)))
          AND s.tenant_id IS NOT char(0)
        ORDER BY g.position";
    /// The events of a tenant (?3), above a position (?1), of these names (?2), or without any that can be read, or of all.
    of_tenant: "
        SELECT e.id, e.version, e.uuid, e.name, e.data, e.event_context, e.created_at, e.schema_version,
               s.uuid, s.name, s.category, s.tenant_id
        FROM {events} e CROSS JOIN {streams} s ON s.id = e.db_stream_id
        WHERE e.id > ?1
          AND (?2 IS NULL OR e.name >= x'' OR e.name IN (SELECT value FROM json_each(?2)))
          AND s.tenant_id = ?3
        ORDER BY e.id";
    /// What tells a tenant's last deletion of a stream from every other.
    last_deletion: "
        SELECT last FROM {stream_deletions} WHERE tenant_id = ?1";
    note_deletion: "
        INSERT INTO {stream_deletions} (tenant_id, last) VALUES (?1, random())
        ON CONFLICT (tenant_id) DO UPDATE SET last = excluded.last";
}

//! The statements of those who look inside. Each goes through a bounded number of rows: in the order of an index, or within a stretch.

use crate::sql::statements;

/// Streams, each with its last event in the columns that `rows` reads, without a payload; and the stream's number.
macro_rules! summaries {
    ($condition:literal) => {
        concat!(
            "
        SELECT e.id, e.version, e.uuid, e.name, '{}', '{}', e.created_at, e.schema_version,
               s.uuid, s.name, s.category, s.tenant_id, s.id
        FROM {streams} s LEFT JOIN {events} e ON e.id = (
            SELECT l.id FROM {events} l WHERE l.db_stream_id = s.id ORDER BY l.version DESC, l.id DESC LIMIT 1)
        WHERE ",
            $condition
        )
    };
}

/// An event and its stream, in the columns that `rows` reads. What is left of deleted streams is not seen.
macro_rules! records {
    ($condition:literal) => {
        concat!(
            "
        SELECT e.id, e.version, e.uuid, e.name, e.data, e.event_context, e.created_at, e.schema_version,
               s.uuid, s.name, s.category, s.tenant_id
        FROM {events} e LEFT JOIN {streams} s ON s.id = e.db_stream_id
        WHERE (s.category IS NOT char(0) OR s.tenant_id IS NOT char(0)) AND ",
            $condition
        )
    };
}

/// How many streams there are, and how many of them have events: of at most so many.
macro_rules! counted {
    ($condition:literal) => {
        concat!(
            "
        SELECT count(*), count(event) FROM (
            SELECT s.id, (SELECT e.id FROM {events} e WHERE e.db_stream_id = s.id LIMIT 1) AS event
            FROM {streams} s WHERE ",
            $condition,
            ")"
        )
    };
}

statements! {
    /// What is read by those who look inside.
    LookSql;

    /// Of the tenant ?1 in the category ?2, from the name ?3 on.
    named: summaries!("s.tenant_id = ?1 AND s.category = ?2 AND s.name >= ?3 ORDER BY s.name LIMIT ?4");
    /// Those of a stretch of numbers, the highest first: below ?1, and from ?2 on.
    newest: summaries!("s.id < ?1 AND s.id >= ?2
          AND (?3 IS NULL OR s.tenant_id = ?3) AND (?4 IS NULL OR s.category = ?4)
          AND (s.category IS NOT char(0) OR s.tenant_id IS NOT char(0))
        ORDER BY s.id DESC LIMIT ?5");
    nth_stream_below: "
        SELECT id FROM {streams} WHERE id < ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2";
    next_place: "
        SELECT tenant_id, category FROM {streams} WHERE (tenant_id, category) > (?1, ?2)
        ORDER BY tenant_id, category LIMIT 1";
    next_tenant: "
        SELECT tenant_id FROM {streams} WHERE tenant_id > ?1 ORDER BY tenant_id LIMIT 1";
    next_category: "
        SELECT category FROM {streams} WHERE category > ?1 ORDER BY category LIMIT 1";
    count_tenant: counted!("s.tenant_id = ?1 LIMIT ?2");
    count_category: counted!("s.category = ?1 LIMIT ?2");
    count_both: counted!("s.category = ?1 AND s.tenant_id = ?3 LIMIT ?2");
    event: records!("e.uuid = ?1");
    /// Above ?1 and up to ?2: of the tenant, the category, the names, and with one of the ids in their context, as far as these are given.
    events_back: records!("e.id > ?1 AND e.id <= ?2
          AND (?3 IS NULL OR s.tenant_id = ?3) AND (?4 IS NULL OR s.category = ?4)
          AND (?5 IS NULL OR e.name IN (SELECT value FROM json_each(?5)))
          AND (?6 IS NULL OR EXISTS (SELECT 1 FROM json_each(?6) r WHERE instr(e.event_context, r.value) > 0))
        ORDER BY e.id DESC LIMIT ?7");
    /// The same, onwards.
    events_onwards: records!("e.id > ?1 AND e.id <= ?2
          AND (?3 IS NULL OR s.tenant_id = ?3) AND (?4 IS NULL OR s.category = ?4)
          AND (?5 IS NULL OR e.name IN (SELECT value FROM json_each(?5)))
          AND (?6 IS NULL OR EXISTS (SELECT 1 FROM json_each(?6) r WHERE instr(e.event_context, r.value) > 0))
        ORDER BY e.id LIMIT ?7");
    nth_event_below: "
        SELECT id FROM {events} WHERE id < ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2";
    nth_event_above: "
        SELECT id FROM {events} WHERE id > ?1 ORDER BY id LIMIT 1 OFFSET ?2";
    /// How many there are of each name in a stretch.
    event_names: "
        SELECT e.name, count(*)
        FROM {events} e LEFT JOIN {streams} s ON s.id = e.db_stream_id
        WHERE e.id > ?1 AND e.id <= ?2 AND (s.category IS NOT char(0) OR s.tenant_id IS NOT char(0))
          AND (?3 IS NULL OR s.tenant_id = ?3) AND (?4 IS NULL OR s.category = ?4)
          AND (?5 IS NULL OR e.name IN (SELECT value FROM json_each(?5)))
        GROUP BY e.name ORDER BY e.name";
    /// A stream's events that have versions, the last one first.
    versions_from_end: "
        SELECT id, version, uuid, name, data, event_context, created_at, schema_version
        FROM {events} WHERE db_stream_id = ?1 AND version IS NOT NULL ORDER BY version DESC LIMIT ?2";
    versions_below: "
        SELECT id, version, uuid, name, data, event_context, created_at, schema_version
        FROM {events} WHERE db_stream_id = ?1 AND version < ?2 ORDER BY version DESC LIMIT ?3";
    /// Those that have none.
    unversioned_below: "
        SELECT id, version, uuid, name, data, event_context, created_at, schema_version
        FROM {events} WHERE db_stream_id = ?1 AND version IS NULL AND id < ?2 ORDER BY id DESC LIMIT ?3";
    /// Each has a first segment.
    subscriptions: "
        SELECT tenant_id, name FROM {subscription_segments}
        WHERE segment = 0 AND (tenant_id, name) >= (?1, ?2) ORDER BY tenant_id, name LIMIT ?3";
    /// Of the streams of a stretch of numbers, the highest first: up to ?1, of that one behind the projector ?5, and from ?2 on.
    cursors: "
        SELECT s.id, c.projector, c.version, c.position, s.uuid, s.name, s.category, s.tenant_id,
               (SELECT l.version FROM {events} l WHERE l.db_stream_id = s.id ORDER BY l.version DESC LIMIT 1)
        FROM {streams} s CROSS JOIN {projected_streams} c
            ON c.stream_uuid = s.uuid AND c.category = s.category AND c.tenant_id = s.tenant_id
        WHERE s.id <= ?1 AND s.id >= ?2 AND (s.id < ?1 OR c.projector > ?5) AND c.version IS NOT NULL
          AND (?3 IS NULL OR s.tenant_id = ?3) AND (?4 IS NULL OR c.projector = ?4)
        ORDER BY s.id DESC, c.projector LIMIT ?6";
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::LookSql;
    use crate::layout;
    use crate::sql::{Sql, with_tables};

    /// How SQLite goes about a statement.
    fn plan(connection: &Connection, sql: &str) -> Vec<String> {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        statement.raw_query().mapped(|row| row.get(3)).collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn whoever_looks_goes_by_an_index_and_sorts_nothing_that_is_not_a_page() {
        let connection = Connection::open_in_memory().unwrap();
        for (_, script) in layout::TABLES {
            connection.execute_batch(&with_tables(script, "event_sourcery_")).unwrap();
        }
        let (look, sql) = (LookSql::new("event_sourcery_"), Sql::new("event_sourcery_"));
        let texts = [
            &look.named,
            &look.newest,
            &look.nth_stream_below,
            &look.next_place,
            &look.next_tenant,
            &look.next_category,
            &look.event,
            &look.events_back,
            &look.events_onwards,
            &look.versions_from_end,
            &look.versions_below,
            &look.unversioned_below,
            &look.subscriptions,
            &look.cursors,
            // What a stream's version and its last event are read by.
            &sql.last_version,
            &sql.last_event,
            // For whom a presence vouches.
            &sql.vouched_for,
        ];
        for text in texts {
            let steps = plan(&connection, text);
            let reads_all = |step: &&String| step.starts_with("SCAN ") && !step.contains("VIRTUAL TABLE");
            assert_eq!(steps.iter().find(reads_all), None, "{text}: {steps:#?}");
            let sorts = |step: &&String| step.contains("TEMP B-TREE FOR ORDER BY");
            assert_eq!(steps.iter().find(sorts), None, "{text}: {steps:#?}");
        }
    }
}

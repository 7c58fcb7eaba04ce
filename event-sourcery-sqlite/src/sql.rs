//! The statements, with the tables' names in them. Values are always parameters. Those about one subject stand in files of their own
//! beside this one (`look_sql.rs`, `key_sql.rs`).

use crate::key_sql::KeySql;
use crate::layout;
use crate::look_sql::LookSql;
use crate::outbox_sql::OutboxSql;
use crate::tag_sql::TagSql;

/// Makes a struct of statements, and of parts that are made for the same tables; `{table}` stands for the table's full name.
macro_rules! statements {
    (
        $(#[$about:meta])* $Statements:ident $(with $($part:ident: $Part:ty),+)?;
        $($(#[$doc:meta])* $name:ident: $sql:expr;)+
    ) => {
        $(#[$about])*
        #[derive(Debug)]
        pub(crate) struct $Statements {
            $($(#[$doc])* pub(crate) $name: String,)+
            $($(pub(crate) $part: $Part,)+)?
        }

        impl $Statements {
            /// The statements for tables with this prefix, which was checked to be a plain identifier.
            pub(crate) fn new(prefix: &str) -> Self {
                Self {
                    $($name: $crate::sql::with_tables($sql, prefix),)+
                    $($($part: <$Part>::new(prefix),)+)?
                }
            }
        }
    };
}
pub(crate) use statements;

/// Puts the tables' names in the place of `{table}`.
pub(crate) fn with_tables(sql: &str, prefix: &str) -> String {
    let mut sql = sql.to_owned();
    for (table, _) in layout::TABLES {
        sql = sql.replace(&format!("{{{table}}}"), &format!("{prefix}{table}"));
    }
    sql
}

/// A column of the event that a blocked stream waits for, if ?6 says so. Behind one that was left out, another stream's may stand.
macro_rules! of_its_event {
    ($column:literal) => {
        concat!(
            "CASE WHEN ?6 THEN (
                   SELECT e.",
            $column,
            " FROM {events} e JOIN {streams} s ON s.id = e.db_stream_id
                   WHERE e.id = b.position
                     AND s.uuid = b.stream_uuid AND s.category = b.category AND s.tenant_id = b.tenant_id) END"
        )
    };
}

/// The beginning: blocked streams, with their errors and which events failed, if ?6 says so.
macro_rules! blocked {
    () => {
        concat!(
            "
        SELECT stream_uuid, stream_name, category, tenant_id, segment, after_position, position, attempts,
               CASE WHEN ?6 THEN error ELSE '' END, retry_at, since,
               ",
            of_its_event!("uuid"),
            ",
               ",
            of_its_event!("name"),
            "
        FROM {blocked_streams} b"
        )
    };
}

statements! {
    /// Every statement that the operations run.
    Sql with outbox: OutboxSql, keys: KeySql, look: LookSql, tags: TagSql;

    find_stream: "
        SELECT id, name IS NOT NULL FROM {streams} WHERE uuid = ?1 AND category = ?2 AND tenant_id = ?3";
    /// The newest event by version: NULL only where no event has one.
    last_version: "
        SELECT version FROM {events} WHERE db_stream_id = ?1 ORDER BY version DESC LIMIT 1";
    insert_stream: "
        INSERT INTO {streams} (uuid, name, category, tenant_id, version) VALUES (?1, ?2, ?3, ?4, ?5)";
    /// Also mends a row that disagrees with its events. It sets no column of an index, which would be written anew with it.
    update_version: "
        UPDATE {streams} SET version = ?2 WHERE id = ?1 AND version IS NOT ?2";
    name_stream: "
        UPDATE {streams} SET version = ?2, name = ?3 WHERE id = ?1";
    name_holder: "
        SELECT id, uuid FROM {streams} WHERE name = ?1 AND category = ?2 AND tenant_id = ?3";
    insert_event: "
        INSERT INTO {events} (version, uuid, name, data, event_context, created_at, db_stream_id, schema_version)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    event_by_id: "
        SELECT e.id, e.version, e.uuid, e.name, e.data, e.event_context, e.created_at, e.schema_version,
               s.uuid, s.name, s.category, s.tenant_id, s.id
        FROM {events} e JOIN {streams} s ON s.id = e.db_stream_id WHERE e.uuid = ?1";
    event_before: "
        SELECT uuid FROM {events} WHERE db_stream_id = ?1 AND id < ?2 ORDER BY id DESC LIMIT 1";
    /// Whether a stream has events without versions, and its last version. NULL sorts before every version.
    versions: "
        SELECT (SELECT version IS NULL FROM {events} WHERE db_stream_id = ?1 ORDER BY version LIMIT 1),
               (SELECT max(version) FROM {events} WHERE db_stream_id = ?1)";
    /// In version order, which is position order; without versions, in position order.
    events_above_version: "
        SELECT id, version, uuid, name, data, event_context, created_at, schema_version
        FROM {events} WHERE db_stream_id = ?1 AND version > ?2 ORDER BY version LIMIT ?3";
    events_between_versions: "
        SELECT id, version, uuid, name, data, event_context, created_at, schema_version
        FROM {events} WHERE db_stream_id = ?1 AND version > ?2 AND version < ?3 ORDER BY version LIMIT ?4";
    unversioned_after_position: "
        SELECT id, version, uuid, name, data, event_context, created_at, schema_version
        FROM {events} WHERE db_stream_id = ?1 AND version IS NULL AND id > ?2 ORDER BY id LIMIT ?3";
    any_after_position: "
        SELECT id, version, uuid, name, data, event_context, created_at, schema_version
        FROM {events} WHERE db_stream_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
    /// Whether a version is below 0, or no number: those come last.
    is_misnumbered: "
        SELECT coalesce((SELECT min(version) FROM {events} WHERE db_stream_id = ?1) < 0, FALSE)
            OR typeof((SELECT max(version) FROM {events} WHERE db_stream_id = ?1)) IN ('text', 'blob')";
    last_event: "
        SELECT id, version, uuid, name, data, event_context, created_at, schema_version
        FROM {events} WHERE db_stream_id = ?1 ORDER BY version DESC, id DESC LIMIT 1";
    version_at: "
        SELECT version FROM {events} WHERE id = ?1 AND db_stream_id = ?2";
    next_event: "
        SELECT id FROM {events} WHERE id > ?1 ORDER BY id LIMIT 1";
    first_event: "
        SELECT id FROM {events} WHERE db_stream_id = ?1 ORDER BY version, id LIMIT 1";
    /// The newest first. A snapshot above the stream's version, or older than its first event, was left over by a
    /// deleted stream.
    snapshots: "
        SELECT 0, version, uuid, name, data, event_context, created_at, schema_version
        FROM {snapshots}
        WHERE db_stream_id = ?1 AND version <= ?2
          AND version <= (SELECT max(version) FROM {events} WHERE db_stream_id = ?1)
          AND created_at >= (SELECT created_at FROM {events} WHERE db_stream_id = ?1 ORDER BY version LIMIT 1)
        ORDER BY version DESC, rowid DESC";
    /// The state of an aggregate, while the event is there that it was taken behind.
    state: "
        SELECT 0, n.version, n.event_uuid, n.name, n.data, '{}', n.created_at, n.format
        FROM {aggregate_snapshots} n
        JOIN {events} e ON e.db_stream_id = n.db_stream_id AND e.version = n.version AND e.uuid = n.event_uuid
        WHERE n.db_stream_id = ?1 AND n.name = ?2 AND n.format = ?3";
    /// Where its events are there, ?5 at version ?4 and ?7 at version ?6. A later one stays, while its event is there.
    save_state: "
        INSERT INTO {aggregate_snapshots} AS n (db_stream_id, name, format, version, event_uuid, data, created_at)
        SELECT e.db_stream_id, ?2, ?3, e.version, e.uuid, ?8, ?9 FROM {events} e
        WHERE e.db_stream_id = ?1 AND e.version = ?4 AND e.uuid = ?5
          AND (?6 IS NULL OR EXISTS (SELECT 1 FROM {events} WHERE db_stream_id = ?1 AND version = ?6 AND uuid = ?7))
        ON CONFLICT (db_stream_id, name, format) DO UPDATE
        SET version = excluded.version, event_uuid = excluded.event_uuid, data = excluded.data,
            created_at = excluded.created_at
        WHERE n.version < excluded.version OR NOT EXISTS (
            SELECT 1 FROM {events} k
            WHERE k.db_stream_id = n.db_stream_id AND k.version = n.version AND k.uuid = n.event_uuid)";
    delete_states: "
        DELETE FROM {aggregate_snapshots} WHERE db_stream_id = ?1";
    event_of_stream: "
        SELECT id, version, uuid, name, data, event_context, created_at, schema_version
        FROM {events} WHERE db_stream_id = ?1 AND uuid = ?2";
    insert_snapshot: "
        INSERT INTO {snapshots} (version, uuid, name, data, event_context, created_at, db_stream_id, schema_version)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    snapshot_exists: "
        SELECT 1 FROM {snapshots} WHERE uuid = ?1";
    delete_snapshots: "
        DELETE FROM {snapshots} WHERE db_stream_id = ?1";
    some_snapshots: "
        SELECT rowid FROM {snapshots} WHERE db_stream_id = ?1 LIMIT ?2";
    delete_snapshot: "
        DELETE FROM {snapshots} WHERE rowid = ?1";
    some_events: "
        SELECT id FROM {events} WHERE db_stream_id = ?1 LIMIT ?2";
    delete_event: "
        DELETE FROM {events} WHERE id = ?1";
    delete_stream: "
        DELETE FROM {streams} WHERE id = ?1";
    /// Of a deleted stream what is left to be removed: nobody can ask for it. No name holds a NUL.
    hide_stream: "
        UPDATE {streams}
        SET uuid = lower(hex(randomblob(16))), name = NULL, category = char(0), tenant_id = char(0), version = NULL
        WHERE id = ?1";
    hidden_stream: "
        SELECT id FROM {streams} WHERE category = char(0) AND tenant_id = char(0) LIMIT 1";
    /// The next of them behind the number ?1.
    hidden_behind: "
        SELECT id FROM {streams} WHERE category = char(0) AND tenant_id = char(0) AND id > ?1 ORDER BY id LIMIT 1";
    /// Tables that refer to a stream, or to what goes with it, beside those of the layout.
    referring_tables: "
        SELECT DISTINCT m.name FROM sqlite_schema m JOIN pragma_foreign_key_list(m.name) f
        WHERE m.type = 'table' AND m.name NOT IN ('{events}', '{snapshots}')
          AND f.\"table\" COLLATE NOCASE IN ('{events}', '{snapshots}', '{streams}')
        ORDER BY m.name";
    /// The end of a search's conditions, while there are such streams. What asks for a category or a tenant finds none of them anyway.
    is_not_hidden: "
        AND (s.category IS NOT char(0) OR s.tenant_id IS NOT char(0))";
    /// The plus sign keeps it from looking through all that is left.
    give_up_event: "
        DELETE FROM {events}
        WHERE uuid = ?1
          AND +db_stream_id IN (SELECT id FROM {streams} WHERE category = char(0) AND tenant_id = char(0))";
    give_up_snapshot: "
        DELETE FROM {snapshots}
        WHERE uuid = ?1
          AND +db_stream_id IN (SELECT id FROM {streams} WHERE category = char(0) AND tenant_id = char(0))";
    /// The reference's cursors know no tenant: they go with the last stream of that id.
    delete_cursors: "
        DELETE FROM {projector_cursors}
        WHERE stream_id = ?1 AND coalesce(category, '') = ?2
          AND NOT EXISTS (SELECT 1 FROM {streams} WHERE uuid = ?1 AND category = ?2)";
    /// The last position that was drawn, whether its event is there or not.
    position: "
        SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = '{events}'), 0),
                   coalesce((SELECT max(id) FROM {events}), 0))";
    /// The last position that was drawn, the highest checkpoint, and the end of the directory, ?1 positions a block.
    numbering: "
        SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = '{events}'), 0),
                   coalesce((SELECT max(id) FROM {events}), 0)),
               coalesce((SELECT max(position) FROM {subscription_segments}), 0),
               coalesce((SELECT max(block) * ?1 - 1 FROM {event_blocks_mark} WHERE block > 0), 0)";
    /// The table's name.
    events_name: "{events}";
    /// Of a deleted stream, whoever's subscription it was; but not of the outbox, which still publishes what is in it.
    free_deleted: "
        DELETE FROM {blocked_streams}
        WHERE stream_uuid = ?1 AND category = ?2 AND tenant_id = ?3 AND subscription_name <> ''";
    cursor: "
        SELECT version, position FROM {projected_streams}
        WHERE stream_uuid = ?1 AND category = ?2 AND tenant_id = ?3 AND projector = ?4";
    /// A cursor that begins where the reference's is, or before the first event; ?5: the stream's number. The reference's know
    /// no tenant: they count for the default one, unless another has a stream of that id.
    begin_cursor: "
        INSERT INTO {projected_streams} (stream_uuid, category, tenant_id, projector, version, position)
        SELECT ?1, ?2, ?3, ?4, c.version, (SELECT id FROM {events} WHERE db_stream_id = ?5 AND version = c.version)
        FROM (SELECT max(version) AS version FROM {projector_cursors}
              WHERE ?3 = '' AND name = ?4 AND stream_id = ?1 AND coalesce(category, '') = ?2
                AND NOT EXISTS (SELECT 1 FROM {streams} WHERE uuid = ?1 AND category = ?2 AND tenant_id <> '')) c";
    move_cursor: "
        INSERT OR REPLACE INTO {projected_streams} (stream_uuid, category, tenant_id, projector, version, position)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    position_of_version: "
        SELECT id FROM {events} WHERE db_stream_id = ?1 AND version = ?2";
    version_at_position: "
        SELECT version FROM {events} WHERE id = ?1 AND db_stream_id = ?2";
    forget_cursors: "
        DELETE FROM {projected_streams} WHERE stream_uuid = ?1 AND category = ?2 AND tenant_id = ?3";
    /// Of a deleted stream, whoever's: where the reference's cursors stay, because another tenant has a stream of that id, the
    /// default tenant's of ours tell that they count no more. Nobody knows which of the streams they are about.
    outlive_cursors: "
        INSERT OR IGNORE INTO {projected_streams} (stream_uuid, category, tenant_id, projector, version, position)
        SELECT DISTINCT ?1, ?2, '', name, NULL, NULL FROM {projector_cursors}
        WHERE stream_id = ?1 AND coalesce(category, '') = ?2";
    /// ?2: the tenant, or NULL for everybody.
    forget_projector: "
        DELETE FROM {projected_streams} WHERE projector = ?1 AND (?2 IS NULL OR tenant_id = ?2)";
    /// Of a projector that was forgotten: the reference's cursors stay, and ours tell that they count no more.
    outlive_projector: "
        INSERT INTO {projected_streams} (stream_uuid, category, tenant_id, projector, version, position)
        SELECT DISTINCT stream_id, coalesce(category, ''), '', name, NULL, NULL FROM {projector_cursors}
        WHERE name = ?1";
    /// The beginning: the conditions of a search follow. The events come first: their order is the answer's. A search that asks
    /// something of the streams says `CROSS JOIN` instead, which keeps that order too.
    scan: "
        SELECT e.id, e.version, e.uuid, e.name, e.data, e.event_context, e.created_at, e.schema_version,
               s.uuid, s.name, s.category, s.tenant_id
        FROM {events} e LEFT JOIN {streams} s ON s.id = e.db_stream_id
        WHERE e.id > ? AND e.id <= ?";
    /// The beginning of another.
    count: "
        SELECT e.id, s.uuid
        FROM {events} e LEFT JOIN {streams} s ON s.id = e.db_stream_id
        WHERE e.id > ? AND e.id <= ?";
    /// Where the events of a tenant's category stand, in no order, at most so many; a row without a number for a stream that has none.
    few_of_both: "
        SELECT e.id FROM {streams} s LEFT JOIN {events} e ON e.db_stream_id = s.id
        WHERE s.category = ?1 AND s.tenant_id = ?2 LIMIT ?3";
    /// Those of a category, whoever's.
    few_of_category: "
        SELECT e.id FROM {streams} s LEFT JOIN {events} e ON e.db_stream_id = s.id
        WHERE s.category = ?1 LIMIT ?2";
    /// The categories, as many as asked for.
    categories: "
        WITH RECURSIVE category (name) AS (
            SELECT min(category) FROM {streams}
            UNION ALL
            SELECT (SELECT min(s.category) FROM {streams} s WHERE s.category > c.name)
            FROM category c WHERE c.name IS NOT NULL
        )
        SELECT name FROM category WHERE name IS NOT NULL LIMIT ?1";
    time_of_event: "
        SELECT created_at FROM {events} WHERE id = ?1";
    names: "
        SELECT id, name FROM {events} WHERE id > ?1 AND id <= ?2 ORDER BY id";
    first_unlisted: "
        SELECT block FROM {event_blocks_mark}";
    delete_mark: "
        DELETE FROM {event_blocks_mark}";
    insert_mark: "
        INSERT INTO {event_blocks_mark} (block) VALUES (?1)";
    list_block: "
        INSERT OR IGNORE INTO {event_blocks} (name, block) VALUES (?1, ?2)";
    /// In no order: what is found is a few hundred blocks at most for each name.
    listed_blocks: "
        SELECT block FROM {event_blocks}
        WHERE name IN (SELECT value FROM json_each(?1)) AND block >= ?2 AND block <= ?3";
    /// For each name its next one, by the key.
    next_listed: "
        SELECT min((SELECT b.block FROM {event_blocks} b WHERE b.name = n.value AND b.block >= ?2
                    ORDER BY b.block LIMIT 1))
        FROM json_each(?1) n";
    segments: "
        SELECT position, token, member, leased_until
        FROM {subscription_segments} WHERE tenant_id = ?1 AND name = ?2 ORDER BY segment";
    /// What is kept beside the checkpoints.
    kept: "
        SELECT kept FROM {subscriptions} WHERE tenant_id = ?1 AND name = ?2";
    write_kept: "
        INSERT OR REPLACE INTO {subscriptions} (tenant_id, name, kept) VALUES (?1, ?2, ?3)";
    delete_kept: "
        DELETE FROM {subscriptions} WHERE tenant_id = ?1 AND name = ?2";
    write_segment: "
        INSERT OR REPLACE INTO {subscription_segments}
        (tenant_id, name, segment, position, token, member, leased_until) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    delete_segments: "
        DELETE FROM {subscription_segments} WHERE tenant_id = ?1 AND name = ?2";
    /// The last column: when the presence was renewed that vouches for it.
    members: "
        SELECT m.member, m.until, m.lasting_ms, m.presence, p.renewed
        FROM {subscription_members} m LEFT JOIN {subscription_presences} p ON p.presence = m.presence
        WHERE m.tenant_id = ?1 AND m.name = ?2 ORDER BY m.member";
    write_member: "
        INSERT OR REPLACE INTO {subscription_members} (tenant_id, name, member, until, lasting_ms, presence)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    delete_member: "
        DELETE FROM {subscription_members} WHERE tenant_id = ?1 AND name = ?2 AND member = ?3";
    delete_members: "
        DELETE FROM {subscription_members} WHERE tenant_id = ?1 AND name = ?2";
    renew_presence: "
        UPDATE {subscription_presences} SET renewed = ?2 WHERE presence = ?1";
    make_presence: "
        INSERT INTO {subscription_presences} (presence, renewed) VALUES (?1, ?2)";
    /// Those that vouch for nobody, but this one.
    forget_presences: "
        DELETE FROM {subscription_presences}
        WHERE presence <> ?1
          AND presence NOT IN (SELECT m.presence FROM {subscription_members} m WHERE m.presence IS NOT NULL)";
    other_presences: "
        SELECT presence, renewed FROM {subscription_presences} WHERE presence <> ?1";
    /// Nobody's presence is 0, and only where that is said the index is used.
    vouched_for: "
        SELECT member FROM {subscription_members} WHERE presence = ?1 AND presence <> 0";
    lease_holds: "
        SELECT 1 FROM {subscription_segments} WHERE tenant_id = ?1 AND name = ?2 AND segment = ?3 AND token = ?4";
    /// A checkpoint never moves back.
    reach: "
        UPDATE {subscription_segments} SET position = ?4
        WHERE tenant_id = ?1 AND name = ?2 AND segment = ?3 AND position < ?4";
    /// What blocks a stream.
    blocked_at: "
        SELECT after_position, position FROM {blocked_streams}
        WHERE subscription_tenant_id = ?1 AND subscription_name = ?2
          AND stream_uuid = ?3 AND category = ?4 AND tenant_id = ?5";
    block: "
        INSERT OR REPLACE INTO {blocked_streams}
        (subscription_tenant_id, subscription_name, stream_uuid, category, tenant_id, stream_name, segment, after_position,
         position, attempts, error, retry_at, since)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    free: "
        DELETE FROM {blocked_streams}
        WHERE subscription_tenant_id = ?1 AND subscription_name = ?2
          AND stream_uuid = ?3 AND category = ?4 AND tenant_id = ?5";
    count_segments: "
        SELECT count(*) FROM {subscription_segments} WHERE tenant_id = ?1 AND name = ?2";
    free_all: "
        DELETE FROM {blocked_streams} WHERE subscription_tenant_id = ?1 AND subscription_name = ?2";
    /// Also those whose segment cannot be read, whichever it is.
    blocked: concat!(blocked!(), "
        WHERE subscription_tenant_id = ?1 AND subscription_name = ?2 AND position > ?3
          AND (?4 IS NULL OR segment IN (SELECT value FROM json_each(?4)) OR typeof(segment) <> 'integer')
        ORDER BY position LIMIT ?5");
    /// Those that are to be tried again by ?7. The plus signs keep it from looking through all by their position.
    due: concat!(blocked!(), "
        WHERE subscription_tenant_id = ?1 AND subscription_name = ?2 AND +position > ?3
          AND (?4 IS NULL OR segment IN (SELECT value FROM json_each(?4)) OR typeof(segment) <> 'integer')
          AND retry_at <= ?7
        ORDER BY +position LIMIT ?5");
    /// One stream, by its key, if it is among those. With ?10: if it is to be tried again by then.
    blocked_stream: concat!(blocked!(), "
        WHERE subscription_tenant_id = ?1 AND subscription_name = ?2 AND +position > ?3
          AND (?4 IS NULL OR segment IN (SELECT value FROM json_each(?4)) OR typeof(segment) <> 'integer')
          AND stream_uuid = ?7 AND category = ?8 AND tenant_id = ?9
          AND (?10 IS NULL OR +retry_at <= ?10)
        LIMIT ?5");
}

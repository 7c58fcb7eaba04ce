//! The statements about the cursors of projectors. $1 to $3 are a stream's UUID, category and tenant; $4 is the projector.

use crate::sql::{Statement, key_is, statements};
use crate::tables::Tables;

/// The key of a cursor.
macro_rules! is_cursor {
    () => {
        "p.stream_uuid = $1 AND p.category = $2 AND p.tenant_id = $3 AND p.projector = $4"
    };
}

statements! {
    /// The statements about cursors.
    CursorSql;
    /// Locks the stream against deletion, then the cursor, in the order in which a deletion takes them. A stream that was
    /// deleted while this waited is none, and a cursor that was moved meanwhile is read as it is then. Tells whether there is
    /// a stream, and a row for the cursor; its version and position; the position of the event of that version; the version of the
    /// event at position $5; and at which isolation the transaction runs.
    hold: concat!("
        WITH stream AS MATERIALIZED (
            SELECT s.id FROM {streams} s WHERE ", key_is!("s", "$1", "$2", "$3"), " FOR KEY SHARE
        ), cursor AS MATERIALIZED (
            SELECT p.version, p.position FROM {projected_streams} p
            WHERE EXISTS (SELECT FROM stream) AND ", is_cursor!(), "
            FOR NO KEY UPDATE
        )
        SELECT stream.id IS NOT NULL, cursor.found, cursor.version, cursor.position,
               (SELECT e.id FROM {events} e WHERE e.db_stream_id = stream.id AND e.version = cursor.version),
               (SELECT e.version::bigint FROM {events} e WHERE e.id = $5 AND e.db_stream_id = stream.id),
               current_setting('transaction_isolation')
        FROM (SELECT 1) one
        LEFT JOIN stream ON true
        LEFT JOIN (SELECT true AS found, c.version, c.position FROM cursor c) cursor ON true");
    /// A cursor that begins where the reference's is, or before the first event. The reference's know no tenant: they count
    /// for the default one, unless another has a stream of that id. Waits for another transaction that begins it too.
    begin: concat!("
        INSERT INTO {projected_streams} (stream_uuid, category, tenant_id, projector, version, position)
        SELECT $1, $2, $3, $4, c.version, (
            SELECT e.id FROM {events} e JOIN {streams} s ON s.id = e.db_stream_id
            WHERE ", key_is!("s", "$1", "$2", "$3"), " AND e.version = c.version)
        FROM (SELECT max(c.version) AS version FROM {projector_cursors} c
              WHERE $3 = '' AND c.name = $4 AND c.stream_id = $1 AND coalesce(c.category, '') = $2
                AND NOT EXISTS (SELECT FROM {streams} s
                                WHERE s.uuid = $1 AND s.category = $2 AND s.tenant_id <> '')) c
        ON CONFLICT DO NOTHING");
    /// To version $5 and position $6.
    move_to: "
        INSERT INTO {projected_streams} AS p (stream_uuid, category, tenant_id, projector, version, position)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (stream_uuid, category, tenant_id, projector)
        DO UPDATE SET version = excluded.version, position = excluded.position";
    /// A stream that is deleted is followed by no projector.
    forget: "
        DELETE FROM {projected_streams} WHERE stream_uuid = $1 AND category = $2 AND tenant_id = $3";
    /// Of a deleted stream, whoever's: where the reference's cursors stay, because another tenant has a stream of that id, the
    /// default tenant's of ours tell that they count no more. Nobody knows which of the streams they are about.
    outlive: "
        INSERT INTO {projected_streams} (stream_uuid, category, tenant_id, projector, version, position)
        SELECT DISTINCT $1, $2, $3, c.name, NULL::bigint, NULL::bigint FROM {projector_cursors} c
        WHERE c.stream_id = $1 AND coalesce(c.category, '') = $2
        ON CONFLICT DO NOTHING";
    /// $1: the projector. $2: the tenant, or NULL for everybody.
    forget_projector: "
        DELETE FROM {projected_streams} WHERE projector = $1 AND ($2::text IS NULL OR tenant_id = $2)";
    /// Of a projector that was forgotten: the reference's cursors stay, and ours tell that they count no more. One that is
    /// begun at the reference's meanwhile is told too.
    outlive_projector: "
        INSERT INTO {projected_streams} (stream_uuid, category, tenant_id, projector, version, position)
        SELECT DISTINCT c.stream_id, coalesce(c.category, ''), '', c.name, NULL::bigint, NULL::bigint
        FROM {projector_cursors} c WHERE c.name = $1
        ON CONFLICT (stream_uuid, category, tenant_id, projector) DO UPDATE SET version = NULL, position = NULL";
}

//! The statements about the settled position.

use crate::sql::{Statement, statements};
use crate::tables::Tables;

/// The number of the database, which a copy of it within the server does not have.
macro_rules! database {
    () => {
        "(SELECT d.oid FROM pg_database d WHERE d.datname = current_database())"
    };
}

/// Who holds the lock that every insert takes before it draws its position: `l` is a row of `pg_locks`.
macro_rules! holds_the_lock {
    () => {
        concat!(
            "l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.granted
             AND l.relation = {events as text}::regclass AND l.database = ",
            $crate::settled_sql::database!()
        )
    };
}

/// With what a mark begins: the number of the database, in eight hexadecimal digits.
macro_rules! mark_begins {
    () => {
        concat!("lpad(to_hex(", $crate::settled_sql::database!(), "::bigint), 8, '0')")
    };
}

/// The mark of this run of the server, `m`, if anybody has left one since it has started. The row may have come with a copy of
/// the database, whose tables have the same numbers.
macro_rules! mark_of_this_run {
    () => {
        concat!(
            "m.started = pg_postmaster_start_time() AND m.events = {events as text}::regclass
             AND left(m.run::text, 8) = ",
            $crate::settled_sql::mark_begins!()
        )
    };
}

/// The name of this run of the server, as a scalar subquery; see [`Run`](crate::settled::Run). The same on every connection, however
/// that writes times: a handler's may have another zone.
macro_rules! run {
    () => {
        concat!(
            "coalesce((SELECT m.run::text FROM {evidence} m WHERE ",
            $crate::settled_sql::mark_of_this_run!(),
            "), concat_ws(' ', extract(epoch FROM pg_postmaster_start_time()), ",
            $crate::settled_sql::database!(),
            "))"
        )
    };
}
pub(crate) use {database, mark_begins, mark_of_this_run, run};

/// What tells an event, `e`, from any other at its position: the same on every connection, however that writes times.
macro_rules! tells {
    () => {
        "concat_ws(' ', e.uuid, e.db_stream_id, extract(epoch FROM e.created_at))"
    };
}

statements! {
    /// The statements about the settled position.
    SettledSql;
    /// A look at the events above $1: how many there are, of at most $2 that are looked at, how far they reach without a
    /// hole, and the first; the newest of all, and what tells it from any other. Where there is a hole, or where positions up
    /// to $3 were drawn and are not visible: who may still fill a hole. The locks are read while the statement runs: after its
    /// snapshot was taken, and after $3 was drawn. The sequence is read then, too: it is at or above whatever the snapshot
    /// shows. Besides: what is on record, and the highest checkpoint; whether the server only follows another one; where it
    /// does not, the timeline, and how far the log was flushed; the name of its run, whether it has a mark, and the evidence
    /// left with it, which is older than the snapshot. And how the sequence draws, where that is not one position after the
    /// other.
    look: concat!("
        WITH newest AS MATERIALIZED (
            SELECT e.id, ", tells!(), " AS tells FROM {events} e ORDER BY e.id DESC LIMIT 1
        ), above AS MATERIALIZED (
            SELECT count(*) AS events, coalesce(max(id) FILTER (WHERE id - number = $1), $1) AS reached, min(id) AS first
            FROM (SELECT e.id, row_number() OVER (ORDER BY e.id) AS number
                  FROM (SELECT id FROM {events} WHERE id > $1 ORDER BY id LIMIT $2) e) e
        ), mark AS MATERIALIZED (
            SELECT m.run::text AS run, m.ceiling, m.holders FROM {evidence} m WHERE ", mark_of_this_run!(), "
        ), hole AS MATERIALIZED (
            SELECT greatest((SELECT id FROM newest), (SELECT ceiling FROM mark), $3) > reached AS found FROM above
        )
        SELECT above.events, above.reached, above.first, newest.id, newest.tells,
               CASE WHEN hole.found THEN ARRAY(
                   SELECT l.virtualtransaction FROM pg_locks l WHERE ", holds_the_lock!(), ")
               END,
               (SELECT CASE WHEN q.is_called THEN q.last_value ELSE q.last_value - 1 END FROM {sequence} q),
               coalesce((SELECT s.position FROM {settled} s), 0),
               (SELECT max(c.position) FROM {subscription_segments} c),
               pg_is_in_recovery(),
               CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END,
               CASE WHEN NOT pg_is_in_recovery() THEN (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint END,
               ", run!(), ", mark.run IS NOT NULL, mark.ceiling, mark.holders,
               (SELECT format('CACHE %s, INCREMENT %s%s', q.seqcache, q.seqincrement, CASE WHEN q.seqcycle THEN ', CYCLE' END)
                FROM pg_sequence q
                WHERE q.seqrelid = {sequence as text}::regclass
                  AND (q.seqcache <> 1 OR q.seqincrement < 1 OR q.seqcycle))
        FROM above CROSS JOIN hole LEFT JOIN newest ON TRUE LEFT JOIN mark ON TRUE");
    /// The name of this run of the server.
    run: concat!("
        SELECT ", run!());
    /// What tells the event at a position ($1) from any other.
    tells: concat!("
        SELECT ", tells!(), " FROM {events} e WHERE e.id = $1");
    /// Who those holders ($1) are that [`look`](Self::look) has found: process, name of a prepared transaction, application,
    /// address, for how many microseconds the transaction is open, state of the connection.
    holders: concat!("
        SELECT DISTINCT l.pid, p.gid, a.application_name, host(a.client_addr),
               (extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, p.prepared)) * 1000000)::bigint, a.state
        FROM pg_locks l
        LEFT JOIN pg_stat_activity a ON a.pid = l.pid
        LEFT JOIN (
            SELECT x.virtualtransaction, p.gid, p.prepared FROM pg_locks x
            JOIN pg_prepared_xacts p ON p.transaction = x.transactionid
            WHERE x.locktype = 'transactionid' AND x.pid IS NULL AND p.database = current_database()
        ) p ON l.pid IS NULL AND p.virtualtransaction = l.virtualtransaction
        WHERE ", holds_the_lock!(), " AND l.virtualtransaction = ANY ($1)");
    /// Marks this run of the server, unless somebody has. $1: how long it waits for somebody who does, as `lock_timeout`
    /// takes it. It writes what is not logged; but planning it may tidy up what is, and its commit then waits for a standby.
    mark: concat!("
        WITH patience AS MATERIALIZED (
            SELECT set_config('lock_timeout', $1::text, true), set_config('synchronous_commit', 'off', true)
        )
        INSERT INTO {evidence} AS m (run, started, events)
        SELECT (", mark_begins!(), " || substr(gen_random_uuid()::text, 9))::uuid, pg_postmaster_start_time(),
               {events as text}::regclass
        FROM patience
        ON CONFLICT (only_row) DO UPDATE
        SET run = excluded.run, started = excluded.started, events = excluded.events, ceiling = 0, holders = '{}'
        WHERE NOT (", mark_of_this_run!(), ")");
    /// Leaves a hole's ceiling ($1) and holders ($2) for others, if this is still the run ($3) in which they were found. Whoever
    /// does the same at this moment is not waited for, nor is a standby: see [`mark`](Self::mark).
    leave: concat!("
        WITH setting AS MATERIALIZED (
            SELECT set_config('synchronous_commit', 'off', true)
        )
        UPDATE {evidence} m SET ceiling = $1, holders = $2
        FROM (SELECT o.only_row FROM {evidence} o FOR NO KEY UPDATE SKIP LOCKED) o CROSS JOIN setting
        WHERE m.run::text = $3 AND ", mark_of_this_run!());
    /// Puts the settled position ($1) on record, unless somebody else does so at this moment. $2 is the commit's
    /// synchronous_commit; what is stronger than `on` stays.
    record: "
        WITH setting AS MATERIALIZED (
            SELECT set_config('synchronous_commit', $2::text, true)
            WHERE $2 = 'off' OR current_setting('synchronous_commit') <> 'remote_apply'
        )
        UPDATE {settled} s SET position = $1
        FROM (SELECT o.only_row FROM {settled} o FOR NO KEY UPDATE SKIP LOCKED) o LEFT JOIN setting ON TRUE
        WHERE s.position < $1";
}

//! The statements about durable subscriptions. $1 and $2 are a subscription's tenant and name, unless told otherwise.

use crate::settled_sql::run;
use crate::sql::{Statement, any, key_is, statements, unnest};
use crate::tables::Tables;

/// The columns of a subscription: those of a segment, `s`.
macro_rules! segment {
    () => {
        concat!(
            "s.segment, s.position, s.token # ",
            mask!(),
            ", s.member, s.leased_until, NULL::text, NULL::bigint, NULL::timestamp"
        )
    };
}

/// The same of a member, `m`, and of the presence that vouches for it, `p`.
macro_rules! member {
    () => {
        concat!(
            "NULL::integer, NULL::bigint, m.lasting_ms, m.member, m.member_until, NULL::text, ",
            presence!("m.presence"),
            ", p.renewed"
        )
    };
}

/// The same of what is kept beside, `k`.
macro_rules! kept {
    () => {
        "NULL::integer, NULL::bigint, NULL::bigint, NULL::uuid, NULL::timestamp, k.kept, NULL::bigint, NULL::timestamp"
    };
}

/// The same with the time in the fifth.
macro_rules! clock {
    () => {
        "NULL::integer, NULL::bigint, NULL::bigint, NULL::uuid, clock_timestamp() AT TIME ZONE 'UTC', NULL::text,
         NULL::bigint, NULL::timestamp"
    };
}

/// The keys of blocked streams that a statement is about, in their order: those of the streams, in $1 to $3; and in other arrays what
/// else there is to know of each.
macro_rules! asked {
    ([$($array:literal),*], $columns:literal) => {
        concat!(
            "asked AS MATERIALIZED (
            SELECT n.* FROM ",
            unnest!("$1::uuid[]", "$2::text[]", "$3::text[]" $(, $array)*),
            " WITH ORDINALITY AS n (stream_uuid, category, tenant_id",
            $columns,
            ", place)
        )"
        )
    };
}

/// The same with what there is to know of each as a blocked stream, in $6 to $13.
macro_rules! asked_blocked {
    () => {
        asked!(
            [
                "$6::int[]",
                "$7::text[]",
                "$8::bigint[]",
                "$9::bigint[]",
                "$10::bigint[]",
                "$11::text[]",
                "$12::timestamp[]",
                "$13::timestamp[]"
            ],
            ", segment, stream_name, after_position, position, attempts, error, retry_at, since"
        )
    };
}

/// Whether the row of a blocked stream, `b`, is one of those, `a`, of the subscription in $4 and $5.
macro_rules! is_asked {
    () => {
        "b.stream_uuid = a.stream_uuid AND b.category = a.category AND b.tenant_id = a.tenant_id
              AND b.subscription_tenant_id = $4 AND b.subscription_name = $5"
    };
}

/// Whether it is what it was taken to be.
macro_rules! is_as_asked {
    () => {
        concat!(is_asked!(), " AND b.after_position = a.was_after AND b.position = a.was_at")
    };
}

/// Locks those rows that are as they were taken to be, in their order, so that two who do so do not wait for each other.
macro_rules! held {
    ($lock:literal) => {
        concat!(
            "held AS MATERIALIZED (
            SELECT a.place FROM asked a JOIN {blocked_streams} b ON ",
            is_as_asked!(),
            "
            ORDER BY a.place FOR ",
            $lock,
            " OF b
        )"
        )
    };
}

/// Whether all of them are.
macro_rules! all_are_held {
    () => {
        "(SELECT count(*) FROM held) = cardinality($1)"
    };
}

/// Blocks streams, those that are found.
macro_rules! block {
    ($streams:expr) => {
        concat!(
            "
        WITH ",
            asked_blocked!(),
            ", stream AS MATERIALIZED (",
            $streams,
            "
        ), blocked AS (
            INSERT INTO {blocked_streams} (stream_uuid, category, tenant_id, subscription_tenant_id, subscription_name,
                segment, stream_name, after_position, position, attempts, error, retry_at, since)
            SELECT s.stream_uuid, s.category, s.tenant_id, $4, $5, s.segment, s.stream_name, s.after_position, s.position,
                s.attempts, s.error, s.retry_at, s.since
            FROM stream s ORDER BY s.place
            ON CONFLICT DO NOTHING
            RETURNING 1
        )
        SELECT WHERE (SELECT count(*) FROM blocked) = (SELECT count(*) FROM stream)"
        )
    };
}

/// A column of the event that a blocked stream waits for, if $6 says so. Behind one that was left out, another stream's may stand.
macro_rules! of_its_event {
    ($column:literal) => {
        concat!(
            "CASE WHEN $6 THEN (
                   SELECT e.",
            $column,
            " FROM {events} e JOIN {streams} s ON s.id = e.db_stream_id
                   WHERE e.id = b.position AND ",
            key_is!("s", "b.stream_uuid", "b.category", "b.tenant_id"),
            ") END"
        )
    };
}

/// Blocked streams above $3, in the segments $4 or in all; with their errors, and which events failed, if $6 says so.
macro_rules! blocked_where {
    () => {
        concat!(
            "
        SELECT b.stream_uuid, b.stream_name, b.category, b.tenant_id, b.segment, b.after_position, b.position, b.attempts,
               CASE WHEN $6 THEN b.error ELSE '' END, b.retry_at, b.since,
               ",
            of_its_event!("uuid"),
            ",
               ",
            of_its_event!("name::text"),
            "
        FROM {blocked_streams} b
        WHERE b.subscription_tenant_id = $1 AND b.subscription_name = $2 AND b.position > $3
          AND ($4::int[] IS NULL OR b.segment = ANY ($4))"
        )
    };
}

/// Marks a handler's transaction, as long as it is open: it goes with the transaction, whatever ends that.
pub(crate) const MARK_HANDLING: &str = "SET LOCAL event_sourcery.handling = 'open'";

/// Whether the transaction that was begun for a handler is still open, where it is one ($6).
macro_rules! is_open {
    () => {
        "(NOT $6 OR coalesce(current_setting('event_sourcery.handling', true), '') = 'open')"
    };
}

/// Whether the server is in the run of this name, where one is given: by a question of its own, or it would be planned anew each time.
macro_rules! is_in_run {
    ($name:literal) => {
        concat!("(SELECT ", $name, "::text) IS NULL OR (SELECT ", $name, "::text) = ", run!())
    };
}

/// Turns a token of the table into the one that is told, and that one back. It is another in each run of the server, so that a lease
/// counts only in the run in which it was given: `settled/reaching.rs` has the argument.
macro_rules! mask {
    () => {
        concat!("(hashtextextended(", run!(), ", 0) & 9223372036854775807)")
    };
}

/// Turns the number of a presence of the table into the one that is told, and that one back, as [`mask`] does with tokens: what
/// was vouched for in another run of the server is not in this one. Who speaks for himself does so in each.
macro_rules! presence {
    ($number:literal) => {
        concat!("(", $number, " # CASE ", $number, " WHEN 0 THEN 0 ELSE ", mask!(), " END)")
    };
}

statements! {
    /// The statements about durable subscriptions.
    SubscriptionSql;
    /// One change of a subscription at a time; several are locked in one order. $1 and $2: tenants and names, as in the next two.
    /// A subscription need not exist. Beside: whether the server is in the run $3, or none is given.
    lock_subscriptions: concat!("
        SELECT pg_advisory_xact_lock(a.key), ", is_in_run!("$3"), "
        FROM (SELECT hashtextextended(concat_ws(chr(1), {subscription_segments as text}, n.tenant_id, n.name), 0) AS key
            FROM ", unnest!("$1::text[]", "$2::text[]"), " AS n (tenant_id, name)
            ORDER BY key
        ) a");
    /// Segments: number, position, token, member, leased until. Members: how long their leases last, and the next two, and in the last
    /// two which presence vouches for them, and when that was renewed. What is kept beside: the sixth. And the time.
    subscription: concat!("
        SELECT ", segment!(), " FROM {subscription_segments} s WHERE s.tenant_id = $1 AND s.name = $2
        UNION ALL
        SELECT ", member!(), "
        FROM {subscription_members} m LEFT JOIN {subscription_presences} p ON p.presence = m.presence
        WHERE m.tenant_id = $1 AND m.name = $2
        UNION ALL
        SELECT ", kept!(), " FROM {subscriptions} k WHERE k.tenant_id = $1 AND k.name = $2
        UNION ALL
        SELECT ", clock!());
    /// The same of several, with their places from 1: all members, the segments locked against those who write checkpoints, and then
    /// the time, alone.
    subscriptions_to_change: concat!("
        WITH asked AS MATERIALIZED (
            SELECT n.tenant_id, n.name, n.place::integer AS place
            FROM ", unnest!("$1::text[]", "$2::text[]"), " WITH ORDINALITY AS n (tenant_id, name, place)
        ), segment AS MATERIALIZED (
            SELECT s.segment, s.position, s.token, s.member, s.leased_until, a.place
            FROM asked a JOIN {subscription_segments} s ON s.tenant_id = a.tenant_id AND s.name = a.name
            ORDER BY s.tenant_id, s.name, s.segment FOR UPDATE OF s
        )
        SELECT ", segment!(), ", s.place FROM segment s
        UNION ALL
        SELECT ", member!(), ", a.place
        FROM asked a JOIN {subscription_members} m ON m.tenant_id = a.tenant_id AND m.name = a.name
        LEFT JOIN {subscription_presences} p ON p.presence = m.presence
        UNION ALL
        SELECT ", kept!(), ", a.place
        FROM asked a JOIN {subscriptions} k ON k.tenant_id = a.tenant_id AND k.name = a.name
        UNION ALL
        SELECT ", clock!(), ", 0");
    /// $3: what is kept beside the checkpoints.
    write_kept: "
        INSERT INTO {subscriptions} AS k (tenant_id, name, kept) VALUES ($1, $2, $3)
        ON CONFLICT (tenant_id, name) DO UPDATE SET kept = excluded.kept";
    /// Of several: $1 to $7: segments to write, their tokens as they are told; $8 to $10: members that are gone; $11 to $16: members to
    /// write, their presences as they are told.
    write_subscriptions: concat!("
        WITH segment AS (
            INSERT INTO {subscription_segments} AS s (tenant_id, name, segment, position, token, member, leased_until)
            SELECT n.tenant_id, n.name, n.segment, n.position, n.token # ", mask!(), ", n.member, n.leased_until
            FROM ", unnest!("$1::text[]", "$2::text[]", "$3::int[]", "$4::bigint[]", "$5::bigint[]", "$6::uuid[]", "$7::timestamp[]"), "
                AS n (tenant_id, name, segment, position, token, member, leased_until)
            ON CONFLICT (tenant_id, name, segment) DO UPDATE SET position = excluded.position, token = excluded.token,
                member = excluded.member, leased_until = excluded.leased_until
        ), gone AS (
            DELETE FROM {subscription_members} m
            USING ", unnest!("$8::text[]", "$9::text[]", "$10::uuid[]"), " AS g (tenant_id, name, member)
            WHERE m.tenant_id = g.tenant_id AND m.name = g.name AND m.member = g.member
        )
        INSERT INTO {subscription_members} AS m (tenant_id, name, member, member_until, lasting_ms, presence)
        SELECT n.tenant_id, n.name, n.member, n.member_until, n.lasting_ms, ", presence!("n.presence"), "
        FROM ", unnest!("$11::text[]", "$12::text[]", "$13::uuid[]", "$14::timestamp[]", "$15::bigint[]", "$16::bigint[]"), "
            AS n (tenant_id, name, member, member_until, lasting_ms, presence)
        ON CONFLICT (tenant_id, name, member) DO UPDATE SET member_until = excluded.member_until,
            lasting_ms = excluded.lasting_ms, presence = excluded.presence");
    /// Presences are renewed at $2, or made: $1, as they are told. Where one is made, those that vouch for nobody are forgotten, but for
    /// what somebody is at work on.
    put_presences: concat!("
        WITH renewed AS (
            INSERT INTO {subscription_presences} AS p (presence, renewed)
            SELECT ", presence!("n.presence"), ", $2::timestamp FROM ", unnest!("$1::bigint[]"), " AS n (presence) ORDER BY 1
            ON CONFLICT (presence) DO UPDATE SET renewed = excluded.renewed
            RETURNING p.xmax = 0 AS is_made
        )
        DELETE FROM {subscription_presences} WHERE presence IN (
            SELECT o.presence FROM {subscription_presences} o
            WHERE EXISTS (SELECT FROM renewed r WHERE r.is_made)
              AND NOT EXISTS (SELECT FROM {subscription_members} m WHERE m.presence = o.presence)
            FOR UPDATE OF o SKIP LOCKED)");
    /// A presence, $1 as it is told, is renewed, if it is there: when; the members that it vouches for; the other presences, each
    /// with its number and when it was renewed. Nobody's is 0, and only where that is said the index on members is used.
    renew_presence: concat!("
        WITH renewed AS (
            UPDATE {subscription_presences} SET renewed = clock_timestamp() AT TIME ZONE 'UTC'
            WHERE presence = ", presence!("$1::bigint"), "
            RETURNING presence, renewed
        )
        SELECT r.renewed, NULL::uuid, NULL::bigint FROM renewed r
        UNION ALL
        SELECT NULL, m.member, NULL FROM renewed r
        JOIN {subscription_members} m ON m.presence = r.presence AND m.presence <> 0
        UNION ALL
        SELECT p.renewed, NULL, ", presence!("p.presence"), "
        FROM renewed r JOIN {subscription_presences} p ON p.presence <> r.presence");
    forget_subscription: "
        WITH segment AS (
            DELETE FROM {subscription_segments} WHERE tenant_id = $1 AND name = $2
        ), kept AS (
            DELETE FROM {subscriptions} WHERE tenant_id = $1 AND name = $2
        )
        DELETE FROM {subscription_members} WHERE tenant_id = $1 AND name = $2";
    free_all_streams: "
        DELETE FROM {blocked_streams} WHERE subscription_tenant_id = $1 AND subscription_name = $2";
    /// Whether all leases hold ($3 and $4: segments and their tokens, as they were told), and the transaction is open that was begun for a handler, where
    /// this is one ($6). If so, and if the server is in the run $7, or none is given, no checkpoint of theirs stays below $5;
    /// whether that came true is told next, then about the run, and where the first of them was.
    reach: concat!("
        WITH run AS MATERIALIZED (
            SELECT ", is_in_run!("$7"), " AS is_it, ", mask!(), " AS mask
        ), held AS MATERIALIZED (
            SELECT s.segment, s.position FROM {subscription_segments} s
            JOIN ", unnest!("$3::int[]", "$4::bigint[]"), " AS l (segment, token) ON s.segment = l.segment
                AND s.token = l.token # (SELECT mask FROM run)
            WHERE s.tenant_id = $1 AND s.name = $2 AND (SELECT is_it FROM run) AND ", is_open!(), "
            ORDER BY s.segment FOR NO KEY UPDATE OF s
        ), moved AS (
            UPDATE {subscription_segments} s SET position = $5
            WHERE s.tenant_id = $1 AND s.name = $2 AND s.segment = ", any!("$3", "int[]"), " AND s.position < $5
              AND (SELECT count(*) FROM held) = cardinality($3)
            RETURNING 1
        )
        SELECT count(*) = cardinality($3), ", is_open!(), ",
               count(*) FILTER (WHERE position < $5) = (SELECT count(*) FROM moved), (SELECT is_it FROM run), min(position)
        FROM held");
    /// $1 to $3: the keys of streams, no two of them the same, in one order for all; $4 and $5: the subscription; so in the next five. $6
    /// to $13: what else there is to know of each. A row, unless one of them was blocked already; one whose event at $9 is gone, or goes
    /// before the row is there, is not blocked.
    block: block!(concat!("
            SELECT a.* FROM asked a JOIN {streams} s ON ", key_is!("s", "a.stream_uuid", "a.category", "a.tenant_id"), "
            WHERE EXISTS (SELECT FROM {events} e WHERE e.id = a.position AND e.db_stream_id = s.id)
            ORDER BY a.place FOR KEY SHARE OF s"));
    /// The same for streams whose rows are lost, and stay so.
    block_lost: block!("SELECT a.* FROM asked a JOIN {events} e ON e.id = a.position");
    /// The same for the outbox: the entry at $9 has to be there, whether its stream is or not.
    block_entry: block!("
            SELECT a.* FROM asked a WHERE EXISTS (
                SELECT FROM {outbox_entries} o WHERE o.position = a.position AND o.published_at IS NULL)");
    /// $6 to $13 as in [`block`](Self::block); $14 and $15: what each stream is blocked by. All of them are changed, or none.
    change_blocked: concat!("
        WITH ", asked!(
            ["$6::int[]", "$7::text[]", "$8::bigint[]", "$9::bigint[]", "$10::bigint[]", "$11::text[]",
             "$12::timestamp[]", "$13::timestamp[]", "$14::bigint[]", "$15::bigint[]"],
            ", segment, stream_name, after_position, position, attempts, error, retry_at, since, was_after, was_at"
        ), ", ", held!("NO KEY UPDATE"), "
        UPDATE {blocked_streams} b SET segment = a.segment, stream_name = a.stream_name, after_position = a.after_position,
            position = a.position, attempts = a.attempts, error = a.error, retry_at = a.retry_at, since = a.since
        FROM asked a WHERE ", is_as_asked!(), " AND ", all_are_held!());
    /// $6 and $7: what each stream is blocked by. All of them are freed, or none.
    free: concat!("
        WITH ", asked!(["$6::bigint[]", "$7::bigint[]"], ", was_after, was_at"), ", ", held!("UPDATE"), "
        DELETE FROM {blocked_streams} b USING asked a WHERE ", is_as_asked!(), " AND ", all_are_held!());
    /// A row for each that is blocked.
    keep_blocked: concat!("
        WITH ", asked!([], ""), "
        SELECT FROM asked a JOIN {blocked_streams} b ON ", is_asked!(), "
        ORDER BY a.place FOR KEY SHARE OF b");
    /// Those above $3, in the segments $4 or in all, at most $5.
    blocked_streams: concat!(blocked_where!(), "
        ORDER BY b.position LIMIT $5");
    /// The same, of those that are due.
    due_streams: concat!(blocked_where!(), "
          AND b.retry_at <= now() AT TIME ZONE 'UTC'
        ORDER BY b.position LIMIT $5");
    /// One stream, $7 to $9, if it is among those; where $10 says so, if it is due.
    blocked_stream: concat!(blocked_where!(), "
          AND b.stream_uuid = $7 AND b.category = $8 AND b.tenant_id = $9
          AND (NOT $10 OR b.retry_at <= now() AT TIME ZONE 'UTC')
        LIMIT $5");
    /// A stream that is deleted is blocked for no subscription but the outbox: by none of its events, which are gone. One that was made anew
    /// since, where there was none to delete, may be blocked already; also while this waits for the row: a row that was changed
    /// meanwhile stands at another position than the one that this statement began with. $1 to $3: its UUID, category, tenant.
    free_deleted: concat!("
        DELETE FROM {blocked_streams} b WHERE b.stream_uuid = $1 AND b.category = $2 AND b.tenant_id = $3
          AND b.subscription_name <> ''
          AND b.position IN (SELECT o.position FROM {blocked_streams} o
                             WHERE o.stream_uuid = $1 AND o.category = $2 AND o.tenant_id = $3)
          AND NOT EXISTS (SELECT FROM {events} e JOIN {streams} s ON s.id = e.db_stream_id
                          WHERE e.id = b.position AND ", key_is!("s", "$1", "$2", "$3"), ")");
    /// The same where this transaction has held the row of the stream: nobody can have made that anew. A row that was changed while
    /// this waited for it goes too.
    free_held: "
        DELETE FROM {blocked_streams}
        WHERE stream_uuid = $1 AND category = $2 AND tenant_id = $3 AND subscription_name <> ''";
    /// A stream whose entries were dropped from the outbox is looked at again for what is left, if it waits.
    look_again: "
        UPDATE {blocked_streams} SET attempts = 0, retry_at = since
        WHERE stream_uuid = $1 AND category = $2 AND tenant_id = $3 AND subscription_name = ''";
}

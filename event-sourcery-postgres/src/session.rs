//! How a session of the store's own is set, whatever the role, the database, or whoever made the pool has set.
//!
//! The statements of this crate are written for READ COMMITTED, count on nobody's time limits but their own, call the server's own
//! functions, and are acknowledged when they are on disk. On a connection of ours that is set once, when it is opened. Behind a
//! pooler that hands out server connections by the transaction there is no session to set: there each transaction is begun with it.

use std::borrow::Cow;
use std::time::Duration;

use crate::at_work::SERVER_STARTED;

/// A process that is frozen in the middle of a transaction of ours holds nobody up for longer than this.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(10);

/// The same of a transaction that holds what many wait for: see [`begin_in_haste`].
const IDLE_IN_HASTE: Duration = Duration::from_secs(3);

/// In which columns the settings tell the server's process, when the server was started, and whether it only follows another one.
pub(crate) const PROCESS: &str = "process";
pub(crate) const STARTED: &str = "started";
pub(crate) const IS_STANDBY: &str = "is_standby";

/// How a transaction of ours begins that is not of one moment.
pub(crate) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// How a transaction begins in which several statements read as of one moment.
const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// What sessions of a store have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Session {
    /// Whether server connections are handed out by the transaction.
    pub(crate) behind_pooler: bool,
    /// Whether `synchronous_commit = off` is left as it is.
    pub(crate) may_lose_commits: bool,
}

impl Session {
    /// What a new connection is set to, in one statement.
    pub(crate) fn opening(self, lock_timeout: Duration) -> String {
        self.settings(lock_timeout, false)
    }

    /// How a transaction begins: in these words, and with its settings where it has to bring them along. It goes to the
    /// server in one message.
    pub(crate) fn begin(self, begin: &'static str, lock_timeout: Duration) -> Cow<'static, str> {
        if self.behind_pooler {
            format!("{begin}; {}", self.settings(lock_timeout, true)).into()
        } else {
            begin.into()
        }
    }

    /// How a transaction begins whose statements all read these tables as of one moment, in one message.
    ///
    /// The tables are locked before that moment: neither `LOCK` nor `SET` takes a snapshot, and any other statement does. One
    /// that had to wait for somebody who rewrites a table would then see the table without its rows, which are of his
    /// transaction.
    pub(crate) fn begin_snapshot(self, tables: &str, lock_timeout: Duration) -> String {
        let lock = format!("LOCK TABLE {tables} IN ACCESS SHARE MODE");
        if !self.behind_pooler {
            return format!("{SNAPSHOT}; {lock}");
        }
        let (patience, settings) = (milliseconds(lock_timeout), self.settings(lock_timeout, true));
        format!(
            "{SNAPSHOT}; SET LOCAL lock_timeout = {patience}; SET LOCAL statement_timeout = 0; {lock}; {settings}"
        )
    }

    /// Parameters that an older server does not know are passed over. One that is as it should be already is left alone:
    /// not every role may set `session_replication_role`. Row-level security would hide events from us in silence;
    /// switched off, it is an error instead. What is stronger than `synchronous_commit = on`, or `local`, is somebody's
    /// decision. What may be set is set to what it is, too: a setting of the session's outlasts a reload of the server's. Texts
    /// travel as sqlx asks for when it connects, though a hook of the pool's may have asked for something else since.
    fn settings(self, lock_timeout: Duration, local: bool) -> String {
        let (lock_timeout, idle) = (milliseconds(lock_timeout), milliseconds(IDLE_IN_TRANSACTION));
        let set = |name: &str, value: &str| format!("pg_catalog.set_config('{name}', '{value}', {local})");
        let set_where = |holds: &str, name: &str, value: &str| {
            format!(
                "CASE WHEN pg_catalog.current_setting('{name}', true) {holds} THEN {} END",
                set(name, value)
            )
        };
        let settings = [
            own_functions_first(local),
            set("default_transaction_isolation", "read committed"),
            set("standard_conforming_strings", "on"),
            set("client_encoding", "UTF8"),
            set("row_security", "off"),
            set("lock_timeout", &lock_timeout.to_string()),
            set("statement_timeout", "0"),
            set("idle_in_transaction_session_timeout", &idle.to_string()),
            self.durable(local),
            set_where("OPERATOR(pg_catalog.<>) 'origin'", "session_replication_role", "origin"),
            set_where("IS NOT NULL", "transaction_timeout", "0"),
            set_where("IS NOT NULL", "idle_session_timeout", "0"),
        ];
        format!(
            "SELECT pg_catalog.pg_backend_pid() AS {PROCESS}, {SERVER_STARTED} AS {STARTED},
                    pg_catalog.pg_is_in_recovery() AS {IS_STANDBY}, {}",
            settings.join(", ")
        )
    }

    /// How a transaction of ours begins on a connection that callers get, too, in whose statements what they have set counts: it is
    /// acknowledged as any append is, waits so long for locks, and idles no longer than others of ours. What the callers have set
    /// as `search_path` stays, but for the place of the server's own functions: ours are run in it, too.
    pub(crate) fn begin_heard(self, lock_timeout: Duration, sending: Duration) -> String {
        let idle = milliseconds(IDLE_IN_TRANSACTION.saturating_add(sending));
        format!(
            "{BEGIN}; SELECT {}, pg_catalog.set_config('lock_timeout', '{}', true),
                             pg_catalog.set_config('idle_in_transaction_session_timeout', '{idle}', true), {}",
            own_functions_first(true),
            milliseconds(lock_timeout),
            self.durable(true)
        )
    }

    /// What raises `synchronous_commit` to where a commit is on disk.
    fn durable(self, local: bool) -> String {
        if self.may_lose_commits {
            return "NULL".to_owned();
        }
        durable(local)
    }
}

/// What raises `synchronous_commit` to where a commit is on disk. What is stronger stays.
pub(crate) fn durable(local: bool) -> String {
    let found = "pg_catalog.current_setting('synchronous_commit')";
    format!(
        "pg_catalog.set_config('synchronous_commit', CASE WHEN {found} OPERATOR(pg_catalog.=) 'off' THEN 'on' ELSE {found} END, {local})"
    )
}

/// What has the server's own functions, operators and types found before those of others of the same name, whatever the
/// `search_path` says: where that does not name their schema, they are searched first. The rest of it stays as it is, for triggers of
/// the user's go by it. Counts for the statements after this one: here, and beside it, each name says where it is from.
pub(crate) fn own_functions_first(local: bool) -> String {
    format!(
        "CASE WHEN 'pg_catalog' OPERATOR(pg_catalog.=) ANY (pg_catalog.current_schemas(false))
              THEN pg_catalog.set_config('search_path', (
                  SELECT coalesce(pg_catalog.string_agg(pg_catalog.quote_ident(s.name::pg_catalog.text), ', ' ORDER BY s.place), '')
                  FROM pg_catalog.unnest(pg_catalog.current_schemas(false)) WITH ORDINALITY AS s (name, place)
                  WHERE s.name OPERATOR(pg_catalog.<>) 'pg_catalog'), {local}) END"
    )
}

/// The statement by which a connection waits for locks for so long from now on.
pub(crate) fn wait_for_locks(time: Duration) -> String {
    format!("SET lock_timeout = {}", milliseconds(time))
}

/// How a transaction begins whose statements may take so long to arrive: for the server it is idle meanwhile.
pub(crate) fn begin_sending(begin: &str, sending: Duration) -> String {
    let idle = milliseconds(IDLE_IN_TRANSACTION.saturating_add(sending));
    format!("{begin}; SET LOCAL idle_in_transaction_session_timeout = {idle}")
}

/// How a transaction begins whose statements follow each other at once: the server ends it soon where its client is heard of no more.
pub(crate) fn begin_in_haste(begin: &str) -> String {
    let idle = milliseconds(IDLE_IN_HASTE);
    format!("{begin}; SELECT set_config('idle_in_transaction_session_timeout', '{idle}', true)")
}

/// As the server's limits take it, where zero means for ever.
fn milliseconds(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX).max(1)
}

//! How a session of the store's own is set, whatever the role, the database, or whoever made the pool has set.
//!
//! The statements of this crate are written for READ COMMITTED, count on nobody's time limits but their own, and are
//! acknowledged when they are on disk. On a connection of ours that is set once, when it is opened. Behind a pooler that
//! hands out server connections by the transaction there is no session to set: there each transaction is begun with it.

use std::borrow::Cow;
use std::time::Duration;

/// A process that is frozen in the middle of a transaction of ours holds nobody up for longer than this.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(10);

/// In which columns the settings tell the server's process, and whether the server only follows another one.
pub(crate) const PROCESS: &str = "process";
pub(crate) const IS_STANDBY: &str = "is_standby";

/// How a transaction of ours begins that is not of one moment.
pub(crate) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

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

    /// Parameters that an older server does not know are passed over. One that is as it should be already is left alone:
    /// not every role may set `session_replication_role`. Row-level security would hide events from us in silence;
    /// switched off, it is an error instead. What is stronger than `synchronous_commit = on`, or `local`, is somebody's
    /// decision.
    fn settings(self, lock_timeout: Duration, local: bool) -> String {
        let (lock_timeout, idle) = (milliseconds(lock_timeout), milliseconds(IDLE_IN_TRANSACTION));
        let unset = |name, value| {
            format!(
                "CASE WHEN current_setting('{name}', true) <> '{value}' THEN set_config('{name}', '{value}', {local}) END"
            )
        };
        let durable = if self.may_lose_commits {
            "NULL".to_owned()
        } else {
            format!(
                "CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', {local}) END"
            )
        };
        let [replication, transaction, session] = [
            ("session_replication_role", "origin"),
            ("transaction_timeout", "0"),
            ("idle_session_timeout", "0"),
        ]
        .map(|(name, value)| unset(name, value));
        format!(
            "SELECT pg_backend_pid() AS {PROCESS}, pg_is_in_recovery() AS {IS_STANDBY},
                    set_config('default_transaction_isolation', 'read committed', {local}),
                    set_config('standard_conforming_strings', 'on', {local}),
                    set_config('row_security', 'off', {local}),
                    set_config('lock_timeout', '{lock_timeout}', {local}),
                    set_config('statement_timeout', '0', {local}),
                    set_config('idle_in_transaction_session_timeout', '{idle}', {local}),
                    {durable}, {replication}, {transaction}, {session}"
        )
    }
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

/// As the server's limits take it, where zero means for ever.
fn milliseconds(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX).max(1)
}

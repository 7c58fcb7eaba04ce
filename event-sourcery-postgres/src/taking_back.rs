//! What becomes of the connection of a call that was given up half-way.
//!
//! The server may be at work on what it was asked, and a transaction may be open. Closed, the connection would leave the server at
//! work, and the next call would open another one: calls that have less time than they take, made again and again, would storm the
//! server, and come to nothing. So a task waits for what is under way, takes back what was begun, and leaves the connection to the
//! next call. It keeps the call's place meanwhile: so there are never more of them than places. What the server is at work on is not
//! cancelled: a commit that waits for a standby would be seen by others.

use std::sync::{Arc, Weak};
use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection, Row as _};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::connections::{Connections, Opened, close, spawn};
use crate::places::{Place, Places};
use crate::session;

/// How long it takes at most. After that the connection is closed: a call that waits for the place has more time.
const TAKING_BACK: Duration = Duration::from_secs(3);

/// How many errors of what was given up are passed over: a call sends a few statements together at most.
const ERRORS: usize = 4;

/// The error of every statement in a transaction that has failed.
const HAS_FAILED: &str = "25P02";

impl Connections {
    /// Takes back the connection of a call that was given up.
    pub(crate) fn take_back(self: &Arc<Self>, mut opened: Opened, place: Option<Place>) {
        let lives_here = Handle::try_current().is_ok_and(|here| here.id() == opened.runtime);
        // Nobody may drive another runtime.
        if !lives_here {
            return close(opened.connection);
        }
        let home = Arc::clone(self);
        let may_commit = place.as_ref().is_some_and(Places::may_commit);
        spawn(async move {
            let set_right = timeout(TAKING_BACK, home.set_right(&mut opened)).await;
            if matches!(set_right, Ok(Ok(()))) {
                home.keep(opened, true);
            } else {
                close(opened.connection);
            }
            drop(place);
            // It may have been committed, and whoever would have told of it is gone.
            if may_commit && let Some(wakeups) = home.wakeups.get().and_then(Weak::upgrade) {
                wakeups.committed();
            }
        });
    }

    /// Waits for what is under way, rolls back what is open, and has the connection wait for locks as it is known to.
    async fn set_right(&self, opened: &mut Opened) -> Result<(), sqlx::Error> {
        let (lock_timeout, behind_pooler) = (self.moment(), self.session.behind_pooler);
        let is_open = is_in_transaction(&mut opened.connection).await?;
        let roll_back = is_open.then(|| "ROLLBACK".to_owned());
        // Where the settings are those of transactions, nothing is set.
        let set = (!behind_pooler).then(|| session::wait_for_locks(lock_timeout));
        let statements: Vec<_> = roll_back.into_iter().chain(set).collect();
        if !statements.is_empty() {
            let statements = AssertSqlSafe(statements.join("; "));
            sqlx::raw_sql(statements).execute(&mut opened.connection).await?;
        }
        opened.lock_timeout = lock_timeout;
        Ok(())
    }
}

/// Whether a transaction is open on a connection, once the server is done with what was under way. In one that is open, its time is
/// earlier than the statement's.
async fn is_in_transaction(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let mut errors = 0..ERRORS;
    loop {
        let is_open = sqlx::raw_sql("SELECT now() <> statement_timestamp()");
        match sqlx::Executor::fetch_one(&mut *connection, is_open).await {
            Ok(row) => return row.try_get(0),
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(HAS_FAILED) => {
                return Ok(true);
            }
            // That of what was under way comes first.
            Err(sqlx::Error::Database(_)) if errors.next().is_some() => {}
            Err(error) => return Err(error),
        }
    }
}

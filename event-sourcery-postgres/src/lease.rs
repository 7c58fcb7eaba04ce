//! A connection of the store's own while a call has it.

use std::borrow::Cow;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use event_sourcery::{Error, Result};
use sqlx::{AssertSqlSafe, PgConnection};

use crate::at_work::{AtWork, Mark, Process, answer};
use crate::connections::{Connections, Opened, answer_in_time, close};
use crate::failure::may_be_of_the_connection;
use crate::places::Place;
use crate::session;

/// A connection in use, until the call is over. A call that is given up half-way may leave a transaction open: dropped, the
/// connection is [taken back](Connections::take_back).
#[derive(Debug)]
pub(crate) struct Lease {
    opened: Option<Opened>,
    /// Whether anything may have been said on it.
    is_used: bool,
    /// Whether [`enter`](Self::enter) has begun what was not left yet.
    is_entered: bool,
    /// By which the server's process is found that has a transaction of ours, where each may have another one.
    mark: Option<Mark>,
    home: Arc<Connections>,
    place: Option<Place>,
}

impl Lease {
    pub(crate) fn new(opened: Opened, home: Arc<Connections>, place: Place) -> Self {
        let mark = home.session.behind_pooler.then(Mark::new);
        Self { opened: Some(opened), is_used: false, is_entered: false, mark, home, place: Some(place) }
    }

    /// The call is over, and the next one can have the connection.
    pub(crate) fn keep(mut self) {
        self.leave_to_next(true);
    }

    /// The call is over, and the connection is to be tried before the next one.
    pub(crate) fn give_back(mut self) {
        self.leave_to_next(false);
    }

    /// The call is over, with this result. Where the server takes no writes, whoever comes next connects anew.
    pub(crate) fn keep_after<T>(mut self, result: Result<T>) -> Result<T> {
        if matches!(result, Err(Error::ReadOnly { .. })) {
            self.home.leave_server();
            self.spent().store(true, Ordering::Relaxed);
        }
        self.leave_to_next(!result.as_ref().is_err_and(may_be_of_the_connection));
        result
    }

    /// The call is over; whether it went well.
    pub(crate) fn end(mut self, went_well: bool) {
        self.leave_to_next(went_well);
    }

    /// The place goes after the connection is there for whoever gets it. One that is spent is closed, and one that was entered and
    /// not left is taken back, when this is dropped.
    fn leave_to_next(&mut self, trusted: bool) {
        let is_good = |opened: &mut Opened| !self.is_entered && !opened.spent.load(Ordering::Relaxed);
        if let Some(opened) = self.opened.take_if(is_good) {
            self.home.keep(opened, trusted);
        }
    }

    /// Whether its commit may wait from now on: it does not take from readers what is left to them.
    pub(crate) fn may_wait(&mut self) -> bool {
        self.place.as_mut().is_some_and(|place| self.home.places.is_to_write(place))
    }

    /// How a transaction of ours begins on this connection: see [`Session::begin`].
    pub(crate) fn begin_text(&self, begin: &'static str) -> Cow<'static, str> {
        self.marked(self.home.session.begin(begin, self.lock_timeout()))
    }

    /// How a transaction of ours begins that reads these tables as of one moment: see [`Session::begin_snapshot`].
    pub(crate) fn begin_snapshot_text(&self, tables: &str) -> Cow<'static, str> {
        self.marked(self.home.session.begin_snapshot(tables, self.lock_timeout()).into())
    }

    fn marked(&self, begin: Cow<'static, str>) -> Cow<'static, str> {
        match self.mark {
            Some(mark) => format!("{begin}; {}", mark.set()).into(),
            None => begin,
        }
    }

    fn lock_timeout(&self) -> Duration {
        self.opened.as_ref().map_or(self.home.lock_timeout, |opened| opened.lock_timeout)
    }

    /// To find out whether the server is still at work on a statement.
    pub(crate) fn at_work(&self) -> Option<AtWork> {
        let Opened { process, spent, .. } = self.opened.as_ref()?;
        let process = process.map(Process::Numbered).or(self.mark.map(Process::With))?;
        Some(AtWork::new(Arc::clone(&self.home), process, Arc::clone(spent)))
    }

    /// Where it is noted that the connection is of no more use.
    pub(crate) fn spent(&self) -> Arc<AtomicBool> {
        self.opened.as_ref().map(|opened| Arc::clone(&opened.spent)).unwrap_or_default()
    }

    /// Whether no statement may stand alone: it needs a transaction around it, which brings the settings along and keeps the
    /// server connection.
    pub(crate) fn is_behind_pooler(&self) -> bool {
        self.home.session.behind_pooler
    }

    /// Where the database is, for messages; no password.
    pub(crate) fn place_of_the_store(&self) -> String {
        self.home.place_of_the_store()
    }

    /// Before a statement that stands alone: begins a transaction where there has to be one around it. [`leave`](Self::leave)
    /// comes after it.
    pub(crate) async fn enter(&mut self) -> Result<(), sqlx::Error> {
        if self.is_behind_pooler() {
            let (begin, at_work) = (self.begin_text(session::BEGIN).into_owned(), self.at_work());
            self.is_entered = true;
            answer(at_work.as_ref(), sqlx::raw_sql(AssertSqlSafe(begin)).execute(&mut **self)).await?;
        }
        Ok(())
    }

    /// Commits what [`enter`](Self::enter) has begun.
    pub(crate) async fn leave(&mut self) -> Result<(), sqlx::Error> {
        if self.is_behind_pooler() {
            let at_work = self.at_work();
            answer(at_work.as_ref(), sqlx::raw_sql("COMMIT").execute(&mut **self)).await?;
            self.is_entered = false;
        }
        Ok(())
    }

    /// From now on its statements wait so long for locks.
    pub(crate) async fn wait_for_locks(&mut self, time: Duration) -> Result<()> {
        let (patience, behind_pooler) = (self.home.acquire_timeout, self.is_behind_pooler());
        let Some(opened) = &mut self.opened else { return Ok(()) };
        if opened.lock_timeout != time && !behind_pooler {
            self.is_used = true;
            let set = sqlx::raw_sql(AssertSqlSafe(session::wait_for_locks(time)));
            answer_in_time(patience, set.execute(&mut opened.connection)).await?;
        }
        opened.lock_timeout = time;
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(opened) = self.opened.take() else { return };
        if opened.spent.load(Ordering::Relaxed) {
            close(opened.connection);
        } else if self.is_used {
            self.home.take_back(opened, self.place.take());
        } else {
            self.home.keep(opened, true);
        }
    }
}

impl Deref for Lease {
    type Target = PgConnection;

    #[allow(clippy::expect_used, reason = "only what consumes the lease takes its connection")]
    fn deref(&self) -> &PgConnection {
        &self.opened.as_ref().expect("a lease has its connection").connection
    }
}

impl DerefMut for Lease {
    #[allow(clippy::expect_used, reason = "only what consumes the lease takes its connection")]
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.is_used = true;
        &mut self.opened.as_mut().expect("a lease has its connection").connection
    }
}

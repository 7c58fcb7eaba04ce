//! Whether the server is still at work on what it was asked.
//!
//! A way to the server can die in silence: a cable, a virtual machine or a load balancer that has forgotten the connection. Then
//! there is neither an answer nor an error, for a quarter of an hour or for ever; sqlx 0.9.0 sets no keepalive. A limit on the
//! time would be no answer: an append may wait for a standby for as long as it takes. So whoever has waited for a while asks
//! the server, on another connection, what it is doing on this one. It does nothing while a statement is on its way to it, so what
//! is large has its time to arrive first.

use std::fmt;
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use event_sourcery::{Error, Result};
use futures_util::future::{Either, select};
use sqlx::{AssertSqlSafe, Row as _};
use tokio::time::timeout;
use uuid::Uuid;

use crate::connections::{Connections, answer_in_time, close};
use crate::session::own_functions_first;

/// How long an answer is waited for before the server is asked.
const A_WHILE: Duration = Duration::from_secs(5);

/// How long an answer takes at most that is on its way already: the end of a long one may have to come a long way.
const ON_ITS_WAY: Duration = Duration::from_secs(5);

/// Both, for what is short and urgent: see [`AtWork::in_haste`].
const IN_HASTE: Duration = Duration::from_secs(2);

/// So often in a row the server could not be reached.
const SILENT: u32 = 2;

/// How many bytes a second a slow way carries.
const A_SLOW_WAY: usize = 100_000;

/// Whether a process of the server's is at work. Its state is hidden from a role that is no member of the login's, and unknown
/// without `track_activities`; then its lock on its own transaction tells. Who is idle in a transaction has that too, but not for
/// longer than the limit on it.
const IS_AT_WORK: &str = "
    SELECT CASE WHEN coalesce(a.state, 'disabled') = 'disabled'
                THEN EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.locktype = 'virtualxid')
                ELSE a.state NOT LIKE 'idle%' END
    FROM pg_stat_activity a WHERE a.pid = ";

/// When the server was started, in microseconds. Only compared for equality: it tells one server from another.
pub(crate) const SERVER_STARTED: &str =
    "(extract(epoch FROM pg_catalog.pg_postmaster_start_time()) OPERATOR(pg_catalog.*) 1000000)::bigint";

/// A process of the server's.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Process {
    Numbered(Numbered),
    /// The one that has this mark.
    With(Mark),
}

/// A process by its number, which says something on the server that was started then only: the address may lead to another one by
/// now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbered {
    pub(crate) number: i32,
    pub(crate) started: i64,
}

/// Marks a process as long as its transaction is open: an advisory lock that nobody else has. So the process can be found by whoever
/// has chosen the mark, without an answer that tells its number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark(i64);

/// The server's process behind a connection.
#[derive(Debug, Clone)]
pub(crate) struct AtWork {
    home: Arc<Connections>,
    process: Process,
    /// Whether the connection is of no more use.
    spent: Arc<AtomicBool>,
    /// How long what is sent may take to arrive.
    sending: Duration,
    is_in_haste: bool,
}

/// What the server is doing.
enum Doing {
    Work,
    /// It waits for its next statement, or has gone.
    Nothing,
    /// It cannot be reached.
    Unknown,
}

impl Mark {
    pub(crate) fn new() -> Self {
        Self(Uuid::new_v4().as_u64_pair().0.cast_signed())
    }

    /// The statement that sets it.
    pub(crate) fn set(self) -> String {
        format!("SELECT pg_catalog.pg_try_advisory_xact_lock_shared({})", self.0)
    }
}

/// How SQL finds it.
impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numbered(Numbered { number, started }) => {
                write!(f, "{number} AND {SERVER_STARTED} = {started}")
            }
            Self::With(Mark(lock)) => write!(
                f,
                "(SELECT m.pid FROM pg_locks m WHERE m.locktype = 'advisory' AND m.objsubid = 1
                    AND m.classid::bigint << 32 | m.objid::bigint = {lock} LIMIT 1)"
            ),
        }
    }
}

impl AtWork {
    pub(crate) const fn new(home: Arc<Connections>, process: Process, spent: Arc<AtomicBool>) -> Self {
        Self { home, process, spent, sending: Duration::ZERO, is_in_haste: false }
    }

    /// What a transaction has to begin with in which its process is to be found, if that does not follow from the connection.
    pub(crate) fn sets_its_mark(&self) -> Option<String> {
        match self.process {
            Process::Numbered(_) => None,
            Process::With(mark) => Some(mark.set()),
        }
    }

    /// What is sent may take so long to arrive.
    pub(crate) fn sending(self, sending: Duration) -> Self {
        Self { sending, ..self }
    }

    /// What is said and answered is short, and others wait behind it: the server is asked soon.
    pub(crate) fn in_haste(self) -> Self {
        Self { is_in_haste: true, ..self }
    }

    fn patience(&self, otherwise: Duration) -> Duration {
        if self.is_in_haste { IN_HASTE } else { otherwise }
    }

    /// Where it is noted that the connection is of no more use.
    pub(crate) fn spent(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.spent)
    }

    /// Whether the connection is of no more use.
    pub(crate) fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Relaxed)
    }

    async fn doing(&self) -> Doing {
        match self.ask().await {
            Ok(true) => Doing::Work,
            Ok(false) => Doing::Nothing,
            Err(Error::Unavailable { source, .. }) if !is_refusal(&*source) => Doing::Unknown,
            // It has no connection left to ask on, say.
            Err(_) => Doing::Work,
        }
    }

    async fn ask(&self) -> Result<bool> {
        let mut connection = self.home.connect(Instant::now()).await?;
        // The first gives no row.
        let own_functions = own_functions_first(false);
        let is_at_work = format!("SELECT {own_functions} OFFSET 1; {IS_AT_WORK}{}", self.process);
        let is_at_work = sqlx::raw_sql(AssertSqlSafe(is_at_work)).fetch_optional(&mut connection);
        let row = answer_in_time(self.home.acquire_timeout, is_at_work).await;
        close(connection);
        Ok(row?.is_some_and(|row| row.try_get(0).unwrap_or(true)))
    }
}

/// How long so many bytes may take to arrive.
pub(crate) const fn time_to_send(bytes: usize) -> Duration {
    Duration::from_secs((bytes / A_SLOW_WAY) as u64)
}

/// Whether the server says so itself, and so can be reached.
fn is_refusal(source: &(dyn std::error::Error + 'static)) -> bool {
    source.downcast_ref::<sqlx::Error>().is_some_and(|error| error.as_database_error().is_some())
}

/// The answer to a statement, for which is waited as long as the server is at work on it. After an error of ours the connection
/// is spent.
pub(crate) async fn answer<T, E: From<sqlx::Error>>(
    at_work: Option<&AtWork>,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let Some(at_work) = at_work else { return answer.await };
    let (mut answer, mut silent) = (pin!(answer), 0);
    let mut patience = at_work.patience(A_WHILE).saturating_add(at_work.sending);
    loop {
        if let Ok(answered) = timeout(patience, &mut answer).await {
            return answered;
        }
        patience = at_work.patience(A_WHILE);
        match select(&mut answer, pin!(at_work.doing())).await {
            Either::Left((answered, _)) => return answered,
            Either::Right((Doing::Work, _)) => silent = 0,
            Either::Right((Doing::Unknown, _)) if silent + 1 < SILENT => silent += 1,
            Either::Right((Doing::Nothing | Doing::Unknown, _)) => break,
        }
    }
    timeout(at_work.patience(ON_ITS_WAY), answer).await.unwrap_or_else(|_| {
        at_work.spent.store(true, Ordering::Relaxed);
        Err(sqlx::Error::from(silence()).into())
    })
}

fn silence() -> std::io::Error {
    let problem = "the server is not at work on what it was asked, and its answer has not come: the way to it is broken";
    std::io::Error::new(ErrorKind::TimedOut, problem)
}

#[cfg(test)]
mod tests {
    use postgres_cluster::Server;
    use sqlx::{Connection as _, PgConnection};

    use super::*;
    use crate::options::PostgresOptions;

    /// As after a failover, where a process of the new server's has the number by chance.
    #[tokio::test]
    async fn a_process_that_has_the_number_on_another_server_is_not_at_work_for_us() {
        let database = Server::shared().create_database();
        let home = PostgresOptions::new(database.url()).connections().unwrap();
        let mut busy = PgConnection::connect(&database.url()).await.unwrap();
        let who = format!("SELECT pg_backend_pid(), {SERVER_STARTED}");
        let who = sqlx::raw_sql(AssertSqlSafe(who)).fetch_one(&mut busy).await.unwrap();
        let (number, started): (i32, i64) = (who.get(0), who.get(1));
        let sleeps = tokio::spawn(async move {
            let _ = sqlx::raw_sql("SELECT pg_sleep(600)").execute(&mut busy).await;
        });
        let is_at_work = async |started| {
            let process = Process::Numbered(Numbered { number, started });
            AtWork::new(Arc::clone(&home), process, Arc::default()).ask().await.unwrap()
        };
        timeout(Duration::from_secs(60), async { while !is_at_work(started).await {} }).await.unwrap();
        assert!(!is_at_work(started + 1).await);
        sleeps.abort();
    }
}

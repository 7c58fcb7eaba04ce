//! Whether the server is still at work on what it was asked.
//!
//! A way to the server can die in silence: a cable, a virtual machine or a load balancer that has forgotten the connection. Then
//! there is neither an answer nor an error, for a quarter of an hour or for ever; sqlx 0.9.0 sets no keepalive. A limit on the
//! time would be no answer: an append may wait for a standby for as long as it takes. So whoever has waited for a while asks
//! the server, on another connection, what it is doing on this one.

use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_sourcery::{Error, Result};
use sqlx::{AssertSqlSafe, Row as _};
use tokio::time::timeout;

use crate::connections::{Connections, answer_in_time, close};

/// How long an answer is waited for before the server is asked.
const A_WHILE: Duration = Duration::from_secs(5);

/// How long an answer takes at most that is on its way already.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// The server's process behind a connection of the store's own.
#[derive(Debug, Clone)]
pub(crate) struct AtWork {
    home: Arc<Connections>,
    process: i32,
}

impl AtWork {
    pub(crate) const fn new(home: Arc<Connections>, process: i32) -> Self {
        Self { home, process }
    }

    async fn goes_on(&self) -> bool {
        match self.ask().await {
            Ok(at_work) => at_work,
            Err(Error::Unavailable { .. }) => false,
            // It has no connection left to ask on, say: that is not silence.
            Err(_) => true,
        }
    }

    async fn ask(&self) -> Result<bool> {
        let mut connection = self.home.connect(Instant::now()).await?;
        let state = format!(
            "SELECT coalesce(state, '') NOT LIKE 'idle%' FROM pg_stat_activity WHERE pid = {}",
            self.process
        );
        let state = sqlx::raw_sql(AssertSqlSafe(state)).fetch_optional(&mut connection);
        let row = answer_in_time(self.home.acquire_timeout, state).await;
        close(connection);
        Ok(row?.is_some_and(|row| row.try_get(0).unwrap_or(true)))
    }
}

/// The answer to a statement, for which is waited as long as the server is at work on it. After an error of ours the connection
/// is of no more use.
pub(crate) async fn answer<T>(
    at_work: Option<&AtWork>,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let Some(at_work) = at_work else { return answer.await };
    let mut answer = pin!(answer);
    loop {
        if let Ok(answered) = timeout(A_WHILE, &mut answer).await {
            return answered;
        }
        tokio::select! {
            answered = &mut answer => return answered,
            goes_on = at_work.goes_on() => if goes_on { continue },
        }
        return timeout(ON_ITS_WAY, answer).await.unwrap_or_else(|_| Err(silence().into()));
    }
}

fn silence() -> std::io::Error {
    let problem = "the server is not at work on what it was asked, and its answer has not come: the way to it is broken";
    std::io::Error::new(ErrorKind::TimedOut, problem)
}

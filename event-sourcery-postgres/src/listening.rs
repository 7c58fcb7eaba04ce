//! Appends that somebody listens to: in a transaction, whoever's it is.
//!
//! The events are written under a savepoint, as in any transaction that is not the append's own. Those who listen are
//! called before it ends; so whatever fails, their statements and the events are taken back together, and the
//! transaction goes on. That the savepoint can be released shows that no listener has kept a failure to itself, and
//! that none has ended the transaction.

use std::time::{Duration, Instant};

use event_sourcery::backend::{
    AppendOutcome, AppendRequest, AsyncListener, Hearing, JoinedTransaction, ListenedTransaction, Written,
};
use event_sourcery::{AppendPosition, Error, Result};
use futures_util::future::BoxFuture;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::at_work::{AtWork, Mark, answer, time_to_send};
use crate::database::Database;
use crate::failure::{During, Failure, InTheWay};
use crate::places::Purpose;
use crate::transaction::OnConnection;

/// The most causes of an error that are looked at: whoever makes errors may make a circle of them.
const CAUSES: usize = 32;

/// How long a listener's statement waits at a time for somebody's lock, when it has been waited for a moment in vain.
/// Longer than the server takes to look for deadlocks: listeners take what they take in orders of their own.
const A_TURN: Duration = Duration::from_millis(1_500);

/// Those who listen, and how they are called.
pub(crate) type Listeners = event_sourcery::backend::Listeners<dyn AsyncListener<PgConnection>>;

impl Database {
    /// Appends in a transaction of its own. Its connection is one of those that handlers get: nobody knows what a
    /// listener leaves on it.
    pub(crate) async fn append_heard(
        &self,
        request: &AppendRequest,
        since: Instant,
    ) -> Result<AppendOutcome> {
        let mut patience = self.connections.patience(Purpose::Write, since);
        loop {
            let lock_timeout = patience.next_try(A_TURN).await?;
            let appended = self.append_in_transaction(request, lock_timeout).await;
            if let Some(appended) = patience.last_word(appended) {
                return appended;
            }
        }
    }

    async fn append_in_transaction(
        &self,
        request: &AppendRequest,
        lock_timeout: Duration,
    ) -> Result<AppendOutcome> {
        let (mark, sending) = (Mark::new(), time_to_send(request.weight()));
        let begin = self.connections.session.begin_heard(lock_timeout, sending);
        let begin = AssertSqlSafe(format!("{begin}; {}", mark.set()));
        let mut transaction = self.begin_handling(begin, mark).await?;
        let at_work = transaction.at_work();
        let appended = {
            let (connection, at_work) = (&mut **transaction, at_work.clone());
            OnConnection { connection, database: self, at_work, depth: 0 }.append(request).await
        };
        match appended {
            // A repeat is acknowledged behind a commit, too.
            Ok(outcome) => transaction.commit().await.map(|()| outcome),
            Err(error) => {
                let is_spent = at_work.as_ref().is_some_and(AtWork::is_spent);
                if !is_spent {
                    let rolled_back = async { Ok::<_, Failure>(transaction.rollback().await) };
                    // Where it fails, the server takes it back when the connection is gone.
                    let _ = answer(at_work.as_ref(), rolled_back).await;
                }
                Err(error)
            }
        }
    }
}

/// What a listener appends is polled inside the listener, and so on: the steps of an append are boxed, so that the stack holds none of
/// them but those that wait.
impl OnConnection<'_> {
    /// Appends, and calls those who listen.
    pub(crate) fn append_heard<'a>(
        &'a mut self,
        request: &'a AppendRequest,
        hearing: Hearing<'a, dyn AsyncListener<PgConnection>>,
    ) -> BoxFuture<'a, Result<AppendOutcome>> {
        Box::pin(async move {
            let outcome = self.append_unheard(request, true).await?;
            if let AppendOutcome::Written(written) = &outcome {
                let heard = match self.positions(&hearing, written).await {
                    Ok(positions) => self.tell(&hearing, written, &positions).await,
                    Err(error) => Err(error),
                };
                self.close(heard).await?;
            }
            Ok(outcome)
        })
    }

    /// Appends, and calls nobody: whoever does leaves the savepoint open, and closes it when they have heard.
    pub(crate) fn append_unheard<'a>(
        &'a mut self,
        request: &'a AppendRequest,
        leaves_open: bool,
    ) -> BoxFuture<'a, Result<AppendOutcome>> {
        Box::pin(async move {
            let database = self.database;
            loop {
                let given = database.settled.given()?;
                let mut operations = self.operations();
                operations.leaves_open = leaves_open;
                let appended = operations.append(request, given).await;
                if !database.was_given_elsewhere(&appended, given).await {
                    return appended;
                }
            }
        })
    }

    fn positions<'a>(
        &'a mut self,
        hearing: &Hearing<'_, dyn AsyncListener<PgConnection>>,
        written: &'a [Written],
    ) -> BoxFuture<'a, Result<Vec<AppendPosition>>> {
        let ids: Vec<_> = hearing.event_ids().collect();
        Box::pin(async move { self.operations().positions(&ids, written).await })
    }

    fn close(&mut self, heard: Result<()>) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.operations().close(heard).await })
    }

    /// Their statements run on the connection, too: an answer that does not come is not waited for.
    async fn tell(
        &mut self,
        hearing: &Hearing<'_, dyn AsyncListener<PgConnection>>,
        written: &[Written],
        positions: &[AppendPosition],
    ) -> Result<()> {
        let (at_work, began) = (self.at_work.clone(), Instant::now());
        let mut transaction = self.deeper();
        let heard = async { Ok::<_, Failure>(hearing.call(written, positions, &mut transaction).await) };
        match answer(at_work.as_ref(), heard).await {
            Ok(heard) => heard.map_err(|error| in_the_way(error, began.elapsed())),
            Err(failure) => Err(failure.into_error(During::NothingKept, began.elapsed())),
        }
    }

    /// The same, as those have it who listen to what is appended in it.
    fn deeper(&mut self) -> OnConnection<'_> {
        OnConnection { depth: self.depth + 1, ..self.again() }
    }

    fn again(&mut self) -> OnConnection<'_> {
        let (database, at_work, depth) = (self.database, self.at_work.clone(), self.depth);
        OnConnection { connection: &mut *self.connection, database, at_work, depth }
    }
}

impl ListenedTransaction<PgConnection> for OnConnection<'_> {
    fn connection(&mut self) -> &mut PgConnection {
        self.connection
    }

    fn join(&mut self) -> Box<dyn JoinedTransaction + '_> {
        Box::new(self.again())
    }
}

/// Where others were in the way of a listener's statement, that is told as of the store's own: so it is waited for, or
/// made again, as those are.
fn in_the_way(error: Error, waited: Duration) -> Error {
    let Error::ListenerFailed { source, .. } = &error else { return error };
    let first: &(dyn std::error::Error + 'static) = &**source;
    let mut causes = std::iter::successors(Some(first), |cause| cause.source()).take(CAUSES);
    match causes.find_map(found_in) {
        Some(InTheWay::ALock) => Error::busy(waited),
        Some(InTheWay::ARace) => Error::serialization_failure(error),
        None => error,
    }
}

fn found_in(cause: &(dyn std::error::Error + 'static)) -> Option<InTheWay> {
    match cause.downcast_ref::<Error>() {
        Some(Error::Busy { .. }) => return Some(InTheWay::ALock),
        Some(Error::SerializationFailure { .. }) => return Some(InTheWay::ARace),
        _ => {}
    }
    let reported = cause.downcast_ref::<sqlx::Error>()?.as_database_error()?;
    InTheWay::of(&reported.code()?)
}

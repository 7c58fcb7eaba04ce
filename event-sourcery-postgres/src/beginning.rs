//! Transactions that are handed to callers, begun so that nothing is left behind.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use event_sourcery::Result;
use futures_util::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres, SqlSafeStr, Transaction};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::at_work::{AtWork, answer};
use crate::failure::{During, Failure};
use crate::pools::acquire;

type Begun = Result<Transaction<'static, Postgres>, sqlx::Error>;

/// How long it is waited for what was given up half-way: the way to the server may have died in silence.
const AFTERWARDS: Duration = Duration::from_secs(5);

/// Begins a transaction with this statement, on a connection of this pool.
pub(crate) async fn begin_on(
    pool: &PgPool,
    statement: impl SqlSafeStr,
    at_work: Option<&AtWork>,
) -> Result<Transaction<'static, Postgres>> {
    let connection = acquire(pool).await?;
    let since = Instant::now();
    answer(at_work, Beginning::of(connection, statement))
        .await
        .map_err(|error| Failure::from(error).into_error(During::NothingKept, since.elapsed()))
}

/// A transaction that is being begun. Given up half-way, it is begun all the same, in a task, and then taken back: sqlx
/// knows of a transaction only once the answer has come, and would give the connection back with the transaction open.
struct Beginning {
    begun: Option<BoxFuture<'static, Begun>>,
    runtime: Handle,
}

impl Beginning {
    fn of(connection: PoolConnection<Postgres>, statement: impl SqlSafeStr) -> Self {
        let begun = Transaction::begin(connection, Some(statement.into_sql_str()));
        Self { begun: Some(begun), runtime: Handle::current() }
    }
}

impl Future for Beginning {
    type Output = Begun;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Begun> {
        let Some(begun) = &mut self.begun else { return Poll::Pending };
        let answer = std::task::ready!(begun.as_mut().poll(context));
        self.begun = None;
        Poll::Ready(answer)
    }
}

impl Drop for Beginning {
    fn drop(&mut self) {
        if let Some(begun) = self.begun.take() {
            self.runtime.spawn(async move { drop(timeout(AFTERWARDS, begun).await) });
        }
    }
}

//! Transactions that the caller holds.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use event_sourcery::Result;
use event_sourcery::backend::{AsyncListener, Filter, JoinableBackend, JoinedTransaction, Listening};
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Transaction};
use tokio::time::timeout;

use super::PostgresBackend;
use crate::at_work::Mark;
use crate::session::own_functions_first;
use crate::subscription_sql::MARK_HANDLING;
use crate::transaction::{OnConnection, PostgresTransaction};

#[async_trait]
impl JoinableBackend for PostgresBackend {
    type Transaction<'t> = Transaction<'t, Postgres>;

    type Handling = PostgresTransaction<'static>;

    type Connection = PgConnection;

    /// On a connection that only handlers get. All statements go to the server together. Zero would mean for ever there.
    async fn begin_handling(
        &self,
        idle: Duration,
        statement: Option<Duration>,
    ) -> Result<PostgresTransaction<'static>> {
        let milliseconds = |time: Duration| i32::try_from(time.as_millis()).unwrap_or(i32::MAX).max(1);
        let (idle, mark) = (milliseconds(idle), Mark::new());
        let mut begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = {idle}; {MARK_HANDLING}; {}, {}",
            mark.set(),
            own_functions_first(true)
        );
        if let Some(statement) = statement.map(milliseconds) {
            begin.push_str(&format!("; SET LOCAL statement_timeout = {statement}"));
        }
        self.database.begin_handling(AssertSqlSafe(begin), mark).await
    }

    async fn commit(&self, handling: PostgresTransaction<'static>) -> Result<()> {
        handling.commit().await
    }

    /// Where its way has died, or what is under way takes too long, its connection goes back to the pool as it is, and is set right there.
    async fn roll_back(&self, handling: PostgresTransaction<'static>) {
        if handling.at_work().is_some_and(|at_work| at_work.is_spent()) {
            return;
        }
        let patience = self.database.connections.acquire_timeout;
        if !matches!(timeout(patience, handling.rollback()).await, Ok(Ok(()))) {
            tracing::debug!(
                "a transaction was not taken back in time: what it holds is free when it is over"
            );
        }
    }

    fn join_handling<'a>(
        &'a self,
        handling: &'a mut PostgresTransaction<'static>,
    ) -> Box<dyn JoinedTransaction + 'a> {
        let at_work = handling.at_work();
        Box::new(OnConnection { connection: handling, database: &self.database, at_work, depth: 0 })
    }

    fn connection<'a>(transaction: &'a mut Transaction<'_, Postgres>) -> &'a mut PgConnection {
        &mut *transaction
    }

    fn join<'a>(&'a self, transaction: &'a mut Transaction<'_, Postgres>) -> Box<dyn JoinedTransaction + 'a> {
        let connection = &mut *transaction;
        Box::new(OnConnection { connection, database: &self.database, at_work: None, depth: 0 })
    }

    fn listen(
        &self,
        interest: Vec<Filter>,
        listener: Arc<dyn AsyncListener<PgConnection>>,
    ) -> Result<Listening> {
        Ok(self.database.listeners.add(interest, listener))
    }
}

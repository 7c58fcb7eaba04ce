//! Entries of the outbox, held while they are published.
//!
//! Our own workers heed leases. A worker of Event Sourcery for Python heeds the locks on the rows (`FOR UPDATE SKIP LOCKED`) and
//! nothing else. So the rows are locked for as long as a batch is being published: he passes over them, and we over his. The
//! transaction takes no lock that appends or readers wait for. When its process dies, or is held up for longer than its lease, it is
//! over, and so are the locks; the progress is written all the same then, as far as the leases hold.

use async_trait::async_trait;
use event_sourcery::Result;
use event_sourcery::backend::{HeldEntries, Hold, HoldRequest, JoinableBackend as _, ProgressRequest};

use crate::backend::PostgresBackend;
use crate::operations::Operations;
use crate::transaction::PostgresTransaction;

/// Locks on rows, for as long as their transaction is open.
struct RowLocks {
    backend: PostgresBackend,
    transaction: PostgresTransaction<'static>,
}

impl PostgresBackend {
    pub(crate) async fn hold(&self, request: &HoldRequest) -> Result<HeldEntries> {
        let mut transaction = self.begin_handling(request.idle, None).await?;
        let at_work = transaction.at_work();
        let held = {
            let mut operations = Operations::handling(&mut transaction, &self.database.sql, at_work);
            operations.hold_entries(&request.positions).await?
        };
        if held.free.is_empty() {
            return Ok(held);
        }
        Ok(held.with_hold(Box::new(RowLocks { backend: self.clone(), transaction })))
    }
}

#[async_trait]
impl Hold for RowLocks {
    async fn keep(self: Box<Self>, progress: &ProgressRequest) -> Result<()> {
        let Self { backend, mut transaction } = *self;
        let written = backend.join_handling(&mut transaction).progress(progress).await;
        if let Err(error) = written {
            backend.roll_back(transaction).await;
            return Err(error);
        }
        backend.commit(transaction).await
    }

    async fn release(self: Box<Self>) {
        let Self { backend, transaction } = *self;
        backend.roll_back(transaction).await;
    }
}

//! Work that a call waits for, and does not drive.

use std::future::Future;
use std::panic::resume_unwind;

use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::error::{Error, Result};

/// Drives work in a task of its own, for as long as somebody waits for it. Outside of a runtime it is driven here.
///
/// Whoever waits may be polled no more, though he is still there: a connection, or a place in the queue for one, is not held for that
/// long.
///
/// # Errors
///
/// Those of the work, and [`Error::Closed`] where the runtime ends before it.
pub async fn in_a_task<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    if Handle::try_current().is_err() {
        return work.await;
    }
    let mut task = JoinSet::new();
    task.spawn(work);
    match task.join_next().await {
        Some(Ok(done)) => done,
        Some(Err(stopped)) if stopped.is_panic() => resume_unwind(stopped.into_panic()),
        _ => Err(Error::Closed),
    }
}

//! Calls that are made again until somebody answers.

use std::time::{Duration, Instant};

use event_sourcery::{Error, Result};
use tokio::time::sleep;

/// Longer than the servers take to agree on who leads, and no longer than a client waits.
const PATIENCE: Duration = Duration::from_secs(20);

const PAUSE: Duration = Duration::from_millis(50);

/// Calls again where the servers are away, or have not answered: what appends has to have the ids of its events by then.
pub(crate) async fn again<T, F>(call: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let began = Instant::now();
    loop {
        match call().await {
            Err(error) if may_pass(&error) && began.elapsed() < PATIENCE => sleep(PAUSE).await,
            told => return told,
        }
    }
}

fn may_pass(error: &Error) -> bool {
    error.is_retryable() || matches!(error, Error::OutcomeUnknown { .. })
}

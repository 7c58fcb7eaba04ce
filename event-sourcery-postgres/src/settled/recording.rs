//! Putting the settled position on record before it is handed out, so that a reader that is started again does not wait, for
//! old events, on a transaction that happens to be open; and so that nothing that was handed out can be drawn again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OwnedMutexGuard;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::tracker::Found;
use crate::lease::Lease;
use crate::operations::Operations;
use crate::sql::Sql;

/// How long a caller waits until what is settled above all events is on record. The commit may wait for a standby that is
/// away.
const PATIENCE: Duration = Duration::from_millis(500);

/// How often a position below the newest event is put on record, where it need not be at once.
const NOW_AND_THEN: Duration = Duration::from_millis(100);

/// When a position below the newest event is put on record. It is there to spare others a wait, and an event's own commit has made
/// sure of it: so whoever looks again soon, because he waits, need not do so each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Record {
    Now,
    NowAndThen,
}

/// The record, as far as a runtime of this process writes it: it waits for no other runtime's to be written.
#[derive(Debug, Default)]
pub(super) struct Recording {
    /// What takes long goes on by itself; meanwhile no other is begun.
    under_way: Option<JoinHandle<bool>>,
}

/// When a position below the newest event was last put on record, on whatever runtime.
#[derive(Debug, Default)]
pub(super) struct Recorded(Mutex<Option<Instant>>);

impl Recorded {
    /// Whether it is time to put one on record. Whoever asks does so then.
    pub(super) fn is_time(&self, record: Record) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = record == Record::Now || last.is_none_or(|last| last.elapsed() >= NOW_AND_THEN);
        if is_time {
            *last = Some(Instant::now());
        }
        is_time
    }
}

impl Recording {
    /// How far what was found can be handed out: what is above the newest event only once it is on record, in a commit that
    /// waits for the disk and the standbys. Below, the events' own commits have. A role that may only read does without.
    pub(super) async fn keep(
        turn: &mut OwnedMutexGuard<Self>,
        mut connection: Lease,
        sql: &Arc<Sql>,
        found: &Found,
        is_time: impl FnOnce() -> bool,
    ) -> i64 {
        let Found { settled, visible, recorded, .. } = *found;
        // Above the newest event of the last look, no more is sure than what that look began with.
        let settled = if settled > visible { settled.min(visible.max(found.looked_from)) } else { settled };
        if settled <= recorded {
            connection.keep();
            return settled;
        }
        if settled <= visible {
            if !is_time() {
                connection.keep();
                return settled;
            }
            let recorded = record(&mut connection, sql, settled, "off").await;
            connection.end(recorded.is_some());
            return settled;
        }
        if Self::is_kept(turn, connection, sql, settled).await {
            settled
        } else {
            settled.min(visible.max(recorded))
        }
    }

    /// Whether a position above all events is on record, after a moment.
    async fn is_kept(
        turn: &mut OwnedMutexGuard<Self>,
        mut connection: Lease,
        sql: &Arc<Sql>,
        settled: i64,
    ) -> bool {
        if turn.under_way.as_ref().is_none_or(JoinHandle::is_finished) && connection.may_wait() {
            // The runtime's, until it is done: nobody else may have it meanwhile.
            let (sql, own) = (Arc::clone(sql), Arc::clone(OwnedMutexGuard::mutex(turn)));
            turn.under_way = Some(tokio::spawn(async move {
                let recorded = record(&mut connection, &sql, settled, "on").await;
                connection.end(recorded.is_some());
                drop(own);
                recorded == Some(true)
            }));
        } else {
            connection.keep();
            return false;
        }
        let Some(under_way) = &mut turn.under_way else { return false };
        matches!(timeout(PATIENCE, under_way).await, Ok(Ok(true)))
    }
}

/// Whether it was put on record, unless that failed. Where somebody else writes the record, it is not.
async fn record(connection: &mut Lease, sql: &Sql, settled: i64, synchronous_commit: &str) -> Option<bool> {
    let query = sql.settled.record.query().bind(settled).bind(synchronous_commit);
    let recorded = Operations::alone(connection, sql).execute(query).await;
    recorded
        .inspect_err(|problem| {
            tracing::debug!(
                settled,
                problem = problem.message(),
                "the settled position was not put on record"
            )
        })
        .map(|recorded| recorded > 0)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_looks_again_and_again_puts_it_on_record_now_and_then_and_whoever_looks_once_does_at_once() {
        let recorded = Recorded::default();
        assert!(recorded.is_time(Record::NowAndThen));
        assert!(!recorded.is_time(Record::NowAndThen));
        assert!(recorded.is_time(Record::Now));
        std::thread::sleep(NOW_AND_THEN);
        assert!(recorded.is_time(Record::NowAndThen));
    }
}

//! Commands on one aggregate take turns within a process: otherwise all but one of those that run at once meet a conflict, and
//! run again for nothing.
//!
//! Turns spare work, and that is all: what keeps commands apart is the expected version. So whoever waits in a queue that does
//! not move goes on without a turn. The command that has it may be one that nobody polls any more.
//!
//! There are no turns in transactions, which may hold what the others wait for.

use std::collections::HashMap;
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

use crate::stream_id::{StreamId, TenantId};

/// The longest wait in a queue that does not move.
const PATIENCE: Duration = Duration::from_secs(1);

type Place = (TenantId, StreamId);

/// The aggregates on which commands are running, each with those who wait.
#[derive(Default)]
pub(crate) struct Turns(Mutex<HashMap<Place, Arc<Queue>>>);

/// Those who wait for their turn on one aggregate.
#[derive(Default)]
struct Queue {
    turn: Arc<tokio::sync::Mutex<()>>,
    /// How many turns have begun.
    begun: AtomicU64,
}

/// A command's place in the queue, and its turn once it has it.
pub(super) struct Turn<'t> {
    turns: &'t Turns,
    place: Place,
    /// There until it is dropped.
    queue: Option<Arc<Queue>>,
    has: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits for the turn of a command on this stream. Without a runtime there is nothing to wait with.
    pub(super) async fn take(&self, tenant: &TenantId, stream: &StreamId) -> Turn<'_> {
        let place = (tenant.clone(), stream.clone());
        let queue = Arc::clone(self.queues().entry(place.clone()).or_default());
        let mut turn = Turn { turns: self, place, queue: Some(Arc::clone(&queue)), has: None };
        turn.has = queue.wait().await;
        turn
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<Place, Arc<Queue>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    async fn wait(&self) -> Option<OwnedMutexGuard<()>> {
        let has = match Arc::clone(&self.turn).try_lock_owned() {
            Err(_) if Handle::try_current().is_ok() => self.wait_while_it_moves().await,
            has => has.ok(),
        };
        self.begun.fetch_add(u64::from(has.is_some()), Ordering::Relaxed);
        has
    }

    async fn wait_while_it_moves(&self) -> Option<OwnedMutexGuard<()>> {
        let mut turn = pin!(Arc::clone(&self.turn).lock_owned());
        loop {
            let begun = self.begun.load(Ordering::Relaxed);
            match timeout(PATIENCE, turn.as_mut()).await {
                Ok(has) => return Some(has),
                Err(_) if self.begun.load(Ordering::Relaxed) == begun => return None,
                Err(_) => {}
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.has = None;
        let mut queues = self.turns.queues();
        self.queue = None;
        // The map's alone: nobody is in the queue, and nobody joins it without the map.
        if queues.get(&self.place).is_some_and(|queue| Arc::strong_count(queue) == 1) {
            queues.remove(&self.place);
        }
    }
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").field("aggregates", &self.queues().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Instant;

    use futures_util::FutureExt as _;

    use super::*;

    fn stream() -> StreamId {
        StreamId::from_name("tallies/1").unwrap()
    }

    #[tokio::test]
    async fn the_next_one_waits_and_others_do_not() {
        let (turns, stream) = (Turns::default(), stream());
        let first = turns.take(&TenantId::DEFAULT, &stream).await;
        let mut next = pin!(turns.take(&TenantId::DEFAULT, &stream));
        assert!(next.as_mut().now_or_never().is_none());
        let elsewhere = stream.clone().in_category("tallies").unwrap();
        assert!(turns.take(&TenantId::DEFAULT, &elsewhere).now_or_never().unwrap().has.is_some());
        drop(first);
        assert!(next.await.has.is_some());
        assert!(turns.queues().is_empty());
    }

    #[tokio::test]
    async fn who_gives_up_leaves_nothing() {
        let turns = Turns::default();
        let first = turns.take(&TenantId::DEFAULT, &stream()).await;
        assert!(turns.take(&TenantId::DEFAULT, &stream()).now_or_never().is_none());
        drop(first);
        assert!(turns.queues().is_empty());
    }

    /// The patience is for a queue that does not move, however long it is.
    #[tokio::test]
    async fn a_queue_that_moves_is_waited_in() {
        let turns = Arc::new(Turns::default());
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let turns = Arc::clone(&turns);
            tasks.spawn(async move {
                let turn = turns.take(&TenantId::DEFAULT, &stream()).await;
                tokio::time::sleep(PATIENCE * 2 / 5).await;
                turn.has.is_some()
            });
        }
        assert_eq!(tasks.join_all().await, [true; 4]);
        assert!(turns.queues().is_empty());
    }

    /// The last two that are in the queue may leave it at once.
    #[test]
    fn whoever_leaves_last_removes_the_queue() {
        let turns = Turns::default();
        std::thread::scope(|threads| {
            for _ in 0..2 {
                threads.spawn(|| {
                    for number in 0..20_000 {
                        let stream = StreamId::from_uuid(uuid::Uuid::from_u128(number));
                        drop(turns.take(&TenantId::DEFAULT, &stream).now_or_never());
                    }
                });
            }
        });
        assert!(turns.queues().is_empty());
    }

    /// As when a command is dropped into a `select!` that goes on to another one, on the same aggregate.
    #[tokio::test]
    async fn a_turn_that_does_not_end_is_waited_for_no_longer_than_it_is_worth() {
        let (turns, begun) = (Turns::default(), Instant::now());
        let _first = turns.take(&TenantId::DEFAULT, &stream()).await;
        assert!(turns.take(&TenantId::DEFAULT, &stream()).await.has.is_none());
        assert!(begun.elapsed() >= PATIENCE);
    }

    #[test]
    fn without_a_runtime_nobody_waits() {
        let turns = Turns::default();
        let first = turns.take(&TenantId::DEFAULT, &stream()).now_or_never().unwrap();
        assert!(turns.take(&TenantId::DEFAULT, &stream()).now_or_never().unwrap().has.is_none());
        drop(first);
        assert!(turns.queues().is_empty());
    }
}

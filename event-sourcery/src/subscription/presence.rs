//! The members of a store's durable subscriptions in this process: what they ask the store for, they ask for together.
//!
//! Each speaks for itself, and only while it is driven: one that hangs is not heard of any more, and its leases end. But all renew
//! their leases at the same times ([`Beat`]), and what is asked for within a moment goes to the store in one call. So five hundred
//! subscriptions that have nothing to do cost as many calls as one. Where that call fails, each is made by itself: whoever is
//! the reason holds up no other.
//!
//! What the members on a runtime ask for together is done in the order in which they ask. So whoever leaves does so behind his
//! last renewal, whether he has waited for that or not.

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::beat::Beat;
use crate::backend::{Backend, SubscriptionChange, SubscriptionId, SubscriptionRecord};
use crate::error::Result;

/// How long is waited for others to ask, too.
const GATHER: Duration = Duration::from_millis(4);

/// How many changes are made by one call at most.
const MOST: usize = 1_024;

type Changed = Result<Option<SubscriptionRecord>>;

/// The members of a store's durable subscriptions in this process.
pub(crate) struct Presence {
    beat: Beat,
    /// What is asked for, by the runtime of those who ask: nobody may drive another one. Where there is a queue, a task is at it.
    queues: Mutex<HashMap<runtime::Id, VecDeque<Asked>>>,
}

struct Asked {
    id: SubscriptionId,
    change: SubscriptionChange,
    answer: oneshot::Sender<Changed>,
}

impl Default for Presence {
    fn default() -> Self {
        Self { beat: Beat::from_now(), queues: Mutex::default() }
    }
}

impl Presence {
    /// When leases are renewed that were asked for then: three times before they end, and all of one length at the same times.
    pub(super) fn renew_at(&self, asked: Instant, lease: Duration) -> Instant {
        self.beat.next_after(asked, lease / 3)
    }

    /// Changes a subscription, together with what others ask for. Dropping the future takes back what was not begun.
    pub(super) async fn change(
        self: &Arc<Self>,
        backend: &Arc<dyn Backend>,
        id: &SubscriptionId,
        change: SubscriptionChange,
    ) -> Changed {
        if let Ok(runtime) = Handle::try_current() {
            let (answer, answered) = oneshot::channel();
            let asked = Asked { id: id.clone(), change: change.clone(), answer };
            if self.ask(runtime.id(), asked) {
                let asking = Asking { presence: Arc::clone(self), runtime: runtime.id(), is_over: false };
                runtime.spawn(asking.go_on(Arc::clone(backend)));
            }
            if let Ok(changed) = answered.await {
                return changed;
            }
        }
        // The task has ended half-way, with its runtime or by a panic.
        backend.change_subscription(id.clone(), change).await
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<runtime::Id, VecDeque<Asked>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody is at it.
    fn ask(&self, runtime: runtime::Id, asked: Asked) -> bool {
        let mut queues = self.queues();
        let is_first = !queues.contains_key(&runtime);
        queues.entry(runtime).or_default().push_back(asked);
        is_first
    }

    /// What can be done together: one change of each subscription, of those that somebody waits for.
    fn take(&self, runtime: runtime::Id) -> Vec<Asked> {
        let (mut ids, mut together, mut left) = (HashSet::new(), Vec::new(), VecDeque::new());
        let mut queues = self.queues();
        let Some(queue) = queues.get_mut(&runtime) else { return together };
        for asked in queue.drain(..).filter(|asked| !asked.answer.is_closed()) {
            if together.len() < MOST && ids.insert(asked.id.clone()) {
                together.push(asked);
            } else {
                left.push_back(asked);
            }
        }
        *queue = left;
        together
    }
}

/// The task that is at it. However it ends, another one can take its place, and those who wait for it are told.
struct Asking {
    presence: Arc<Presence>,
    runtime: runtime::Id,
    /// Whether nothing was left to be done.
    is_over: bool,
}

impl Asking {
    async fn go_on(mut self, backend: Arc<dyn Backend>) {
        while !self.is_over {
            sleep(GATHER).await;
            ask(&backend, self.presence.take(self.runtime)).await;
            let mut queues = self.presence.queues();
            if queues.get(&self.runtime).is_none_or(VecDeque::is_empty) {
                queues.remove(&self.runtime);
                self.is_over = true;
            }
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if !self.is_over {
            self.presence.queues().remove(&self.runtime);
        }
    }
}

/// Asks the store for all of it in one call, or else for each by itself. That may wait for others, so nobody waits for it here.
async fn ask(backend: &Arc<dyn Backend>, together: Vec<Asked>) {
    if together.len() > 1 {
        let changes = together.iter().map(|asked| (asked.id.clone(), asked.change.clone())).collect();
        match backend.change_subscriptions(changes).await {
            Ok(records) if records.len() == together.len() => {
                for (asked, record) in together.into_iter().zip(records) {
                    let _ = asked.answer.send(Ok(record));
                }
                return;
            }
            Ok(records) => tracing::warn!(
                backend = backend.name(),
                asked = together.len(),
                answered = records.len(),
                "a backend has not answered for each subscription"
            ),
            Err(error) => tracing::debug!(
                error = error.in_full(),
                "subscriptions were not changed together, and are one by one"
            ),
        }
    }
    for asked in together {
        tokio::spawn(ask_alone(Arc::clone(backend), asked));
    }
}

async fn ask_alone(backend: Arc<dyn Backend>, asked: Asked) {
    let Asked { id, change, mut answer } = asked;
    let changed = match select(backend.change_subscription(id, change), pin!(answer.closed())).await {
        Either::Left((changed, _)) => changed,
        Either::Right(_) => return,
    };
    let _ = answer.send(changed);
}

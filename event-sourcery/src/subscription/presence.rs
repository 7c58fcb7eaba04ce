//! The members of a store's durable subscriptions in this process: what they ask the store for, they ask for together.
//!
//! Each speaks for itself, and only while it is driven: one that hangs is not heard of any more, and its leases end. But all renew
//! their leases at the same times ([`Beat`]), and what is asked for within a moment goes to the store in one call. Who has nothing to
//! ask for but that his leases go on shows himself here alone, and the [presence](PresenceRecord) of his runtime is renewed for all
//! who have: so five hundred subscriptions that have nothing to do cost what one costs. Who shows himself no more for as long as his
//! leases last is taken out of his subscription (`members.rs`), for the presence would vouch for him for ever. Where a call
//! fails, each is made by itself: whoever is the reason holds up no other.
//!
//! What the members on a runtime ask for together is done in the order in which they ask. So whoever leaves does so behind his
//! last renewal, whether he has waited for that or not.
//!
//! Who comes late takes the last renewal, where that *began* when he was due already ([`Presence::serves`]): where the machine is busy most
//! of five hundred come late, and each would cause another one. A renewal says that the presence was renewed at this time by the store's
//! clock, and for whom it vouches, whoever has shown himself by then: the leases of all of those end as long as they last behind that
//! time. He counts from when it began, which is before it. So he takes his leases to end no later than the store does, and is due again
//! when those are who have waited for it.
//!
//! - The subscription is changed between the renewal and him: he learns of it at his next one, as those do who were not late.
//! - His process was stopped meanwhile, for longer than his leases last: by what he would take he is due again. So it does not serve him.
//! - It does not list him, because something that he had asked for was done after it, or somebody has changed the subscription; or it
//!   failed, or the row is lost: it does not serve him.
//! - He was silent for so long that he was taken out: he asks for himself (`members.rs`).

mod members;
#[cfg(test)]
#[cfg(feature = "testing")]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use jiff::Timestamp;
use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

pub(super) use self::members::Last;
use self::members::Members;
use super::beat::Beat;
use crate::backend::{Backend, PresenceRecord, SubscriptionChange, SubscriptionId, SubscriptionRecord};
use crate::error::Result;

/// How long is waited for others to ask, too.
const GATHER: Duration = Duration::from_millis(4);

/// How long a member that is silent may still show itself, at most: its whole process may have been stopped until now.
const A_MOMENT: Duration = Duration::from_secs(1);

/// How many changes are made by one call at most.
const MOST: usize = 1_024;

type Changed = Result<Option<SubscriptionRecord>>;

/// What the store says when a presence is renewed; `None` where everybody has to ask for himself.
type Shown = Option<Arc<Renewed>>;

/// The members of a store's durable subscriptions in this process.
pub(crate) struct Presence {
    pub(super) beat: Beat,
    /// What is asked for, by the runtime of those who ask: nobody may drive another one. Where there is a queue, a task is at it.
    queues: Mutex<HashMap<runtime::Id, Queue>>,
    /// Who runs where.
    members: Mutex<HashMap<runtime::Id, Members>>,
}

#[derive(Default)]
struct Queue {
    changes: VecDeque<Asked>,
    /// Those who show themselves.
    shows: Vec<Showing>,
}

/// A member that shows itself, and for how long its leases last.
struct Showing {
    member: Uuid,
    lease: Duration,
    answer: oneshot::Sender<Shown>,
}

struct Asked {
    id: SubscriptionId,
    change: SubscriptionChange,
    answer: oneshot::Sender<Changed>,
    /// It is there until the store has answered.
    under_way: Arc<()>,
}

/// A presence that was renewed.
pub(super) struct Renewed {
    /// When the store was asked to: whoever it vouches for counts as though he had asked then.
    pub(super) began: Instant,
    /// When it had answered.
    pub(super) told: Instant,
    /// The store's clock in between.
    pub(super) clock: Timestamp,
    /// When each presence was renewed last.
    pub(super) presences: HashMap<i64, Timestamp>,
    vouches_for: HashSet<Uuid>,
}

impl Default for Presence {
    fn default() -> Self {
        Self { beat: Beat::from_now(), queues: Mutex::default(), members: Mutex::default() }
    }
}

impl Presence {
    /// When leases are renewed that were asked for then: three times before they end, and all of one length at the same times.
    pub(super) fn renew_at(&self, asked: Instant, lease: Duration) -> Instant {
        self.beat.next_after(asked, lease / 3)
    }

    /// The number of the presence that speaks for the members on this runtime, where the backend keeps presences. From here on, this
    /// member asks for itself before its leases end, or is taken out.
    pub(super) fn speaks_for(&self, backend: &dyn Backend, member: Uuid, last: Last) -> Option<i64> {
        if !backend.capabilities().presences {
            return None;
        }
        let runtime = Handle::try_current().ok()?.id();
        let mut members = self.members();
        members.retain(|on, others| *on == runtime || others.leave_to_another(member));
        Some(members.entry(runtime).or_default().ask(member, last))
    }

    /// Whether the presence vouches for a member, as far as is known.
    pub(super) fn vouches_for(&self, member: Uuid, is_vouched_for: bool) {
        if let Ok(runtime) = Handle::try_current()
            && let Some(members) = self.members().get_mut(&runtime.id())
        {
            members.vouch(member, is_vouched_for);
        }
    }

    /// A member shows that it is still there, and has nothing else to ask for. What the store says then, if the presence of
    /// its runtime vouches for it; `None` where it has to ask for itself.
    pub(super) async fn show(self: &Arc<Self>, backend: &Arc<dyn Backend>, member: Uuid) -> Shown {
        let runtime = Handle::try_current().ok()?;
        let lease = self.members().get_mut(&runtime.id())?.show(member, Instant::now())?;
        if let Some(renewed) = self.serves(runtime.id(), member, lease) {
            return Some(renewed);
        }
        let (answer, answered) = oneshot::channel();
        self.ask(&runtime, backend, |queue| queue.shows.push(Showing { member, lease, answer }));
        answered.await.ok().flatten().filter(|renewed| renewed.vouches_for.contains(&member))
    }

    /// The last renewal of a runtime's presence, if it serves a member that comes late: it vouches for that one, which would not be due
    /// again by now, had it asked when the renewal began.
    fn serves(&self, runtime: runtime::Id, member: Uuid, lease: Duration) -> Shown {
        let renewed = self.members().get(&runtime)?.renewed.clone()?;
        let is_due_again = self.renew_at(renewed.began, lease) <= Instant::now();
        (!is_due_again && renewed.vouches_for.contains(&member)).then_some(renewed)
    }

    /// Changes a subscription, together with what others ask for. Dropping the future takes back what was not begun.
    pub(super) async fn change(
        self: &Arc<Self>,
        backend: &Arc<dyn Backend>,
        id: &SubscriptionId,
        change: SubscriptionChange,
    ) -> Changed {
        if let Ok(runtime) = Handle::try_current() {
            let ((answer, answered), under_way) = (oneshot::channel(), Arc::new(()));
            if let SubscriptionChange::Renew(request) = &change
                && let Some(members) = self.members().get_mut(&runtime.id())
            {
                members.waits(request.member, Arc::downgrade(&under_way));
            }
            let asked = Asked { id: id.clone(), change: change.clone(), answer, under_way };
            self.ask(&runtime, backend, |queue| queue.changes.push_back(asked));
            if let Ok(changed) = answered.await {
                if let (Ok(_), SubscriptionChange::Leave { member, .. }) = (&changed, &change)
                    && let Some(members) = self.members().get_mut(&runtime.id())
                {
                    members.leaves(*member, Instant::now());
                }
                return changed;
            }
        }
        // The task has ended half-way, with its runtime or by a panic.
        backend.change_subscription(id.clone(), change).await
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<runtime::Id, Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn members(&self) -> MutexGuard<'_, HashMap<runtime::Id, Members>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something into the queue, and starts the task where nobody is at it.
    fn ask(self: &Arc<Self>, runtime: &Handle, backend: &Arc<dyn Backend>, put: impl FnOnce(&mut Queue)) {
        let mut queues = self.queues();
        let is_first = !queues.contains_key(&runtime.id());
        put(queues.entry(runtime.id()).or_default());
        drop(queues);
        if is_first {
            let asking = Asking { presence: Arc::clone(self), runtime: runtime.id(), is_over: false };
            runtime.spawn(asking.go_on(Arc::clone(backend)));
        }
    }

    /// What can be done together, of what somebody waits for: those who show themselves, and one change of each subscription.
    fn take(&self, runtime: runtime::Id) -> (Vec<Showing>, Vec<Asked>) {
        let (mut ids, mut together, mut left) = (HashSet::new(), Vec::new(), VecDeque::new());
        let mut queues = self.queues();
        let Some(queue) = queues.get_mut(&runtime) else { return (Vec::new(), together) };
        for asked in queue.changes.drain(..).filter(|asked| !asked.answer.is_closed()) {
            if together.len() < MOST && ids.insert(asked.id.clone()) {
                together.push(asked);
            } else {
                left.push_back(asked);
            }
        }
        queue.changes = left;
        (std::mem::take(&mut queue.shows), together)
    }

    /// Whether nobody else is waited for: all who are vouched for on a runtime show themselves, and nothing else is asked for.
    fn are_all_shown(&self, runtime: runtime::Id) -> bool {
        let queues = self.queues();
        let queue = queues.get(&runtime).filter(|queue| queue.changes.is_empty());
        let shown = queue.map(|queue| queue.shows.len());
        drop(queues);
        let members = self.members();
        shown.zip(members.get(&runtime)).is_some_and(|(shown, members)| shown >= members.count())
    }

    /// Takes those out of their subscriptions who have not shown themselves for as long as their leases last, and do not in a moment.
    /// That may wait for others, so nobody waits for it here.
    fn take_out_the_silent(self: &Arc<Self>, backend: &Arc<dyn Backend>, runtime: runtime::Id) {
        let silent = self.members().get_mut(&runtime).map(|members| members.silent(Instant::now()));
        for (member, lease) in silent.unwrap_or_default() {
            let (presence, backend) = (Arc::clone(self), Arc::clone(backend));
            tokio::spawn(async move {
                sleep(A_MOMENT.min(lease / 3)).await;
                presence.take_out(&backend, runtime, member).await;
            });
        }
    }

    async fn take_out(self: &Arc<Self>, backend: &Arc<dyn Backend>, runtime: runtime::Id, member: Uuid) {
        let now = Instant::now();
        let out = self.members().get_mut(&runtime).and_then(|members| members.take_out(member, now));
        let Some(id) = out else { return };
        tracing::info!(
            subscription = &*id.name,
            %member,
            "a member has not asked for its leases as long as they last, and they end: its task hangs, or was dropped"
        );
        let leave = SubscriptionChange::Leave { member, reached: Vec::new() };
        if let Err(error) = self.change(backend, &id, leave).await
            && let Some(members) = self.members().get_mut(&runtime)
        {
            tracing::debug!(error = error.in_full(), "a member could not be taken out, and will be later");
            members.stays(member);
        }
    }

    /// Answers those whom the last renewal serves, which was under way when they came; the others.
    fn answer_the_late(&self, runtime: runtime::Id, shows: Vec<Showing>) -> Vec<Showing> {
        let mut left = Vec::new();
        for show in shows.into_iter().filter(|show| !show.answer.is_closed()) {
            match self.serves(runtime, show.member, show.lease) {
                Some(renewed) => drop(show.answer.send(Some(renewed))),
                None => left.push(show),
            }
        }
        left
    }

    /// Whether the store is to be asked for whom the presence of a runtime vouches, though nobody shows himself: all who are driven have
    /// something else to ask for.
    fn is_to_list(&self, runtime: runtime::Id, together: &[Asked]) -> bool {
        let is_driven = together.iter().any(|asked| matches!(asked.change, SubscriptionChange::Renew(_)));
        is_driven
            && self.members().get(&runtime).is_some_and(|members| members.are_to_be_listed(Instant::now()))
    }

    /// Renews the presence of a runtime, for those who have shown themselves.
    async fn renew(&self, backend: &dyn Backend, runtime: runtime::Id) -> Shown {
        let began = Instant::now();
        let number = self.members().get_mut(&runtime)?.begin_to_renew(began);
        match backend.renew_presence(number).await {
            Ok(record) => {
                let record = record?;
                let mut all = self.members();
                let members = all.get_mut(&runtime)?;
                members.are_listed(&record.members);
                let renewed = Arc::new(Renewed::of(number, began, record));
                members.renewed = Some(Arc::clone(&renewed));
                Some(renewed)
            }
            Err(error) => {
                let error = error.in_full();
                tracing::debug!(error, "a presence was not renewed, and each asks for itself");
                None
            }
        }
    }
}

impl Renewed {
    fn of(number: i64, began: Instant, record: PresenceRecord) -> Self {
        let mut presences: HashMap<_, _> = record.others.into_iter().collect();
        presences.insert(number, record.renewed);
        let (told, vouches_for) = (Instant::now(), record.members.into_iter().collect());
        Self { began, told, clock: record.renewed, presences, vouches_for }
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
            if !self.presence.are_all_shown(self.runtime) {
                sleep(GATHER).await;
            }
            let (shows, together) = self.presence.take(self.runtime);
            self.presence.take_out_the_silent(&backend, self.runtime);
            let shows = self.presence.answer_the_late(self.runtime, shows);
            if !shows.is_empty() || self.presence.is_to_list(self.runtime, &together) {
                let shown = self.presence.renew(&*backend, self.runtime).await;
                for show in shows {
                    let _ = show.answer.send(shown.clone());
                }
            }
            ask(&backend, together).await;
            let mut queues = self.presence.queues();
            if queues.get(&self.runtime).is_none_or(Queue::is_empty) {
                queues.remove(&self.runtime);
                self.is_over = true;
            }
        }
    }
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.shows.is_empty()
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
    let Asked { id, change, mut answer, under_way: _under_way } = asked;
    let changed = match select(backend.change_subscription(id, change), pin!(answer.closed())).await {
        Either::Left((changed, _)) => changed,
        Either::Right(_) => return,
    };
    let _ = answer.send(changed);
}

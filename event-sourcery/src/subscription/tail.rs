//! The newest events, read once for all subscriptions of a store that have caught up.
//!
//! One query for each subscriber and each wake-up would take a large part of the database's time from the writers. So one
//! task reads for all those who wait, as long as there are any, and an event wakes those alone who want it ([`waiters`]). The
//! task is nobody's: a subscriber that is not polled holds up no other one. It runs on the runtime of whoever came first, which may
//! end, or may not be driven: then those who wait on other ones look for themselves.

mod reader;
#[cfg(test)]
#[cfg(feature = "testing")]
mod tests;
mod waiters;
mod window;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::runtime::{self, Handle};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

use self::reader::Reading;
pub(super) use self::waiters::News;
use self::waiters::Waiters;
use self::window::Window;
use super::beat::Beat;
use super::deletions::Deletions;
use super::feed::Page;
use super::presence::Presence;
use crate::backend::{Backend, Filter};
use crate::position::Position;

/// After so long without a read, what is kept is of no use.
const STALE: Duration = Duration::from_secs(1);

/// A task that reads shows more often than this that it goes on, while somebody waits on another runtime.
const SILENT: Duration = Duration::from_secs(1);

/// Where all are on its own, which is driven as they are, it shows that less often.
const SILENT_AMONG_ITS_OWN: Duration = Duration::from_secs(10);

/// The newest events of a store. Nothing of it can be shown: they are everybody's.
#[derive(Default)]
pub(crate) struct Tail(Arc<Shared>);

/// What the task that reads shares with those who wait. It holds on to this alone: where there is no [`Tail`] any more, it
/// ends, and lets go of the backend.
struct Shared {
    state: Mutex<State>,
    deletions: Arc<Deletions>,
    presence: Arc<Presence>,
    /// When those who wait look whether the task goes on, and it shows that: all at once, and with those who renew their leases, so that the
    /// process wakes once.
    beat: Beat,
    /// That there is no tail any more.
    gone: Notify,
}

struct State {
    window: Window,
    waiters: Waiters,
    /// Where the next reader begins anew, instead of reading on.
    begin: Option<Position>,
    /// Where there is a task that reads: when it last showed that it goes on.
    reader: Option<Instant>,
    /// The runtime of that task, or of the last one.
    runs_on: Option<runtime::Id>,
    /// Whether that task has come to the end since it began: the window of another one may have ended long ago.
    is_current: bool,
    last_read: Option<Instant>,
    /// When those were told how far nothing was for them who are told that, and whether something was read since.
    told_progress: Option<Instant>,
    has_passed: bool,
    waiting: usize,
    /// How many of them are on which runtime.
    waiting_on: HashMap<runtime::Id, usize>,
}

impl Default for Shared {
    fn default() -> Self {
        let state = State {
            window: Window::at(Position::START),
            waiters: Waiters::default(),
            begin: None,
            reader: None,
            runs_on: None,
            is_current: false,
            last_read: None,
            told_progress: None,
            has_passed: false,
            waiting: 0,
            waiting_on: HashMap::new(),
        };
        let presence = Arc::<Presence>::default();
        Self {
            state: Mutex::new(state),
            deletions: Arc::default(),
            beat: presence.beat,
            presence,
            gone: Notify::new(),
        }
    }
}

impl Tail {
    /// At most `limit` events above a position that pass a filter; `None` where they are not kept here, or nobody knows
    /// any more whether they are all.
    pub(super) fn page(&self, after: Position, filter: &Filter, limit: usize) -> Option<Page> {
        let mut state = self.0.state();
        if !state.is_current || !state.is_read() {
            return None;
        }
        state.window.leave_out_deleted(&self.0.deletions);
        state.window.page(after, filter, limit)
    }

    /// One for handles that read otherwise, which delete and subscribe as those of this one do.
    pub(crate) fn for_other_readers(&self) -> Self {
        let (deletions, presence) = (Arc::clone(&self.0.deletions), Arc::clone(&self.0.presence));
        Self(Arc::new(Shared { deletions, beat: presence.beat, presence, ..Shared::default() }))
    }

    /// What was deleted through the handles of this store.
    pub(crate) fn deletions(&self) -> &Arc<Deletions> {
        &self.0.deletions
    }

    /// The members of durable subscriptions that run on the handles of this store.
    pub(super) fn presence(&self) -> &Arc<Presence> {
        &self.0.presence
    }

    /// Waits until there may be something above a position that passes a filter, or until the reader has failed: then whoever
    /// looks for himself meets what it met, if it is about him. With `progress`, also until it is known that there was nothing for
    /// him for a while, and up to where. `in_vain`: he has waited there before, and found nothing.
    pub(super) async fn wait_beyond(
        &self,
        backend: &Arc<dyn Backend>,
        (after, in_vain): (Position, bool),
        filter: &Filter,
        progress: bool,
    ) -> News {
        let look = News { passed: after, may_be_more: true };
        let Some(mut waiting) = Waiting::start(&self.0, backend, after, (filter, progress)) else {
            // Where the server runs anew, what was read before may not be settled there again for long: he would look on and on.
            if in_vain {
                let _ = backend.wait_beyond(after).await;
            }
            return look;
        };
        loop {
            let silent = self.0.state().may_be_silent(waiting.on);
            let Some(silent) = silent else { break };
            let looks = self.0.beat.next_after(Instant::now(), silent);
            if let Ok(told) = timeout_at(looks, &mut waiting.told).await {
                return told.unwrap_or(look);
            }
        }
        match select(&mut waiting.told, backend.wait_beyond(after)).await {
            Either::Left((Ok(told), _)) => told,
            _ => look,
        }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.0.gone.notify_one();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether a task reads, and goes on.
    fn is_read(&self) -> bool {
        self.reader.is_some_and(|seen| seen.elapsed() <= SILENT)
    }

    /// How long the task that reads may be silent for somebody on this runtime; `None` where there is none, or it is silent for longer.
    fn may_be_silent(&self, on: Option<runtime::Id>) -> Option<Duration> {
        let silent = if on? == self.runs_on? { SILENT_AMONG_ITS_OWN } else { SILENT };
        self.reader.filter(|seen| seen.elapsed() <= silent).map(|_| silent)
    }

    /// Whether somebody waits on another runtime than that of the task that reads.
    fn is_watched_from_elsewhere(&self) -> bool {
        self.waiting_on.keys().any(|runtime| Some(*runtime) != self.runs_on)
    }
}

/// Somebody who waits, for as long as he does.
struct Waiting<'t> {
    shared: &'t Shared,
    number: u64,
    on: Option<runtime::Id>,
    told: oneshot::Receiver<News>,
}

impl<'t> Waiting<'t> {
    /// Counts him, and starts a reader where there is none, and a runtime for it. `None` where more was read than he has looked at:
    /// of that it was noted for whom it is when he was not there.
    fn start(
        shared: &'t Arc<Shared>,
        backend: &Arc<dyn Backend>,
        after: Position,
        (filter, progress): (&Filter, bool),
    ) -> Option<Self> {
        let runtime = Handle::try_current().ok();
        let mut state = shared.state();
        if state.window.to > after {
            return None;
        }
        let on = runtime.as_ref().map(Handle::id);
        let (number, told) = state.waiters.add(after, filter, progress);
        state.waiting += 1;
        if let Some(on) = on {
            *state.waiting_on.entry(on).or_default() += 1;
        }
        let waiting = Self { shared, number, on, told };
        let Some(runtime) = runtime.filter(|_| state.reader.is_none()) else { return Some(waiting) };
        (state.reader, state.runs_on, state.is_current) = (Some(Instant::now()), on, false);
        // Who is further than what is kept reads on for the others, unless nobody has read for a while.
        if after > state.window.to && state.last_read.is_none_or(|last_read| last_read.elapsed() > STALE) {
            state.begin = Some(after);
        }
        drop(state);
        // Made before the task: a runtime that ends drops it before it has run. And it takes the lock when it is dropped.
        let reading = Reading::new(Arc::clone(shared));
        runtime.spawn(reading.read_for_all(Arc::clone(backend)));
        Some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.waiting -= 1;
        state.waiters.remove(self.number);
        if let Some(on) = self.on
            && let Some(count) = state.waiting_on.get_mut(&on)
        {
            *count -= 1;
            state.waiting_on.retain(|_, count| *count > 0);
        }
    }
}

//! The newest events, read once for all subscriptions of a store that have caught up.
//!
//! One query for each subscriber and each wake-up would take a large part of the database's time from the writers. So one
//! task reads for all those who wait, as long as there are any. It is nobody's: a subscriber that is not polled holds up no
//! other one. It runs on the runtime of whoever came first, which may end, or may not be driven: then those who wait on
//! other ones look for themselves.

mod reader;
#[cfg(test)]
#[cfg(feature = "conformance")]
mod tests;
mod window;

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::select;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use self::reader::Reading;
use self::window::Window;
use super::deletions::Deletions;
use super::feed::Page;
use crate::backend::{Backend, Filter};
use crate::position::Position;

/// After so long without a read, what is kept is of no use.
const STALE: Duration = Duration::from_secs(1);

/// A task that reads shows more often than this that it goes on.
const SILENT: Duration = Duration::from_secs(1);

/// The newest events of a store. Nothing of it can be shown: they are everybody's.
#[derive(Default)]
pub(crate) struct Tail(Arc<Shared>);

/// What the task that reads shares with those who wait. It holds on to this alone: where there is no [`Tail`] any more, it
/// ends, and lets go of the backend.
struct Shared {
    state: Mutex<State>,
    deletions: Arc<Deletions>,
    /// What those who wait are told.
    told: watch::Sender<Told>,
    /// That there is no tail any more.
    gone: Notify,
}

struct State {
    window: Window,
    /// Where the next reader begins anew, instead of reading on.
    begin: Option<Position>,
    /// Where there is a task that reads: when it last showed that it goes on.
    reader: Option<Instant>,
    /// Whether that task has come to the end since it began: the window of another one may have ended long ago.
    is_current: bool,
    last_read: Option<Instant>,
    waiting: usize,
}

#[derive(Debug, Clone, Copy)]
struct Told {
    /// How far it has been read.
    reached: Position,
    /// How many tasks that read have ended: then everybody looks for himself, and starts another one.
    ended: u64,
}

impl Default for Shared {
    fn default() -> Self {
        let window = Window::at(Position::START);
        let state =
            State { window, begin: None, reader: None, is_current: false, last_read: None, waiting: 0 };
        let told = Told { reached: Position::START, ended: 0 };
        let (told, _) = watch::channel(told);
        Self { state: Mutex::new(state), deletions: Arc::default(), told, gone: Notify::new() }
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

    /// What was deleted through the handles of this store.
    pub(crate) fn deletions(&self) -> &Arc<Deletions> {
        &self.0.deletions
    }

    /// Waits until there is something above a position, whether it passes anybody's filter or not, or until the reader
    /// has failed: then whoever looks for himself meets what it met, if it is about him.
    pub(super) async fn wait_beyond(&self, backend: &Arc<dyn Backend>, after: Position) {
        let mut told = self.0.told.subscribe();
        let ended = told.borrow().ended;
        let _waiting = Waiting::start(&self.0, backend, after);
        // The sender lives as long as the tail.
        let mut told = pin!(told.wait_for(|told| told.reached > after || told.ended != ended));
        if Handle::try_current().is_ok() {
            while self.0.state().is_read() {
                if timeout(SILENT, &mut told).await.is_ok() {
                    return;
                }
            }
        }
        drop(select(told, backend.wait_beyond(after)).await);
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
}

/// Somebody who waits, for as long as he does.
struct Waiting<'t>(&'t Shared);

impl<'t> Waiting<'t> {
    /// Counts him, and starts a reader where there is none, and a runtime for it.
    fn start(shared: &'t Arc<Shared>, backend: &Arc<dyn Backend>, after: Position) -> Self {
        let mut state = shared.state();
        state.waiting += 1;
        let waiting = Self(shared);
        if state.reader.is_some() {
            return waiting;
        }
        let Ok(runtime) = Handle::try_current() else { return waiting };
        (state.reader, state.is_current) = (Some(Instant::now()), false);
        // Who is further than what is kept reads on for the others, unless nobody has read for a while.
        if after > state.window.to && state.last_read.is_none_or(|last_read| last_read.elapsed() > STALE) {
            state.begin = Some(after);
        }
        drop(state);
        // Made before the task: a runtime that ends drops it before it has run. And it takes the lock when it is dropped.
        let reading = Reading::new(Arc::clone(shared));
        runtime.spawn(reading.read_for_all(Arc::clone(backend)));
        waiting
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

//! The appends of a runtime: those that are under way, and those that wait, in their order.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use event_sourcery::Result;
use event_sourcery::backend::{AppendOutcome, AppendRequest, Seat};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// How many statements are under way when there are more appends than [`FEW`].
const LANES: usize = 3;

/// The most appends in a batch.
const MOST_MEMBERS: usize = 64;

/// The most bytes in a batch, unless its first append has more.
const MOST_BYTES: usize = 256 * 1_024;

/// The appends of a runtime.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    pub(super) runtime: Handle,
}

#[derive(Debug)]
pub(super) struct State {
    few: usize,
    /// The statements that are under way and count.
    pub(super) lanes: usize,
    /// The appends in them.
    pub(super) members: usize,
    pub(super) waiting: VecDeque<Member>,
    /// The streams that an append of ours is under way to, by the hash of their key.
    pub(super) busy: HashSet<u64>,
    /// Whether somebody starts batches, and will look once more for what waits.
    pub(super) is_starting: bool,
}

/// An append that waits for its turn.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) request: Arc<AppendRequest>,
    pub(super) stream: u64,
    pub(super) since: Instant,
    pub(super) _seat: Seat,
    /// Whether somebody holds its stream, as a batch has found.
    pub(super) is_held: bool,
    pub(super) answer: oneshot::Sender<Result<AppendOutcome>>,
}

impl Queue {
    /// Of this runtime; so many appends at a time run alone.
    pub(super) fn here(few: usize) -> Self {
        Self { state: Mutex::new(State::new(few)), runtime: Handle::current() }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new(few: usize) -> Self {
        let (waiting, busy) = (VecDeque::new(), HashSet::new());
        Self { few, lanes: 0, members: 0, waiting, busy, is_starting: false }
    }

    /// Whether a statement may start, when so many more appends want to.
    pub(super) fn has_room_for(&self, more: usize) -> bool {
        self.lanes < LANES || self.members + self.waiting.len() + more <= self.few
    }

    /// Takes an append back that still waits for its turn. Whether it did.
    pub(super) fn withdraw(&mut self, request: &Arc<AppendRequest>) -> bool {
        let place = self.waiting.iter().position(|member| Arc::ptr_eq(&member.request, request));
        place.and_then(|place| self.waiting.remove(place)).is_some()
    }

    /// Takes from those that wait, in their order, at most one for each stream, and none for a stream that is busy. They
    /// count as under way.
    pub(super) fn next_batch(&mut self) -> Vec<Member> {
        if self.waiting.is_empty() || !self.has_room_for(0) {
            return Vec::new();
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        let mut passed_over = VecDeque::new();
        while let Some(member) = self.waiting.pop_front() {
            let more = member.request.weight();
            if batch.len() == MOST_MEMBERS || (!batch.is_empty() && bytes + more > MOST_BYTES) {
                self.waiting.push_front(member);
                break;
            }
            if self.busy.insert(member.stream) {
                bytes += more;
                batch.push(member);
            } else {
                passed_over.push_back(member);
            }
        }
        passed_over.append(&mut self.waiting);
        self.waiting = passed_over;
        self.lanes += usize::from(!batch.is_empty());
        self.members += batch.len();
        batch
    }
}

/// An append that waits for its turn, as long as its caller is there.
pub(super) struct Waits<'a> {
    pub(super) queue: &'a Queue,
    pub(super) request: &'a Arc<AppendRequest>,
    /// Whether it was answered.
    pub(super) is_over: bool,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.queue.state().withdraw(self.request);
        }
    }
}

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
    /// The streams that an append of ours is under way to, and the tags that it locks, by hashes.
    pub(super) busy: HashSet<u64>,
    /// Whether somebody starts batches, and will look once more for what waits.
    pub(super) is_starting: bool,
}

/// What an append has while it is its turn, by hashes: two with one hash wait for each other, and lose nothing else.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) stream: u64,
    pub(super) tags: Vec<u64>,
}

/// An append that waits for its turn.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) request: Arc<AppendRequest>,
    pub(super) keys: Keys,
    pub(super) since: Instant,
    pub(super) _seat: Seat,
    /// Whether somebody holds its stream, or one of its tags, as a batch has found.
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

    /// Takes all of these, if an append has none of them that is under way, and none that has tags waits for one of them.
    pub(super) fn take_at_once(&mut self, keys: &Keys) -> bool {
        let is_behind = |waiting: &Keys| {
            let is_asked_for = |tag: &u64| keys.tags.contains(tag);
            !waiting.tags.is_empty() && waiting.stream == keys.stream || waiting.tags.iter().any(is_asked_for)
        };
        !self.waiting.iter().any(|member| is_behind(&member.keys)) && self.take(keys)
    }

    /// Takes all of these, if an append has none of them that is under way.
    fn take(&mut self, keys: &Keys) -> bool {
        let is_free = !self.busy.contains(&keys.stream) && self.are_free(&keys.tags);
        if is_free {
            self.busy.insert(keys.stream);
            self.busy.extend(&keys.tags);
        }
        is_free
    }

    fn are_free(&self, tags: &[u64]) -> bool {
        tags.iter().all(|tag| !self.busy.contains(tag))
    }

    /// Takes an append back that still waits for its turn. Whether it did.
    pub(super) fn withdraw(&mut self, request: &Arc<AppendRequest>) -> bool {
        let place = self.waiting.iter().position(|member| Arc::ptr_eq(&member.request, request));
        place.and_then(|place| self.waiting.remove(place)).is_some()
    }

    /// Takes from those that wait, in their order, at most one for each stream and each tag, and none for what is busy. They
    /// count as under way. One that waits for some of its tags is overtaken in none of them, nor in its stream, or it would never have
    /// all at once.
    pub(super) fn next_batch(&mut self) -> Vec<Member> {
        if self.waiting.is_empty() || !self.has_room_for(0) {
            return Vec::new();
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        let (mut passed_over, mut waited_for) = (VecDeque::new(), HashSet::new());
        while let Some(member) = self.waiting.pop_front() {
            let more = member.request.weight();
            if batch.len() == MOST_MEMBERS || (!batch.is_empty() && bytes + more > MOST_BYTES) {
                self.waiting.push_front(member);
                break;
            }
            let is_behind = waited_for.contains(&member.keys.stream)
                || member.keys.tags.iter().any(|tag| waited_for.contains(tag));
            if !is_behind && self.take(&member.keys) {
                bytes += more;
                batch.push(member);
            } else {
                // A stream may be held for long: who waits for that keeps no tag from others.
                if !self.busy.contains(&member.keys.stream) {
                    waited_for.insert(member.keys.stream);
                    waited_for.extend(member.keys.tags.iter().copied());
                }
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

#[cfg(test)]
mod tests {
    use event_sourcery::TenantId;
    use event_sourcery::backend::WaitingRoom;

    use super::*;

    fn keys(stream: u64, tags: &[u64]) -> Keys {
        Keys { stream, tags: tags.to_vec() }
    }

    fn member(room: &WaitingRoom, keys: Keys) -> Member {
        let request = Arc::new(AppendRequest::new(TenantId::DEFAULT, Vec::new()));
        let (seat, (answer, _)) = (room.enter(None, 0).unwrap(), oneshot::channel());
        Member { request, keys, since: Instant::now(), _seat: seat, is_held: false, answer }
    }

    fn next_streams(state: &mut State) -> Vec<u64> {
        state.next_batch().iter().map(|member| member.keys.stream).collect()
    }

    #[test]
    fn who_waits_for_tags_is_overtaken_in_none_of_them_and_who_waits_for_a_stream_keeps_none_from_others() {
        let (room, mut state) = (WaitingRoom::default(), State::new(10));
        assert!(state.take_at_once(&keys(1, &[11])));
        let waiting = [keys(2, &[11, 12]), keys(3, &[12]), keys(1, &[13]), keys(4, &[13]), keys(5, &[])];
        state.waiting.extend(waiting.map(|keys| member(&room, keys)));
        assert_eq!(next_streams(&mut state), [4, 5]);
        assert!(!state.take_at_once(&keys(6, &[12])), "another one waits for it");
        state.busy.remove(&11);
        assert_eq!(next_streams(&mut state), [2]);
    }

    /// Its stream and its tag would be busy in turns.
    #[test]
    fn who_waits_for_a_tag_is_not_overtaken_in_its_stream() {
        let (room, mut state) = (WaitingRoom::default(), State::new(10));
        assert!(state.take_at_once(&keys(1, &[11])));
        state.waiting.extend([keys(2, &[11]), keys(2, &[]), keys(3, &[])].map(|keys| member(&room, keys)));
        assert_eq!(next_streams(&mut state), [3]);
        assert!(!state.take_at_once(&keys(2, &[])), "another one waits for it");
        state.busy.remove(&11);
        assert_eq!(next_streams(&mut state), [2]);
        assert_eq!(state.waiting.len(), 1, "one at a time");
    }
}

//! Which appends go to the database together.
//!
//! A lone append waits for nobody: it runs at once, in its caller's task, and so do a few at a time. When there are more
//! than that, some statements are under way, and the others queue up: they share the next statement, transaction and sync of
//! the disk. Each still succeeds or is refused alone: whatever a batch did not write runs again by itself.
//!
//! What is waited for: of two appends to one stream, or that lock one tag, the second waits for the first, without a connection. A
//! statement that takes long, because somebody holds the stream's row, no longer counts, and others have their turn; so have those
//! that lock its tags, which the server decides on then. A batch passes over rows that are locked. Whoever has waited for his turn
//! as long as a call waits for locks is told so, and so is whoever comes while those that wait fill the room that they have. Who is
//! gone before his turn waits no longer, and nothing of his is written.
//!
//! What somebody listens to shares nothing: it is made in a transaction, by itself.
//!
//! All this is of one runtime: another one may be driven no more, and never give back what it has taken. Where a runtime ends in
//! the middle of a batch, nobody knows what became of that, and who is still there appends by himself: the ids of the events tell
//! whether they were written.

mod queue;

use std::hash::{BuildHasher as _, RandomState};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_sourcery::backend::{AppendOutcome, AppendRequest, Groups, WaitingRoom};
use event_sourcery::{Error, Result};
use tokio::sync::oneshot;

use self::queue::{Keys, Member, Queue, Waits};
use crate::database::{Database, call};
use crate::operations::{InBatch, Operations, is_simple, locked_tags};
use crate::places::{Purpose, writing};
use crate::runtimes::PerRuntime;

/// So many appends at a time run alone: sharing a statement would save them less than waiting for it costs. Fewer, where
/// the store has fewer connections.
const FEW: u32 = 10;

/// A statement that takes longer than this no longer counts: it is waiting for somebody.
const LANE_TIME: Duration = Duration::from_millis(20);

/// The appends of a process that are under way or wait.
#[derive(Debug)]
pub(crate) struct Appends {
    few: usize,
    queues: PerRuntime<Queue>,
    /// What was committed together.
    pub(crate) groups: Groups,
    /// For those that wait, in a batch or for one.
    room: WaitingRoom,
    hasher: RandomState,
}

/// What came of a batch.
struct Batched {
    /// What became of each of its members.
    members: Vec<InBatch>,
    /// Whether it may have been written, and the answer was lost.
    was_lost: bool,
}

impl Batched {
    fn nothing(members: usize) -> Self {
        Self { members: vec![InBatch::Open; members], was_lost: false }
    }
}

impl Appends {
    pub(crate) fn new(connections: u32) -> Self {
        let few = usize::try_from(writing(connections).min(FEW)).unwrap_or(1);
        let (queues, room, hasher) = (PerRuntime::default(), WaitingRoom::default(), RandomState::new());
        Self { few, queues, groups: Groups::default(), room, hasher }
    }

    /// The queue of this runtime.
    fn here(&self) -> Arc<Queue> {
        self.queues.here(|| Queue::here(self.few))
    }

    fn keys(&self, request: &AppendRequest) -> Keys {
        let tenant = request.tenant.as_str();
        let stream = self.hasher.hash_one((tenant, request.streams.first().map(|part| &part.stream)));
        let tags = locked_tags(request).into_iter().map(|tag| self.hasher.hash_one((tenant, tag)));
        Keys { stream, tags: tags.collect() }
    }
}

impl Database {
    /// Appends: at once, or together with others.
    pub(crate) async fn append(self: &Arc<Self>, request: Arc<AppendRequest>) -> Result<AppendOutcome> {
        let since = Instant::now();
        if self.listeners.wanting(&request, 0)?.is_some() {
            return self.append_heard(&request, since).await;
        }
        if !is_simple(&request) {
            return self.append_alone(&request, since, false).await;
        }
        let (queue, keys) = (self.appends.here(), self.appends.keys(&request));
        if let Some(mut turn) = self.turn(&queue, &keys) {
            return turn.run(self.append_alone(&request, since, false)).await;
        }
        let (answer, mut answered) = oneshot::channel();
        let seat = self.appends.room.enter(Some(request.tenant.clone()), request.weight())?;
        let member =
            Member { request: Arc::clone(&request), keys, since, _seat: seat, is_held: false, answer };
        queue.state().waiting.push_back(member);
        let mut waits = Waits { queue: &queue, request: &request, is_over: false };
        self.start_batches(&queue);
        let in_time = tokio::time::timeout(self.connections.lock_timeout, &mut answered).await;
        waits.is_over = in_time.is_ok();
        if !waits.is_over && queue.state().withdraw(&request) {
            return Err(Error::busy(since.elapsed()));
        }
        let answer = if let Ok(answer) = in_time { answer } else { answered.await };
        if let Ok(answer) = answer { answer } else { self.append_once_more(&request, since).await }
    }

    /// Appends what was in a batch that has come to its end unseen. The server may still be at work on it.
    async fn append_once_more(&self, request: &AppendRequest, since: Instant) -> Result<AppendOutcome> {
        match self.append_alone(request, since, false).await {
            Err(
                problem @ (Error::Busy { .. }
                | Error::Unavailable { .. }
                | Error::Closed
                | Error::ReadOnly { .. }
                | Error::NumberingWentBack { .. }
                | Error::StoreNotFound { .. }),
            ) => Err(Error::outcome_unknown(problem)),
            outcome => outcome,
        }
    }

    /// Appends what a batch has not written. Where its answer was lost, it may have. What waits for somebody takes no connection
    /// from others to find that out once more.
    async fn append_rest(&self, member: &Member, was_lost: bool) -> Result<AppendOutcome> {
        if was_lost {
            self.append_once_more(&member.request, member.since).await
        } else {
            self.append_alone(&member.request, member.since, member.is_held).await
        }
    }

    /// The turn of a lone append, if it has it now.
    fn turn(self: &Arc<Self>, queue: &Arc<Queue>, keys: &Keys) -> Option<Turn> {
        let mut state = queue.state();
        if !state.has_room_for(1) || !state.take_at_once(keys) {
            return None;
        }
        state.lanes += 1;
        state.members += 1;
        drop(state);
        Some(self.turn_of(queue, [keys], 1))
    }

    fn turn_of<'k>(
        self: &Arc<Self>,
        queue: &Arc<Queue>,
        keys: impl IntoIterator<Item = &'k Keys>,
        members: usize,
    ) -> Turn {
        let (mut streams, mut tags) = (Vec::new(), Vec::new());
        for keys in keys {
            streams.push(keys.stream);
            tags.extend(&keys.tags);
        }
        Turn { database: Arc::clone(self), queue: Arc::clone(queue), streams, tags, members }
    }

    /// Appends on a connection of its own; `is_held`: its first try was in vain already.
    async fn append_alone(
        &self,
        request: &AppendRequest,
        since: Instant,
        is_held: bool,
    ) -> Result<AppendOutcome> {
        loop {
            let given = self.settled.given()?;
            let patience = self.connections.patience(Purpose::Write, since);
            let patience = if is_held { patience.after_a_first_try() } else { patience };
            let appended = call!(*self, with patience, operations => operations.append(request, given));
            if !self.was_given_elsewhere(&appended, given).await {
                self.appends.groups.add(usize::from(matches!(appended, Ok(AppendOutcome::Written(_)))));
                return appended;
            }
        }
    }

    /// Starts batches of what waits, as many as there is room for. Whoever does so does it for all: on a runtime that has ended, a
    /// batch is dropped when it is started, and its turn comes back in here.
    fn start_batches(self: &Arc<Self>, queue: &Arc<Queue>) {
        if std::mem::replace(&mut queue.state().is_starting, true) {
            return;
        }
        loop {
            let batch = {
                let mut state = queue.state();
                let batch = state.next_batch();
                state.is_starting = !batch.is_empty();
                batch
            };
            if batch.is_empty() {
                return;
            }
            let turn = self.turn_of(queue, batch.iter().map(|member| &member.keys), batch.len());
            queue.runtime.spawn(Arc::clone(self).run_batch(batch, turn));
        }
    }

    async fn run_batch(self: Arc<Self>, batch: Vec<Member>, mut turn: Turn) {
        let Batched { members, was_lost } = match batch.as_slice() {
            [_] => Batched::nothing(1),
            _ => turn.run(self.append_batch(&batch)).await,
        };
        let are_written = members.iter().filter(|became| matches!(became, InBatch::Written(_)));
        self.appends.groups.add(are_written.count());
        let mut rest = Vec::new();
        for (member, became) in batch.into_iter().zip(members) {
            match became {
                InBatch::Written(written) => {
                    turn.leave(&member.keys);
                    self.answer(member, Ok(AppendOutcome::Written(vec![written])));
                }
                _ if member.answer.is_closed() => turn.leave(&member.keys),
                became => rest.push(Member { is_held: matches!(became, InBatch::Held), ..member }),
            }
        }
        match <[Member; 1]>::try_from(rest) {
            Ok([last]) => {
                self.start_batches(&turn.queue);
                let outcome = turn.run(self.append_rest(&last, was_lost)).await;
                self.answer(last, outcome);
            }
            Err(rest) => {
                for member in rest {
                    let (mut turn, database) = (turn.split(&member.keys), Arc::clone(&self));
                    tokio::spawn(async move {
                        let outcome = turn.run(database.append_rest(&member, was_lost)).await;
                        database.answer(member, outcome);
                    });
                }
            }
        }
    }

    /// Tells a caller what became of his append. One that is gone does not want to know, nor does he tell others of it.
    fn answer(&self, member: Member, outcome: Result<AppendOutcome>) {
        if member.answer.send(outcome).is_err() {
            self.wakeups.committed();
        }
    }

    /// What became of each of them, of those whose callers are still there once there is a connection. Where all failed together, each
    /// will fail, or not, by itself.
    async fn append_batch(&self, batch: &[Member]) -> Batched {
        let nothing = || Batched::nothing(batch.len());
        let Ok(given) = self.settled.given() else { return nothing() };
        let Ok(mut connection) = self.connections.acquire(Purpose::Write).await else { return nothing() };
        let is_there: Vec<_> = batch.iter().map(|member| !member.answer.is_closed()).collect();
        let those = batch.iter().zip(&is_there).filter(|(_, is_there)| **is_there);
        let requests: Vec<_> = those.map(|(member, _)| &*member.request).collect();
        match Operations::alone(&mut connection, &self.sql).append_batch(&requests, given).await {
            Ok(became) => {
                connection.keep();
                let mut became = became.into_iter();
                let members = is_there.into_iter().map(|is_there| {
                    let became = if is_there { became.next() } else { None };
                    became.unwrap_or(InBatch::Open)
                });
                Batched { members: members.collect(), was_lost: false }
            }
            Err(failure) => {
                tracing::debug!(
                    problem = failure.message(),
                    appends = requests.len(),
                    "a batch failed, and its members run alone"
                );
                connection.give_back();
                Batched { was_lost: failure.is_lost_connection(), ..nothing() }
            }
        }
    }
}

/// The right to append to streams, and with tags. Given back when it is dropped; then others have their turn.
struct Turn {
    database: Arc<Database>,
    queue: Arc<Queue>,
    streams: Vec<u64>,
    /// None where it does not count any more.
    tags: Vec<u64>,
    /// The appends in the statement that is under way; none where it does not count.
    members: usize,
}

impl Turn {
    /// Does the work; no longer counts if it takes long.
    async fn run<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        if let Ok(done) = tokio::time::timeout(LANE_TIME, &mut work).await {
            return done;
        }
        self.give_lane_back();
        self.database.start_batches(&self.queue);
        work.await
    }

    /// One of its members is done.
    fn leave(&mut self, keys: &Keys) {
        let mut state = self.queue.state();
        state.busy.remove(&keys.stream);
        self.streams.retain(|stream| *stream != keys.stream);
        for tag in self.tags.extract_if(.., |tag| keys.tags.contains(tag)) {
            state.busy.remove(&tag);
        }
    }

    /// The turn of one of its members, which does not count.
    fn split(&mut self, keys: &Keys) -> Self {
        self.streams.retain(|stream| *stream != keys.stream);
        let tags = self.tags.extract_if(.., |tag| keys.tags.contains(tag)).collect();
        let (database, queue) = (Arc::clone(&self.database), Arc::clone(&self.queue));
        Self { database, queue, streams: vec![keys.stream], tags, members: 0 }
    }

    fn give_lane_back(&mut self) {
        let (members, tags) = (std::mem::take(&mut self.members), std::mem::take(&mut self.tags));
        let mut state = self.queue.state();
        state.lanes -= usize::from(members > 0);
        state.members -= members;
        for tag in &tags {
            state.busy.remove(tag);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.give_lane_back();
        {
            let mut state = self.queue.state();
            for stream in &self.streams {
                state.busy.remove(stream);
            }
        }
        self.database.start_batches(&self.queue);
    }
}

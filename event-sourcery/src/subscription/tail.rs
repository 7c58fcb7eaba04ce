//! The newest events, read once for all subscriptions of a store that have caught up.
//!
//! One query for each subscriber and each wake-up would take a large part of the database's time from the writers. So one
//! task reads for all those who wait, as long as there are any. It is nobody's: a subscriber that is not polled holds up no
//! other one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::feed::Page;
use crate::backend::{Backend, Filter, ScanPage, ScanRequest, StoredRecord};
use crate::error::Result;
use crate::position::Position;

/// How many events are read at once.
const PAGE: usize = 512;

/// How many events are kept, for subscribers that are a little behind.
const KEPT: usize = 8_192;

/// How many bytes of payload and context they may have, however few they are.
const KEPT_BYTES: usize = 8 << 20;

/// The least time between two reads: what is committed meanwhile is read together. A lone event does not wait.
const PACE: Duration = Duration::from_millis(5);

/// After so long without a read, what is kept is of no use.
const STALE: Duration = Duration::from_secs(1);

/// How often the task that reads looks whether anybody waits.
const IDLE: Duration = Duration::from_secs(1);

/// The newest events of a store.
#[derive(Debug)]
pub(crate) struct Tail {
    state: Mutex<State>,
    /// What those who wait are told.
    told: watch::Sender<Told>,
}

#[derive(Debug)]
struct State {
    window: Window,
    /// Where the next reader begins anew, instead of reading on.
    begin: Option<Position>,
    /// Whether there is a task that reads.
    is_read: bool,
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

/// All events of the store above a position, up to another.
#[derive(Debug)]
struct Window {
    records: VecDeque<Arc<StoredRecord>>,
    bytes: usize,
    from: Position,
    to: Position,
    /// Whether there was more when it was read.
    has_more: bool,
}

impl Default for Tail {
    fn default() -> Self {
        let window = Window::at(Position::START);
        let state = State { window, begin: None, is_read: false, last_read: None, waiting: 0 };
        let told = Told { reached: Position::START, ended: 0 };
        Self { state: Mutex::new(state), told: watch::channel(told).0 }
    }
}

impl Tail {
    /// At most `limit` events above a position that pass a filter; `None` where they are not kept here.
    pub(super) fn page(&self, after: Position, filter: &Filter, limit: usize) -> Option<Page> {
        let State { window, .. } = &*self.state();
        if after < window.from || after >= window.to {
            return None;
        }
        let first = window.records.partition_point(|record| record.event.position <= after);
        let passes =
            |record: &&Arc<StoredRecord>| filter.passes(&record.tenant, &record.stream, &record.event.name);
        let mut wanted = window.records.range(first..).filter(passes);
        let records: Vec<_> = wanted.by_ref().take(limit).cloned().collect();
        let is_cut = wanted.next().is_some();
        let next = match records.last() {
            Some(last) if is_cut => last.event.position,
            _ => window.to,
        };
        Some(Page { records, next, at_end: !is_cut && !window.has_more })
    }

    /// Waits until there is something above a position, whether it passes anybody's filter or not, or until the reader
    /// has failed: then whoever looks for himself meets what it met, if it is about him.
    pub(super) async fn wait_beyond(self: &Arc<Self>, backend: &Arc<dyn Backend>, after: Position) {
        let mut told = self.told.subscribe();
        let ended = told.borrow().ended;
        let _waiting = Waiting::start(self, backend, after);
        // The sender lives as long as the tail.
        drop(told.wait_for(|told| told.reached > after || told.ended != ended).await);
    }

    /// Reads for all, as long as somebody waits.
    async fn read_for_all(self: Arc<Self>, backend: Arc<dyn Backend>) {
        let mut reading = Reading { tail: Arc::clone(&self), is_over: false };
        loop {
            match self.read(&*backend).await {
                Ok(true) => {}
                Ok(false) => {
                    let mut state = self.state();
                    if state.waiting == 0 {
                        (state.is_read, reading.is_over) = (false, true);
                        return;
                    }
                }
                Err(problem) => {
                    tracing::debug!(%problem, "the newest events could not be read for all");
                    return;
                }
            }
        }
    }

    /// Waits for the next events, and reads them. Whether there were any within a while.
    async fn read(&self, backend: &dyn Backend) -> Result<bool> {
        let begin = self.state().begin.take();
        if let Some(begin) = begin {
            // Not beyond what is there: somebody may have been told to start where the store ended before it was restored.
            let begin = begin.min(backend.position().await?);
            self.state().window = Window::at(begin);
            self.told.send_modify(|told| told.reached = begin);
        }
        let (from, last_read) = {
            let state = self.state();
            (state.window.to, state.last_read)
        };
        let Ok(settled) = timeout(IDLE, backend.wait_beyond(from)).await else { return Ok(false) };
        let mut settled = settled?;
        if let Some(last_read) = last_read
            && last_read.elapsed() < PACE
        {
            sleep_until(last_read + PACE).await;
            settled = backend.wait_beyond(from).await?;
        }
        if self.state().waiting == 0 {
            return Ok(false);
        }
        self.state().last_read = Some(Instant::now());
        // All of it before anybody is told: who came to the end of a part would read the rest for himself.
        let (mut after, mut has_more) = (from, true);
        while has_more {
            let request = ScanRequest { after, up_to: Some(settled), filter: Filter::default(), limit: PAGE };
            let page = backend.scan(request).await?;
            (after, has_more) = (page.next, page.has_more);
            self.state().window.extend(page);
        }
        self.told.send_modify(|told| told.reached = after);
        Ok(true)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits, for as long as he does.
struct Waiting<'t>(&'t Tail);

impl<'t> Waiting<'t> {
    /// Counts him, and starts a reader where there is none.
    fn start(tail: &'t Arc<Tail>, backend: &Arc<dyn Backend>, after: Position) -> Self {
        let mut state = tail.state();
        state.waiting += 1;
        if !state.is_read {
            state.is_read = true;
            // Who is further than what is kept reads on for the others, unless nobody has read for a while.
            if after > state.window.to && state.last_read.is_none_or(|last_read| last_read.elapsed() > STALE)
            {
                state.begin = Some(after);
            }
            tokio::spawn(Arc::clone(tail).read_for_all(Arc::clone(backend)));
        }
        Self(tail)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

/// The task that reads. However it ends, another one can take its place, and those who wait are told.
struct Reading {
    tail: Arc<Tail>,
    /// Whether it has ended because nobody waits.
    is_over: bool,
}

impl Drop for Reading {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut state = self.tail.state();
        state.is_read = false;
        // The next one begins where it is asked to: what this one failed on may be nobody's concern.
        state.last_read = None;
        drop(state);
        self.tail.told.send_modify(|told| told.ended += 1);
    }
}

impl Window {
    const fn at(position: Position) -> Self {
        Self { records: VecDeque::new(), bytes: 0, from: position, to: position, has_more: false }
    }

    fn extend(&mut self, page: ScanPage) {
        self.bytes += page.records.iter().map(size).sum::<usize>();
        self.records.extend(page.records.into_iter().map(Arc::new));
        (self.to, self.has_more) = (page.next, page.has_more);
        while self.records.len() > KEPT || self.bytes > KEPT_BYTES {
            let Some(oldest) = self.records.pop_front() else { break };
            self.bytes -= size(&oldest);
            self.from = oldest.event.position;
        }
    }
}

fn size(record: &StoredRecord) -> usize {
    record.event.data.len() + record.event.context.len()
}

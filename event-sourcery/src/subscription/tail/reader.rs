//! The task that reads the newest events, as long as somebody waits for them.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::waiters::Tidings;
use super::window::{KEPT, Window};
use super::{Shared, State};
use crate::backend::{Backend, Filter, ScanRequest};
use crate::error::Result;
use crate::position::Position;
use crate::subscription::later;

/// How many events are read at once.
const PAGE: usize = 512;

/// The least time between two reads: what is committed meanwhile is read together. A lone event does not wait.
const PACE: Duration = Duration::from_millis(8);

/// How often the task shows that it goes on, where somebody waits on another runtime, and looks whether anybody waits, where
/// nobody does.
const BEAT: Duration = Duration::from_millis(250);

/// How often it does otherwise: an idle process should not wake.
const SLOW_BEAT: Duration = Duration::from_secs(5);

/// How often those are told how far nothing was for them who keep that.
const PROGRESS: Duration = Duration::from_secs(1);

/// How often nobody waits in a row before it ends: whoever handles what he was handed comes back.
const IDLE_BEATS: u32 = 4;

/// The task that reads. However it ends, another one can take its place, and those who wait are told.
pub(super) struct Reading {
    shared: Arc<Shared>,
    /// Whether it has ended because nobody waits.
    is_over: bool,
}

impl Reading {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared, is_over: false }
    }

    /// Reads for all, as long as somebody waits.
    pub(super) async fn read_for_all(mut self, backend: Arc<dyn Backend>) {
        let shared = Arc::clone(&self.shared);
        loop {
            match shared.read(&*backend).await {
                Ok(true) => {}
                Ok(false) => {
                    let mut state = shared.state();
                    if state.waiting == 0 {
                        state.reader = None;
                        self.is_over = true;
                        return;
                    }
                }
                Err(problem) => {
                    tracing::debug!(
                        problem = problem.in_full(),
                        "the newest events could not be read for all"
                    );
                    return;
                }
            }
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut state = self.shared.state();
        state.reader = None;
        // The next one begins where it is asked to: what this one failed on may be nobody's concern.
        state.last_read = None;
        // They look for themselves, and start another one.
        let everybody = state.waiters.all();
        drop(state);
        everybody.send();
    }
}

impl State {
    /// How soon the task shows again that it goes on.
    fn beat(&self) -> Duration {
        if self.waiting == 0 || self.is_watched_from_elsewhere() {
            BEAT
        } else if self.is_progress_to_be_told() {
            PROGRESS
        } else {
            SLOW_BEAT
        }
    }

    /// Whether somebody who keeps it may have passed something, and was not told.
    fn is_progress_to_be_told(&self) -> bool {
        self.has_passed && self.waiters.want_progress()
    }

    /// Those who are told by now how far nothing was for them.
    fn tell_progress(&mut self) -> Tidings {
        let is_time = self.told_progress.is_none_or(|told| told.elapsed() >= PROGRESS);
        if !is_time || !self.is_progress_to_be_told() {
            return Tidings::default();
        }
        (self.told_progress, self.has_passed) = (Some(Instant::now()), false);
        self.waiters.of_progress(self.window.to)
    }
}

impl Shared {
    /// Waits for the next events, and reads them. Whether it is to go on.
    async fn read(&self, backend: &dyn Backend) -> Result<bool> {
        let begin = self.state().begin.take();
        if let Some(begin) = begin {
            // Not beyond what is there: somebody may have been told to start where the store ended before it was restored.
            self.begin_at(begin.min(backend.position().await?));
        }
        let (from, last_read) = {
            let state = self.state();
            (state.window.to, state.last_read)
        };
        // Before it looks, and not between two looks: what is committed meanwhile is found by the same one.
        if let Some(last_read) = last_read
            && last_read.elapsed() < PACE
            && let Either::Right(_) =
                select(pin!(sleep_until(last_read + PACE)), pin!(self.gone.notified())).await
        {
            return Ok(false);
        }
        let Some(settled) = self.settled(backend, from).await? else { return Ok(false) };
        if self.state().waiting == 0 {
            return Ok(false);
        }
        self.read_up_to(backend, from, settled).await?;
        Ok(true)
    }

    /// What lies before is not read for all: whoever has not looked so far does so.
    fn begin_at(&self, begin: Position) {
        let mut state = self.state();
        state.window = Window::at(begin);
        let behind = state.waiters.behind(begin, Position::START);
        drop(state);
        behind.send();
    }

    /// What is settled once it is more than this, unless nobody waits for it.
    async fn settled(&self, backend: &dyn Backend, from: Position) -> Result<Option<Position>> {
        let (mut settled, mut idle) = (pin!(backend.wait_beyond(from)), 0);
        while idle < IDLE_BEATS {
            let (beat, now) = (self.state().beat(), Instant::now());
            let until = if beat == SLOW_BEAT { self.beat.next_after(now, beat) } else { later(now, beat) };
            match select(pin!(timeout_at(until, &mut settled)), pin!(self.gone.notified())).await {
                Either::Left((Ok(settled), _)) => return settled.map(Some),
                Either::Left((Err(_), _)) => {}
                Either::Right(_) => return Ok(None),
            }
            let mut state = self.state();
            state.reader = Some(Instant::now());
            idle = if state.waiting == 0 { idle + 1 } else { 0 };
            let progress = state.tell_progress();
            drop(state);
            progress.send();
        }
        Ok(None)
    }

    /// Reads all of it before anybody is told: who came to the end of a part would read the rest for himself. But no more
    /// than is kept: where there is more, those who are behind read by themselves, and hold up nobody.
    async fn read_up_to(&self, backend: &dyn Backend, from: Position, settled: Position) -> Result<()> {
        self.state().last_read = Some(Instant::now());
        let (mut after, mut has_more) = (from, true);
        for _ in 0..KEPT / PAGE {
            let request = ScanRequest { after, up_to: Some(settled), filter: Filter::default(), limit: PAGE };
            let as_of = self.deletions.now();
            let page = backend.scan(request).await?;
            (after, has_more) = (page.next, page.has_more);
            let mut state = self.state();
            // Under one lock: who begins to wait after this knows that it was read, and who waits has it noted.
            state.waiters.note(&page.records);
            state.window.extend(page, as_of, &self.deletions);
            state.reader = Some(Instant::now());
            if !has_more {
                break;
            }
        }
        self.tell(after, has_more.then_some(settled));
        Ok(())
    }

    /// Tells those who wait of what was read up to here, and where it was more than is kept, up to where it was not read.
    fn tell(&self, read: Position, not_read: Option<Position>) {
        let mut state = self.state();
        let mut told = state.waiters.wanted();
        if let Some(settled) = not_read {
            state.window = Window::at(settled);
            told = told.and(state.waiters.behind(settled, read));
        }
        (state.is_current, state.has_passed) = (true, true);
        let told = told.and(state.tell_progress());
        drop(state);
        told.send();
    }
}

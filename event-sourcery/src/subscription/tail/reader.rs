//! The task that reads the newest events, as long as somebody waits for them.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::time::{Instant, sleep_until, timeout};

use super::Shared;
use super::window::{KEPT, Window};
use crate::backend::{Backend, Filter, ScanRequest};
use crate::error::Result;
use crate::position::Position;

/// How many events are read at once.
const PAGE: usize = 512;

/// The least time between two reads: what is committed meanwhile is read together. A lone event does not wait.
const PACE: Duration = Duration::from_millis(8);

/// How often the task shows that it goes on, and looks whether anybody waits.
const BEAT: Duration = Duration::from_millis(250);

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
        drop(state);
        self.shared.told.send_modify(|told| told.ended += 1);
    }
}

impl Shared {
    /// Waits for the next events, and reads them. Whether it is to go on.
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
        let Some(mut settled) = self.settled(backend, from).await? else { return Ok(false) };
        if let Some(last_read) = last_read
            && last_read.elapsed() < PACE
        {
            sleep_until(last_read + PACE).await;
            settled = backend.wait_beyond(from).await?;
        }
        if self.state().waiting == 0 {
            return Ok(false);
        }
        self.read_up_to(backend, from, settled).await?;
        Ok(true)
    }

    /// What is settled once it is more than this, unless nobody waits for it.
    async fn settled(&self, backend: &dyn Backend, from: Position) -> Result<Option<Position>> {
        let (mut settled, mut idle) = (pin!(backend.wait_beyond(from)), 0);
        while idle < IDLE_BEATS {
            match select(pin!(timeout(BEAT, &mut settled)), pin!(self.gone.notified())).await {
                Either::Left((Ok(settled), _)) => return settled.map(Some),
                Either::Left((Err(_), _)) => {}
                Either::Right(_) => return Ok(None),
            }
            let mut state = self.state();
            state.reader = Some(Instant::now());
            idle = if state.waiting == 0 { idle + 1 } else { 0 };
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
            state.window.extend(page, as_of, &self.deletions);
            state.reader = Some(Instant::now());
            if !has_more {
                break;
            }
        }
        let mut state = self.state();
        if has_more {
            (state.window, after) = (Window::at(settled), settled);
        }
        state.is_current = true;
        drop(state);
        self.told.send_modify(|told| told.reached = after);
        Ok(())
    }
}

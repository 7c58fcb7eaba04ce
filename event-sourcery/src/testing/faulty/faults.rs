//! What is to fail, and what was counted.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::Fault;
use crate::backend::StoredEvent;
use crate::error::{Error, Result};
use crate::position::Position;

/// Where a call never goes on, as if its process had died there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Halt {
    /// Entries of the outbox are held, and nobody is told.
    Held,
    /// Progress is asked for, and is not written.
    BeforeProgress,
    /// Progress is written, and nobody is told.
    AfterProgress,
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) calls: AtomicU64,
    pub(super) scans: AtomicU64,
    pub(super) commits: AtomicU64,
    pub(super) changes: AtomicU64,
    pub(super) renewals: AtomicU64,
    /// What those wait for who have renewed presences.
    pub(super) renewing: Arc<tokio::sync::Mutex<()>>,
    /// How many lists of blocked streams were read, and what their readers wait for.
    pub(super) listed: AtomicU64,
    pub(super) listing: Arc<tokio::sync::Mutex<()>>,
    pub(super) planned: Mutex<Vec<(u64, Fault)>>,
    /// One call out of so many is interrupted; 0: none.
    pub(super) one_in: AtomicU64,
    /// How many milliseconds a read across streams takes.
    pub(super) slow_by: AtomicU64,
    /// Where the events stand that cannot be read.
    pub(super) lost: Mutex<HashSet<Position>>,
    /// So many loads find no stream.
    pub(super) hidden: Mutex<u64>,
    /// So many writes of progress are lost.
    pub(super) unwritten: Mutex<u64>,
    /// So many are written, and the answers lost.
    pub(super) unanswered: Mutex<u64>,
    /// Where calls never go on, and whether one has come there.
    pub(super) halt: Mutex<Option<Halt>>,
    pub(super) has_halted: AtomicBool,
}

impl Faults {
    pub(super) async fn call<T, E: From<Error>>(
        &self,
        backend: &'static str,
        operation: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let fault = {
            let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
            let at = planned.iter().position(|(planned, _)| *planned == call);
            at.map(|at| planned.swap_remove(at).1)
        };
        let failure = |source: &str| Err(Error::Backend { backend, source: source.into() }.into());
        match fault {
            None => self.interrupt(operation).await,
            Some(Fault::Before) => failure("the connection broke before the call, as planned"),
            Some(Fault::After) => {
                operation.await?;
                failure("the connection broke before the answer, as planned")
            }
        }
    }

    pub(super) fn lost(&self) -> MutexGuard<'_, HashSet<Position>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn hidden(&self) -> MutexGuard<'_, u64> {
        self.hidden.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn unwritten(&self) -> MutexGuard<'_, u64> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn unanswered(&self) -> MutexGuard<'_, u64> {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never returns where calls are to halt.
    pub(super) async fn pass(&self, here: Halt) {
        let is_here = *self.halt.lock().unwrap_or_else(PoisonError::into_inner) == Some(here);
        if is_here {
            self.has_halted.store(true, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
    }

    /// Writes progress, unless it is lost or halts.
    pub(super) async fn progress(&self, written: impl Future<Output = Result<()>>) -> Result<()> {
        if counted_down(self.unwritten()) {
            return Err(Error::Unavailable { source: "lost on the way, as planned".into() });
        }
        self.pass(Halt::BeforeProgress).await;
        written.await?;
        self.pass(Halt::AfterProgress).await;
        if counted_down(self.unanswered()) {
            return Err(Error::OutcomeUnknown { source: "lost on the way back, as planned".into() });
        }
        Ok(())
    }

    /// Counts a read across streams, and makes it slow.
    pub(super) async fn begin_scan(&self) {
        self.scans.fetch_add(1, Ordering::SeqCst);
        let slow_by = self.slow_by.load(Ordering::SeqCst);
        if slow_by > 0 {
            tokio::time::sleep(Duration::from_millis(slow_by)).await;
        }
    }

    /// Whether a load finds no stream.
    pub(super) fn hides(&self) -> bool {
        counted_down(self.hidden())
    }

    /// Leaves of an event what a backend can tell of a row that it cannot read.
    pub(super) fn lose(&self, event: &mut StoredEvent) {
        if self.lost().contains(&event.position) {
            event.unreadable = Some("its row was lost, as planned".into());
            event.data = Box::default();
        }
    }

    async fn interrupt<T, E: From<Error>>(
        &self,
        operation: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let one_in = self.one_in.load(Ordering::SeqCst);
        if one_in == 0 || chance(one_in) > 0 {
            return operation.await;
        }
        if chance(2) == 0 {
            return Err(Error::Unavailable { source: "interrupted before the call, at random".into() }.into());
        }
        let answer = operation.await?;
        if self.one_in.load(Ordering::SeqCst) == 0 {
            return Ok(answer);
        }
        Err(Error::OutcomeUnknown { source: "interrupted before the answer, at random".into() }.into())
    }
}

/// Whether there was one left of so many; there is one less now.
fn counted_down(mut left: MutexGuard<'_, u64>) -> bool {
    let was_left = *left > 0;
    *left = left.saturating_sub(1);
    was_left
}

/// A number below this one, at random.
fn chance(below: u64) -> u64 {
    Uuid::new_v4().as_u64_pair().1 % below.max(1)
}

//! The settled position: how far readers may go without ever missing an event.
//!
//! Positions come from a sequence and become visible at commit, in any order. A run of positions without a hole is
//! settled. At a hole, the highest position that is visible, or was drawn by then, is a ceiling, and those who hold
//! `RowExclusiveLock` on the events table *afterwards* are the only ones who can own a position below it that is not visible
//! yet: every insert takes that lock before it draws its position, and releases it after it has become visible. Once each
//! of them has ended, whatever is not there up to the ceiling was rolled back, or deleted. No time-out, no extra lock, no
//! dependence on transaction ids; a transaction that never touched the table is not waited for.
//!
//! A position that was drawn and is not visible may be drawn again after a crash of the server, unless the log was flushed
//! since. So what is settled above the highest visible event is put on record, in a commit that waits for the disk and for
//! standbys, before it is handed out. Below it, that event's own commit has done so.
//!
//! What an earlier look has found counts only in the same [`Run`] of the server, whatever connection it was made on. In
//! another run transactions have ended, their names are given again, and so may be what was drawn; the [`History`] may be
//! another one. No clock decides.
//!
//! A process that has just begun has looked at nothing. It goes on from the evidence that others have left in the database,
//! and leaves its own: so processes that read once and end get as far together as one that stays.
//!
//! Within a process callers share a look, those of one runtime only: nobody may drive another. A look starts out from all that
//! was found before, and counts only if no other one has counted meanwhile; else it is made again. So they count one after the
//! other, wherever they were made, and what they have found, what is known and the run belong together.

mod evidence;
mod history;
mod look;
mod reaching;
mod recording;
mod telling;
mod tracker;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use event_sourcery::{Error, Position, Result};

pub(crate) use self::look::{Run, refused_on_standby};
pub(crate) use self::reaching::reached_by;
pub(crate) use self::recording::Record;
use self::recording::{Recorded, Recording};
use self::telling::Telling;
pub(crate) use self::tracker::mark;
use self::tracker::{Found, Tracker};
use crate::connections::Connections;
use crate::failure::During;
use crate::holders::Holder;
use crate::numbering::{PASSED, WentBack};
use crate::places::Purpose;
use crate::runtimes::PerRuntime;
use crate::sql::Sql;

/// What a process has found out, shared by all readers.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    state: Mutex<State>,
    /// Who looks holds the turn of its runtime.
    turns: PerRuntime<tokio::sync::Mutex<Recording>>,
    recorded: Recorded,
    telling: Telling,
    /// How many looks have begun, on whatever runtime.
    begun: AtomicU64,
    /// Once the server was found to be of another history: up to where readers had come.
    replaced: OnceLock<Position>,
    /// The highest position that was given when the store was opened.
    given_before: i64,
    went_back: WentBack,
}

/// What the looks that counted have left.
#[derive(Debug, Clone, Default)]
struct State {
    known: Known,
    tracker: Tracker,
    /// How many they are.
    counted: u64,
    /// Which of them was the last to begin. Whoever had asked before it began is answered by it, wherever it was made.
    last_begun: u64,
}

/// What was known when somebody last looked.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// What is settled. Never goes back.
    pub(crate) position: Position,
    /// The run of the server that was looked at. What is settled has to be read in the same, and to be put down as handled.
    pub(crate) run: Run,
    /// How far it is settled in that run: less than the position, while a new run has not come so far again.
    pub(crate) readable: Position,
    /// The last position that was drawn.
    pub(crate) end: Position,
}

impl Default for Known {
    fn default() -> Self {
        let start = Position::START;
        Self { position: start, run: Run::default(), readable: start, end: start }
    }
}

impl Settled {
    /// Of a store that was opened in this run of the server, when positions up to this one had been given.
    pub(crate) fn opened(run: &str, given_before: i64) -> Self {
        let state = State { tracker: Tracker::opened_in(run), ..State::default() };
        Self { state: Mutex::new(state), given_before, ..Self::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn known(&self) -> Known {
        self.state().known.clone()
    }

    /// What the positions of an append have to be above that begins after this.
    ///
    /// What is settled is never above what was drawn by then, and a sequence only rises: so whoever asks, and then sends his
    /// append, draws higher, whoever draws, ends or looks meanwhile, and whenever his transaction has begun. What becomes known
    /// after he has asked may be above his position, and does not count. Nor does what was drawn and is not settled: a crash may
    /// have it drawn again. In another history nothing counts.
    pub(crate) fn given(&self) -> Result<i64> {
        if self.replaced.get().is_some() {
            return Ok(0);
        }
        self.went_back.refuse()?;
        Ok(self.given_before.max(self.state().known.position.to_i64()))
    }

    /// Looks how far it has come. Whoever calls while another one looks shares the look after that one.
    ///
    /// In a task, for its caller may not be polled any more while it has the turn.
    pub(crate) async fn advance(
        self: &Arc<Self>,
        connections: &Arc<Connections>,
        sql: &Arc<Sql>,
        record: Record,
    ) -> Result<Position> {
        let asked = self.begun.load(Ordering::Acquire);
        let (settled, connections, sql) = (Arc::clone(self), Arc::clone(connections), Arc::clone(sql));
        let looking = tokio::spawn(async move {
            let looked = settled.look(asked, &connections, &sql, record).await;
            looked.and_then(|position| settled.went_back.refuse().map(|()| position))
        });
        looking.await.unwrap_or_else(|ended| Err(Error::unavailable(ended)))
    }

    /// Whether an append was refused for a position that was given in another history only, so that it is to be tried again. If
    /// not, the numbering went back, and that is kept: once appends have caught up, nothing shows it.
    pub(crate) async fn was_given_elsewhere<T>(
        self: &Arc<Self>,
        connections: &Arc<Connections>,
        sql: &Arc<Sql>,
        appended: &Result<T>,
        given: i64,
    ) -> bool {
        let Err(refused @ Error::NumberingWentBack { evidence: PASSED, highest: 1.., .. }) = appended else {
            return false;
        };
        // It was not above what is on record in this very history.
        if given == 0 && self.replaced.get().is_some() {
            return false;
        }
        match self.advance(connections, sql, Record::Now).await {
            Err(Error::HistoryReplaced { .. }) => return true,
            Ok(_) => self.went_back.note(refused),
            // A look that sees it has kept it.
            Err(_) => {}
        }
        false
    }

    async fn look(
        &self,
        asked: u64,
        connections: &Arc<Connections>,
        sql: &Arc<Sql>,
        record: Record,
    ) -> Result<Position> {
        let mut turn = self.turns.here(Default::default).lock_owned().await;
        loop {
            let before = self.state().clone();
            if before.last_begun > asked {
                return Ok(before.known.position);
            }
            if let Some(position) = self.replaced.get() {
                return Err(Error::HistoryReplaced { position: *position });
            }
            let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
            let (mut tracker, known) = (before.tracker, before.known.position.to_i64());
            let mut connection = connections.acquire(Purpose::Read).await?;
            let found = match tracker.look(&mut connection, sql, known, &self.went_back).await {
                Err(error @ Error::ReadOnly { .. }) => return connection.keep_after(Err(error)),
                Err(error @ Error::HistoryReplaced { position }) => {
                    let _ = self.replaced.set(position);
                    return Err(error);
                }
                found => found?,
            };
            self.telling.tell(&tracker.evidence, &mut connection, sql, &found).await?;
            let is_time = || self.recorded.is_time(record);
            let settled = Recording::keep(&mut turn, connection, sql, &found, is_time).await;
            tracker.history.reached(settled, known);
            let known = Known::of(&tracker, &found, settled, known);
            let position = known.position;
            let after = State { known, tracker, counted: before.counted + 1, last_begun: number };
            if self.counts(after) {
                return Ok(position);
            }
        }
    }

    /// Takes in what a look has left, unless another one has counted since it began.
    fn counts(&self, after: State) -> bool {
        let mut state = self.state();
        let counts = state.counted + 1 == after.counted;
        if counts {
            *state = after;
        }
        counts
    }

    /// Who holds it up, after another look.
    pub(crate) async fn held_up_by(
        self: &Arc<Self>,
        connections: &Arc<Connections>,
        sql: &Arc<Sql>,
    ) -> Result<Vec<Holder>> {
        self.advance(connections, sql, Record::Now).await?;
        let evidence = self.state().tracker.evidence.clone();
        let (mut connection, since) = (connections.acquire(Purpose::Read).await?, Instant::now());
        let holders = evidence.holders(&mut connection, sql).await;
        connection
            .keep_after(holders.map_err(|failure| failure.into_error(During::NothingKept, since.elapsed())))
    }
}

impl Known {
    /// What is known after a look that has settled so much, where so much was known before.
    fn of(tracker: &Tracker, found: &Found, settled: i64, before: i64) -> Self {
        let is_behind = tracker.history.look_from(before) < before;
        let [position, readable, end] =
            [settled.max(before), if is_behind { settled } else { settled.max(before) }, found.drawn]
                .map(Position::from_i64);
        Self { position, run: found.run.clone(), readable, end }
    }
}

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

mod evidence;
mod history;
mod look;
mod recording;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use event_sourcery::{Error, Position, Result};
use tokio::sync::Mutex;

use self::evidence::Evidence;
use self::history::{History, Verdict};
use self::look::Look;
pub(crate) use self::look::{Run, refused_on_standby};
use self::recording::Recording;
use crate::connections::Connections;
use crate::failure::During;
use crate::holders::{Holder, Pace};
use crate::lease::Lease;
use crate::operations::Operations;
use crate::sql::Sql;

/// How often a caller looks on before it takes what is settled by then: others may be writing faster than it looks.
const LOOKS: usize = 4;

/// How long it waits for somebody else who marks the run at the same moment, as `lock_timeout` takes it.
const PATIENCE: &str = "100ms";

/// Evidence is left for others at most so often.
const LEAVE_EVERY: Duration = Duration::from_millis(100);

/// The one tracker of a process, shared by all readers.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    known: RwLock<Known>,
    /// Who advances holds the lock.
    tracker: Mutex<Tracker>,
    /// How many advances have begun.
    begun: AtomicU64,
    /// Which of them was the last to end well.
    ended: AtomicU64,
    /// Once the server was found to be of another history: up to where readers had come.
    replaced: OnceLock<Position>,
}

/// What was known when somebody last looked.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// What is settled. Never goes back.
    pub(crate) position: Position,
    /// The run of the server that was looked at. What is settled has to be read in the same.
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

/// What only who advances needs.
#[derive(Debug, Default)]
struct Tracker {
    evidence: Evidence,
    history: History,
    recording: Recording,
    /// How long it is held up already.
    pace: Pace,
    /// When evidence was last left for others.
    left: Option<Instant>,
}

/// What some looks of one caller have come to.
struct Found {
    settled: i64,
    /// The last look began there: what is settled above the newest event is sure up to here.
    looked_from: i64,
    visible: i64,
    recorded: i64,
    drawn: i64,
    run: Run,
    /// Up to where evidence of others reaches.
    left: Option<i64>,
}

impl Settled {
    pub(crate) fn known(&self) -> Known {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks how far it has come. Whoever calls while another one looks shares the look after that one.
    pub(crate) async fn advance(&self, connections: &Arc<Connections>, sql: &Arc<Sql>) -> Result<Position> {
        let seen = self.begun.load(Ordering::Acquire);
        let mut tracker = self.tracker.lock().await;
        if self.ended.load(Ordering::Acquire) > seen {
            return Ok(self.known().position);
        }
        if let Some(position) = self.replaced.get() {
            return Err(Error::HistoryReplaced { position: *position });
        }
        let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let mut connection = connections.acquire().await?;
        let before = self.known().position.to_i64();
        let found = match tracker.look(&mut connection, sql, before).await {
            Err(error @ Error::HistoryReplaced { position }) => {
                let _ = self.replaced.set(position);
                return Err(error);
            }
            found => found?,
        };
        tracker.tell(&mut connection, sql, &found).await?;
        let settled = tracker.recording.keep(connection, sql, &found).await;
        tracker.history.reached(settled, before);
        let is_behind = tracker.history.look_from(before) < before;
        let [position, readable, end] =
            [settled.max(before), if is_behind { settled } else { settled.max(before) }, found.drawn]
                .map(Position::from_i64);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) =
            Known { position, run: found.run, readable, end };
        self.ended.store(number, Ordering::Release);
        Ok(position)
    }

    /// Who holds it up, after another look.
    pub(crate) async fn held_up_by(
        &self,
        connections: &Arc<Connections>,
        sql: &Arc<Sql>,
    ) -> Result<Vec<Holder>> {
        self.advance(connections, sql).await?;
        let tracker = self.tracker.lock().await;
        let (mut connection, since) = (connections.acquire().await?, Instant::now());
        let holders = tracker.evidence.holders(&mut connection, sql).await;
        connection
            .keep_after(holders.map_err(|failure| failure.into_error(During::NothingKept, since.elapsed())))
    }
}

impl Tracker {
    /// Looks, until looking on does not help at once.
    async fn look(&mut self, connection: &mut Lease, sql: &Sql, known: i64) -> Result<Found> {
        // What was seen on another connection, a crash may have taken back: only a mark would tell.
        if !self.history.is_in_marked_run() {
            self.evidence = Evidence::default();
        }
        let mut settled = self.history.look_from(known);
        let (mut looks, mut may_mark) = (LOOKS, true);
        loop {
            let look = Look::take(connection, sql, settled, self.evidence.drawn()).await?;
            looks = looks.saturating_sub(1);
            if self.begins_another_run(connection, sql, &look, known).await? {
                if looks == 0 {
                    return Err(Error::Unavailable {
                        source: "the server runs anew each time it is asked".into(),
                    });
                }
                settled = self.history.look_from(known);
                continue;
            }
            look.refuse_numbering_that_went_back(sql.sequence.name(), known)?;
            if !look.run.is_marked() && std::mem::take(&mut may_mark) {
                mark(connection, sql).await;
                continue;
            }
            self.history.note(&look);
            let mut found = Found::of(&look);
            let (reached, goes_on) = self.evidence.settle(look);
            (settled, found.settled) = (reached, reached);
            if !goes_on || looks == 0 {
                return Ok(found);
            }
        }
    }

    /// Whether the server runs anew since the last look: then nothing counts that was found before, and it is looked again.
    async fn begins_another_run(
        &mut self,
        connection: &mut Lease,
        sql: &Sql,
        look: &Look,
        known: i64,
    ) -> Result<bool> {
        let since = Instant::now();
        let replaced = || Error::HistoryReplaced { position: Position::from_i64(known) };
        let newest = match self.history.verdict(look, known) {
            Verdict::Same => return Ok(false),
            Verdict::Another => return Err(replaced()),
            Verdict::Depends(newest) => newest,
        };
        let tells = self.history.tells(connection, sql, newest).await;
        let tells = tells.map_err(|failure| failure.into_error(During::NothingKept, since.elapsed()))?;
        if !self.history.begin_run(look, tells.as_deref()) {
            return Err(replaced());
        }
        self.evidence = Evidence::default();
        Ok(true)
    }

    /// Leaves evidence for others, and says what holds it up when that lasts.
    async fn tell(&mut self, connection: &mut Lease, sql: &Sql, found: &Found) -> Result<()> {
        let Some(hole) = self.evidence.hole() else {
            self.pace.worth_a_warning(None, Instant::now());
            return Ok(());
        };
        let is_useless = found.left.is_none_or(|ceiling| ceiling <= found.settled);
        if is_useless && found.run.is_marked() && self.left.is_none_or(|left| left.elapsed() >= LEAVE_EVERY) {
            self.left = Some(Instant::now());
            let holders: Vec<_> = hole.holders.iter().map(String::as_str).collect();
            let query = sql.settled.leave.query().bind(hole.ceiling).bind(holders).bind(found.run.name());
            if let Err(problem) = Operations::alone(connection, sql).execute(query).await {
                tracing::debug!(problem = problem.message(), "no evidence was left for other processes");
            }
        }
        let warning = self.pace.worth_a_warning(Some(found.settled), Instant::now());
        if !found.run.is_marked() && self.pace.lasts(Instant::now()) {
            return Err(sql.sequence.no_mark());
        }
        let Some(held_for) = warning else { return Ok(()) };
        let holders = self.evidence.holders(connection, sql).await.unwrap_or_default();
        warn_of(found.settled, held_for, &holders);
        Ok(())
    }
}

impl Found {
    fn of(look: &Look) -> Self {
        Self {
            settled: look.from,
            looked_from: look.from,
            visible: look.visible(),
            recorded: look.recorded,
            drawn: look.drawn,
            run: look.run.clone(),
            left: look.left.as_ref().map(|left| left.ceiling),
        }
    }
}

/// Marks the run of the server, so that what is seen in it can be evidence later on. A role that may only read leaves it to
/// others.
async fn mark(connection: &mut Lease, sql: &Sql) {
    if let Err(problem) =
        Operations::alone(connection, sql).execute(sql.settled.mark.query().bind(PATIENCE)).await
    {
        tracing::debug!(problem = problem.message(), "this run of the server was not marked");
    }
}

/// Readers that wait should not be a riddle.
fn warn_of(position: i64, held_for: Duration, holders: &[Holder]) {
    let holders = holders.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    tracing::warn!(
        position,
        ?held_for,
        holders,
        "readers do not come beyond this position, because of transactions that are open"
    );
}

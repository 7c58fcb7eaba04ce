//! What follows for the settled position from what the database shows, look by look.

use std::sync::Arc;
use std::time::{Duration, Instant};

use event_sourcery::{Error, Position, Result};

use super::evidence::Evidence;
use super::history::{History, Verdict};
use super::look::{Look, Run};
use crate::failure::During;
use crate::layout;
use crate::lease::Lease;
use crate::numbering::WentBack;
use crate::operations::Operations;
use crate::sql::Sql;

/// How often a caller looks on before it takes what is settled by then: others may be writing faster than it looks.
const LOOKS: usize = 4;

/// How often it is checked whether the tables are still fit for a store: somebody may alter them beside us, and nothing tells.
const CHECK_EVERY: Duration = Duration::from_secs(10);

/// How long it waits for somebody else who marks the run at the same moment, as `lock_timeout` takes it.
const PATIENCE: &str = "100ms";

/// What the looks have come to that counted so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Tracker {
    pub(super) evidence: Evidence,
    pub(super) history: History,
    /// The run of the server that was last found fit for a store, and when.
    checked: Arc<str>,
    checked_at: Option<Instant>,
}

/// What some looks of one caller have come to.
pub(super) struct Found {
    pub(super) settled: i64,
    /// The last look began there: what is settled above the newest event is sure up to here.
    pub(super) looked_from: i64,
    pub(super) visible: i64,
    pub(super) recorded: i64,
    pub(super) drawn: i64,
    pub(super) run: Run,
    /// Up to where evidence of others reaches.
    pub(super) left: Option<i64>,
}

impl Tracker {
    /// Of a store that was opened in this run of the server.
    pub(super) fn opened_in(run: &str) -> Self {
        Self { checked: run.into(), checked_at: Some(Instant::now()), ..Self::default() }
    }

    /// Looks, until looking on does not help at once.
    pub(super) async fn look(
        &mut self,
        connection: &mut Lease,
        sql: &Sql,
        known: i64,
        went_back: &WentBack,
    ) -> Result<Found> {
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
                    return Err(Error::unavailable("the server runs anew each time it is asked"));
                }
                settled = self.history.look_from(known);
                continue;
            }
            look.refuse_numbering_that_went_back(&sql.sequence, known, went_back)?;
            if !look.run.is_marked() && std::mem::take(&mut may_mark) {
                mark(connection, sql).await;
                continue;
            }
            if *self.checked != *look.run.name() || self.is_time_to_check() {
                layout::refuse_another(connection, sql.tables()).await?;
                (self.checked, self.checked_at) = (look.run.name().into(), Some(Instant::now()));
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

    fn is_time_to_check(&self) -> bool {
        self.checked_at.is_none_or(|checked_at| checked_at.elapsed() >= CHECK_EVERY)
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

/// Marks the run of the server, unless somebody has, so that what is seen in it can be evidence later on, and its name stays as it
/// is. A role that may only read leaves it to others.
pub(crate) async fn mark(connection: &mut Lease, sql: &Sql) {
    if let Err(problem) =
        Operations::alone(connection, sql).execute(sql.settled.mark.query().bind(PATIENCE)).await
    {
        tracing::debug!(problem = problem.message(), "this run of the server was not marked");
    }
}

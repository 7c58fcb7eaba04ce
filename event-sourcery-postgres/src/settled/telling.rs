//! What others are told of a hole: other processes what is known of it, and whoever reads the log who holds it up.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use event_sourcery::Result;

use super::evidence::{Evidence, Hole};
use super::tracker::Found;
use crate::holders::{Holder, Pace};
use crate::lease::Lease;
use crate::operations::Operations;
use crate::sql::Sql;

/// Evidence is left for others at most so often.
const LEAVE_EVERY: Duration = Duration::from_millis(100);

/// When others were told.
#[derive(Debug, Default)]
pub(super) struct Telling(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    /// How long the position is held up already.
    pace: Pace,
    /// When evidence was last left for others.
    left: Option<Instant>,
}

impl Telling {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves evidence for others, and says what holds the position up when that lasts.
    pub(super) async fn tell(
        &self,
        evidence: &Evidence,
        connection: &mut Lease,
        sql: &Sql,
        found: &Found,
    ) -> Result<()> {
        let Some(hole) = evidence.hole() else {
            self.told().pace.worth_a_warning(None, Instant::now());
            return Ok(());
        };
        let is_useless = found.left.is_none_or(|ceiling| ceiling <= found.settled);
        if is_useless && found.run.is_marked() && self.is_time_to_leave_it() {
            leave(hole, connection, sql, found).await;
        }
        let warning = self.told().pace.worth_a_warning(Some(found.settled), Instant::now());
        if !found.run.is_marked() && self.told().pace.lasts(Instant::now()) {
            return Err(sql.sequence.no_mark());
        }
        let Some(held_for) = warning else { return Ok(()) };
        let holders = evidence.holders(connection, sql).await.unwrap_or_default();
        warn_of(found.settled, held_for, &holders);
        Ok(())
    }

    fn is_time_to_leave_it(&self) -> bool {
        let mut told = self.told();
        let is_time = told.left.is_none_or(|left| left.elapsed() >= LEAVE_EVERY);
        if is_time {
            told.left = Some(Instant::now());
        }
        is_time
    }
}

async fn leave(hole: &Hole, connection: &mut Lease, sql: &Sql, found: &Found) {
    let holders: Vec<_> = hole.holders.iter().map(String::as_str).collect();
    let query = sql.settled.leave.query().bind(hole.ceiling).bind(holders).bind(found.run.name());
    if let Err(problem) = Operations::alone(connection, sql).execute(query).await {
        tracing::debug!(problem = problem.message(), "no evidence was left for other processes");
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

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
//! since. So what is settled above the highest visible event is put on record, in a commit that waits for the disk, before
//! it is handed out. Below it, that event's own commit has flushed the log.
//!
//! What an earlier look has found counts only if the connection of the later one was there already: then the server has not
//! crashed in between, which ends transactions, takes back what was drawn, and gives names again.
//!
//! A holder is named by its virtual transaction, which is unique as long as the server runs. A transaction that is prepared
//! goes on under another name (`-1/..`): prepared transactions that turn up when a holder has vanished take its place.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use event_sourcery::{Error, Position, Result};
use sqlx::{PgConnection, Row as _};
use tokio::sync::Mutex;

use crate::connections::Connections;
use crate::failure::{During, Failure};
use crate::holders::{Holder, Pace};
use crate::sql::Sql;

/// How many events are looked at in one statement.
const LOOK_AT: i64 = 10_000;

/// How often a caller looks on before it takes what is settled by then: others may be writing faster than it looks.
const LOOKS: usize = 4;

/// The one tracker of a process, shared by all readers.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    position: AtomicI64,
    /// Who advances holds the lock.
    evidence: Mutex<Evidence>,
    /// How many advances have begun.
    begun: AtomicU64,
    /// Which of them was the last to end well.
    ended: AtomicU64,
}

/// What earlier looks have found.
#[derive(Debug, Default)]
struct Evidence {
    /// When the last look began, by the server's clock.
    looked_at: i64,
    hole: Option<Hole>,
    /// The last position that was drawn then.
    drawn: i64,
    /// How long it is held up already.
    pace: Pace,
}

/// A hole below a ceiling, and who may still fill it.
#[derive(Debug)]
struct Hole {
    ceiling: i64,
    holders: HashSet<String>,
}

/// What [`Sql::look`] finds.
#[derive(Debug)]
struct Look {
    events: i64,
    reached: i64,
    visible: i64,
    holders: Option<Vec<String>>,
    drawn: Option<i64>,
    recorded: i64,
    connected_at: i64,
    looked_at: i64,
    on_standby: bool,
}

impl Settled {
    /// What was settled when somebody last looked. Never goes back.
    pub(crate) fn known(&self) -> Position {
        Position::from_i64(self.position.load(Ordering::Acquire))
    }

    /// Looks how far it has come. Whoever calls while another one looks shares the look after that one.
    pub(crate) async fn advance(&self, connections: &Arc<Connections>, sql: &Sql) -> Result<Position> {
        let seen = self.begun.load(Ordering::Acquire);
        let mut evidence = self.evidence.lock().await;
        if self.ended.load(Ordering::Acquire) > seen {
            return Ok(self.known());
        }
        let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let mut connection = connections.acquire().await?;
        let since = Instant::now();
        let failed =
            |error: sqlx::Error| Failure::from(error).into_error(During::NothingKept, since.elapsed());
        let before = self.position.load(Ordering::Acquire);
        let (mut settled, mut visible, mut recorded) = (before, before, before);
        for _ in 0..LOOKS {
            connection.enter().await.map_err(failed)?;
            let look = Look::from(&mut connection, sql, settled, evidence.drawn).await.map_err(failed)?;
            connection.leave().await.map_err(failed)?;
            if look.on_standby {
                return Err(on_standby());
            }
            (visible, recorded) = (visible.max(look.visible), look.recorded);
            let (reached, goes_on) = look.settle(settled, &mut evidence);
            settled = reached;
            if !goes_on {
                break;
            }
        }
        let held_up = evidence.hole.is_some().then_some(settled);
        if let Some(held_for) = evidence.pace.worth_a_warning(held_up, Instant::now()) {
            connection.enter().await.map_err(failed)?;
            let holders = evidence.holders(&mut connection, sql).await.unwrap_or_default();
            connection.leave().await.map_err(failed)?;
            warn_of(settled, held_for, &holders);
        }
        if settled <= recorded
            || connection.enter().await.is_ok()
                && record(&mut connection, sql, settled, settled > visible).await
                && connection.leave().await.is_ok()
        {
            connection.keep();
        } else {
            connection.give_back();
            settled = settled.min(visible).max(before);
        }
        self.position.fetch_max(settled, Ordering::AcqRel);
        self.ended.store(number, Ordering::Release);
        Ok(self.known())
    }

    /// Who holds it up, after another look.
    pub(crate) async fn held_up_by(&self, connections: &Arc<Connections>, sql: &Sql) -> Result<Vec<Holder>> {
        self.advance(connections, sql).await?;
        let evidence = self.evidence.lock().await;
        let (mut connection, since) = (connections.acquire().await?, Instant::now());
        let holders = connection.enter().await.and(evidence.holders(&mut connection, sql).await);
        let holders = connection.leave().await.and(holders);
        connection.keep_after(
            holders.map_err(|error| Failure::from(error).into_error(During::NothingKept, since.elapsed())),
        )
    }
}

impl Evidence {
    /// Who may still fill the hole, as far as they are still there.
    async fn holders(&self, connection: &mut PgConnection, sql: &Sql) -> Result<Vec<Holder>, sqlx::Error> {
        let Some(hole) = &self.hole else { return Ok(Vec::new()) };
        let names: Vec<_> = hole.holders.iter().cloned().collect();
        Holder::find(connection, sql, &names).await
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

impl Look {
    async fn from(
        connection: &mut PgConnection,
        sql: &Sql,
        settled: i64,
        drawn: i64,
    ) -> Result<Self, sqlx::Error> {
        let row = sql.look.query().bind(settled).bind(LOOK_AT).bind(drawn).fetch_one(connection).await?;
        Ok(Self {
            events: row.try_get(0)?,
            reached: row.try_get(1)?,
            visible: row.try_get(2)?,
            holders: row.try_get(3)?,
            drawn: row.try_get(4)?,
            recorded: row.try_get(5)?,
            connected_at: row.try_get::<Option<i64>, _>(6)?.unwrap_or(i64::MAX),
            looked_at: row.try_get(7)?,
            on_standby: row.try_get(8)?,
        })
    }

    /// How far it is settled, and whether looking on can help at once.
    fn settle(self, settled: i64, evidence: &mut Evidence) -> (i64, bool) {
        let drawn = self.drawn.unwrap_or(0);
        let looked_before = std::mem::replace(&mut evidence.looked_at, self.looked_at);
        if self.connected_at > looked_before {
            (evidence.hole, evidence.drawn) = (None, drawn);
            return (self.recorded.max(self.reached), true);
        }
        let drawn_before = std::mem::replace(&mut evidence.drawn, drawn);
        // What was settled once, by whatever process, stays so: the rest of the look is about less.
        if self.recorded > settled {
            return (self.recorded, true);
        }
        let reached = self.reached;
        // As many as were looked at, and no hole among them: there may be a long way to go yet.
        let is_run = self.events == LOOK_AT && reached - settled == LOOK_AT;
        let Some(holders) = self.holders else {
            evidence.hole = None;
            return (reached, drawn > reached);
        };
        let holders: HashSet<String> = holders.into_iter().collect();
        let ceiling = self.visible.max(drawn_before);
        let (ceiling, holders) = match evidence.hole.take().filter(|hole| hole.ceiling > reached) {
            _ if holders.is_empty() => return (ceiling, drawn > ceiling),
            Some(hole) => (hole.ceiling, hole.still(&holders)),
            None => (ceiling, holders),
        };
        if holders.is_empty() {
            return (ceiling, true);
        }
        evidence.hole = Some(Hole { ceiling, holders });
        (reached, is_run)
    }
}

impl Hole {
    /// Who of them goes on. One that vanished may have been prepared, and then has another name.
    fn still(self, now: &HashSet<String>) -> HashSet<String> {
        let is_prepared = |holder: &str| holder.starts_with("-1/");
        let (goes_on, vanished): (HashSet<_>, HashSet<_>) =
            self.holders.into_iter().partition(|holder| now.contains(holder));
        if vanished.iter().all(|holder| is_prepared(holder)) {
            return goes_on;
        }
        now.iter().filter(|holder| goes_on.contains(*holder) || is_prepared(holder)).cloned().collect()
    }
}

/// Puts the settled position on record before it is handed out, so that a reader that is started again does not wait, for
/// old events, on a transaction that happens to be open. Whether it is there: a role that may only read does without.
async fn record(connection: &mut PgConnection, sql: &Sql, settled: i64, flush: bool) -> bool {
    let synchronous_commit = if flush { "on" } else { "off" };
    let query = sql.record_settled.query().bind(settled).bind(synchronous_commit);
    match query.execute(connection).await {
        Ok(_) => true,
        Err(problem) => {
            tracing::debug!(settled, %problem, "the settled position was not put on record");
            false
        }
    }
}

/// The error for a server that only follows another one.
pub(crate) fn on_standby() -> Error {
    Error::ReadOnly {
        problem: "this server is a standby, where the writers' locks cannot be seen, so that nothing is ever known to be \
                  settled: connect to the primary"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(reached: i64, visible: i64, holders: Option<&[&str]>) -> Look {
        let holders = holders.map(|holders| holders.iter().map(|&holder| holder.to_owned()).collect());
        let (connected_at, looked_at, drawn) = (1, 2, Some(visible));
        let (events, recorded, on_standby) = (1, 0, false);
        Look { events, reached, visible, holders, drawn, recorded, connected_at, looked_at, on_standby }
    }

    fn evidence() -> Evidence {
        Evidence { looked_at: 1, ..Evidence::default() }
    }

    #[test]
    fn a_run_without_a_hole_is_settled_whoever_writes() {
        assert_eq!(look(9, 9, None).settle(4, &mut evidence()), (9, false));
    }

    #[test]
    fn positions_that_were_drawn_and_are_not_visible_are_looked_after() {
        let mut evidence = evidence();
        assert_eq!(Look { drawn: Some(12), ..look(9, 9, None) }.settle(4, &mut evidence), (9, true));
        assert_eq!(Look { drawn: Some(12), ..look(9, 9, Some(&[])) }.settle(9, &mut evidence), (12, false));
    }

    #[test]
    fn a_hole_that_nobody_can_fill_is_settled_up_to_the_ceiling() {
        assert_eq!(look(5, 9, Some(&[])).settle(4, &mut evidence()), (9, false));
    }

    #[test]
    fn a_long_run_is_settled_at_once_where_nobody_writes_and_run_by_run_where_somebody_does() {
        let run =
            |from: i64, holders| Look { events: LOOK_AT, ..look(from + LOOK_AT, 900_000, Some(holders)) };
        assert_eq!(run(4, &[]).settle(4, &mut evidence()), (900_000, false));
        let mut evidence = evidence();
        assert_eq!(run(4, &["3/1"]).settle(4, &mut evidence), (4 + LOOK_AT, true));
        // Those who wrote then have ended; others write by now.
        assert_eq!(run(4 + LOOK_AT, &["5/1"]).settle(4 + LOOK_AT, &mut evidence), (900_000, true));
    }

    #[test]
    fn a_hole_is_settled_once_those_who_were_there_have_ended() {
        let mut evidence = evidence();
        assert_eq!(look(4, 9, Some(&["3/1", "4/1"])).settle(4, &mut evidence), (4, false));
        assert_eq!(look(4, 12, Some(&["4/1", "5/1"])).settle(4, &mut evidence), (4, false));
        assert_eq!(look(4, 20, Some(&["5/1", "6/1"])).settle(4, &mut evidence), (9, true));
        assert!(evidence.hole.is_none());
    }

    #[test]
    fn a_prepared_transaction_takes_the_place_of_the_one_that_vanished() {
        let mut evidence = evidence();
        look(4, 9, Some(&["3/1"])).settle(4, &mut evidence);
        assert_eq!(look(4, 9, Some(&["-1/77", "5/1"])).settle(4, &mut evidence), (4, false));
        // Others that are prepared later cannot hold it up for ever.
        assert_eq!(look(4, 9, Some(&["-1/77", "-1/78"])).settle(4, &mut evidence), (4, false));
        assert_eq!(look(4, 9, Some(&["-1/78"])).settle(4, &mut evidence), (9, true));
    }

    #[test]
    fn what_was_found_before_this_connection_was_there_means_nothing() {
        let mut evidence = evidence();
        Look { drawn: Some(40), ..look(4, 9, Some(&["3/1"])) }.settle(4, &mut evidence);
        // Not even that 40 was drawn: after a crash it may be drawn again.
        let later = |holders| Look { connected_at: 3, looked_at: 4, ..look(4, 9, Some(holders)) };
        assert_eq!(later(&[]).settle(4, &mut evidence), (4, true));
        assert_eq!(later(&["-1/77"]).settle(4, &mut evidence), (4, false));
        assert_eq!(evidence.hole.unwrap().holders, HashSet::from(["-1/77".to_owned()]));
    }
}

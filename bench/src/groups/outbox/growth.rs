//! What a million entries that have come and gone leave of the outbox's table on a PostgreSQL server.

use std::time::Duration;

use event_sourcery::EventStore;
use postgres_cluster::Database;
use tokio::time::{Instant, sleep};

use super::{drain, fill};
use crate::Result;
use crate::bench::Bench;
use crate::figure::{Figure, Pair, Target};
use crate::invoice::streams;
use crate::postgres::{self, Server};

const NAME: &str = "postgres/outbox/growth";
const STREAMS: usize = 10_000;
const ROUNDS: usize = 10;

/// As long as a server's processes keep what they have counted to themselves, and a little more.
const UNTIL_COUNTED: Duration = Duration::from_secs(12);

/// Longer than autovacuum sleeps between two looks, twice.
const UNTIL_VACUUMED: Duration = Duration::from_secs(180);

const WITHOUT_AUTOVACUUM: &str = "ALTER TABLE event_sourcery_outbox_entries SET (autovacuum_enabled = off)";
const MEGABYTES: &str = "SELECT pg_total_relation_size('event_sourcery_outbox_entries') / 1e6";
const DEAD_ROWS: &str = "
    SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'event_sourcery_outbox_entries'";

/// What is left of the table, which is empty.
#[derive(Clone, Copy)]
struct Left {
    megabytes: f64,
    dead_rows: f64,
}

impl Left {
    async fn of(database: &Database) -> Result<Self> {
        sleep(UNTIL_COUNTED).await;
        Ok(Self { megabytes: number(database, MEGABYTES)?, dead_rows: number(database, DEAD_ROWS)? })
    }
}

pub async fn measure(bench: &mut Bench, server: &Server) -> Result<()> {
    if !bench.wants(NAME) {
        return Ok(());
    }
    let (with, without) = (server.database(), server.database());
    let right_after = passed_through(bench, &with, None).await?;
    let never = passed_through(bench, &without, Some(WITHOUT_AUTOVACUUM)).await?;
    report(bench, "size", "MB after a million entries", right_after.megabytes, never.megabytes, NEVER, None)?;
    report(
        bench,
        "dead-rows",
        "dead rows after a million entries",
        right_after.dead_rows,
        never.dead_rows,
        NEVER,
        None,
    )?;
    let caught_up = caught_up(&with).await?;
    let unit = "dead rows once autovacuum has caught up";
    report(bench, "dead-rows/caught-up", unit, caught_up.dead_rows, right_after.dead_rows, BEFORE, None)?;
    // What was freed is used again.
    let more = passed_through_once_more(bench, &with).await?;
    let target = Target::AtMost(1.1);
    let unit = "MB after a hundred thousand more";
    report(bench, "size/more", unit, more.megabytes, caught_up.megabytes, BEFORE, Some(target))
}

const NEVER: &str = "without autovacuum";
const BEFORE: &str = "before";

fn report(
    bench: &mut Bench,
    kind: &str,
    unit: &str,
    ours: f64,
    baseline: f64,
    baseline_is: &str,
    target: Option<Target>,
) -> Result<()> {
    // There may be no dead row at all, and something is divided by them.
    let pairs = [Pair { ours, baseline: baseline.max(1.0) }];
    bench.report(Figure::of(&format!("{NAME}/{kind}"), unit, &pairs, baseline_is, target))
}

/// A million entries are put in, and published, a hundred thousand at a time.
async fn passed_through(bench: &Bench, database: &Database, before: Option<&str>) -> Result<Left> {
    let store = EventStore::new(postgres::open(database).await?).with_outbox(|_| true)?;
    if let Some(before) = before {
        database.psql(before);
    }
    let (streams, mut version) = (streams("invoices", bench.count(STREAMS))?, 0);
    for _ in 0..ROUNDS {
        fill(&store, &streams, &mut version).await?;
        drain(&store).await?;
    }
    Left::of(database).await
}

async fn passed_through_once_more(bench: &Bench, database: &Database) -> Result<Left> {
    let store = EventStore::new(postgres::open(database).await?).with_outbox(|_| true)?;
    let (streams, mut version) = (streams("more", bench.count(STREAMS))?, 0);
    fill(&store, &streams, &mut version).await?;
    drain(&store).await?;
    Left::of(database).await
}

/// Returns once autovacuum has found hardly a dead row left.
async fn caught_up(database: &Database) -> Result<Left> {
    let until = Instant::now() + UNTIL_VACUUMED;
    while number(database, DEAD_ROWS)? > 1_000.0 && Instant::now() < until {
        sleep(Duration::from_secs(1)).await;
    }
    Left::of(database).await
}

fn number(database: &Database, sql: &str) -> Result<f64> {
    Ok(database.psql(sql).trim().parse()?)
}

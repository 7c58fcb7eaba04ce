//! What durable subscriptions cost that have nothing to do: five hundred of them in a process, beside one.

use std::time::{Duration, Instant};

use event_sourcery::backend::Backend as _;
use event_sourcery::{EventStore, RawEvent};
use postgres_cluster::Cluster;
use tokio::task::JoinSet;

use crate::Result;
use crate::bench::{Bench, open};
use crate::figure::{Figure, Pair, Target};
use crate::machine;
use crate::postgres;

/// How many have nothing to do.
const MANY: usize = 500;

/// How long they are watched.
const WATCHED: Duration = Duration::from_secs(60);

/// What 500 may cost, where one costs 1.
const MOST: Target = Target::AtMost(1.3);

/// How often a process may wake in a minute.
const WAKE_UPS: f64 = 150.0;

/// What was counted so far: what was asked of the database, and bytes that were written.
type Asked = (f64, f64);

/// What they cost in a minute.
struct Cost {
    asked: f64,
    bytes: f64,
    wake_ups: f64,
    /// Of the processors, in milliseconds.
    processor: f64,
}

/// Commits, and what this process has written.
pub async fn sqlite(bench: &mut Bench) -> Result<()> {
    let store = open(&bench.fresh("subscribed")?).await?;
    let asked = || -> Result<Asked> {
        let commits = store.backend().grouped().map_or(0, |grouped| grouped.commits);
        Ok((commits as f64, machine::written()?))
    };
    measure(bench, "subscribe/idle", "commits", &store.erased(), asked).await
}

/// Statements, and what the server has written into its log. The server is one of its own, which counts its statements.
pub async fn postgres(bench: &mut Bench) -> Result<()> {
    let cluster = Cluster::start(&[("shared_preload_libraries", "pg_stat_statements")]);
    cluster.psql("postgres", "CREATE EXTENSION pg_stat_statements");
    let database = cluster.create_database();
    let statements = format!(
        "SELECT coalesce(sum(s.calls), 0) FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
         WHERE d.datname = '{}'",
        database.name()
    );
    // From another database, so that these are not counted.
    let number = |sql: &str| -> Result<f64> { Ok(cluster.psql("postgres", sql).trim().parse()?) };
    let asked = || -> Result<Asked> {
        Ok((number(&statements)?, number("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")?))
    };
    let store = EventStore::new(postgres::open(&database).await?).erased();
    measure(bench, "postgres/subscribe/idle", "statements", &store, asked).await
}

async fn measure(
    bench: &mut Bench,
    prefix: &str,
    asked_for: &str,
    store: &EventStore,
    asked: impl Fn() -> Result<Asked>,
) -> Result<()> {
    let one = cost_of_idling(bench, store, 1, &asked).await?;
    let many = cost_of_idling(bench, store, MANY, &asked).await?;
    let mut report = |kind: &str, unit: &str, ours: f64, baseline: f64| {
        let pairs = [Pair { ours, baseline }];
        bench.report(Figure::of(&format!("{prefix}/{kind}"), unit, &pairs, "one", MOST))
    };
    let unit = format!("{asked_for} a second, {MANY} subscriptions");
    report(asked_for, &unit, many.asked / 60.0, one.asked / 60.0)?;
    let unit = format!("bytes written a minute, {MANY} subscriptions");
    report("bytes", &unit, many.bytes, one.bytes)?;
    let unit = format!("wake-ups a minute, {MANY} subscriptions");
    report("wake-ups", &unit, many.wake_ups, one.wake_ups)?;
    let unit = format!("ms of the processors a minute, {MANY} subscriptions");
    report("processor", &unit, many.processor, one.processor)?;
    let pairs = [Pair { ours: one.wake_ups, baseline: WAKE_UPS }];
    let name = format!("{prefix}/wake-ups/one");
    bench.report(Figure::of(&name, "wake-ups a minute", &pairs, "asked for", Target::AtMost(1.0)))
}

/// So many, which are over when it returns.
async fn cost_of_idling(
    bench: &Bench,
    store: &EventStore,
    subscriptions: usize,
    asked: impl Fn() -> Result<Asked>,
) -> Result<Cost> {
    let mut idle = JoinSet::new();
    for number in 0..subscriptions {
        let durable = store.subscribe::<RawEvent>().durable(format!("idle {subscriptions} {number}"));
        idle.spawn(durable.run(async |_, _| Ok(())));
    }
    // Until they have caught up, and one row renews their leases.
    tokio::time::sleep(WATCHED / 3).await;
    let watched = WATCHED / u32::try_from(bench.shortened)?;
    let (asked_before, bytes_before) = asked()?;
    let (wake_ups, processor) = (machine::wake_ups()?, machine::processor_time()?);
    let began = Instant::now();
    tokio::time::sleep(watched).await;
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    let wake_ups = machine::wake_ups()? - wake_ups;
    let processor = machine::processor_time()?.saturating_sub(processor).as_secs_f64() * 1e3;
    let (asked_by_now, bytes_by_now) = asked()?;
    idle.shutdown().await;
    Ok(Cost {
        asked: (asked_by_now - asked_before) / minutes,
        bytes: (bytes_by_now - bytes_before) / minutes,
        wake_ups: wake_ups / minutes,
        processor: processor / minutes,
    })
}

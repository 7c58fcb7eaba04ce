//! 64 tasks that append at the same time, one event each time.

use std::time::Instant;

use event_sourcery::{EventStore, StreamId};
use event_sourcery_sqlite::SqliteBackend;
use tokio::task::JoinSet;

use crate::Result;
use crate::bench::{Bench, microseconds, rate};
use crate::by_hand::ByHand;
use crate::figure::{Figure, Pair, Target, quantile};
use crate::invoice::{InvoiceEvent, streams};

const TASKS: usize = 64;
const APPENDS_A_TASK: usize = 150;
const SEQUENTIAL: usize = 500;

/// What a task appends to: where, and the version expected there.
type Appends = Vec<(StreamId, u64)>;

/// What one round of ours showed.
struct Round {
    rate: f64,
    median: f64,
    p99: f64,
}

pub async fn measure(bench: &mut Bench) -> Result<()> {
    if bench.wants("concurrent/new") {
        let (a_task, rounds) = (bench.count(APPENDS_A_TASK), bench.pairs + 1);
        let all = streams("invoices", TASKS * a_task * rounds)?;
        let mut fresh = all.into_iter().map(|stream| (stream, 0));
        let appends =
            (0..rounds).map(|_| (0..TASKS).map(|_| fresh.by_ref().take(a_task).collect()).collect());
        of_kind(bench, "new", appends.collect()).await?;
    }
    if bench.wants("concurrent/existing") {
        let (a_task, rounds) = (bench.count(APPENDS_A_TASK) as u64, bench.pairs as u64 + 1);
        let streams = streams("invoices", TASKS)?;
        let in_round = |stream: &StreamId, round: u64| {
            (round * a_task..(round + 1) * a_task).map(|version| (stream.clone(), version)).collect()
        };
        let appends = (0..rounds).map(|round| streams.iter().map(|stream| in_round(stream, round)).collect());
        of_kind(bench, "existing", appends.collect()).await?;
    }
    Ok(())
}

async fn of_kind(bench: &mut Bench, kind: &str, rounds: Vec<Vec<Appends>>) -> Result<()> {
    let (store, by_hand) = bench.both().await?;
    let alone = streams("alone", bench.count(SEQUENTIAL) * rounds.len())?;
    let mut alone = alone.chunks(bench.count(SEQUENTIAL));
    let mut measured = Vec::new();
    for tasks in rounds {
        let yardstick_tasks = tasks.clone();
        let round = by_tasks(&store, tasks).await?;
        let yardstick = many_a_transaction(&by_hand, &yardstick_tasks)?;
        let sequential = one_by_one(&store, alone.next().unwrap_or_default()).await?;
        measured.push((round, yardstick, sequential));
    }
    // The first round only warms up.
    let of = |pair: fn(&(Round, f64, f64)) -> Pair| measured.iter().skip(1).map(pair).collect::<Vec<_>>();
    let rates = of(|(round, yardstick, _)| Pair { ours: round.rate, baseline: *yardstick });
    let sequential = of(|(round, _, sequential)| Pair { ours: round.rate, baseline: *sequential });
    let latencies = of(|(round, _, _)| Pair { ours: round.p99, baseline: round.median });
    let name = |what: &str| format!("concurrent/{kind}{what}");
    let by_hand = "by hand, 64 a transaction";
    bench.report(Figure::of(&name(""), "appends/s", &rates, by_hand, Target::AtLeast(0.70)))?;
    bench.report(Figure::of(&name("/gain"), "appends/s", &sequential, "one by one", Target::AtLeast(5.0)))?;
    bench.report(Figure::of(&name("/p99"), "µs", &latencies, "median latency", Target::AtMost(3.0)))
}

async fn by_tasks(store: &EventStore<SqliteBackend>, tasks: Vec<Appends>) -> Result<Round> {
    let appends: usize = tasks.iter().map(Vec::len).sum();
    let mut running = JoinSet::new();
    let began = Instant::now();
    for appends in tasks {
        let store = store.clone();
        running.spawn(async move { task(&store, appends).await });
    }
    let mut latencies = Vec::with_capacity(appends);
    while let Some(finished) = running.join_next().await {
        latencies.extend(finished??);
    }
    let rate = rate(appends, began);
    latencies.sort_by(f64::total_cmp);
    Ok(Round { rate, median: quantile(&latencies, 0.5), p99: quantile(&latencies, 0.99) })
}

/// Appends one after the other; tells how long each took.
async fn task(store: &EventStore<SqliteBackend>, appends: Appends) -> Result<Vec<f64>> {
    let mut latencies = Vec::with_capacity(appends.len());
    for (stream, expected) in appends {
        let began = Instant::now();
        store.append(&stream, InvoiceEvent::nth(expected)).expected_version(expected).await?;
        latencies.push(microseconds(began.elapsed()));
    }
    Ok(latencies)
}

/// The same appends in the same order in time: the first of every task in one transaction, then the second.
fn many_a_transaction(by_hand: &ByHand, tasks: &[Appends]) -> Result<f64> {
    let a_task = tasks.first().map_or(0, Vec::len);
    let began = Instant::now();
    for number in 0..a_task {
        by_hand.transaction(|tx| {
            for (stream, expected) in tasks.iter().filter_map(|appends| appends.get(number)) {
                tx.append(stream, *expected, &[InvoiceEvent::nth(*expected)])?;
            }
            Ok(())
        })?;
    }
    Ok(rate(a_task * tasks.len(), began))
}

async fn one_by_one(store: &EventStore<SqliteBackend>, streams: &[StreamId]) -> Result<f64> {
    let began = Instant::now();
    for (number, stream) in (0..).zip(streams) {
        store.append(stream, InvoiceEvent::nth(number)).await?;
    }
    Ok(rate(streams.len(), began))
}

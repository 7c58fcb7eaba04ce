//! Tasks that append at the same time.

use std::time::Instant;

use event_sourcery::{EventStore, StreamId};
use event_sourcery_postgres::PostgresBackend;
use tokio::task::JoinSet;

use crate::Result;
use crate::bench::{microseconds, rate};
use crate::figure::quantile;
use crate::invoice::InvoiceEvent;
use crate::postgres::by_hand::ByHand;

/// What a task appends to: where, and the version expected there.
pub type Appends = Vec<(StreamId, u64)>;

/// Whoever appends one event.
pub trait Appender: Clone + Send + Sync + 'static {
    fn append_one(&self, stream: &StreamId, expected: u64) -> impl Future<Output = Result<()>> + Send;
}

impl Appender for EventStore<PostgresBackend> {
    async fn append_one(&self, stream: &StreamId, expected: u64) -> Result<()> {
        self.append(stream, InvoiceEvent::nth(expected)).expected_version(expected).await?;
        Ok(())
    }
}

impl Appender for ByHand {
    async fn append_one(&self, stream: &StreamId, expected: u64) -> Result<()> {
        self.append(stream, expected, &InvoiceEvent::nth(expected)).await
    }
}

/// What a round showed. Times are in microseconds.
pub struct Round {
    pub rate: f64,
    pub median: f64,
    pub p99: f64,
}

/// Appends everything, each task one after the other.
pub async fn run(appender: &impl Appender, tasks: Vec<Appends>) -> Result<Round> {
    let appends: usize = tasks.iter().map(Vec::len).sum();
    let mut running = JoinSet::new();
    let began = Instant::now();
    for appends in tasks {
        let appender = appender.clone();
        running.spawn(async move { one_by_one(&appender, &appends).await });
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
pub async fn one_by_one(appender: &impl Appender, appends: &[(StreamId, u64)]) -> Result<Vec<f64>> {
    let mut latencies = Vec::with_capacity(appends.len());
    for (stream, expected) in appends {
        let began = Instant::now();
        appender.append_one(stream, *expected).await?;
        latencies.push(microseconds(began.elapsed()));
    }
    Ok(latencies)
}

/// For each of the streams, so many appends: the first at the version expected there.
pub fn from_version(streams: &[StreamId], first: u64, count: usize) -> Vec<Appends> {
    let of = |stream: &StreamId| (first..).take(count).map(|version| (stream.clone(), version)).collect();
    streams.iter().map(of).collect()
}

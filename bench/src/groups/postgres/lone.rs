//! Appends while a caller's transaction sits on another stream: whoever is not concerned must not notice.

use std::time::Duration;

use event_sourcery::{EventStore, StreamId};
use event_sourcery_postgres::PostgresBackend;
use futures_util::future::try_join_all;
use sqlx::{Postgres, Transaction};
use tokio::task::JoinHandle;

use crate::Result;
use crate::bench::Bench;
use crate::figure::{Figure, Target, quantile};
use crate::groups::postgres::tasks::{Appender as _, from_version, one_by_one, run};
use crate::invoice::{InvoiceEvent, streams};
use crate::postgres::{Server, Sides};

const APPENDS: usize = 1_000;
const TASKS: usize = 32;
const A_TASK: usize = 250;
/// A round takes a second.
const PATIENCE: Duration = Duration::from_secs(60);
const NOBODY: &str = "without the transaction";

pub async fn measure(bench: &mut Bench, server: &Server) -> Result<()> {
    if bench.wants("postgres/lone/append") {
        one_task(bench, server).await?;
    }
    for (kind, exists) in [("existing", true), ("new", false)] {
        let name = format!("postgres/lone/32-tasks/{kind}");
        if bench.wants(&name) {
            many_tasks(bench, server, &name, exists).await?;
        }
    }
    Ok(())
}

/// A stream that a caller's transaction has appended to, and two appends of others that wait for it.
struct Held {
    transaction: Transaction<'static, Postgres>,
    waiting: JoinHandle<Result<()>>,
}

impl Held {
    async fn begin(store: &EventStore<PostgresBackend>, stream: &StreamId, version: u64) -> Result<Self> {
        let mut transaction = store.backend().pool().begin().await?;
        let event = InvoiceEvent::nth(version);
        store.within(&mut transaction).append(stream, event).expected_version(version).await?;
        let (store, stream) = (store.clone(), stream.clone());
        let waiting = tokio::spawn(async move {
            let both = [version, version + 1].map(|version| store.append_one(&stream, version));
            try_join_all(both).await?;
            Ok(())
        });
        Ok(Self { transaction, waiting })
    }

    async fn end(self) -> Result<()> {
        if self.waiting.is_finished() {
            return Err("an append went past a transaction that holds its stream".into());
        }
        self.transaction.rollback().await?;
        self.waiting.await?
    }
}

/// Fails where the work seems to wait for a transaction that does not concern it.
async fn unhindered<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let failed = |_| "appends wait for a caller's transaction on another stream";
    tokio::time::timeout(PATIENCE, work).await.map_err(failed)?
}

/// The median latency of appends one after the other.
async fn one_task(bench: &mut Bench, server: &Server) -> Result<()> {
    let appends = bench.count(APPENDS);
    let Sides { store, .. } = &server.both().await?;
    let streams = streams("invoices", 3)?;
    let [free, also_free, held] = streams.as_slice() else { return Err("three streams".into()) };
    let round = async |stream: &StreamId, version: &mut u64| {
        let work: Vec<_> = (*version..).take(appends).map(|version| (stream.clone(), version)).collect();
        *version += appends as u64;
        let mut latencies = one_by_one(store, &work).await?;
        latencies.sort_by(f64::total_cmp);
        Ok(quantile(&latencies, 0.5))
    };
    let (mut with, mut without, mut held_version) = (0, 0, 0);
    let pairs = bench
        .alternate(
            async || {
                let transaction = Held::begin(store, held, held_version).await?;
                held_version += 2;
                let median = unhindered(round(free, &mut with)).await?;
                transaction.end().await?;
                Ok(median)
            },
            async || round(also_free, &mut without).await,
        )
        .await?;
    bench.report(Figure::of("postgres/lone/append", "µs", &pairs, NOBODY, Target::AtMost(1.1)))
}

/// The throughput of many tasks. A stream is held that exists, or that is being created. Nothing is asked of it: an open
/// transaction keeps PostgreSQL itself from clearing away old versions of rows.
async fn many_tasks(bench: &mut Bench, server: &Server, name: &str, exists: bool) -> Result<()> {
    let (a_task, rounds) = (bench.count(A_TASK), bench.pairs + 1);
    let Sides { store, .. } = &server.both().await?;
    let (free, also_free) = (streams("with", TASKS)?, streams("without", TASKS)?);
    let held = streams("held", rounds)?;
    let work = |streams: &[StreamId], round: usize| from_version(streams, (round * a_task) as u64, a_task);
    let (mut with, mut without) = (0.., 0..);
    let mut held = held.iter();
    let pairs = bench
        .alternate(
            async || {
                let held = held.next().ok_or("no stream is left to hold")?;
                if exists {
                    store.append(held, InvoiceEvent::nth(0)).await?;
                }
                let transaction = Held::begin(store, held, u64::from(exists)).await?;
                let work = work(&free, with.next().unwrap_or_default());
                let round = unhindered(run(store, work)).await?;
                transaction.end().await?;
                Ok(round.rate)
            },
            async || Ok(run(store, work(&also_free, without.next().unwrap_or_default())).await?.rate),
        )
        .await?;
    bench.report(Figure::of(name, "appends/s", &pairs, NOBODY, None))
}

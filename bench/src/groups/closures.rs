//! Closures that append one event each, beside plain appends, by 1, 8 and 64 tasks at the same time.

use std::ops::Range;
use std::time::Instant;

use event_sourcery::{EventStore, StreamId};
use event_sourcery_sqlite::SqliteBackend;
use tokio::task::JoinSet;

use crate::Result;
use crate::bench::{Bench, open, rate};
use crate::figure::{Figure, Target};
use crate::invoice::{InvoiceEvent, streams};

/// How many tasks, and how many calls of each.
const TASKS: [(usize, usize); 3] = [(1, 1_000), (8, 400), (64, 150)];

const TABLE: &str = "CREATE TABLE payments (version INTEGER NOT NULL)";
const INSERT: &str = "INSERT INTO payments VALUES (?1)";

/// How one event is appended.
#[derive(Clone, Copy)]
enum Kind {
    Append,
    Closure,
    ClosureWithOwnRow,
}

/// A store, and the version that all of its streams are at.
struct Side {
    store: EventStore<SqliteBackend>,
    streams: Vec<StreamId>,
    version: u64,
}

pub async fn measure(bench: &mut Bench) -> Result<()> {
    for (kind, what) in [(Kind::Closure, ""), (Kind::ClosureWithOwnRow, "-with-own-row")] {
        for (tasks, calls) in TASKS {
            let name = format!("closures/{tasks}{what}");
            if !bench.wants(&name) {
                continue;
            }
            let calls = bench.count(calls) as u64;
            let mut ours = Side::open(bench, "ours", tasks).await?;
            let mut plain = Side::open(bench, "plain", tasks).await?;
            let pairs = bench
                .alternate(
                    async || ours.by_tasks(calls, kind).await,
                    async || plain.by_tasks(calls, Kind::Append).await,
                )
                .await?;
            let target = matches!(kind, Kind::Closure).then_some(Target::AtLeast(0.70));
            bench.report(Figure::of(&name, "closures/s", &pairs, "plain appends", target))?;
        }
    }
    Ok(())
}

impl Side {
    async fn open(bench: &Bench, file: &str, tasks: usize) -> Result<Self> {
        let store = open(&bench.fresh(file)?).await?;
        let table = store.transaction(|tx| {
            tx.connection().execute_batch(TABLE)?;
            Ok(())
        });
        let table: Result<()> = table.await;
        table?;
        Ok(Self { store, streams: streams("invoices", tasks)?, version: 0 })
    }

    /// Each task appends to a stream of its own.
    async fn by_tasks(&mut self, calls: u64, kind: Kind) -> Result<f64> {
        let versions = self.version..self.version + calls;
        self.version = versions.end;
        let mut running = JoinSet::new();
        let began = Instant::now();
        for stream in &self.streams {
            running.spawn(task(self.store.clone(), stream.clone(), versions.clone(), kind));
        }
        let mut appended = 0;
        while let Some(finished) = running.join_next().await {
            appended += finished??;
        }
        Ok(rate(appended, began))
    }
}

/// Appends one after the other; tells how many.
async fn task(
    store: EventStore<SqliteBackend>,
    stream: StreamId,
    versions: Range<u64>,
    kind: Kind,
) -> Result<usize> {
    let mut appended = 0;
    for version in versions {
        if let Kind::Append = kind {
            store.append(&stream, InvoiceEvent::nth(version)).expected_version(version).await?;
        } else {
            in_closure(&store, &stream, version, matches!(kind, Kind::ClosureWithOwnRow)).await?;
        }
        appended += 1;
    }
    Ok(appended)
}

async fn in_closure(
    store: &EventStore<SqliteBackend>,
    stream: &StreamId,
    version: u64,
    with_own_row: bool,
) -> Result<()> {
    let stream = stream.clone();
    let appended = store.transaction(move |tx| {
        if with_own_row {
            tx.connection().prepare_cached(INSERT)?.execute([version])?;
        }
        tx.append(&stream, InvoiceEvent::nth(version)).expected_version(version).run()?;
        Ok(())
    });
    appended.await
}

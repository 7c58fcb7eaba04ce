//! Appending to a store of ten million events, beside appending to an empty one.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use event_sourcery::{EventStore, StreamId};
use event_sourcery_sqlite::SqliteBackend;

use crate::Result;
use crate::bench::{Bench, microseconds, open};
use crate::figure::{Figure, Pair, Target};
use crate::invoice::{InvoiceEvent, streams};
use crate::large_store::LargeStore;
use crate::machine;

const APPENDS: usize = 500;
/// How many of the streams that exist are appended to.
const STREAMS: usize = 1_000;
/// Appends of the process whose memory is measured.
const RESIDENT_APPENDS: usize = 5_000;

pub async fn measure(bench: &mut Bench) -> Result<()> {
    for (kind, streams) in [("10-streams", 10), ("5M-streams", 5_000_000)] {
        let kind = format!("large/{kind}");
        if bench.wants(&kind) {
            let large = LargeStore::find_or_build(bench, streams).await?;
            let measured = of_kind(bench, &kind, &large).await;
            large.restore()?;
            measured?;
        }
    }
    Ok(())
}

async fn of_kind(bench: &mut Bench, kind: &str, large: &LargeStore) -> Result<()> {
    resident(bench, kind, large).await?;
    let appends = bench.count(APPENDS);
    let fresh = bench.fresh("small")?;
    let mut existing = [Places::of(large, STREAMS)?, Places::create(&fresh, 10).await?];
    let (large, small) = (open(large.path()).await?, open(&fresh).await?);
    let [in_large, in_small] = &mut existing;
    let pairs = bench
        .alternate(
            async || time(appends, in_large.append(&large, appends)).await,
            async || time(appends, in_small.append(&small, appends)).await,
        )
        .await?;
    let name = format!("{kind}/existing");
    bench.report(Figure::of(&name, "µs", &pairs, "empty store", Target::AtMost(1.5)))?;
    let fresh = streams("new", appends * (bench.pairs + 1))?;
    let (mut to_large, mut to_small) = (fresh.chunks(appends), fresh.chunks(appends));
    let pairs = bench
        .alternate(
            async || time(appends, create(&large, to_large.next())).await,
            async || time(appends, create(&small, to_small.next())).await,
        )
        .await?;
    bench.report(Figure::of(&format!("{kind}/new"), "µs", &pairs, "empty store", Target::AtMost(1.5)))
}

/// How long one of so many appends takes, in microseconds.
async fn time(appends: usize, work: impl Future<Output = Result<()>>) -> Result<f64> {
    let began = Instant::now();
    work.await?;
    Ok(microseconds(began.elapsed()) / appends as f64)
}

async fn create(store: &EventStore<SqliteBackend>, streams: Option<&[StreamId]>) -> Result<()> {
    for (number, stream) in (0..).zip(streams.unwrap_or_default()) {
        store.append(stream, InvoiceEvent::nth(number)).await?;
    }
    Ok(())
}

/// Streams that exist, with their versions; appended to in turns.
struct Places {
    streams: Vec<(StreamId, u64)>,
    next: usize,
}

impl Places {
    /// Streams from all over a large store.
    fn of(large: &LargeStore, count: usize) -> Result<Self> {
        let streams =
            large.some_streams(count)?.into_iter().map(|stream| (stream, large.version())).collect();
        Ok(Self { streams, next: 0 })
    }

    /// The first streams of a store that was empty.
    async fn create(path: &Path, count: usize) -> Result<Self> {
        let (store, streams) = (open(path).await?, streams("invoices", count)?);
        create(&store, Some(&streams)).await?;
        Ok(Self { streams: streams.into_iter().map(|stream| (stream, 1)).collect(), next: 0 })
    }

    async fn append(&mut self, store: &EventStore<SqliteBackend>, count: usize) -> Result<()> {
        for _ in 0..count {
            let place = self.next % self.streams.len();
            if let Some((stream, version)) = self.streams.get_mut(place) {
                store.append(stream, InvoiceEvent::nth(*version)).expected_version(*version).await?;
                *version += 1;
            }
            self.next += 1;
        }
        Ok(())
    }
}

/// The memory of a process that appends to the store, and of one that appends to an empty store.
async fn resident(bench: &mut Bench, kind: &str, large: &LargeStore) -> Result<()> {
    let mut pairs = Vec::new();
    for _ in 0..bench.pairs.min(3) {
        let ours = resident_with(large.path())?;
        large.restore()?;
        pairs.push(Pair { ours, baseline: resident_with(&bench.fresh("small")?)? });
    }
    bench.report(Figure::of(
        &format!("{kind}/resident"),
        "MB at most",
        &pairs,
        "empty store",
        Target::AtMost(1.2),
    ))
}

fn resident_with(path: &Path) -> Result<f64> {
    let process = Command::new(std::env::current_exe()?).arg("resident").arg(path).output()?;
    if !process.status.success() {
        return Err(String::from_utf8_lossy(&process.stderr).into());
    }
    Ok(String::from_utf8(process.stdout)?.trim().parse()?)
}

/// What the process does whose memory is measured: it appends to new streams, and prints the most it ever held, in MB.
pub async fn be_measured(path: &Path) -> Result<()> {
    let store = open(path).await?;
    create(&store, Some(&streams("resident", RESIDENT_APPENDS)?)).await?;
    println!("{}", machine::most_resident()? / 1e6);
    Ok(())
}

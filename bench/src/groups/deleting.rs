//! Deleting a stream of a million events, and how long somebody else who appends waits at most meanwhile.

use std::time::{Duration, Instant};

use event_sourcery::{EventStore, MemoryBackend, RawEvent, StreamId};

use crate::Result;
use crate::bench::{Bench, open};
use crate::figure::{Figure, Pair, Target};
use crate::postgres::{self, Server};

const EVENTS: usize = 1_000_000;
const ROUNDS: usize = 3;

/// How long an append may take, in milliseconds.
const LONGEST: f64 = 50.0;

/// For how long it is appended behind the deletion: rows are removed meanwhile.
const AFTERWARDS: Duration = Duration::from_secs(3);

pub async fn measure(bench: &mut Bench) -> Result<()> {
    if bench.wants("deleting/memory") {
        of_store(bench, "deleting/memory", &EventStore::new(MemoryBackend::new()).erased()).await?;
    }
    if bench.wants("deleting/sqlite") {
        let store = open(&bench.fresh("deleting")?).await?;
        of_store(bench, "deleting/sqlite", &store.erased()).await?;
    }
    Ok(())
}

pub async fn postgres(bench: &mut Bench, server: &Server) -> Result<()> {
    if bench.wants("postgres/deleting") {
        // It lives as long as it is measured.
        let database = server.database();
        let store = EventStore::new(postgres::open(&database).await?);
        of_store(bench, "postgres/deleting/longest", &store.erased()).await?;
    }
    Ok(())
}

async fn of_store(bench: &mut Bench, name: &str, store: &EventStore) -> Result<()> {
    let mut longest = Vec::new();
    for _ in 0..bench.pairs.min(ROUNDS) {
        let stream = filled(store, bench.count(EVENTS)).await?;
        longest.push(Pair { ours: while_deleting(store, &stream).await?, baseline: LONGEST });
    }
    let target = Target::AtMost(1.0);
    bench.report(Figure::of(name, "ms, the longest append", &longest, "asked for", target))
}

fn event() -> Result<RawEvent> {
    Ok(RawEvent::new("Happened", r#"{"cents":100}"#)?)
}

async fn filled(store: &EventStore, events: usize) -> Result<StreamId> {
    let stream = StreamId::random();
    for version in (0..events).step_by(1_000) {
        let page: Vec<_> = (version..events.min(version + 1_000)).map(|_| event()).collect::<Result<_>>()?;
        store.append(&stream, page).expected_version(version as u64).await?;
    }
    Ok(stream)
}

/// The longest append to another stream, in milliseconds.
async fn while_deleting(store: &EventStore, stream: &StreamId) -> Result<f64> {
    let (deleting, deleted) = (store.clone(), stream.clone());
    let deletion = tokio::spawn(async move { deleting.delete_stream(&deleted).await });
    let (other, mut longest, mut ended) = (StreamId::random(), Duration::ZERO, None);
    while ended.is_none_or(|ended: Instant| ended.elapsed() < AFTERWARDS) {
        let began = Instant::now();
        store.append(&other, event()?).no_versioning().await?;
        longest = longest.max(began.elapsed());
        if deletion.is_finished() {
            ended.get_or_insert_with(Instant::now);
        }
        tokio::task::yield_now().await;
    }
    deletion.await??;
    Ok(longest.as_secs_f64() * 1e3)
}

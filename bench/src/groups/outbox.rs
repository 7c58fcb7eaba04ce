//! Appends with an outbox beside appends without, and draining it into a publisher that does nothing.

mod growth;
pub mod nats;
mod parked;

use std::time::Instant;

use event_sourcery::backend::Backend;
use event_sourcery::outbox::{BoxFuture, OutboxEntry, PublishError, Publisher};
use event_sourcery::{EventStore, StreamId};
use serde_json::Value;
use sqlx::{PgPool, Row as _};
use tokio::task::JoinSet;

use crate::Result;
use crate::bench::{Bench, open, rate};
use crate::by_hand::ByHand;
use crate::figure::{Figure, Pair, Target};
use crate::invoice::{InvoiceEvent, streams};
use crate::postgres::{self, Server};

const APPENDS: usize = 10_000;
const TASKS: [(&str, usize); 3] = [("sequential", 1), ("8-tasks", 8), ("32-tasks", 32)];
const STREAMS: usize = 10_000;
const ENTRIES_A_STREAM: usize = 10;
const BATCH: usize = 512;
const WITHOUT: &str = "without an outbox";
const BY_HAND: &str = "a loop by hand: select, parse, delete, commit";

/// How many entries a second were asked for.
const ASKED_OF_SQLITE: f64 = 60_000.0;
const ASKED_OF_POSTGRES: f64 = 30_000.0;

/// It takes whatever it is handed.
struct Nothing;

impl Publisher for Nothing {
    fn batch(&self) -> usize {
        BATCH
    }

    fn publish<'a>(&'a self, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(std::future::ready(entries.iter().map(|_| Ok(())).collect()))
    }
}

pub async fn measure(bench: &mut Bench) -> Result<()> {
    for (kind, tasks) in TASKS {
        let name = format!("outbox/sqlite-{kind}");
        if bench.wants(&name) {
            let (with, without) = (open(&bench.fresh("ours")?).await?, open(&bench.fresh("by-hand")?).await?);
            compare(bench, &name, tasks, &with.with_outbox(|_| true)?, &without).await?;
        }
    }
    if bench.wants("outbox/sqlite-drain") {
        let (ours, file) = (open(&bench.fresh("ours")?).await?, bench.fresh("by-hand")?);
        let (ours, theirs) = (ours.with_outbox(|_| true)?, open(&file).await?.with_outbox(|_| true)?);
        let (by_hand, streams) = (ByHand::open(&file)?, streams("invoices", bench.count(STREAMS))?);
        let (mut version, mut of_theirs) = (0, 0);
        let pairs = bench
            .alternate(
                async || {
                    fill(&ours, &streams, &mut version).await?;
                    drain(&ours).await
                },
                async || {
                    fill(&theirs, &streams, &mut of_theirs).await?;
                    drain_by_hand(&by_hand)
                },
            )
            .await?;
        report_drain(bench, "outbox/sqlite-drain", &pairs, ASKED_OF_SQLITE)?;
    }
    parked::sqlite(bench).await
}

pub async fn postgres(bench: &mut Bench, server: &Server) -> Result<()> {
    for (kind, tasks) in TASKS {
        let name = format!("postgres/outbox/{kind}");
        if bench.wants(&name) {
            let databases = [server.database(), server.database()];
            let [with, without] =
                [postgres::open(&databases[0]).await?, postgres::open(&databases[1]).await?];
            let (with, without) = (EventStore::new(with), EventStore::new(without));
            compare(bench, &name, tasks, &with.with_outbox(|_| true)?, &without).await?;
        }
    }
    if bench.wants("postgres/outbox/drain") {
        let databases = [server.database(), server.database()];
        let [ours, theirs] = [postgres::open(&databases[0]).await?, postgres::open(&databases[1]).await?];
        let pool = theirs.pool().clone();
        let (ours, theirs) = (EventStore::new(ours), EventStore::new(theirs));
        let (ours, theirs) = (ours.with_outbox(|_| true)?, theirs.with_outbox(|_| true)?);
        let streams = streams("invoices", bench.count(STREAMS))?;
        let (mut version, mut of_theirs) = (0, 0);
        let pairs = bench
            .alternate(
                async || {
                    fill(&ours, &streams, &mut version).await?;
                    drain(&ours).await
                },
                async || {
                    fill(&theirs, &streams, &mut of_theirs).await?;
                    drain_postgres_by_hand(&pool).await
                },
            )
            .await?;
        report_drain(bench, "postgres/outbox/drain", &pairs, ASKED_OF_POSTGRES)?;
    }
    parked::postgres(bench, server).await?;
    growth::measure(bench, server).await
}

/// Beside the loop by hand, and beside what was asked for.
fn report_drain(bench: &mut Bench, name: &str, pairs: &[Pair], asked: f64) -> Result<()> {
    bench.report(Figure::of(name, "entries/s", pairs, BY_HAND, Target::AtLeast(0.8)))?;
    let pairs: Vec<_> = pairs.iter().map(|pair| Pair { baseline: asked, ..*pair }).collect();
    let name = format!("{name}/rate");
    bench.report(Figure::of(&name, "entries/s", &pairs, "asked for", Target::AtLeast(1.0)))
}

/// One event an append, in so many tasks, each on a stream of its own.
async fn compare<B: Backend>(
    bench: &mut Bench,
    name: &str,
    tasks: usize,
    with: &EventStore<B>,
    without: &EventStore<B>,
) -> Result<()> {
    let (streams, each) = (streams("invoices", tasks)?, (bench.count(APPENDS) / tasks).max(1));
    let (mut ours, mut theirs) = (0, 0);
    let pairs = bench
        .alternate(
            async || append(with, &streams, &mut ours, each).await,
            async || append(without, &streams, &mut theirs, each).await,
        )
        .await?;
    bench.report(Figure::of(name, "appends/s", &pairs, WITHOUT, Target::AtLeast(0.8)))
}

async fn append<B: Backend>(
    store: &EventStore<B>,
    streams: &[StreamId],
    version: &mut u64,
    each: usize,
) -> Result<f64> {
    let (mut running, began, first) = (JoinSet::new(), Instant::now(), *version);
    for stream in streams {
        let (store, stream) = (store.clone(), stream.clone());
        running.spawn(async move {
            for version in first..first + each as u64 {
                store.append(&stream, InvoiceEvent::nth(version)).expected_version(version).await?;
            }
            Ok::<(), event_sourcery::Error>(())
        });
    }
    while let Some(finished) = running.join_next().await {
        finished??;
    }
    *version += each as u64;
    Ok(rate(streams.len() * each, began))
}

/// Puts so many entries of each stream into the outbox.
async fn fill<B: Backend>(store: &EventStore<B>, streams: &[StreamId], version: &mut u64) -> Result<()> {
    let (mut running, first) = (JoinSet::new(), *version);
    for part in streams.chunks(streams.len().div_ceil(64).max(1)) {
        let (store, part) = (store.clone(), part.to_vec());
        running.spawn(async move {
            for stream in part {
                let events: Vec<_> =
                    (0..ENTRIES_A_STREAM as u64).map(|nth| InvoiceEvent::nth(first + nth)).collect();
                store.append(&stream, events).expected_version(first).await?;
            }
            Ok::<(), event_sourcery::Error>(())
        });
    }
    while let Some(finished) = running.join_next().await {
        finished??;
    }
    *version += ENTRIES_A_STREAM as u64;
    Ok(())
}

/// Publishes all that is there.
async fn drain<B: Backend>(store: &EventStore<B>) -> Result<f64> {
    let began = Instant::now();
    let published = store.outbox().limit(u64::MAX).run(Nothing).await?;
    Ok(rate(usize::try_from(published.entries)?, began))
}

fn drain_by_hand(by_hand: &ByHand) -> Result<f64> {
    let (began, mut entries) = (Instant::now(), 0);
    loop {
        let mut published = 0;
        by_hand.transaction(|by_hand| {
            let connection = by_hand.connection();
            let select = "SELECT id, data FROM event_sourcery_outbox_entries ORDER BY id LIMIT ?1";
            let mut statement = connection.prepare_cached(select)?;
            let mut rows = statement.query([BATCH])?;
            let mut ids = Vec::new();
            while let Some(row) = rows.next()? {
                let _published: Value = serde_json::from_str(row.get_ref(1)?.as_str()?)?;
                ids.push(row.get::<_, i64>(0)?);
            }
            let delete =
                "DELETE FROM event_sourcery_outbox_entries WHERE id IN (SELECT value FROM json_each(?1))";
            connection.prepare_cached(delete)?.execute([serde_json::to_string(&ids)?])?;
            published = ids.len();
            Ok(())
        })?;
        entries += published;
        if published == 0 {
            return Ok(rate(entries, began));
        }
    }
}

async fn drain_postgres_by_hand(pool: &PgPool) -> Result<f64> {
    let (began, mut entries) = (Instant::now(), 0);
    loop {
        let mut transaction = pool.begin().await?;
        let select =
            "SELECT id, data FROM event_sourcery_outbox_entries ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED";
        let rows = sqlx::query(select).bind(BATCH as i64).fetch_all(&mut *transaction).await?;
        let mut ids = Vec::with_capacity(rows.len());
        for row in &rows {
            let _published: Value = row.try_get(1)?;
            ids.push(row.try_get::<i64, _>(0)?);
        }
        let delete = "DELETE FROM event_sourcery_outbox_entries WHERE id = ANY ($1)";
        sqlx::query(delete).bind(&ids).execute(&mut *transaction).await?;
        transaction.commit().await?;
        entries += ids.len();
        if ids.is_empty() {
            return Ok(rate(entries, began));
        }
    }
}

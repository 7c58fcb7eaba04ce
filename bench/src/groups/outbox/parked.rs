//! Draining an outbox in which one stream of all is parked, beside one in which none is.

use std::time::Instant;

use event_sourcery::backend::Backend;
use event_sourcery::outbox::{BoxFuture, OutboxEntry, PublishError, Publisher};
use event_sourcery::{EventStore, StreamId};

use super::{BATCH, STREAMS, fill};
use crate::Result;
use crate::bench::{Bench, open, rate};
use crate::figure::{Figure, Target};
use crate::invoice::streams;
use crate::postgres::{self, Server};

/// It takes whatever it is handed, but for the entries of one stream.
struct ButFor(StreamId);

impl Publisher for ButFor {
    fn batch(&self) -> usize {
        BATCH
    }

    fn publish<'a>(&'a self, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        let mut was_refused = false;
        let answer = |entry: &OutboxEntry| {
            if entry.recorded().stream_id != self.0 {
                Ok(())
            } else if std::mem::replace(&mut was_refused, true) {
                Err(PublishError::not_tried())
            } else {
                Err(PublishError::refused("nobody takes it"))
            }
        };
        Box::pin(std::future::ready(entries.iter().map(answer).collect()))
    }
}

pub async fn sqlite(bench: &mut Bench) -> Result<()> {
    const NAME: &str = "outbox/sqlite-parked";
    if !bench.wants(NAME) {
        return Ok(());
    }
    let (ours, without) = (open(&bench.fresh("ours")?).await?, open(&bench.fresh("by-hand")?).await?);
    compare(bench, NAME, &ours.with_outbox(|_| true)?, &without.with_outbox(|_| true)?).await
}

pub async fn postgres(bench: &mut Bench, server: &Server) -> Result<()> {
    const NAME: &str = "postgres/outbox/parked";
    if !bench.wants(NAME) {
        return Ok(());
    }
    let databases = [server.database(), server.database()];
    let [ours, without] = [postgres::open(&databases[0]).await?, postgres::open(&databases[1]).await?];
    let (ours, without) = (EventStore::new(ours), EventStore::new(without));
    compare(bench, NAME, &ours.with_outbox(|_| true)?, &without.with_outbox(|_| true)?).await
}

async fn compare<B: Backend>(
    bench: &mut Bench,
    name: &str,
    ours: &EventStore<B>,
    without: &EventStore<B>,
) -> Result<()> {
    let all = streams("invoices", bench.count(STREAMS).max(2))?;
    let parked = all.last().ok_or("there are no streams")?.clone();
    let (but_for_it, but_for_nothing) = (ButFor(parked), ButFor(StreamId::random()));
    let (mut version, mut of_without) = (0, 0);
    let pairs = bench
        .alternate(
            async || {
                // It grows all the while, and waits.
                fill(ours, &all, &mut version).await?;
                drain(ours, &but_for_it).await
            },
            async || {
                fill(without, &all, &mut of_without).await?;
                drain(without, &but_for_nothing).await
            },
        )
        .await?;
    if ours.outbox().parked().await?.len() != 1 || !without.outbox().parked().await?.is_empty() {
        return Err("one stream was to be parked, on one side".into());
    }
    let unit = "entries/s, one stream of 10,000 parked";
    bench.report(Figure::of(name, unit, &pairs, "none parked", Target::AtLeast(0.95)))
}

/// Publishes all that is there and does not wait.
async fn drain<B: Backend>(store: &EventStore<B>, publisher: &ButFor) -> Result<f64> {
    let began = Instant::now();
    let published = store.outbox().limit(u64::MAX).attempts(1).run(publisher).await?;
    Ok(rate(usize::try_from(published.entries)?, began))
}

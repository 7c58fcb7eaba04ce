//! Ten thousand streams that are parked at once, and replayed: how many commits that takes.

use std::sync::Arc;
use std::time::Duration;

use event_sourcery::backend::Backend;
use event_sourcery::{Durable, EventStore};

use crate::Result;
use crate::bench::{Bench, open};
use crate::figure::{Figure, Pair, Target};
use crate::invoice::{InvoiceEvent, streams};
use crate::postgres::{self, Server};

const STREAMS: usize = 10_000;

/// How many commits it may take.
const COMMITS: f64 = 100.0;

pub async fn sqlite(bench: &mut Bench) -> Result<()> {
    let store = open(&bench.fresh("subscribed")?).await?;
    let commits =
        || -> Result<f64> { Ok(store.backend().grouped().map_or(0, |grouped| grouped.commits) as f64) };
    measure(bench, "subscribe/parking", &store.erased(), commits).await
}

/// Each transaction that writes draws a number there.
pub async fn postgres(bench: &mut Bench, server: &Server) -> Result<()> {
    let database = server.database();
    let commits = || -> Result<f64> {
        Ok(database.psql("SELECT pg_snapshot_xmax(pg_current_snapshot())").trim().parse()?)
    };
    let store = EventStore::new(postgres::open(&database).await?).erased();
    measure(bench, "postgres/subscribe/parking", &store, commits).await
}

fn durable(store: &EventStore) -> Durable<Arc<dyn Backend>, InvoiceEvent> {
    store.subscribe::<InvoiceEvent>().durable("parking").attempts(1)
}

async fn measure(
    bench: &mut Bench,
    prefix: &str,
    store: &EventStore,
    commits: impl Fn() -> Result<f64>,
) -> Result<()> {
    let count = bench.count(STREAMS);
    for stream in streams("parking", count)? {
        store.append(&stream, InvoiceEvent::nth(0)).await?;
    }
    let watched = store.clone();
    let all_are_parked = async move {
        while !durable(&watched).parked().await.is_ok_and(|parked| parked.len() >= count) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let before = commits()?;
    durable(store).until(all_are_parked).run(async |_, _| Err("not yet".into())).await?;
    let parking = commits()? - before;
    let before = commits()?;
    let replayed = durable(store).replay_all().await?;
    let replaying = commits()? - before;
    if replayed.streams != count {
        return Err(format!("{} of {count} streams were replayed", replayed.streams).into());
    }
    for (name, unit, commits) in [
        (prefix.to_owned(), "commits to park 10,000 streams", parking),
        (format!("{prefix}/replay-all"), "commits to replay 10,000 streams", replaying),
    ] {
        let pairs = [Pair { ours: commits, baseline: COMMITS }];
        bench.report(Figure::of(&name, unit, &pairs, "asked for", Target::AtMost(1.0)))?;
    }
    Ok(())
}

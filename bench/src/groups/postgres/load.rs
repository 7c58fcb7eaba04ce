//! Loading a stream into a typed enum.

use std::hint::black_box;
use std::time::Instant;

use event_sourcery::EventStore;

use crate::Result;
use crate::bench::{Bench, in_a_task, rate};
use crate::figure::{Figure, Target};
use crate::invoice::{InvoiceEvent, streams};
use crate::postgres::by_hand::ByHand;
use crate::postgres::{CONNECTIONS, Server, open, pool};

/// How many events a stream has, in how many streams, and how many events are loaded in a round.
const CASES: [(u64, usize, usize); 4] =
    [(10, 1_000, 20_000), (100, 300, 100_000), (1_000, 30, 200_000), (10_000, 4, 200_000)];
const ASKED: Target = Target::AtLeast(0.80);

pub async fn measure(bench: &mut Bench, server: &Server) -> Result<()> {
    for (events, count, loaded) in CASES {
        let name = format!("postgres/load/{events}");
        if bench.wants(&name) {
            of_length(bench, server, &name, events, count, loaded).await?;
        }
    }
    Ok(())
}

async fn of_length(
    bench: &mut Bench,
    server: &Server,
    name: &str,
    events: u64,
    count: usize,
    loaded: usize,
) -> Result<()> {
    let database = server.database();
    let store = EventStore::new(open(&database).await?);
    let streams = streams("invoices", count)?;
    for stream in &streams {
        store.append(stream, InvoiceEvent::several(events)).await?;
    }
    // As autovacuum would after a minute: not while it is measured.
    database.psql("VACUUM ANALYZE");
    let by_hand = ByHand::new(pool(&database, CONNECTIONS).await?);
    let loads = (bench.count(loaded) / events as usize).max(1);
    let loaded = loads * events as usize;
    let wanted = || streams.iter().cycle().take(loads).cloned().collect::<Vec<_>>();
    let complete =
        move |found: usize| if found as u64 == events { Ok(()) } else { Err("events are missing") };
    let pairs = bench
        .alternate(
            async || {
                let (store, wanted) = (store.clone(), wanted());
                in_a_task(async move {
                    let began = Instant::now();
                    for stream in &wanted {
                        complete(black_box(store.load_stream::<InvoiceEvent>(stream).await?).len())?;
                    }
                    Ok(rate(loaded, began))
                })
                .await
            },
            async || {
                let (by_hand, wanted) = (by_hand.clone(), wanted());
                in_a_task(async move {
                    let began = Instant::now();
                    for stream in &wanted {
                        complete(black_box(by_hand.load(stream).await?).len())?;
                    }
                    Ok(rate(loaded, began))
                })
                .await
            },
        )
        .await?;
    bench.report(Figure::of(name, "events/s", &pairs, "by hand", ASKED))
}

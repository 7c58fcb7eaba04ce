//! Loading a stream into a typed enum.

use std::hint::black_box;
use std::time::Instant;

use crate::Result;
use crate::bench::{Bench, open, rate};
use crate::by_hand::ByHand;
use crate::figure::{Figure, Target};
use crate::invoice::{InvoiceEvent, streams};

/// How many events a stream has, in how many streams, and the ratio asked for.
const CASES: [(u64, usize, f64); 4] =
    [(10, 1_000, 0.50), (100, 300, 0.70), (1_000, 30, 0.80), (10_000, 4, 0.80)];
/// Events loaded in a round.
const LOADED: usize = 200_000;

pub async fn measure(bench: &mut Bench) -> Result<()> {
    for (events, count, target) in CASES {
        let name = format!("load/{events}");
        if bench.wants(&name) {
            of_length(bench, &name, events, count, Target::AtLeast(target)).await?;
        }
    }
    Ok(())
}

async fn of_length(bench: &mut Bench, name: &str, events: u64, count: usize, target: Target) -> Result<()> {
    let path = bench.fresh("load")?;
    let store = open(&path).await?;
    let streams = streams("invoices", count)?;
    for stream in &streams {
        store.append(stream, InvoiceEvent::several(events)).await?;
    }
    let by_hand = ByHand::open(&path)?;
    let loads = (bench.count(LOADED) / events as usize).max(1);
    let loaded = loads * events as usize;
    let wanted = || streams.iter().cycle().take(loads);
    let complete = |found: usize| if found as u64 == events { Ok(()) } else { Err("events are missing") };
    let pairs = bench
        .alternate(
            async || {
                let began = Instant::now();
                for stream in wanted() {
                    complete(black_box(store.load_stream::<InvoiceEvent>(stream).await?).len())?;
                }
                Ok(rate(loaded, began))
            },
            async || {
                let began = Instant::now();
                for stream in wanted() {
                    complete(black_box(by_hand.load(stream)?).len())?;
                }
                Ok(rate(loaded, began))
            },
        )
        .await?;
    bench.report(Figure::of(name, "events/s", &pairs, "by hand", target))
}

//! Reads: streams, all events, and the way of one event from its commit to whoever listens.

use std::hint::black_box;
use std::time::Instant;

use async_nats::jetstream::consumer::pull::OrderedConfig;
use event_sourcery::Next;
use futures_util::StreamExt as _;
use tokio::task::JoinSet;

use super::appends::ours;
use super::{OURS, Sides};
use crate::Result;
use crate::bench::{Bench, rate};
use crate::figure::{Figure, Target};
use crate::groups::subscribe::{LONE_EVENTS, listen, lone_events, report_lags};
use crate::invoice::{InvoiceEvent, streams};

/// How many events a stream has, and in how many streams.
const CASES: [(u64, usize); 3] = [(10, 200), (1_000, 4), (10_000, 1)];
/// Events loaded in a round.
const LOADED: usize = 20_000;

/// How many events are caught up with.
const EVENTS: usize = 1_000_000;
const TASKS: usize = 64;

/// In milliseconds.
const LIMIT: f64 = 5.0;

pub async fn measure(bench: &mut Bench, sides: &Sides) -> Result<()> {
    for (events, count) in CASES {
        if sides.wants(bench, &format!("load/{events}")) {
            load(bench, sides, events, count).await?;
        }
    }
    if sides.wants(bench, "commit-to-handler") {
        let (store, count) = (sides.store.erased(), bench.count(LONE_EVENTS));
        let listening = tokio::spawn(listen(store.clone(), count, 1, || Ok(())));
        lone_events(&store, "lone", count).await?;
        report_lags(bench, &sides.name("commit-to-handler"), listening.await??, LIMIT)?;
    }
    if sides.wants(bench, "catch-up") {
        catch_up(bench, sides).await?;
    }
    Ok(())
}

/// Streams whose events were appended one by one: a message each.
async fn load(bench: &mut Bench, sides: &Sides, events: u64, count: usize) -> Result<()> {
    let name = sides.name(&format!("load/{events}"));
    let (streams, mut running) = (streams(&name, count)?, JoinSet::new());
    for stream in streams.clone() {
        let store = sides.store.clone();
        running.spawn(async move {
            for version in 0..events {
                store.append(&stream, InvoiceEvent::nth(version)).expected_version(version).await?;
            }
            Ok::<(), event_sourcery::Error>(())
        });
    }
    while let Some(finished) = running.join_next().await {
        finished??;
    }
    let (by_hand, loads) = (ours(sides), (bench.count(LOADED) / events as usize).max(1));
    let wanted = || streams.iter().cycle().take(loads);
    let complete = |found: usize| if found as u64 == events { Ok(()) } else { Err("events are missing") };
    let pairs = bench
        .alternate(
            async || {
                let began = Instant::now();
                for stream in wanted() {
                    complete(black_box(sides.store.load_stream::<InvoiceEvent>(stream).await?).len())?;
                }
                Ok(rate(loads * events as usize, began))
            },
            async || {
                let began = Instant::now();
                for stream in wanted() {
                    let subject = format!("{OURS}.e.-.-.{}", stream.uuid().simple());
                    complete(black_box(by_hand.load(&subject).await?).len())?;
                }
                Ok(rate(loads * events as usize, began))
            },
        )
        .await?;
    bench.report(Figure::of(&name, "events/s", &pairs, "direct gets by hand", Target::AtLeast(0.80)))
}

/// All events, of a message each, beside a consumer that takes the same messages and looks at none.
async fn catch_up(bench: &mut Bench, sides: &Sides) -> Result<()> {
    // On servers that hold nothing else.
    let sides = &Sides::start(sides.prefix.clone(), sides.replicas).await?;
    let (a_task, mut running) = (bench.count(EVENTS) / TASKS, JoinSet::new());
    for stream in streams("catch-up", TASKS)? {
        let store = sides.store.clone();
        running.spawn(async move {
            for version in 0..a_task as u64 {
                store.append(&stream, InvoiceEvent::nth(version)).expected_version(version).await?;
            }
            Ok::<(), event_sourcery::Error>(())
        });
    }
    while let Some(finished) = running.join_next().await {
        finished??;
    }
    let pairs = bench
        .alternate(
            async || {
                let (began, mut count) = (Instant::now(), 0);
                let mut events = sides.store.subscribe::<InvoiceEvent>().stream();
                while let Some(Next::Event(event)) = events.try_next().await? {
                    black_box(event);
                    count += 1;
                }
                Ok(rate(count, began))
            },
            async || {
                let (began, mut count) = (Instant::now(), 0);
                let mut stream = sides.bare.context.get_stream(OURS).await?;
                let all = stream.info().await?.state.messages;
                let consumer = stream.create_consumer(OrderedConfig::default()).await?;
                let mut messages = consumer.messages().await?;
                while count < all {
                    black_box(messages.next().await.ok_or("the consumer has ended")??);
                    count += 1;
                }
                Ok(rate(usize::try_from(count)?, began))
            },
        )
        .await?;
    let name = sides.name("catch-up");
    bench.report(Figure::of(&name, "events/s", &pairs, "a bare ordered consumer", Target::AtLeast(0.80)))
}

//! A thousand subscribers that each want something else, beside one.

use event_sourcery::{EventStore, Next, RawEvent};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::{age, p99};
use crate::Result;
use crate::bench::{Bench, microseconds};
use crate::figure::{Figure, Pair, Spread, Target};
use crate::invoice::streams;
use crate::machine;

/// How many wait, each for events of a name of its own.
const MANY: usize = 1_000;
/// How many events are appended, each for one of them.
const EVENTS: usize = 4_000;
/// How many appends are under way at a time.
const WRITERS: usize = 16;

/// What an event costs of the processors, in microseconds, and how old it is when it comes, in milliseconds at the median and at the
/// 99th percentile.
struct Cost {
    cpu: f64,
    lag: f64,
    p99: f64,
}

pub async fn narrow(bench: &mut Bench, prefix: &str, store: &EventStore) -> Result<()> {
    let events = bench.count(EVENTS);
    let rounds = bench
        .take_turns(
            async || cost_of_an_event(store, MANY, events).await,
            async || cost_of_an_event(store, 1, events).await,
        )
        .await?;
    let pairs: Vec<_> = rounds.iter().map(|(many, one)| Pair { ours: many.cpu, baseline: one.cpu }).collect();
    let unit = "µs of the processors an event, 1,000 subscribers";
    let name = format!("{prefix}/narrow/processor");
    bench.report(Figure::of(&name, unit, &pairs, "one", Target::AtMost(1.3)))?;
    let limit = 10.0;
    let pairs: Vec<_> = rounds.iter().map(|(many, _)| Pair { ours: many.lag, baseline: limit }).collect();
    let name = format!("{prefix}/narrow/lag");
    bench.report(Figure::of(&name, "ms at the median", &pairs, "limit", Target::AtMost(1.0)))?;
    let pairs: Vec<_> = rounds.iter().map(|(many, _)| Pair { ours: many.p99, baseline: limit }).collect();
    let name = format!("{prefix}/narrow/lag/p99");
    bench.report(Figure::of(&name, "ms at the 99th percentile", &pairs, "limit of the median", None))
}

fn name_of(number: usize) -> String {
    format!("Narrow{number}")
}

/// So many subscribers wait. The events are those of the names that a thousand would have; one alone wants them all.
async fn cost_of_an_event(store: &EventStore, subscribers: usize, events: usize) -> Result<Cost> {
    let (tell, mut told) = unbounded_channel();
    let (mut waiting, from) = (JoinSet::new(), store.position().await?);
    for subscriber in 0..subscribers {
        let names: Vec<_> = (subscriber..MANY).step_by(subscribers).map(name_of).collect();
        let subscribe = store.subscribe::<RawEvent>().event_names(names.iter().map(String::as_str));
        waiting.spawn(tell_ages(subscribe.after(from).stream(), tell.clone()));
    }
    for _ in 0..subscribers {
        told.recv().await.ok_or("nobody waits")?;
    }
    let before = machine::processor_time()?;
    let mut writers = JoinSet::<Result<()>>::new();
    for writer in 0..WRITERS {
        let (store, streams) = (store.clone(), streams(&format!("narrow/{from}/{writer}"), 1)?);
        writers.spawn(async move {
            for number in (writer..events).step_by(WRITERS) {
                let event = RawEvent::new(name_of(number % MANY), "{}")?;
                for stream in &streams {
                    store.append(stream, event.clone()).no_versioning().await?;
                }
            }
            Ok(())
        });
    }
    let mut lags = Vec::with_capacity(events);
    while lags.len() < events {
        lags.extend(told.recv().await.ok_or("nobody waits any more")?);
    }
    let cpu = machine::processor_time()?.saturating_sub(before);
    while let Some(written) = writers.join_next().await {
        written??;
    }
    waiting.shutdown().await;
    let lag = Spread::of(lags.iter().copied()).median;
    Ok(Cost { cpu: microseconds(cpu) / events as f64, lag, p99: p99(lags) })
}

/// Tells the age of each event, and once that it waits.
async fn tell_ages(
    mut events: event_sourcery::Subscription<RawEvent>,
    tell: UnboundedSender<Option<f64>>,
) -> Result<()> {
    let mut waits = false;
    while let Some(next) = events.try_next().await? {
        match next {
            Next::Event(event) => tell.send(Some(age(event.wrapped_event.created_at)))?,
            Next::CaughtUp(_) if !std::mem::replace(&mut waits, true) => tell.send(None)?,
            Next::CaughtUp(_) => {}
        }
    }
    Ok(())
}

//! Appends: one after the other, by 64 tasks, and 100 events at a time.

use std::time::Instant;

use event_sourcery::{EventStore, StreamId};
use event_sourcery_nats::NatsBackend;
use tokio::task::JoinSet;

use super::bare::{Bare, Subject};
use super::{OURS, Sides};
use crate::Result;
use crate::bench::{Bench, in_a_task, rate};
use crate::figure::{Figure, Target};
use crate::invoice::{InvoiceEvent, streams};

const APPENDS: usize = 500;
const STREAMS: usize = 10;
const TASKS: usize = 64;
const APPENDS_A_TASK: usize = 50;
const BATCH: u64 = 100;
const BATCHES: usize = 100;

pub async fn measure(bench: &mut Bench, sides: &Sides) -> Result<()> {
    if sides.wants(bench, "sequential") {
        sequential(bench, sides).await?;
    }
    if sides.wants(bench, "concurrent") {
        concurrent(bench, sides).await?;
    }
    if sides.wants(bench, "batch") {
        batch(bench, sides).await?;
    }
    Ok(())
}

/// Streams of ours with one event, and as many subjects with one message of the same size.
async fn begun(sides: &Sides, name: &str, count: usize) -> Result<(Vec<StreamId>, Vec<Subject>, Vec<u8>)> {
    let (streams, mut subjects) = (streams(name, count)?, Vec::new());
    for stream in &streams {
        sides.store.append(stream, InvoiceEvent::nth(0)).await?;
    }
    let payload = ours(sides).newest().await?;
    for _ in 0..count {
        let mut subject = sides.bare.subject();
        sides.bare.publish(&mut subject, payload.clone()).await?;
        subjects.push(subject);
    }
    Ok((streams, subjects, payload))
}

/// What ours has stored, as a bare client sees it.
pub fn ours(sides: &Sides) -> Bare {
    Bare::of(sides.bare.context.clone(), OURS)
}

/// So many events to each of the streams, by turns, from this version on.
async fn append(
    store: EventStore<NatsBackend>,
    streams: Vec<StreamId>,
    first: u64,
    rounds: usize,
) -> Result<()> {
    for version in (first..).take(rounds) {
        for stream in &streams {
            store.append(stream, InvoiceEvent::nth(version)).expected_version(version).await?;
        }
    }
    Ok(())
}

/// So many messages to each of the subjects, by turns.
async fn publish(
    bare: Bare,
    mut subjects: Vec<Subject>,
    rounds: usize,
    payload: Vec<u8>,
) -> Result<Vec<Subject>> {
    for _ in 0..rounds {
        for subject in &mut subjects {
            bare.publish(subject, payload.clone()).await?;
        }
    }
    Ok(subjects)
}

async fn sequential(bench: &mut Bench, sides: &Sides) -> Result<()> {
    let rounds = bench.count(APPENDS) / STREAMS;
    let (streams, mut subjects, payload) = begun(sides, "sequential", STREAMS).await?;
    let mut version = 1;
    let pairs = bench
        .alternate(
            async || {
                let began = Instant::now();
                in_a_task(append(sides.store.clone(), streams.clone(), version, rounds)).await?;
                version += rounds as u64;
                Ok(rate(rounds * STREAMS, began))
            },
            async || {
                let began = Instant::now();
                let publishing = publish(sides.bare.clone(), subjects.clone(), rounds, payload.clone());
                subjects = in_a_task(publishing).await?;
                Ok(rate(rounds * STREAMS, began))
            },
        )
        .await?;
    let baseline = "a bare client, the same messages and expectations";
    let name = sides.name("sequential");
    bench.report(Figure::of(&name, "appends/s", &pairs, baseline, Target::AtLeast(0.90)))
}

async fn concurrent(bench: &mut Bench, sides: &Sides) -> Result<()> {
    let rounds = bench.count(APPENDS_A_TASK);
    let (streams, mut subjects, payload) = begun(sides, "concurrent", TASKS).await?;
    let mut version = 1;
    let pairs = bench
        .alternate(
            async || {
                let (began, mut running) = (Instant::now(), JoinSet::new());
                for stream in &streams {
                    running.spawn(append(sides.store.clone(), vec![stream.clone()], version, rounds));
                }
                while let Some(finished) = running.join_next().await {
                    finished??;
                }
                version += rounds as u64;
                Ok(rate(rounds * TASKS, began))
            },
            async || {
                let (began, mut running) = (Instant::now(), JoinSet::new());
                for subject in std::mem::take(&mut subjects) {
                    running.spawn(publish(sides.bare.clone(), vec![subject], rounds, payload.clone()));
                }
                while let Some(finished) = running.join_next().await {
                    subjects.extend(finished??);
                }
                Ok(rate(rounds * TASKS, began))
            },
        )
        .await?;
    let baseline = "a bare client, 64 messages on their way";
    let name = sides.name("concurrent");
    bench.report(Figure::of(&name, "appends/s", &pairs, baseline, Target::AtLeast(0.85)))
}

/// Beside the same message, and beside a batch of a message an event.
async fn batch(bench: &mut Bench, sides: &Sides) -> Result<()> {
    let batches = bench.count(BATCHES);
    let streams = streams("batch", batches * 2 * (bench.pairs + 1) + 1)?;
    let (first, fresh) = streams.split_first().ok_or("no streams")?;
    sides.store.append(first, InvoiceEvent::nth(1)).await?;
    let small = ours(sides).newest().await?;
    sides.store.append(first, InvoiceEvent::several(BATCH)).expected_version(1).await?;
    let large = ours(sides).newest().await?;
    let mut fresh = fresh.chunks(batches);
    let cases = [
        ("batch", "a bare client, the same message", Target::AtLeast(0.85)),
        ("batch/of-messages", "a bare client, an atomic batch of a message an event", Target::AtLeast(0.85)),
    ];
    for (what, baseline, target) in cases {
        let is_batch = what != "batch";
        let pairs = bench
            .alternate(
                async || {
                    let (began, streams) = (Instant::now(), fresh.next().unwrap_or_default());
                    for stream in streams {
                        sides.store.append(stream, InvoiceEvent::several(BATCH)).await?;
                    }
                    Ok(rate(streams.len() * BATCH as usize, began))
                },
                async || {
                    let began = Instant::now();
                    for _ in 0..batches {
                        let mut subject = sides.bare.subject();
                        if is_batch {
                            sides.bare.batch(&mut subject, BATCH as usize, &small).await?;
                        } else {
                            sides.bare.publish(&mut subject, large.clone()).await?;
                        }
                    }
                    Ok(rate(batches * BATCH as usize, began))
                },
            )
            .await?;
        bench.report(Figure::of(&sides.name(what), "events/s", &pairs, baseline, target))?;
    }
    Ok(())
}

//! Aggregates: a command beside the same load and append by hand, and a long history with the state kept.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::{Duration, Instant};

use event_sourcery::{Aggregate, CommandError, Emitting, EventStore, Repository, SnapshotState, StreamId};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::Result;
use crate::bench::{Bench, microseconds, open, rate};
use crate::figure::{Figure, Target};
use crate::invoice::{InvoiceEvent, streams};
use crate::postgres::{self, Server};

const EVENTS: u64 = 10;
const COMMANDS: usize = 2_000;
const TASKS: usize = 50;

/// A long life, after how many events its state is kept, and how often it is loaded in a round.
const LONG: u64 = 100_000;
const EVERY: u64 = 100;
const LOADS: usize = 500;

#[derive(Default, Clone, Serialize, Deserialize)]
struct Invoice {
    open_cents: i64,
    payments: u64,
}

impl Aggregate for Invoice {
    type Event = InvoiceEvent;
    const CATEGORY: &'static str = "invoices";

    fn apply(&mut self, event: &InvoiceEvent) {
        match event {
            InvoiceEvent::Issued(issued) => self.open_cents += issued.total_cents,
            InvoiceEvent::Paid(paid) => {
                self.open_cents -= paid.amount_cents;
                self.payments += 1;
            }
        }
    }
}

impl SnapshotState for Invoice {
    const FORMAT: u16 = 1;
}

impl Invoice {
    fn pay(invoice: &mut Emitting<Self>) -> Result<(), Infallible> {
        invoice.emit(InvoiceEvent::nth(invoice.payments));
        Ok(())
    }
}

pub async fn sqlite(bench: &mut Bench) -> Result<()> {
    if bench.wants("aggregate/command") {
        let store = open(&bench.fresh("aggregates")?).await?;
        command(bench, "aggregate/command", &store.erased()).await?;
    }
    if bench.wants("aggregate/one-of-many-tasks") {
        let store = open(&bench.fresh("aggregates")?).await?;
        contended(bench, "aggregate/one-of-many-tasks", &store.erased()).await?;
    }
    if bench.wants("aggregate/long") {
        let store = open(&bench.fresh("aggregates")?).await?;
        long(bench, "aggregate/long", &store.erased()).await?;
    }
    Ok(())
}

pub async fn postgres(bench: &mut Bench, server: &Server) -> Result<()> {
    if bench.wants("postgres/aggregate/command") {
        let database = server.database();
        let store = EventStore::new(postgres::open(&database).await?);
        command(bench, "postgres/aggregate/command", &store.erased()).await?;
    }
    if bench.wants("postgres/aggregate/one-of-many-tasks") {
        let database = server.database();
        let store = EventStore::new(postgres::open(&database).await?);
        contended(bench, "postgres/aggregate/one-of-many-tasks", &store.erased()).await?;
    }
    if bench.wants("postgres/aggregate/long") {
        let database = server.database();
        let store = EventStore::new(postgres::open(&database).await?);
        long(bench, "postgres/aggregate/long", &store.erased()).await?;
    }
    Ok(())
}

/// Loads ten events, decides, and appends one, in streams that are new in each round.
async fn command(bench: &mut Bench, name: &str, store: &EventStore) -> Result<()> {
    let invoices = Repository::<Invoice>::new(store);
    let count = bench.count(COMMANDS);
    let (mut ours, mut theirs) = (0, 0);
    let pairs = bench
        .alternate(
            async || {
                ours += 1;
                let streams = filled(store, &format!("ours/{ours}"), count).await?;
                let began = Instant::now();
                for stream in &streams {
                    invoices.aggregate(stream, Invoice::pay).await?;
                }
                Ok(microseconds(began.elapsed()) / count as f64)
            },
            async || {
                theirs += 1;
                let streams = filled(store, &format!("by-hand/{theirs}"), count).await?;
                let began = Instant::now();
                for stream in &streams {
                    by_hand(store, stream).await?;
                }
                Ok(microseconds(began.elapsed()) / count as f64)
            },
        )
        .await?;
    bench.report(Figure::of(name, "µs", &pairs, "load and append by hand", Target::AtMost(1.15)))
}

/// The same without the aggregate: the store's own load and append, and a loop.
async fn by_hand(store: &EventStore, stream: &StreamId) -> Result<()> {
    let events = store.load_stream::<InvoiceEvent>(stream).await?;
    let mut invoice = Invoice::default();
    for event in &events {
        invoice.apply(&event.event);
    }
    let last = events.last().and_then(|last| last.version);
    store.append(stream, InvoiceEvent::nth(invoice.payments)).expected_version(last).await?;
    Ok(())
}

async fn filled(store: &EventStore, prefix: &str, count: usize) -> Result<Vec<StreamId>> {
    let mut filled = Vec::with_capacity(count);
    for stream in streams(prefix, count)? {
        let stream = stream.in_category(Invoice::CATEGORY)?;
        store.append(&stream, InvoiceEvent::several(EVENTS)).await?;
        filled.push(stream);
    }
    Ok(filled)
}

/// Many tasks that run commands on one aggregate, with the retries that a repository has by itself, beside one task that runs
/// as many. Each round has an aggregate of its own.
async fn contended(bench: &mut Bench, name: &str, store: &EventStore) -> Result<()> {
    let invoices = Repository::<Invoice>::new(store).snapshot_every(EVERY);
    let each = bench.count(COMMANDS).div_ceil(TASKS);
    let run = async |tasks: usize, each: usize| {
        let (stream, began) = (StreamId::random(), Instant::now());
        let mut running = JoinSet::new();
        for _ in 0..tasks {
            let (invoices, stream) = (invoices.clone(), stream.clone());
            running.spawn(async move {
                for _ in 0..each {
                    invoices.aggregate(&stream, Invoice::pay).await?;
                }
                Ok::<_, CommandError<Infallible>>(())
            });
        }
        while let Some(ended) = running.join_next().await {
            ended??;
        }
        Ok(rate(tasks * each, began))
    };
    let pairs = bench.alternate(async || run(TASKS, each).await, async || run(1, TASKS * each).await).await?;
    bench.report(Figure::of(name, "commands/s, 50 tasks", &pairs, "one task", None))
}

/// Loads an aggregate with a long history, its state kept, beside one that has as many events as lie between two states.
async fn long(bench: &mut Bench, name: &str, store: &EventStore) -> Result<()> {
    let invoices = Repository::<Invoice>::new(store).snapshot_every(EVERY);
    let [old, young] = ["old", "young"].map(StreamId::from_name);
    let (old, young) = (old?.in_category(Invoice::CATEGORY)?, young?.in_category(Invoice::CATEGORY)?);
    let length = LONG.div_ceil(bench.shortened as u64);
    for version in (0..length).step_by(1_000) {
        let events = InvoiceEvent::several(1_000.min(length - version));
        store.append(&old, events).expected_version(version).await?;
    }
    store.append(&young, InvoiceEvent::several(EVERY)).await?;
    // The first save keeps the state, and a life of as many events as its young companion's follows.
    invoices.aggregate(&old, Invoice::pay).await?;
    kept(&invoices, &old).await?;
    store.append(&old, InvoiceEvent::several(EVERY - 1)).expected_version(length + 1).await?;
    let loads = bench.count(LOADS);
    let load = async |stream: &StreamId| {
        let began = Instant::now();
        for _ in 0..loads {
            black_box(invoices.load(stream).await?);
        }
        Ok(microseconds(began.elapsed()) / loads as f64)
    };
    let pairs = bench.alternate(async || load(&old).await, async || load(&young).await).await?;
    let asked = Target::AtMost(1.15);
    bench.report(Figure::of(name, "µs a load, 100,000 events", &pairs, "100 events", asked))
}

/// Waits until a load takes no longer than a few events do: the state is kept behind the save.
async fn kept(invoices: &Repository<Invoice>, stream: &StreamId) -> Result<()> {
    loop {
        let began = Instant::now();
        black_box(invoices.load(stream).await?);
        if began.elapsed() < Duration::from_millis(3) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

//! A read model of a row an event, filled by handlers: batch by batch and one by one, beside the same loop by hand.

use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use event_sourcery::backend::Backend;
use event_sourcery::{Durable, EventStore, Recorded, Source};
use event_sourcery_postgres::PostgresBackend;
use event_sourcery_sqlite::SqliteBackend;
use rusqlite::Connection;
use sqlx::{Executor, Postgres};
use tokio::sync::oneshot;

use crate::Result;
use crate::bench::{Bench, microseconds, open, rate};
use crate::by_hand;
use crate::figure::{Figure, Pair, Target};
use crate::invoice::{InvoiceEvent, streams};
use crate::machine;
use crate::postgres::{self, CONNECTIONS, Server, pool};

const STREAMS: usize = 2_000;
const EVENTS_A_STREAM: usize = 100;
/// One by one, so many events tell enough, where each is a round trip.
const ONE_BY_ONE: usize = 20_000;
/// How many events by hand share a transaction, and a batch of ours at most.
const PAGE: i64 = 512;
/// What an event may cost of a processor, in microseconds.
const MOST_OF_A_PROCESSOR: f64 = 8.0;

const TABLES: &str = "
    CREATE TABLE payments (position BIGINT PRIMARY KEY, invoice TEXT NOT NULL, cents BIGINT NOT NULL);
    CREATE TABLE checkpoint (position BIGINT NOT NULL)";
const EMPTY: &str = "DELETE FROM payments; DELETE FROM checkpoint; INSERT INTO checkpoint VALUES (0)";

const INSERT: &str = "INSERT INTO payments VALUES (?1, ?2, ?3)";
const CHECKPOINT: &str = "UPDATE checkpoint SET position = ?1";

const INSERT_ONE: &str = "INSERT INTO payments VALUES ($1, $2, $3)";
const INSERT_MANY: &str = "INSERT INTO payments SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[])";
const CHECKPOINT_OF_MANY: &str = "UPDATE checkpoint SET position = $1";

/// What is written about an event.
type Payment<'e> = (i64, &'e str, i64);

fn payment(position: i64, event: &InvoiceEvent) -> Payment<'_> {
    match event {
        InvoiceEvent::Issued(issued) => (position, &issued.invoice_number, issued.total_cents),
        InvoiceEvent::Paid(paid) => (position, &paid.invoice_number, paid.amount_cents),
    }
}

fn of_ours(recorded: &Recorded<InvoiceEvent>) -> Payment<'_> {
    payment(recorded.position.to_i64(), &recorded.wrapped_event.event)
}

/// The names of subscriptions, each of which begins at the beginning.
#[derive(Default)]
struct Names(Cell<usize>);

impl Names {
    fn next(&self) -> String {
        self.0.set(self.0.get() + 1);
        format!("payments {}", self.0.get())
    }
}

/// Stops a subscription once so many events are handled.
struct Countdown {
    left: AtomicUsize,
    stop: Mutex<Option<oneshot::Sender<()>>>,
}

impl Countdown {
    fn of<B: Backend>(store: &EventStore<B>, name: &str, events: usize) -> (Self, Durable<B, InvoiceEvent>) {
        let (stop, stopped) = oneshot::channel();
        let durable = store.subscribe().durable(name).until(stopped);
        (Self { left: AtomicUsize::new(events), stop: Mutex::new(Some(stop)) }, durable)
    }

    fn handled(&self, events: usize) {
        if self.left.fetch_sub(events, Ordering::Relaxed) <= events {
            drop(self.stop.lock().map(|mut stop| stop.take()));
        }
    }
}

/// How fast, and what it cost of the processors.
#[derive(Clone, Copy)]
struct Run {
    rate: f64,
    cpu: f64,
}

async fn timed(events: usize, work: impl Future<Output = Result<()>>) -> Result<Run> {
    let (began, before) = (Instant::now(), machine::processor_time()?);
    work.await?;
    let cpu = microseconds(machine::processor_time()?.saturating_sub(before)) / events as f64;
    Ok(Run { rate: rate(events, began), cpu })
}

async fn fill(bench: &Bench, store: &EventStore) -> Result<usize> {
    let streams = streams("handled", bench.count(STREAMS))?;
    for stream in &streams {
        store.append(stream, InvoiceEvent::several(EVENTS_A_STREAM as u64)).await?;
    }
    Ok(streams.len() * EVENTS_A_STREAM)
}

fn report(bench: &mut Bench, prefix: &str, rounds: &[(Run, Run)], at_least: f64) -> Result<()> {
    let rates = rounds.iter().map(|(ours, theirs)| Pair { ours: ours.rate, baseline: theirs.rate });
    let rates: Vec<_> = rates.collect();
    let name = format!("{prefix}/handlers/batches");
    bench.report(Figure::of(&name, "events/s", &rates, "by hand", Target::AtLeast(at_least)))?;
    let costs = rounds.iter().map(|(ours, _)| Pair { ours: ours.cpu, baseline: MOST_OF_A_PROCESSOR });
    let costs: Vec<_> = costs.collect();
    let name = format!("{prefix}/handlers/processor");
    bench.report(Figure::of(&name, "µs of a processor an event", &costs, "limit", Target::AtMost(1.0)))
}

pub async fn sqlite(bench: &mut Bench) -> Result<()> {
    const PREFIX: &str = "subscribe";
    if !bench.wants("subscribe/handlers") {
        return Ok(());
    }
    let path = bench.fresh("handled")?;
    let (store, by_hand) = (open(&path).await?, by_hand::ByHand::open(&path)?);
    let events = fill(bench, &store.erased()).await?;
    by_hand.connection().execute_batch(TABLES)?;
    let names = Names::default();
    let rounds = bench
        .take_turns(
            async || {
                by_hand.connection().execute_batch(EMPTY)?;
                timed(events, batches_in_transaction(&store, &names.next(), events)).await
            },
            async || {
                by_hand.connection().execute_batch(EMPTY)?;
                timed(events, async { pages_of_sqlite(&by_hand) }).await
            },
        )
        .await?;
    report(bench, PREFIX, &rounds, 0.8)?;
    let one_by_one = bench
        .alternate(
            async || {
                by_hand.connection().execute_batch(EMPTY)?;
                let run = timed(events, one_by_one_in_transaction(&store, &names.next(), events)).await?;
                Ok(run.rate)
            },
            async || {
                by_hand.connection().execute_batch(EMPTY)?;
                Ok(timed(events, async { pages_of_sqlite(&by_hand) }).await?.rate)
            },
        )
        .await?;
    let name = format!("{PREFIX}/handlers/one-by-one");
    bench.report(Figure::of(&name, "events/s", &one_by_one, "by hand", None))
}

async fn batches_in_transaction(store: &EventStore<SqliteBackend>, name: &str, events: usize) -> Result<()> {
    let (countdown, durable) = Countdown::of(store, name, events);
    let run = durable.run_batches_in_transaction(move |batch, tx| {
        insert(tx.connection(), batch.iter().map(of_ours))?;
        countdown.handled(batch.len());
        Ok(())
    });
    Ok(run.await?)
}

async fn one_by_one_in_transaction(
    store: &EventStore<SqliteBackend>,
    name: &str,
    events: usize,
) -> Result<()> {
    let (countdown, durable) = Countdown::of(store, name, events);
    let run = durable.run_in_transaction(move |recorded, tx| {
        insert(tx.connection(), [of_ours(&recorded)])?;
        countdown.handled(1);
        Ok(())
    });
    Ok(run.await?)
}

fn insert<'e>(
    connection: &Connection,
    payments: impl IntoIterator<Item = Payment<'e>>,
) -> Result<(), rusqlite::Error> {
    let mut insert = connection.prepare_cached(INSERT)?;
    for payment in payments {
        insert.execute(payment)?;
    }
    Ok(())
}

fn pages_of_sqlite(by_hand: &by_hand::ByHand) -> Result<()> {
    let mut position = 0;
    loop {
        let page = by_hand.page(position, PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        position = last.position;
        by_hand.transaction(|by_hand| {
            insert(by_hand.connection(), page.iter().map(|read| payment(read.position, &read.event.event)))?;
            by_hand.connection().prepare_cached(CHECKPOINT)?.execute([position])?;
            Ok(())
        })?;
    }
}

pub async fn postgres(bench: &mut Bench, server: &Server) -> Result<()> {
    const PREFIX: &str = "postgres/subscribe";
    if !bench.wants("postgres/subscribe/handlers") {
        return Ok(());
    }
    let database = server.database();
    let store = EventStore::new(postgres::open(&database).await?);
    let by_hand = postgres::by_hand::ByHand::new(pool(&database, CONNECTIONS).await?);
    let events = fill(bench, &store.erased()).await?;
    database.psql(TABLES);
    database.psql("VACUUM ANALYZE");
    let empty = || drop(database.psql(&format!("TRUNCATE payments; {EMPTY}")));
    let names = Names::default();
    let rounds = bench
        .take_turns(
            async || {
                empty();
                timed(events, batches_within(&store, &names.next(), events)).await
            },
            async || {
                empty();
                timed(events, pages_of_postgres(&by_hand)).await
            },
        )
        .await?;
    report(bench, PREFIX, &rounds, 0.6)?;
    let fewer = ONE_BY_ONE.min(events);
    let one_by_one = bench
        .alternate(
            async || {
                empty();
                Ok(timed(events, batches_within(&store, &names.next(), events)).await?.rate)
            },
            async || {
                empty();
                Ok(timed(fewer, one_by_one_within(&store, &names.next(), fewer)).await?.rate)
            },
        )
        .await?;
    let name = format!("{PREFIX}/handlers/batches/one-by-one");
    let target = Target::AtLeast(25.0);
    bench.report(Figure::of(&name, "events/s", &one_by_one, "one by one", target))
}

async fn batches_within(store: &EventStore<PostgresBackend>, name: &str, events: usize) -> Result<()> {
    let (countdown, durable) = Countdown::of(store, name, events);
    let run = durable.run_batches_within(async move |batch, tx| {
        insert_many(tx.connection(), batch.iter().map(of_ours)).await?;
        countdown.handled(batch.len());
        Ok(())
    });
    Ok(run.await?)
}

async fn one_by_one_within(store: &EventStore<PostgresBackend>, name: &str, events: usize) -> Result<()> {
    let (countdown, durable) = Countdown::of(store, name, events);
    let run = durable.run_within(async move |recorded, tx| {
        let (position, invoice, cents) = of_ours(&recorded);
        let query = sqlx::query(INSERT_ONE).bind(position).bind(invoice).bind(cents);
        query.execute(tx.connection()).await?;
        countdown.handled(1);
        Ok(())
    });
    Ok(run.await?)
}

async fn insert_many<'e, 'c>(
    executor: impl Executor<'c, Database = Postgres>,
    payments: impl Iterator<Item = Payment<'e>>,
) -> Result<(), Source> {
    let (mut positions, mut invoices, mut cents) = (Vec::new(), Vec::new(), Vec::new());
    for (position, invoice, amount) in payments {
        positions.push(position);
        invoices.push(invoice);
        cents.push(amount);
    }
    sqlx::query(INSERT_MANY).bind(positions).bind(invoices).bind(cents).execute(executor).await?;
    Ok(())
}

async fn pages_of_postgres(by_hand: &postgres::by_hand::ByHand) -> Result<()> {
    let mut position = 0;
    loop {
        let page = by_hand.page(position, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        position = last.position;
        let mut transaction = by_hand.pool().begin().await?;
        insert_many(&mut *transaction, page.iter().map(|read| payment(read.position, &read.event.event)))
            .await?;
        sqlx::query(CHECKPOINT_OF_MANY).bind(position).execute(&mut *transaction).await?;
        transaction.commit().await?;
    }
}

//! Subscriptions: catching up, the way from a commit to a handler, and what they cost those who write.

mod by_hand;
mod few;
mod handlers;
mod idle;
mod narrow;
mod parking;

use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use event_sourcery::{Category, Event, EventStore, Next, Subscribe};
use event_sourcery_postgres::PostgresBackend;
use event_sourcery_sqlite::SqliteBackend;
use jiff::Timestamp;
use tokio::task::JoinSet;

use self::by_hand::{ReadByHand, Wanted};
use crate::Result;
use crate::bench::{Bench, open, rate};
use crate::figure::{Figure, Pair, Spread, Target, quantile};
use crate::invoice::{InvoiceEvent, InvoiceIssued, streams};
use crate::large_store::LargeStore;
use crate::machine;
use crate::postgres::{self, CONNECTIONS, Server, pool};

const STREAMS: usize = 10_000;
const EVENTS_A_STREAM: u64 = 100;
/// One stream in so many is of the category that a filtered subscription asks for.
const ONE_IN: usize = 10;
const CATEGORY: &str = "archived";
const ROUNDS: usize = 5;

pub const LONE_EVENTS: usize = 300;
const BETWEEN_LONE_EVENTS: Duration = Duration::from_millis(10);

/// Among how many events a rare type is looked for, on a server.
const MANY: usize = 10_000_000;

const WRITERS: usize = 32;
const SUBSCRIBERS: usize = 10;
const APPENDS_A_WRITER: usize = 500;
/// One event in so many tells its age there: ten subscribers that look at the clock for each would be measured themselves.
const ONE_AGE_IN: usize = 16;

pub async fn sqlite(bench: &mut Bench) -> Result<()> {
    if bench.wants("subscribe/catch-up") {
        let path = bench.fresh("subscribed")?;
        let store = open(&path).await?;
        fill(bench, &store.erased()).await?;
        let by_hand = ReadByHand::Sqlite(crate::by_hand::ByHand::open(&path)?);
        catch_up(bench, "subscribe", &store.erased(), &by_hand).await?;
    }
    if bench.wants("subscribe/commit-to-handler") {
        let path = bench.fresh("subscribed")?;
        let store = open(&path).await?;
        let limits = [5.0, 100.0];
        commit_to_handler(bench, "subscribe", &store.erased(), &path.display().to_string(), limits).await?;
    }
    if bench.wants("subscribe/writers") {
        let store = open(&bench.fresh("subscribed")?).await?;
        writers(bench, "subscribe", &store.erased()).await?;
    }
    if bench.wants("subscribe/narrow") {
        let store = open(&bench.fresh("subscribed")?).await?;
        narrow::narrow(bench, "subscribe", &store.erased()).await?;
    }
    if bench.wants("subscribe/idle") {
        idle::sqlite(bench).await?;
    }
    if bench.wants("subscribe/parking") {
        parking::sqlite(bench).await?;
    }
    if bench.wants("subscribe/few") {
        let many = LargeStore::find_or_build(bench, 10).await?;
        let fewer = LargeStore::find_or_build_of(bench, few::FEWER as u64, 10).await?;
        let (in_many, in_fewer) = (open(many.path()).await?.erased(), open(fewer.path()).await?.erased());
        let measured = few::measure(bench, "subscribe", &in_many, &in_fewer).await;
        drop((in_many, in_fewer));
        many.restore()?;
        fewer.restore()?;
        measured?;
    }
    if bench.wants("subscribe/rare") {
        let large = LargeStore::find_or_build(bench, 10).await?;
        let measured = rare(bench, "subscribe/rare", &open(large.path()).await?.erased()).await;
        large.restore()?;
        measured?;
    }
    handlers::sqlite(bench).await
}

pub async fn postgres(bench: &mut Bench, server: &Server) -> Result<()> {
    const PREFIX: &str = "postgres/subscribe";
    if bench.wants("postgres/subscribe/catch-up") {
        let database = server.database();
        let store = EventStore::new(postgres::open(&database).await?);
        fill(bench, &store.erased()).await?;
        database.psql("VACUUM ANALYZE");
        let by_hand =
            ReadByHand::Postgres(postgres::by_hand::ByHand::new(pool(&database, CONNECTIONS).await?));
        catch_up(bench, PREFIX, &store.erased(), &by_hand).await?;
    }
    if bench.wants("postgres/subscribe/commit-to-handler") {
        let database = server.database();
        let store = EventStore::new(postgres::open(&database).await?);
        commit_to_handler(bench, PREFIX, &store.erased(), &database.url(), [10.0, 100.0]).await?;
    }
    if bench.wants("postgres/subscribe/rare") {
        let database = server.database();
        let store = EventStore::new(postgres::open(&database).await?).erased();
        database.psql(&many_invoices(bench.count(MANY)));
        rare(bench, "postgres/subscribe/rare", &store).await?;
    }
    if bench.wants("postgres/subscribe/few") {
        let databases = [bench.count(MANY), few::FEWER].map(|events| (server.database(), events));
        let mut stores = Vec::new();
        for (database, events) in &databases {
            let store = EventStore::new(postgres::open(database).await?).erased();
            database.psql(&many_invoices(*events));
            stores.push(store);
        }
        if let [many, fewer] = stores.as_slice() {
            few::measure(bench, PREFIX, many, fewer).await?;
        }
    }
    if bench.wants("postgres/subscribe/writers") {
        let database = server.database();
        let store = EventStore::new(postgres::open(&database).await?);
        writers(bench, PREFIX, &store.erased()).await?;
    }
    if bench.wants("postgres/subscribe/narrow") {
        let database = server.database();
        let store = EventStore::new(postgres::open(&database).await?);
        narrow::narrow(bench, PREFIX, &store.erased()).await?;
    }
    if bench.wants("postgres/subscribe/idle") {
        idle::postgres(bench).await?;
    }
    if bench.wants("postgres/subscribe/parking") {
        parking::postgres(bench, server).await?;
    }
    handlers::postgres(bench, server).await
}

/// A million events.
async fn fill(bench: &Bench, store: &EventStore) -> Result<()> {
    for (number, stream) in streams("invoices", bench.count(STREAMS))?.into_iter().enumerate() {
        let stream = if number % ONE_IN == 0 { stream.in_category(CATEGORY)? } else { stream };
        store.append(&stream, InvoiceEvent::several(EVENTS_A_STREAM)).await?;
    }
    Ok(())
}

async fn catch_up(bench: &mut Bench, prefix: &str, store: &EventStore, by_hand: &ReadByHand) -> Result<()> {
    let fewer = ROUNDS.min(bench.pairs);
    let usual = std::mem::replace(&mut bench.pairs, fewer);
    let all = bench
        .alternate(
            async || caught_up(store.subscribe::<InvoiceEvent>()).await,
            async || by_hand.read(Wanted::All).await,
        )
        .await?;
    let filtered = bench
        .alternate(
            async || caught_up(store.subscribe::<InvoiceIssued>().category(Category::new(CATEGORY)?)).await,
            async || by_hand.read(Wanted::IssuedOf(CATEGORY)).await,
        )
        .await?;
    bench.pairs = usual;
    let target = Target::AtLeast(0.8);
    bench.report(Figure::of(&format!("{prefix}/catch-up/all"), "events/s", &all, "by hand", target))?;
    let name = format!("{prefix}/catch-up/category-and-type");
    bench.report(Figure::of(&name, "events/s", &filtered, "by hand", target))?;
    let flat = [Pair { ours: grown(store).await? / 1e6, baseline: 16.0 }];
    let name = format!("{prefix}/catch-up/memory");
    let unit = "MB grown after the first tenth";
    bench.report(Figure::of(&name, unit, &flat, "our own limit", Target::AtMost(1.0)))
}

/// By how many bytes the process grows from the first tenth of the events to the last.
async fn grown(store: &EventStore) -> Result<f64> {
    let tenth = STREAMS * EVENTS_A_STREAM as usize / 10;
    let (mut events, mut read, mut before) = (store.subscribe::<InvoiceEvent>().stream(), 0, None);
    while let Some(Next::Event(event)) = events.try_next().await? {
        black_box(event);
        read += 1;
        if read == tenth {
            before = Some(machine::resident()?);
        }
    }
    before.map_or(Ok(0.0), |before| machine::resident().map(|after| (after - before).max(0.0)))
}

/// Events a second until it is caught up.
async fn caught_up<B: event_sourcery::backend::Backend, E: Event>(subscribe: Subscribe<B, E>) -> Result<f64> {
    let began = Instant::now();
    let (mut events, mut read) = (subscribe.stream(), 0);
    while let Some(next) = events.try_next().await? {
        match next {
            Next::Event(event) => {
                black_box(event);
                read += 1;
            }
            Next::CaughtUp(_) => break,
        }
    }
    Ok(rate(read, began))
}

/// From the moment an event is made, before it is appended, until a subscriber has it: the commit is part of it.
async fn commit_to_handler(
    bench: &mut Bench,
    prefix: &str,
    store: &EventStore,
    place: &str,
    [same, other]: [f64; 2],
) -> Result<()> {
    let count = bench.count(LONE_EVENTS);
    let here = tokio::spawn(listen(store.clone(), count, 1, || Ok(())));
    lone_events(store, "here", count).await?;
    report_lags(bench, &format!("{prefix}/commit-to-handler/same-process"), here.await??, same)?;

    let mut child = Command::new(std::env::current_exe()?)
        .args(["listen", place, &count.to_string()])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
    lines.next().ok_or("the other process is not ready")??;
    lone_events(store, "there", count).await?;
    let lags = lines.map(|line| Ok(line?.parse()?)).collect::<Result<Vec<f64>>>()?;
    child.wait()?;
    report_lags(bench, &format!("{prefix}/commit-to-handler/other-process"), lags, other)
}

pub fn report_lags(bench: &mut Bench, name: &str, lags: Vec<f64>, limit: f64) -> Result<()> {
    let median = Spread::of(lags.iter().copied()).median;
    let pairs = [Pair { ours: median, baseline: limit }];
    bench.report(Figure::of(name, "ms at the median", &pairs, "limit", Target::AtMost(1.0)))?;
    let pairs = [Pair { ours: p99(lags), baseline: limit }];
    bench.report(Figure::of(
        &format!("{name}/p99"),
        "ms at the 99th percentile",
        &pairs,
        "limit of the median",
        None,
    ))
}

fn p99(mut lags: Vec<f64>) -> f64 {
    lags.sort_by(f64::total_cmp);
    quantile(&lags, 0.99)
}

pub async fn lone_events(store: &EventStore, name: &str, count: usize) -> Result<()> {
    tokio::time::sleep(BETWEEN_LONE_EVENTS * 10).await;
    for (number, stream) in (0..).zip(streams(name, count)?) {
        store.append(&stream, InvoiceEvent::nth(number)).await?;
        tokio::time::sleep(BETWEEN_LONE_EVENTS).await;
    }
    Ok(())
}

/// Takes so many new events, and tells in milliseconds how old one in so many of them was.
pub async fn listen(
    store: EventStore,
    count: usize,
    one_in: usize,
    ready: impl FnOnce() -> Result<()>,
) -> Result<Vec<f64>> {
    let mut events = store.subscribe::<InvoiceEvent>().after(store.position().await?).stream();
    let (mut lags, mut taken) = (Vec::new(), 0);
    let mut ready = Some(ready);
    while taken < count {
        match events.try_next().await? {
            Some(Next::Event(event)) => {
                if taken % one_in == 0 {
                    lags.push(age(event.wrapped_event.created_at));
                }
                taken += 1;
            }
            Some(Next::CaughtUp(_)) => ready.take().map_or(Ok(()), |ready| ready())?,
            None => return Err("the subscription has ended".into()),
        }
    }
    Ok(lags)
}

pub fn age(created_at: Timestamp) -> f64 {
    Timestamp::now().duration_since(created_at).as_secs_f64() * 1e3
}

/// What the other process does.
pub async fn be_listener(place: &str, count: &str) -> Result<()> {
    let store = if place.starts_with("postgres") {
        EventStore::new(PostgresBackend::connect(place).await?).erased()
    } else {
        EventStore::new(SqliteBackend::open(place).await?).erased()
    };
    let ready = || {
        println!("ready");
        Ok(std::io::stdout().flush()?)
    };
    for lag in listen(store, count.parse()?, 1, ready).await? {
        println!("{lag}");
    }
    Ok(())
}

/// Writers at full speed, with ten subscribers and with none.
async fn writers(bench: &mut Bench, prefix: &str, store: &EventStore) -> Result<()> {
    let a_writer = bench.count(APPENDS_A_WRITER);
    let mut round = 0;
    let mut write = async || {
        round += 1;
        let (mut tasks, began) = (JoinSet::<Result<()>>::new(), Instant::now());
        for writer in 0..WRITERS {
            let (store, stream) = (store.clone(), streams(&format!("{round}/{writer}"), 1)?);
            tasks.spawn(async move {
                for (version, stream) in (0..a_writer as u64).zip(stream.iter().cycle()) {
                    store.append(stream, InvoiceEvent::nth(version)).expected_version(version).await?;
                }
                Ok(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(rate(WRITERS * a_writer, began))
    };
    let mut lags = Vec::new();
    let mut pairs = Vec::new();
    write().await?;
    for _ in 0..bench.pairs {
        let mut subscribers = JoinSet::new();
        for _ in 0..SUBSCRIBERS {
            subscribers.spawn(listen(store.clone(), WRITERS * a_writer, ONE_AGE_IN, || Ok(())));
        }
        tokio::time::sleep(BETWEEN_LONE_EVENTS * 10).await;
        let ours = write().await?;
        let mut slowest = Vec::new();
        while let Some(done) = subscribers.join_next().await {
            slowest.extend(done??);
        }
        lags.push(p99(slowest));
        pairs.push(Pair { ours, baseline: write().await? });
    }
    let name = format!("{prefix}/writers");
    let target = Target::AtLeast(0.9);
    bench.report(Figure::of(&name, "appends/s, 10 subscribers", &pairs, "no subscriber", target))?;
    let lags: Vec<_> = lags.into_iter().map(|lag| Pair { ours: lag, baseline: 1_000.0 }).collect();
    let name = format!("{name}/p99-lag");
    bench.report(Figure::of(&name, "ms from append to subscriber", &lags, "limit", Target::AtMost(1.0)))
}

/// Ten events of a rare type among ten million: the first search lists which blocks hold which types, and later ones look
/// there. Beside it, reading all of them.
async fn rare(bench: &mut Bench, name: &str, store: &EventStore) -> Result<()> {
    for (number, stream) in (0..).zip(streams("rare", 10)?) {
        let rare = event_sourcery::RawEvent::new("InvoiceLost", format!(r#"{{"number":{number}}}"#))?;
        store.append(&stream, rare).await?;
    }
    let read = async |names: Option<&'static str>| {
        let (began, all) = (Instant::now(), store.subscribe::<event_sourcery::RawEvent>());
        match names {
            Some(name) => caught_up(all.event_names([name])).await?,
            None => caught_up(all).await?,
        };
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(began.elapsed().as_secs_f64() * 1e3)
    };
    let first = read(Some("InvoiceLost")).await?;
    let all = read(None).await?;
    let first = [Pair { ours: first, baseline: all }];
    bench.report(Figure::of(&format!("{name}/first"), "ms", &first, "all 10 million events", None))?;
    let mut later = Vec::new();
    for _ in 0..bench.pairs {
        later.push(Pair { ours: read(Some("InvoiceLost")).await?, baseline: all });
    }
    let asked = Target::AtMost(0.01);
    bench.report(Figure::of(name, "ms", &later, "all 10 million events", asked))
}

/// The large store has them already; a server gets so many payments of a thousand invoices by one statement.
fn many_invoices(count: usize) -> String {
    format!(
        "INSERT INTO event_sourcery_streams (uuid, category, tenant_id, version)
         SELECT gen_random_uuid(), '', '', {count} / 1000 FROM generate_series(1, 1000);
         INSERT INTO event_sourcery_events
             (version, uuid, name, data, event_context, created_at, db_stream_id, schema_version)
         SELECT n / 1000 + 1, gen_random_uuid(), 'InvoicePaid',
                jsonb_build_object('invoice_number', '2025-' || n, 'method', 'transfer', 'amount_cents', n, 'in_full', false),
                '{{}}', now() AT TIME ZONE 'UTC', n % 1000 + 1, 1
         FROM generate_series(0, {count} - 1) n;
         VACUUM ANALYZE"
    )
}

//! What a slow reader of large events holds at most, and how soon it has the first; each reader in a process of its own.

use std::fs;
use std::hint::black_box;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_sourcery::{Aggregate, EventStore, MemoryBackend, Next, RawEvent, Repository, StreamId};
use event_sourcery_postgres::PostgresBackend;
use event_sourcery_sqlite::SqliteBackend;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::Result;
use crate::bench::{Bench, open};
use crate::figure::{Figure, Pair, Target};
use crate::machine;
use crate::postgres::{self, Server};

const EVENTS: usize = 1_600;
const LARGE: usize = 1_000_000;
const READERS: [&str; 5] = ["load_stream", "read_all", "subscribe", "durable", "live"];
const ROUNDS: usize = 3;

/// What may be held, in megabytes, and how long the first event may take, in milliseconds.
const MOST_HELD: f64 = 16.0;
const FIRST_WITHIN: f64 = 10.0;

/// What an aggregate of so many small events may hold while it is loaded, in megabytes.
const HISTORY: usize = 1_000_000;
const MOST_FOLDED: f64 = 8.0;

/// The reader pauses behind so many events, for so long: what is read ahead is read meanwhile.
const PAUSE_BEHIND: usize = 10;
const PAUSE: Duration = Duration::from_millis(50);

/// How many events are appended before it counts what is held where others are appended meanwhile: what appends hold is no reader's.
const WARM: usize = 64;

/// The place of a store in the memory of the process that reads it.
const MEMORY: &str = "memory";

pub async fn measure(bench: &mut Bench) -> Result<()> {
    if bench.wants("held/memory") {
        of_store(bench, "held/memory", MEMORY)?;
    }
    if bench.wants("held/sqlite") {
        let path = bench.fresh("held")?;
        fill(&open(&path).await?.erased(), bench.count(EVENTS)).await?;
        of_store(bench, "held/sqlite", &path.display().to_string())?;
    }
    if bench.wants("aggregate/held") {
        let path = bench.fresh("held")?;
        fill_small(&open(&path).await?.erased(), bench.count(HISTORY)).await?;
        of_aggregate(bench, "aggregate/held", &path.display().to_string())?;
    }
    Ok(())
}

pub async fn postgres(bench: &mut Bench, server: &Server) -> Result<()> {
    if bench.wants("postgres/held") {
        let database = server.database();
        let store = EventStore::new(postgres::open(&database).await?).erased();
        fill(&store, bench.count(EVENTS)).await?;
        database.psql("VACUUM ANALYZE");
        of_store(bench, "postgres/held", &database.url())?;
    }
    if bench.wants("postgres/aggregate/held") {
        let database = server.database();
        let store = EventStore::new(postgres::open(&database).await?).erased();
        fill_small(&store, bench.count(HISTORY)).await?;
        database.psql("VACUUM ANALYZE");
        of_aggregate(bench, "postgres/aggregate/held", &database.url())?;
    }
    Ok(())
}

/// Counts its events.
#[derive(Default)]
struct Counted {
    events: usize,
}

impl Aggregate for Counted {
    type Event = RawEvent;
    const CATEGORY: &'static str = "counted";

    fn apply(&mut self, _: &RawEvent) {
        self.events += 1;
    }
}

/// The stream of an aggregate of so many events.
fn counted(events: usize) -> Result<StreamId> {
    Ok(stream(&events.to_string())?.in_category(Counted::CATEGORY)?)
}

/// Makes one with a single event as well: whoever is measured loads that first.
async fn fill_small(store: &EventStore, events: usize) -> Result<()> {
    let small = || RawEvent::new("Small", r#"{"cents":100}"#);
    store.append(&counted(1)?, small()?).await?;
    for version in (0..events).step_by(1_000) {
        let page = (version..events.min(version + 1_000)).map(|_| small()).collect::<Result<Vec<_>, _>>()?;
        store.append(&counted(events)?, page).expected_version(version as u64).await?;
    }
    Ok(())
}

fn of_aggregate(bench: &mut Bench, name: &str, place: &str) -> Result<()> {
    let mut held = Vec::new();
    for _ in 0..bench.pairs.min(ROUNDS) {
        let (megabytes, _) = in_a_process(place, "aggregate", bench.count(HISTORY))?;
        held.push(Pair { ours: megabytes, baseline: MOST_FOLDED });
    }
    let target = Target::AtMost(1.0);
    bench.report(Figure::of(name, "MB at most, a million events", &held, "asked for", target))
}

fn stream(name: &str) -> Result<StreamId> {
    Ok(StreamId::from_name(name)?)
}

fn large() -> Result<RawEvent> {
    Ok(RawEvent::new("Large", format!(r#"{{"x":"{}"}}"#, "y".repeat(LARGE)))?)
}

async fn fill(store: &EventStore, events: usize) -> Result<()> {
    for version in 0..events as u64 {
        store.append(&stream("large")?, large()?).expected_version(version).await?;
    }
    Ok(())
}

fn of_store(bench: &mut Bench, prefix: &str, place: &str) -> Result<()> {
    for reader in READERS {
        let name = format!("{prefix}/{reader}");
        if !bench.wants(&name) {
            continue;
        }
        let (mut held, mut first) = (Vec::new(), Vec::new());
        for _ in 0..bench.pairs.min(ROUNDS) {
            let (megabytes, milliseconds) = in_a_process(place, reader, bench.count(EVENTS))?;
            held.push(Pair { ours: megabytes, baseline: MOST_HELD });
            first.push(Pair { ours: milliseconds, baseline: FIRST_WITHIN });
        }
        let target = Target::AtMost(1.0);
        bench.report(Figure::of(&name, "MB at most", &held, "our own limit", target))?;
        let name = format!("{name}/first");
        bench.report(Figure::of(&name, "ms to the first event", &first, "asked for", target))?;
    }
    Ok(())
}

fn in_a_process(place: &str, reader: &str, events: usize) -> Result<(f64, f64)> {
    let mut process = Command::new(std::env::current_exe()?);
    let process = process.args(["held", place, reader, &events.to_string()]).output()?;
    if !process.status.success() {
        return Err(String::from_utf8_lossy(&process.stderr).into());
    }
    let line = String::from_utf8(process.stdout)?;
    let (held, first) = line.trim().split_once(' ').ok_or("two numbers are wanted")?;
    Ok((held.parse()?, first.parse()?))
}

/// What that process does: it reads one event, so that all that is opened once is open; then it reads them all, and prints by how
/// many megabytes it grew at most, and how many milliseconds the first took.
pub async fn be_measured(place: &str, reader: &str, events: usize) -> Result<()> {
    let store = match place {
        MEMORY => EventStore::new(MemoryBackend::new()).erased(),
        url if url.starts_with("postgres") => EventStore::new(PostgresBackend::connect(url).await?).erased(),
        path => EventStore::new(SqliteBackend::open(path).await?).erased(),
    };
    if place == MEMORY {
        fill(&store, events).await?;
    }
    read(&store, reader, if reader == "live" { WARM } else { 1 }).await?;
    let before = machine::resident()?;
    // From here on the most is counted anew.
    fs::write("/proc/self/clear_refs", "5")?;
    let first = read(&store, reader, events).await?;
    // What is appended meanwhile stays in memory, there.
    let stays = if place == MEMORY && reader == "live" { events * LARGE } else { 0 };
    let held = machine::most_resident()? - before - stays as f64;
    println!("{} {}", held.max(0.0) / 1e6, first.as_secs_f64() * 1e3);
    Ok(())
}

/// Reads so many events, slowly; tells how long the first took.
async fn read(store: &EventStore, reader: &str, events: usize) -> Result<Duration> {
    let mut reading = Reading::begin(events);
    match reader {
        "load_stream" => {
            let mut all = store.load_stream::<RawEvent>(&stream("large")?).stream();
            while let Some(event) = all.try_next().await? {
                if reading.is_done_after(event).await {
                    break;
                }
            }
        }
        "read_all" => {
            let mut all = store.read_all::<RawEvent>().stream();
            while let Some(event) = all.try_next().await? {
                if reading.is_done_after(event).await {
                    break;
                }
            }
        }
        "aggregate" => {
            reading.read = Repository::<Counted>::new(store).load(&counted(events)?).await?.events;
            reading.first = Some(Instant::now());
        }
        "durable" => return durable(store, reading).await,
        "live" => return live(store, reading).await,
        _ => {
            let mut all = store.subscribe::<RawEvent>().stream();
            while let Some(Next::Event(event)) = all.try_next().await? {
                if reading.is_done_after(event).await {
                    break;
                }
            }
        }
    }
    reading.first()
}

async fn durable(store: &EventStore, reading: Reading) -> Result<Duration> {
    let reading = Arc::new(Mutex::new(reading));
    let (handled, watched) = (Arc::clone(&reading), Arc::clone(&reading));
    let until = async move {
        while !watched.lock().await.is_done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let durable = store.subscribe::<RawEvent>().durable(Uuid::now_v7().to_string()).until(until);
    let handle = async move |event, _| {
        handled.lock().await.is_done_after(event).await;
        Ok(())
    };
    durable.run(handle).await?;
    reading.lock().await.first()
}

/// New events, appended as fast as they can be: the reader falls behind. The first comes so long after it was committed.
async fn live(store: &EventStore, mut reading: Reading) -> Result<Duration> {
    let mut events = store.subscribe::<RawEvent>().after(store.position().await?).stream();
    let mut writer: Option<JoinHandle<Result<Instant>>> = None;
    loop {
        match events.try_next().await?.ok_or("the subscription has ended")? {
            Next::CaughtUp(_) if writer.is_none() => {
                let (store, events) = (store.clone(), reading.wanted);
                writer = Some(tokio::spawn(async move {
                    store.append(&stream("live")?, large()?).no_versioning().await?;
                    let committed = Instant::now();
                    for _ in 1..events {
                        store.append(&stream("live")?, large()?).no_versioning().await?;
                    }
                    Ok(committed)
                }));
            }
            Next::CaughtUp(_) => {}
            Next::Event(event) => {
                if reading.is_done_after(event).await {
                    break;
                }
            }
        }
    }
    let writer = writer.ok_or("nothing was appended")?;
    reading.began = writer.await??;
    reading.first()
}

/// How far a reader has come.
struct Reading {
    began: Instant,
    first: Option<Instant>,
    read: usize,
    wanted: usize,
}

impl Reading {
    fn begin(wanted: usize) -> Self {
        Self { began: Instant::now(), first: None, read: 0, wanted }
    }

    /// Takes an event, and pauses now and then. Whether it was the last.
    async fn is_done_after<E>(&mut self, event: E) -> bool {
        self.first.get_or_insert_with(Instant::now);
        black_box(event);
        self.read += 1;
        if self.read.is_multiple_of(PAUSE_BEHIND) {
            tokio::time::sleep(PAUSE).await;
        }
        self.is_done()
    }

    fn is_done(&self) -> bool {
        self.read >= self.wanted
    }

    fn first(&self) -> Result<Duration> {
        if !self.is_done() {
            return Err(format!("{} of {} events were read", self.read, self.wanted).into());
        }
        let first = self.first.ok_or("no event was read")?;
        Ok(first.saturating_duration_since(self.began))
    }
}

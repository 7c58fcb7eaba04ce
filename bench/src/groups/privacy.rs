//! Encrypted fields: what they cost, beside the same events in the clear.

mod events;

use std::hint::black_box;
use std::time::Instant;

use event_sourcery::privacy::{Encryption, MasterKey};
use event_sourcery::{Event, EventStore, MemoryBackend, Next, StreamId};

use self::events::{InTheClear, MovedInTheClear, MovedSealed, Sealed};
use crate::Result;
use crate::bench::{Bench, microseconds, open, rate};
use crate::figure::{Figure, Pair, Target};
use crate::invoice::streams;
use crate::postgres::{self, Server};

/// How many events are written and read in memory in a round, and in how large appends and loads.
const IN_MEMORY: usize = 50_000;
const A_STREAM: usize = 100;
/// What an event of three fields may take to be encrypted and decrypted, in microseconds.
const LIMIT: f64 = 5.0;

/// How many events are appended in a round, one after the other.
const APPENDS: usize = 1_000;

/// How many events are loaded at once, and how often.
const LOADED: usize = 1_000;
const LOADS: usize = 30;

/// What is caught up with: so many streams, each of a subject of its own.
const STREAMS: usize = 10_000;
const ROUNDS: usize = 5;

/// A store with keys, and one without.
type Both = [EventStore; 2];

pub async fn sqlite(bench: &mut Bench) -> Result<()> {
    an_event(bench).await?;
    if bench.wants("privacy/append") || bench.wants("privacy/load") || bench.wants("privacy/catch-up") {
        let sealed = open(&bench.fresh("sealed")?).await?.erased();
        let clear = open(&bench.fresh("clear")?).await?.erased();
        of_both(bench, "privacy", &[sealed, clear]).await?;
    }
    Ok(())
}

pub async fn postgres(bench: &mut Bench, server: &Server) -> Result<()> {
    if bench.wants("postgres/privacy") {
        let databases = [server.database(), server.database()];
        let [of_sealed, of_clear] = &databases;
        let sealed = EventStore::new(postgres::open(of_sealed).await?).erased();
        let clear = EventStore::new(postgres::open(of_clear).await?).erased();
        of_both(bench, "postgres/privacy", &[sealed, clear]).await?;
    }
    Ok(())
}

async fn of_both(bench: &mut Bench, group: &str, both: &Both) -> Result<()> {
    // While there is nothing else in them.
    catch_up(bench, &format!("{group}/catch-up"), both).await?;
    appends(bench, &format!("{group}/append"), both).await?;
    loads(bench, &format!("{group}/load/1-subject"), both, |_| 0).await?;
    loads(bench, &format!("{group}/load/1000-subjects"), both, |number| number).await
}

/// A handle that has no keys in memory yet.
fn with_keys(store: &EventStore) -> Result<EventStore> {
    Ok(store.clone().with_encryption(Encryption::new(MasterKey::from_bytes([7; 32])))?)
}

/// What three encrypted fields add to an event that is written, and to one that is read, while its key is in memory.
async fn an_event(bench: &mut Bench) -> Result<()> {
    if !bench.wants("privacy/event") {
        return Ok(());
    }
    let count = bench.count(IN_MEMORY);
    let rounds = bench
        .take_turns(
            async || {
                let store = with_keys(&EventStore::new(MemoryBackend::new()).erased())?;
                in_memory(&store, count, |number| Sealed::of(0, number)).await
            },
            async || {
                let store = EventStore::new(MemoryBackend::new()).erased();
                in_memory(&store, count, |number| InTheClear::of(0, number)).await
            },
        )
        .await?;
    let mut both = Vec::new();
    for (name, place) in [("privacy/event/encrypt", 0), ("privacy/event/decrypt", 1)] {
        let of_one = |taken: &[f64; 2]| taken.get(place).copied().unwrap_or(f64::NAN);
        let pairs: Vec<_> = rounds
            .iter()
            .map(|(sealed, clear)| Pair { ours: of_one(sealed) - of_one(clear), baseline: LIMIT })
            .collect();
        bench.report(Figure::of(name, "µs more", &pairs, "limit of both", None))?;
        both.push(pairs);
    }
    let [encrypted, decrypted] = both.as_slice() else { return Err("there are two figures".into()) };
    let pairs: Vec<_> = encrypted
        .iter()
        .zip(decrypted)
        .map(|(one, other)| Pair { ours: one.ours + other.ours, baseline: LIMIT })
        .collect();
    bench.report(Figure::of("privacy/event/both", "µs more", &pairs, "limit", Target::AtMost(1.0)))
}

/// How many microseconds an event takes that is written, and one that is read.
async fn in_memory<E: Event>(
    store: &EventStore,
    count: usize,
    event: impl Fn(usize) -> E,
) -> Result<[f64; 2]> {
    let streams: Vec<_> = (0..(count / A_STREAM).max(1)).map(|_| StreamId::random()).collect();
    // The key is made.
    store.append(&StreamId::random(), event(0)).await?;
    let began = Instant::now();
    for stream in &streams {
        store.append(stream, (0..A_STREAM).map(&event).collect::<Vec<_>>()).await?;
    }
    let written = microseconds(began.elapsed());
    let began = Instant::now();
    for stream in &streams {
        black_box(store.load_stream::<E>(stream).await?);
    }
    let read = microseconds(began.elapsed());
    let events = (streams.len() * A_STREAM) as f64;
    Ok([written / events, read / events])
}

/// One event of three fields after the other, each to a stream of its own, with the key in memory.
async fn appends(bench: &mut Bench, name: &str, [sealed, clear]: &Both) -> Result<()> {
    if !bench.wants(name) {
        return Ok(());
    }
    let (sealed, count) = (with_keys(sealed)?, bench.count(APPENDS));
    let pairs = bench
        .alternate(
            async || appended(&sealed, count, |number| Sealed::of(0, number)).await,
            async || appended(clear, count, |number| InTheClear::of(0, number)).await,
        )
        .await?;
    bench.report(Figure::of(name, "appends/s", &pairs, "in the clear", None))
}

async fn appended<E: Event>(store: &EventStore, count: usize, event: impl Fn(usize) -> E) -> Result<f64> {
    let began = Instant::now();
    for number in 0..count {
        store.append(&StreamId::random(), event(number)).await?;
    }
    Ok(rate(count, began))
}

/// A stream of a thousand events of these subjects, by a handle that fetches the keys for each load.
async fn loads(
    bench: &mut Bench,
    name: &str,
    [sealed, clear]: &Both,
    subject: impl Fn(usize) -> usize,
) -> Result<()> {
    if !bench.wants(name) {
        return Ok(());
    }
    let (stream, count) = (StreamId::random(), bench.count(LOADS));
    let events: Vec<_> = (0..LOADED).map(|number| Sealed::of(subject(number), number)).collect();
    with_keys(sealed)?.append(&stream, events).await?;
    let events: Vec<_> = (0..LOADED).map(|number| InTheClear::of(subject(number), number)).collect();
    clear.append(&stream, events).await?;
    let pairs = bench
        .alternate(
            async || {
                let began = Instant::now();
                for _ in 0..count {
                    black_box(with_keys(sealed)?.load_stream::<Sealed>(&stream).await?);
                }
                Ok(rate(count * LOADED, began))
            },
            async || {
                let began = Instant::now();
                for _ in 0..count {
                    black_box(clear.load_stream::<InTheClear>(&stream).await?);
                }
                Ok(rate(count * LOADED, began))
            },
        )
        .await?;
    bench.report(Figure::of(name, "events/s", &pairs, "in the clear", None))
}

/// A million events with one encrypted field each, by a subscriber that begins with no key in memory.
async fn catch_up(bench: &mut Bench, name: &str, [sealed, clear]: &Both) -> Result<()> {
    if !bench.wants(name) {
        return Ok(());
    }
    let writer = with_keys(sealed)?;
    for (subject, stream) in streams("customers", bench.count(STREAMS))?.iter().enumerate() {
        let events: Vec<_> = (0..A_STREAM).map(|number| MovedSealed::of(subject, number)).collect();
        writer.append(stream, events).await?;
        let events: Vec<_> = (0..A_STREAM).map(|number| MovedInTheClear::of(subject, number)).collect();
        clear.append(stream, events).await?;
    }
    let fewer = ROUNDS.min(bench.pairs);
    let usual = std::mem::replace(&mut bench.pairs, fewer);
    let pairs = bench
        .alternate(
            async || caught_up::<MovedSealed>(&with_keys(sealed)?).await,
            async || caught_up::<MovedInTheClear>(clear).await,
        )
        .await;
    bench.pairs = usual;
    bench.report(Figure::of(name, "events/s", &pairs?, "in the clear", Target::AtLeast(0.6)))
}

/// Events a second until it is caught up.
async fn caught_up<E: Event>(store: &EventStore) -> Result<f64> {
    let began = Instant::now();
    let (mut events, mut read) = (store.subscribe::<E>().stream(), 0);
    while let Some(Next::Event(event)) = events.try_next().await? {
        black_box(event);
        read += 1;
    }
    Ok(rate(read, began))
}

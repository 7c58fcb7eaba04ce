//! Readers of large events hold a few of them, in a process of their own each: its peak is measured.

#![cfg(target_os = "linux")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use event_sourcery::{Aggregate, EventStore, Next, RawEvent, Repository, Result, StreamId};
use event_sourcery_sqlite::{SqliteBackend, SqliteOptions, Synchronous};

use crate::failures::Folder;
use crate::process::{once_more_on, store_path};

type Store = EventStore<SqliteBackend>;

const EVENTS: usize = 100;

const LARGE: usize = 1 << 20;

/// What a reader may hold, with what SQLite and the allocator hold.
const MOST_MEGABYTES: u64 = 40;

/// How the child is to read.
const READER: &str = "EVENT_SOURCERY_TEST_READER";

fn stream() -> StreamId {
    StreamId::from_name("large").unwrap().in_category(Large::CATEGORY).unwrap()
}

/// How large a history is.
#[derive(Default)]
struct Large {
    events: usize,
}

impl Aggregate for Large {
    type Event = RawEvent;
    const CATEGORY: &'static str = "large";

    fn apply(&mut self, _: &RawEvent) {
        self.events += 1;
    }
}

/// A line of the process's status, in megabytes.
fn megabytes(of: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(of)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
}

/// Somebody who handles an event slowly: what is read ahead is read meanwhile.
async fn handle(number: usize) {
    if number.is_multiple_of(10) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn read(store: &Store, reader: &str) -> Result<usize> {
    let mut read = 0;
    match reader {
        "load" => {
            let mut events = store.load_stream::<RawEvent>(&stream()).stream();
            while events.try_next().await?.is_some() {
                handle(read).await;
                read += 1;
            }
        }
        "read_all" => {
            let mut events = store.read_all::<RawEvent>().stream();
            while events.try_next().await?.is_some() {
                handle(read).await;
                read += 1;
            }
        }
        "subscribe" => {
            let mut events = store.subscribe::<RawEvent>().stream();
            while let Some(Next::Event(_)) = events.try_next().await? {
                handle(read).await;
                read += 1;
            }
        }
        "aggregate" => read = Repository::<Large>::new(store).load(&stream()).await?.events,
        "batches" => {
            let mut batches = store.subscribe::<RawEvent>().batches(4);
            while read < EVENTS {
                read += batches.next(Duration::from_secs(60)).await?.events.len();
                handle(0).await;
            }
        }
        _ => {
            let handled = Arc::new(AtomicUsize::new(0));
            let (all, counted) = (Arc::clone(&handled), Arc::clone(&handled));
            let until = async move {
                while all.load(Ordering::Relaxed) < EVENTS {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            let durable = store.subscribe::<RawEvent>().durable("d").batch(1).until(until);
            durable
                .run(async move |_, _| {
                    handle(counted.fetch_add(1, Ordering::Relaxed)).await;
                    Ok(())
                })
                .await?;
            read = handled.load(Ordering::Relaxed);
        }
    }
    Ok(read)
}

/// The child: its peak stays low.
async fn is_bounded(path: PathBuf, reader: &str) {
    let store = EventStore::new(SqliteBackend::open(path).await.unwrap());
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = megabytes("VmRSS");
    assert_eq!(read(&store, reader).await.unwrap(), EVENTS);
    let peak = megabytes("VmHWM").saturating_sub(before);
    assert!(peak <= MOST_MEGABYTES, "{reader}: {peak} MB for events of 1 MB");
}

#[tokio::test]
async fn every_kind_of_reader_holds_a_few_large_events_at_once() {
    if let Some(path) = store_path() {
        return is_bounded(path, &std::env::var(READER).unwrap()).await;
    }
    let folder = Folder::new();
    let fast = SqliteOptions::new(folder.path()).synchronous(Synchronous::Off);
    let store = EventStore::new(fast.open().await.unwrap());
    for version in 0..EVENTS as u64 {
        let event = RawEvent::new("Large", format!(r#"{{"x":"{}"}}"#, "y".repeat(LARGE))).unwrap();
        store.append(&stream(), event).expected_version(version).await.unwrap();
    }
    drop(store);
    let test = concat!(module_path!(), "::every_kind_of_reader_holds_a_few_large_events_at_once");
    for reader in ["load", "read_all", "subscribe", "aggregate", "batches", "durable"] {
        let child = once_more_on(test, folder.path()).env(READER, reader).status().unwrap();
        assert!(child.success(), "{reader}: its message is above");
    }
}

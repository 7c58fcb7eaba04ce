//! What reads keep from others: nothing, however long they are, and whether or not anybody polls them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use event_sourcery::{EventStore, RawEvent, Recorded, StreamId};
use futures_util::FutureExt as _;
use futures_util::future::maybe_done;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::long_load::AHEAD;
use super::*;
use crate::SqliteBackend;
use crate::operations::PART;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// Shorter than anybody waits for whoever holds what it needs.
const SHORT: Duration = Duration::from_millis(200);

/// How many events the long stream has: more parts than are read before they are taken.
const EVENTS: usize = (AHEAD + 3) * PART + 1;

async fn store(folder: &TempDir) -> EventStore<SqliteBackend> {
    let store = EventStore::new(SqliteBackend::open(folder.path().join("events.db")).await.unwrap());
    for (name, events) in [("short", 1), ("long", EVENTS)] {
        let events: Vec<_> = (0..events).map(|_| RawEvent::new("Noted", "{}").unwrap()).collect();
        store.append(&stream(name), events).await.unwrap();
    }
    store
}

fn stream(name: &str) -> StreamId {
    StreamId::from_name(name).unwrap()
}

async fn load(store: &EventStore<SqliteBackend>, name: &str) -> usize {
    store.load_stream::<RawEvent>(&stream(name)).await.unwrap().len()
}

#[tokio::test]
async fn reads_that_nobody_polls_keep_nobody_waiting() {
    let folder = TempDir::new().unwrap();
    let store = store(&folder).await;
    let mut begun: Vec<_> = (0..16).map(|_| store.read_all::<RawEvent>().stream()).collect();
    let is_pending = |read: Option<Result<Option<Recorded<RawEvent>>>>| read.is_none();
    let pending = begun.iter_mut().map(|events| is_pending(events.try_next().now_or_never()));
    // Where nothing is run here for a moment, the answer is there by then: of some of them.
    let pending = pending.filter(|is_pending| *is_pending).count();
    assert!(pending > store.backend().readers.options.readers, "{pending} reads have begun");
    assert_eq!(timeout(LONG, load(&store, "short")).await, Ok(1));
    assert_eq!(timeout(LONG, load(&store, "long")).await, Ok(EVENTS));
    drop(begun);
}

#[tokio::test]
async fn long_loads_leave_half_of_the_readers_to_others() {
    let folder = TempDir::new().unwrap();
    let store = store(&folder).await;
    let long = Arc::clone(&store.backend().readers.long);
    assert_eq!(long.available_permits() * 2, SqliteOptions::new("events.db").readers);
    let all = u32::try_from(long.available_permits()).unwrap();
    let others = long.acquire_many(all).await.unwrap();
    let waiting = load(&store, "long");
    tokio::pin!(waiting);
    assert!(timeout(SHORT, &mut waiting).await.is_err(), "there are as many long loads as may be");
    assert_eq!(timeout(LONG, load(&store, "short")).await, Ok(1));
    assert_eq!(store.backend().readers.permits.available_permits() / 2, others.num_permits());
    drop(others);
    assert_eq!(timeout(LONG, waiting).await, Ok(EVENTS));
    assert_eq!(store.backend().readers.long.available_permits() * 2, 4);
}

#[tokio::test]
async fn a_load_that_nobody_waits_for_ends() {
    let (ended, is_ended) = oneshot::channel();
    let rest = Rest::of(LONG, move |mut hand_over| {
        let handed_over = (0..).try_for_each(|_: u64| {
            hand_over.make_room()?;
            hand_over.part(LoadedStream::default())
        });
        ended.send(matches!(handed_over, Err(Error::Closed))).unwrap();
        handed_over
    });
    drop(rest);
    assert_eq!(timeout(LONG, is_ended).await.unwrap(), Ok(true));
}

#[tokio::test]
async fn a_load_that_is_not_polled_on_gives_its_connection_back() {
    let folder = TempDir::new().unwrap();
    let store = store(&folder).await;
    let mut begun: Vec<_> = (0..2).map(|_| Box::pin(maybe_done(load(&store, "long")))).collect();
    for load in &mut begun {
        // Where nothing is run here for a moment, all of it is there by then.
        let _ = load.now_or_never();
    }
    let readers = &store.backend().readers;
    let all = u32::try_from(readers.options.readers).unwrap();
    drop(timeout(LONG, readers.permits.acquire_many(all)).await.unwrap().unwrap());
    for mut load in begun {
        timeout(LONG, &mut load).await.unwrap();
        assert_eq!(load.as_mut().take_output(), Some(EVENTS));
    }
}

#[tokio::test]
async fn what_a_load_has_read_of_a_long_stream_is_taken_before_more_is_read() {
    let read = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&read);
    let mut rest = Rest::of(LONG, move |mut hand_over| {
        for _ in 0..100 {
            hand_over.make_room()?;
            counted.fetch_add(1, Ordering::SeqCst);
            hand_over.part(LoadedStream::default())?;
        }
        Ok(())
    });
    let mut taken = 0;
    while rest.next().await.unwrap().is_some() {
        taken += 1;
        assert!(read.load(Ordering::SeqCst) <= taken + AHEAD, "{taken} parts were taken");
    }
    assert_eq!(taken, 100);
}

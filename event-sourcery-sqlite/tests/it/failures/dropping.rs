//! Calls and handles that are dropped before their time.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::Poll;
use std::time::{Duration, Instant};

use event_sourcery::{Error, EventStore, StreamId};
use event_sourcery_sqlite::{SqliteBackend, SqliteOptions};
use faulty_vfs::FaultyVfs;

use super::{Folder, event, length};
use crate::appender::{Appender, Kind};
use crate::held_writer::HeldWriter;
use crate::survived::Survived;

/// Polls a call once: it is sent to the writer, and not answered yet.
async fn send<C: Future + ?Sized>(mut call: Pin<&mut C>) {
    poll_fn(|context| {
        let _ = call.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
}

#[tokio::test]
async fn an_append_dropped_after_it_was_sent_is_whole_or_absent() {
    let folder = Folder::new();
    let store = folder.store().await;
    crate::appender::make_own_table(&store).await.unwrap();
    for kind in Kind::ALL.into_iter().cycle().take(50) {
        let mut appender = Appender::new(&store);
        let mut call = Box::pin(appender.append(kind));
        send(call.as_mut()).await;
        drop(call);
    }
    Appender::new(&store).append(Kind::Several).await.expect("the writer goes on");
    Survived::read(&store).await.expect("each of them is whole");
}

#[tokio::test]
async fn an_append_dropped_before_it_was_sent_is_absent() {
    let folder = Folder::new();
    let store = folder.store().await;
    let stream = StreamId::random();
    drop(store.append(&stream, event()).into_future());
    store.append(&StreamId::random(), event()).await.unwrap();
    assert_eq!(length(&store, &stream).await, 0);
}

#[tokio::test]
async fn dropping_the_last_handle_waits_until_what_was_sent_is_committed() {
    let vfs = FaultyVfs::register("last-handle");
    let folder = Folder::new();
    let options = SqliteOptions::new(folder.path()).vfs(vfs.name());
    let store = EventStore::new(options.open().await.unwrap());
    vfs.sync_delay(Duration::from_millis(20));
    let streams: Vec<_> = (0..20).map(|_| StreamId::random()).collect();
    let mut calls: Vec<_> =
        streams.iter().map(|stream| store.append(stream, [event(), event()]).into_future()).collect();
    for call in &mut calls {
        send(call.as_mut()).await;
    }
    drop(calls);
    drop(store);
    let left = tempfile::TempDir::new().unwrap();
    vfs.write_survivors(left.path(), faulty_vfs::Survivors::OnlySynced).unwrap();
    let store = EventStore::new(SqliteBackend::open(left.path().join("events.db")).await.unwrap());
    for stream in &streams {
        assert_eq!(length(&store, stream).await, 2);
    }
}

#[tokio::test]
async fn the_last_handle_can_be_dropped_by_a_closure_on_the_writer() {
    let folder = Folder::new();
    let store = folder.store().await;
    let (stream, last) = (StreamId::random(), store.clone());
    let (release, released) = mpsc::channel::<()>();
    let written = stream.clone();
    let mut call = Box::pin(store.transaction(move |tx| {
        let _ = released.recv();
        let appended = tx.append(&written, event()).run();
        drop(last);
        appended
    }));
    send(call.as_mut()).await;
    drop(call);
    drop(store);
    drop(release);
    // The log goes when the last connection is closed: then the writer's thread has come to its end.
    let log = folder.0.path().join("events.db-wal");
    let (deadline, mut looks) =
        (Instant::now() + Duration::from_secs(30), tokio::time::interval(Duration::from_millis(5)));
    while log.exists() {
        assert!(Instant::now() < deadline, "the writer is stuck");
        looks.tick().await;
    }
    assert_eq!(length(&folder.store().await, &stream).await, 1);
}

#[tokio::test]
async fn a_closure_whose_caller_went_away_is_committed() {
    let folder = Folder::new();
    let store = folder.store().await;
    let (stream, writer) = (StreamId::random(), HeldWriter::hold(&store).await);
    let written = stream.clone();
    let mut call = Box::pin(store.transaction::<_, Error, _>(move |tx| tx.append(&written, event()).run()));
    send(call.as_mut()).await;
    drop(call);
    writer.release().await;
    store.append(&StreamId::random(), event()).await.unwrap();
    assert_eq!(length(&store, &stream).await, 1);
}

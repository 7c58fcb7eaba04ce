//! Calls and handles that are dropped before their time.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::time::{Duration, Instant};

use event_sourcery::{Error, EventStore, RawEvent, StreamId, TenantId, Within};
use event_sourcery_sqlite::{SqliteBackend, SqliteOptions, SqliteTransaction};
use faulty_vfs::FaultyVfs;
use tokio::sync::oneshot;

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
async fn a_call_dropped_before_the_writer_has_begun_with_it_does_nothing() {
    let folder = Folder::new();
    let store = folder.store().await;
    let (kept, dropped) = (StreamId::random(), StreamId::random());
    store.append(&kept, [event(), event()]).await.unwrap();
    let writer = HeldWriter::hold(&store).await;
    let mut append = store.append(&dropped, event()).into_future();
    let mut both = store.append(&dropped, event()).and(&kept, event()).expected_version(2).into_future();
    let mut delete = store.delete_stream(&kept).into_future();
    let mut snapshot = store.save_snapshot(&kept, 1, event()).into_future();
    send(append.as_mut()).await;
    send(both.as_mut()).await;
    send(delete.as_mut()).await;
    send(snapshot.as_mut()).await;
    drop((append, both, delete, snapshot));
    writer.release().await;
    store.append(&StreamId::random(), event()).await.unwrap();
    assert_eq!((length(&store, &kept).await, length(&store, &dropped).await), (2, 0));
}

#[tokio::test]
async fn what_waits_for_the_writer_has_a_bound_and_those_who_give_up_make_room() {
    const LARGE: usize = 4 << 20;
    let folder = Folder::new();
    let store = folder.store().await;
    let large = || RawEvent::new("Large", format!(r#"{{"x":"{}"}}"#, "y".repeat(LARGE))).unwrap();
    let writer = HeldWriter::hold(&store).await;
    let streams: Vec<_> = (0..32).map(|_| StreamId::random()).collect();
    let acme = store.for_tenant(TenantId::new("acme").unwrap());
    for _ in 0..2 {
        let (mut waiting, mut refused) = (Vec::new(), 0);
        for stream in &streams {
            let mut append = store.append(stream, large()).into_future();
            match poll_fn(|context| Poll::Ready(append.as_mut().poll(context))).await {
                Poll::Pending => waiting.push(append),
                Poll::Ready(Err(Error::Busy { .. })) => refused += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(waiting.len() * LARGE <= 64 << 20 && refused > 0, "{} wait", waiting.len());
        assert!((waiting.len() + 1) * (LARGE + 4_096) > 64 << 20, "{} wait", waiting.len());
        let mut of_another = acme.append(&streams[0], large()).into_future();
        let has_room = poll_fn(|context| Poll::Ready(of_another.as_mut().poll(context))).await.is_pending();
        assert!(has_room, "another tenant has its room");
    }
    let mut last = store.append(&streams[0], event()).into_future();
    send(last.as_mut()).await;
    writer.release().await;
    last.await.unwrap();
    let lengths = futures_util::future::join_all(streams.iter().map(|stream| length(&store, stream))).await;
    assert_eq!(lengths.iter().sum::<usize>(), 1, "nothing of those who gave up is written");
}

/// A closure that was begun, and waits until it is released, while nobody waits for it any more.
async fn begun(
    store: &EventStore<SqliteBackend>,
    work: impl FnOnce(&mut Within<'_, SqliteTransaction<'_>>) -> Result<(), Error> + Send + 'static,
) -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel();
    let (entered, is_entered) = oneshot::channel();
    let mut call = Box::pin(store.transaction(move |tx| {
        let _ = entered.send(());
        let _ = released.recv();
        work(tx)
    }));
    send(call.as_mut()).await;
    is_entered.await.unwrap();
    release
}

#[tokio::test]
async fn dropping_the_last_handle_waits_until_what_was_begun_is_committed() {
    let vfs = FaultyVfs::register("last-handle");
    let folder = Folder::new();
    let options = SqliteOptions::new(folder.path()).vfs(vfs.name());
    let store = EventStore::new(options.open().await.unwrap());
    vfs.sync_delay(Duration::from_millis(20));
    let stream = StreamId::random();
    let written = stream.clone();
    let release = begun(&store, move |tx| tx.append(&written, [event(), event()]).run().map(drop)).await;
    drop(release);
    drop(store);
    let left = tempfile::TempDir::new().unwrap();
    vfs.write_survivors(left.path(), faulty_vfs::Survivors::OnlySynced).unwrap();
    let store = EventStore::new(SqliteBackend::open(left.path().join("events.db")).await.unwrap());
    assert_eq!(length(&store, &stream).await, 2);
}

#[tokio::test]
async fn the_last_handle_can_be_dropped_by_a_closure_on_the_writer() {
    let folder = Folder::new();
    let store = folder.store().await;
    let (stream, last) = (StreamId::random(), store.clone());
    let written = stream.clone();
    let release = begun(&store, move |tx| {
        let appended = tx.append(&written, event()).run();
        drop(last);
        appended.map(drop)
    })
    .await;
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
async fn a_closure_that_was_begun_is_committed_though_its_caller_went_away() {
    let folder = Folder::new();
    let store = folder.store().await;
    let stream = StreamId::random();
    let written = stream.clone();
    let release = begun(&store, move |tx| tx.append(&written, event()).run().map(drop)).await;
    drop(release);
    store.append(&StreamId::random(), event()).await.unwrap();
    assert_eq!(length(&store, &stream).await, 1);
}

#[tokio::test]
async fn closures_that_wait_have_a_bound_and_those_that_were_given_up_are_not_run() {
    let folder = Folder::new();
    let store = folder.store().await;
    let writer = HeldWriter::hold(&store).await;
    let ran = Arc::new(AtomicUsize::new(0));
    let closure = || {
        let ran = Arc::clone(&ran);
        Box::pin(store.transaction::<_, Error, _>(move |_| {
            ran.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }))
    };
    let acme = store.for_tenant(TenantId::new("acme").unwrap());
    for _ in 0..2 {
        let mut waiting = Vec::new();
        let refused = loop {
            let mut call = closure();
            match poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await {
                Poll::Pending => waiting.push(call),
                Poll::Ready(answer) => break answer,
            }
            assert!(waiting.len() <= 20_000, "there is no bound");
        };
        assert!(matches!(refused, Err(Error::Busy { .. })), "{refused:?}");
        assert_eq!(waiting.len(), 16_384);
        let mut of_another = Box::pin(acme.transaction::<_, Error, _>(|_| Ok(())));
        let has_room = poll_fn(|context| Poll::Ready(of_another.as_mut().poll(context))).await.is_pending();
        assert!(has_room, "another tenant has its room");
    }
    let stream = StreamId::random();
    let mut append = store.append(&stream, event()).into_future();
    let mut last = closure();
    send(append.as_mut()).await;
    send(last.as_mut()).await;
    writer.release().await;
    append.await.unwrap();
    last.await.unwrap();
    assert_eq!(ran.load(Ordering::SeqCst), 1, "those that were given up are not run");
}

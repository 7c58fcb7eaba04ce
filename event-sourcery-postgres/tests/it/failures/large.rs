//! Large appends.

use event_sourcery::{EventStore, RawEvent, StreamId};
use event_sourcery_postgres::PostgresBackend;
use futures_util::future::join_all;

use crate::scene::{Scene, event, events, until};

const MANY: usize = 10_000;

fn large(size: usize) -> RawEvent {
    RawEvent::new("Large", format!(r#"{{"text": "{}"}}"#, "x".repeat(size))).unwrap()
}

#[tokio::test]
async fn ten_thousand_events_of_fifty_megabytes_are_one_append() {
    let scene = Scene::new().await;
    let (stream, in_transaction) = (StreamId::random(), StreamId::random());
    let many = || (0..MANY).map(|_| large(5_000)).collect::<Vec<_>>();
    let appended = scene.store.append(&stream, many()).await.unwrap();
    assert_eq!((appended.first_version, appended.last_version), (Some(1), Some(MANY as u64)));
    let mut tx = scene.begin().await;
    scene.store.within(&mut tx).append(&in_transaction, many()).no_versioning().await.unwrap();
    tx.commit().await.unwrap();

    let mut read = 0;
    let mut all = scene.store.read_all::<RawEvent>().stream();
    while let Some(recorded) = all.try_next().await.unwrap() {
        read += 1;
        assert_eq!(recorded.position.to_i64(), read);
        assert_eq!(recorded.wrapped_event.version, (read <= MANY as i64).then_some(read as u64));
        assert!(recorded.wrapped_event.event.data().get().len() > 5_000);
    }
    assert_eq!(read, MANY as i64 * 2);
    assert_eq!(scene.store.version(&stream).await.unwrap(), Some(MANY as u64));
}

#[tokio::test]
async fn one_event_of_many_megabytes_is_appended() {
    let scene = Scene::new().await;
    let stream = StreamId::random();
    scene.store.append(&stream, large(20_000_000)).await.unwrap();
    let read = scene.store.load_stream::<RawEvent>(&stream).await.unwrap();
    assert_eq!(read[0].event, large(20_000_000));
}

/// The server sends all rows that it was asked for: those that nobody wants are left on a connection that is closed.
#[tokio::test]
async fn a_connection_on_which_much_was_left_unread_is_not_used_again() {
    let scene = Scene::new().await;
    let url = format!("{}?application_name=reader", scene.database.url());
    let options = PostgresBackend::options(url).max_connections(1).notifications(false);
    let store = EventStore::new(options.open().await.unwrap());
    for _ in 0..10 {
        store.append(&StreamId::random(), vec![large(100_000); 20]).await.unwrap();
    }
    let process = async || {
        let process = "SELECT max(pid)::bigint FROM pg_stat_activity WHERE application_name = 'reader' AND state = 'idle'";
        store.position().await.unwrap();
        scene.number(process).await
    };
    let before = process().await;
    assert_eq!(process().await, before, "it is used again");
    assert!(store.read_all::<RawEvent>().stream().try_next().await.unwrap().is_some());
    until(async || process().await != before).await;
}

/// A large one among many that share statements: none waits for ever, none is lost.
#[tokio::test(flavor = "multi_thread")]
async fn large_and_small_appends_at_once_are_all_written() {
    let scene = Scene::new().await;
    let appends = (0..100).map(|number| {
        let store = scene.store.clone();
        tokio::spawn(async move {
            let stream = StreamId::random();
            let count = if number % 10 == 0 { 2_000 } else { 1 };
            let appended =
                store.append(&stream, if count == 1 { vec![event()] } else { events(count) }).await;
            (appended.unwrap().last_version, count as u64)
        })
    });
    for appended in join_all(appends).await {
        let (last, count) = appended.unwrap();
        assert_eq!(last, Some(count));
    }
    assert_eq!(scene.events().await, 90 + 10 * 2_000);
}

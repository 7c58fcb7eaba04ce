//! Group commit: what queues up together shares a sync, and each member is still refused alone.

use std::time::Duration;

use event_sourcery::{Error, Event as _, EventStore, RawEvent, StreamId, Within};
use event_sourcery_conformance::history::Flaw;
use event_sourcery_sqlite::{SqliteBackend, SqliteOptions, SqliteTransaction};
use faulty_vfs::{Fault, FaultyVfs};
use futures_util::future::join_all;
use tempfile::TempDir;
use uuid::Uuid;

use crate::appender::{Appender, Kind, own_error};
use crate::held_writer::together;
use crate::survived::Survived;

async fn open(vfs: FaultyVfs, folder: &TempDir) -> EventStore<SqliteBackend> {
    let options = SqliteOptions::new(folder.path().join("events.db")).vfs(vfs.name());
    EventStore::new(options.open().await.unwrap())
}

#[tokio::test]
async fn a_lone_append_takes_one_sync() {
    let (vfs, folder) = (FaultyVfs::register("lone"), TempDir::new().unwrap());
    let store = open(vfs, &folder).await;
    let mut appender = Appender::new(&store);
    appender.append(Kind::One).await.unwrap();
    for kind in Kind::GROUPED {
        let before = vfs.syncs();
        appender.append(kind).await.unwrap();
        assert_eq!(vfs.syncs() - before, 1, "{kind:?}");
    }
}

#[tokio::test]
async fn appends_that_queue_up_share_one_sync() {
    let (vfs, folder) = (FaultyVfs::register("queued"), TempDir::new().unwrap());
    let store = open(vfs, &folder).await;
    Appender::new(&store).append(Kind::One).await.unwrap();
    let before = vfs.syncs();
    let mut appenders: Vec<_> = (0..64).map(|_| Appender::new(&store)).collect();
    let answers = together(&store, appenders.iter_mut().map(|appender| appender.append(Kind::One))).await;
    assert_eq!(vfs.syncs() - before, 1);
    let acknowledged: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    let survived = Survived::read(&store).await.unwrap();
    assert_eq!(survived.missing(&acknowledged), Vec::<Flaw>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_that_arrive_while_the_disk_syncs_share_the_next_sync() {
    let (vfs, folder) = (FaultyVfs::register("slow-sync"), TempDir::new().unwrap());
    let store = open(vfs, &folder).await;
    // So long that those who have to wait for a processor arrive meanwhile.
    vfs.sync_delay(Duration::from_millis(100));
    let before = vfs.syncs();
    let appends = (0..64).map(|_| {
        let mut appender = Appender::new(&store);
        tokio::spawn(
            async move { appender.append(Kind::One).await.map(drop).map_err(|refused| refused.error) },
        )
    });
    for answer in join_all(appends.collect::<Vec<_>>()).await {
        answer.unwrap().unwrap();
    }
    let syncs = vfs.syncs() - before;
    println!("{syncs} syncs for 64 appends");
    assert!(syncs <= 8, "{syncs}");
}

#[tokio::test]
async fn a_refused_member_of_a_group_is_refused_alone() {
    let (vfs, folder) = (FaultyVfs::register("refused"), TempDir::new().unwrap());
    let store = open(vfs, &folder).await;
    let (stream, id) = (StreamId::random(), Uuid::now_v7());
    let event = |name: &'static str| RawEvent::new(name, "{}").unwrap();
    store.append(&stream, event("First").with_id(id)).await.unwrap();
    let new = || StreamId::random();
    let (one, other, both) = (new(), new(), new());
    let before = vfs.syncs();
    let appends = [
        store.append(&one, event("Second")),
        store.append(&stream, event("Conflicting")).expected_version(7),
        store.append(&other, event("Duplicate").with_id(id)),
        store.append(&other, [event("Third"), event("Fourth")]),
        store.append(&stream, event("Unversioned")).no_versioning(),
        store.append(&stream, event("First").with_id(id)),
        store.append(&stream, event("Fifth")).expected_version(1),
    ];
    let several = store.append(&both, event("Sixth")).and(&stream, event("Late")).expected_version(1);
    let answers = together(&store, appends.map(IntoFuture::into_future)).await;
    assert_eq!(vfs.syncs() - before, 1);
    assert!(matches!(answers[0], Ok(appended) if appended.last_version == Some(1)), "{answers:?}");
    assert!(matches!(answers[1], Err(Error::Conflict { expected: 7, actual: 1, .. })), "{answers:?}");
    assert!(
        matches!(answers[2], Err(Error::DuplicateEvent { event_id, .. }) if event_id == id),
        "{answers:?}"
    );
    assert!(matches!(answers[3], Ok(appended) if appended.last_version == Some(2)), "{answers:?}");
    assert!(matches!(answers[4], Err(Error::NoExpectedVersionGivenOnVersionedStream { .. })), "{answers:?}");
    assert!(matches!(answers[5], Ok(appended) if appended.repeated), "{answers:?}");
    assert!(matches!(answers[6], Ok(appended) if appended.last_version == Some(2)), "{answers:?}");
    assert!(matches!(several.await, Err(Error::Conflict { expected: 1, actual: 2, .. })));
    let names = async |stream: &StreamId| -> Vec<String> {
        let events = store.load_stream::<RawEvent>(stream).await.unwrap();
        events.iter().map(|event| event.event.name().to_owned()).collect()
    };
    assert_eq!(names(&one).await, ["Second"]);
    assert_eq!(names(&other).await, ["Third", "Fourth"]);
    assert_eq!(names(&stream).await, ["First", "Fifth"]);
    assert_eq!(
        names(&both).await,
        Vec::<String>::new(),
        "a refusal by one stream keeps the other from being made"
    );
}

/// SQLite takes back the whole transaction where there is no room for what one of its members writes.
#[tokio::test]
async fn an_append_that_there_is_no_room_for_is_refused_alone() {
    let (vfs, folder) = (FaultyVfs::register("no-room"), TempDir::new().unwrap());
    let store = open(vfs, &folder).await;
    store.append(&StreamId::random(), RawEvent::new("First", "{}").unwrap()).await.unwrap();
    let leave_room = |tx: &mut Within<'_, SqliteTransaction<'_>>| {
        let pages: u32 =
            tx.connection().pragma_query_value(None, "page_count", |row| row.get(0)).map_err(own_error)?;
        tx.connection()
            .pragma_update_and_check(None, "max_page_count", pages + 200, |_| Ok(()))
            .map_err(own_error)
    };
    store.transaction::<_, Error, _>(leave_room).await.unwrap();
    let streams: Vec<_> = (0..9).map(|_| StreamId::random()).collect();
    let appends = (0..).zip(&streams).map(|(number, stream)| {
        let bytes = if number % 4 == 2 { 4 << 20 } else { 10 };
        let event = RawEvent::new("Appended", format!(r#"{{"x":"{}"}}"#, "y".repeat(bytes))).unwrap();
        store.append(stream, event).into_future()
    });
    let answers = together(&store, appends).await;
    for (number, (answer, stream)) in answers.iter().zip(&streams).enumerate() {
        let has_room = number % 4 != 2;
        match answer {
            Ok(_) => assert!(has_room, "{number}"),
            Err(refused) => assert!(!has_room && matches!(refused, Error::StorageFull { .. }), "{refused:?}"),
        }
        let events = store.load_stream::<RawEvent>(stream).await.unwrap();
        assert_eq!(events.len(), usize::from(has_room), "{number}");
    }
}

/// What is small is written to the disk at the commit alone.
#[tokio::test]
async fn a_group_for_whose_commit_there_is_no_room_is_committed_in_parts() {
    let (vfs, folder) = (FaultyVfs::register("no-room-at-commit"), TempDir::new().unwrap());
    let store = open(vfs, &folder).await;
    Appender::new(&store).append(Kind::One).await.unwrap();
    let before = vfs.syncs();
    vfs.fail_write_once(1, Fault::DiskFull);
    let mut appenders: Vec<_> = (0..9).map(|_| Appender::new(&store)).collect();
    let answers = together(&store, appenders.iter_mut().map(|appender| appender.append(Kind::One))).await;
    let acknowledged: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(vfs.syncs() - before, 2, "one of each half");
    let survived = Survived::read(&store).await.unwrap();
    assert_eq!(survived.missing(&acknowledged), Vec::<Flaw>::new());
}

#[tokio::test]
async fn of_appends_in_one_group_that_expect_the_same_version_one_wins() {
    let (vfs, folder) = (FaultyVfs::register("one-wins"), TempDir::new().unwrap());
    let store = open(vfs, &folder).await;
    let stream = StreamId::random();
    let event = || RawEvent::new("Won", "{}").unwrap();
    let answers = together(&store, (0..16).map(|_| store.append(&stream, event()).into_future())).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    let lost = |answer: &Result<_, _>| matches!(answer, Err(Error::Conflict { expected: 0, actual: 1, .. }));
    assert_eq!(answers.iter().filter(|answer| lost(answer)).count(), 15);
    assert_eq!(store.load_stream::<RawEvent>(&stream).await.unwrap().len(), 1);
}

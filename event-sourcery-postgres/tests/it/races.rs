//! What happens between an append's statement and the query that finds out why it found nothing: forced by row locks that
//! another transaction holds until the append waits for them.

use event_sourcery::{Appended, Error, RawEvent, Result, StreamId};

use crate::scene::{Scene, Store, Tx, event, events, length};

/// What the append expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expecting {
    Version(u64),
    NoVersioning,
}

async fn append(store: &Store, stream: &StreamId, expecting: Expecting) -> Result<Appended> {
    let append = store.append(stream, events(2));
    match expecting {
        Expecting::Version(version) => append.expected_version(version).await,
        Expecting::NoVersioning => append.no_versioning().await,
    }
}

/// What the other transaction does to the stream.
#[derive(Debug, Clone, Copy)]
enum Doing {
    Deletes,
    /// Deletes, and creates anew with so many events.
    CreatesAnew(usize),
    CreatesAnewUnversioned,
    /// Appends so many events to the stream, which may be new.
    Appends(usize),
    AppendsUnversioned,
}

impl Doing {
    async fn to(self, stream: &StreamId, store: &Store, tx: &mut Tx) {
        if matches!(self, Self::Deletes | Self::CreatesAnew(_) | Self::CreatesAnewUnversioned) {
            store.within(tx).delete_stream(stream).await.unwrap();
        }
        match self {
            Self::Deletes => {}
            Self::CreatesAnew(count) | Self::Appends(count) => {
                let version = store.within(tx).version(stream).await.unwrap();
                let append = store.within(tx).append(stream, events(count));
                append.expected_version(version).await.unwrap();
            }
            Self::CreatesAnewUnversioned | Self::AppendsUnversioned => {
                store.within(tx).append(stream, event()).no_versioning().await.unwrap();
            }
        }
    }
}

/// What the stream is before.
#[derive(Debug, Clone, Copy)]
enum Before {
    Missing,
    Versioned(usize),
    Unversioned,
}

/// The append meets the other transaction's locks, which then ends: what the append is answered, and how many events the
/// stream has.
async fn race(before: Before, doing: Doing, expecting: Expecting, commit: bool) -> (Result<Appended>, usize) {
    let (scene, stream) = (Scene::new().await, StreamId::from_name("invoices/1003").unwrap());
    match before {
        Before::Missing => {}
        Before::Versioned(count) => drop(scene.store.append(&stream, events(count)).await.unwrap()),
        Before::Unversioned => drop(scene.store.append(&stream, event()).no_versioning().await.unwrap()),
    }
    let mut tx = scene.begin().await;
    doing.to(&stream, &scene.store, &mut tx).await;
    let end = async {
        scene.until_waiting(1).await;
        if commit { tx.commit().await.unwrap() } else { tx.rollback().await.unwrap() }
    };
    let (answer, ()) = tokio::join!(append(&scene.store, &stream, expecting), end);
    let length = length(&scene.store, &stream).await;
    let row = "SELECT count(*) FROM event_sourcery_streams s WHERE s.version IS DISTINCT FROM
               (SELECT max(e.version) FROM event_sourcery_events e WHERE e.db_stream_id = s.id)";
    assert_eq!(scene.number(row).await, 0, "{doing:?}: the row agrees with its events");
    (answer, length)
}

fn versions(answer: &Result<Appended>) -> (Option<u64>, Option<u64>) {
    let appended = answer.as_ref().unwrap_or_else(|error| panic!("{error:?}"));
    assert!(!appended.repeated);
    (appended.first_version, appended.last_version)
}

fn assert_conflict(answer: &Result<Appended>, found: u64) {
    assert!(matches!(answer, Err(Error::Conflict { actual, .. }) if *actual == found), "{answer:?}");
}

#[tokio::test]
async fn a_stream_deleted_and_created_anew_in_between_at_the_expected_version_is_appended_to() {
    let (answer, length) =
        race(Before::Versioned(2), Doing::CreatesAnew(2), Expecting::Version(2), true).await;
    assert_eq!((versions(&answer), length), ((Some(3), Some(4)), 4));
}

#[tokio::test]
async fn a_stream_deleted_and_created_anew_in_between_at_another_version_is_a_conflict() {
    let (answer, length) =
        race(Before::Versioned(2), Doing::CreatesAnew(1), Expecting::Version(2), true).await;
    assert_conflict(&answer, 1);
    assert_eq!(length, 1);
}

#[tokio::test]
async fn a_stream_created_anew_with_the_other_kind_of_versioning_in_between_is_refused_as_such() {
    let (answer, _) =
        race(Before::Versioned(2), Doing::CreatesAnewUnversioned, Expecting::Version(2), true).await;
    assert!(matches!(answer, Err(Error::ExpectedVersionUsedOnVersionlessStream { .. })), "{answer:?}");
    let (answer, _) = race(Before::Unversioned, Doing::CreatesAnew(1), Expecting::NoVersioning, true).await;
    assert!(matches!(answer, Err(Error::NoExpectedVersionGivenOnVersionedStream { .. })), "{answer:?}");
}

#[tokio::test]
async fn an_append_that_meets_a_deletion_sees_what_became_of_it() {
    let versioned = Before::Versioned(2);
    for (expecting, committed) in [(Expecting::Version(2), false), (Expecting::Version(0), true)] {
        let (answer, length) = race(versioned, Doing::Deletes, expecting, committed).await;
        let first = if committed { 1 } else { 3 };
        assert_eq!((versions(&answer), length as u64), ((Some(first), Some(first + 1)), first + 1));
    }
    let (answer, length) = race(versioned, Doing::Deletes, Expecting::Version(2), true).await;
    assert_conflict(&answer, 0);
    assert_eq!(length, 0);
    let (answer, _) = race(versioned, Doing::Deletes, Expecting::Version(0), false).await;
    assert_conflict(&answer, 2);
    for (committed, expected) in [(true, 2), (false, 3)] {
        let (answer, length) =
            race(Before::Unversioned, Doing::Deletes, Expecting::NoVersioning, committed).await;
        assert_eq!((versions(&answer), length), ((None, None), expected));
    }
}

#[tokio::test]
async fn both_of_two_creators_of_an_unversioned_stream_succeed() {
    for (committed, expected) in [(true, 3), (false, 2)] {
        let (answer, length) =
            race(Before::Missing, Doing::AppendsUnversioned, Expecting::NoVersioning, committed).await;
        assert_eq!((versions(&answer), length), ((None, None), expected));
    }
}

#[tokio::test]
async fn the_second_of_two_creators_of_a_versioned_stream_gets_a_conflict_if_the_first_is_committed() {
    let (answer, length) = race(Before::Missing, Doing::Appends(3), Expecting::Version(0), true).await;
    assert_conflict(&answer, 3);
    assert_eq!(length, 3);
    let (answer, length) = race(Before::Missing, Doing::Appends(3), Expecting::Version(0), false).await;
    assert_eq!((versions(&answer), length), ((Some(1), Some(2)), 2));
}

#[tokio::test]
async fn creators_with_different_kinds_of_versioning_are_told_apart() {
    let (answer, _) = race(Before::Missing, Doing::Appends(1), Expecting::NoVersioning, true).await;
    assert!(matches!(answer, Err(Error::NoExpectedVersionGivenOnVersionedStream { .. })), "{answer:?}");
    let (answer, _) = race(Before::Missing, Doing::AppendsUnversioned, Expecting::Version(0), true).await;
    assert!(matches!(answer, Err(Error::ExpectedVersionUsedOnVersionlessStream { .. })), "{answer:?}");
}

#[tokio::test]
async fn of_two_that_extend_a_stream_the_second_goes_by_how_the_first_ended() {
    let (answer, length) = race(Before::Versioned(2), Doing::Appends(1), Expecting::Version(2), true).await;
    assert_conflict(&answer, 3);
    assert_eq!(length, 3);
    // It sees what it waited for, which was not there when it began.
    let (answer, length) = race(Before::Versioned(2), Doing::Appends(1), Expecting::Version(2), false).await;
    assert_eq!((versions(&answer), length), ((Some(3), Some(4)), 4));
    for (committed, expected) in [(true, 4), (false, 3)] {
        let (answer, length) =
            race(Before::Unversioned, Doing::AppendsUnversioned, Expecting::NoVersioning, committed).await;
        assert_eq!((versions(&answer), length), ((None, None), expected));
    }
}

#[tokio::test]
async fn a_deletion_that_meets_an_append_deletes_what_was_appended() {
    for before in [Before::Missing, Before::Versioned(2)] {
        let (scene, stream) = (Scene::new().await, StreamId::random());
        if let Before::Versioned(count) = before {
            scene.store.append(&stream, events(count)).await.unwrap();
        }
        let mut tx = scene.begin().await;
        Doing::Appends(2).to(&stream, &scene.store, &mut tx).await;
        if matches!(before, Before::Missing) {
            scene
                .store
                .delete_stream(&stream)
                .await
                .expect("there is no stream yet, and nothing to wait for");
            tx.commit().await.unwrap();
            assert_eq!(length(&scene.store, &stream).await, 2);
            continue;
        }
        let end = async {
            scene.until_waiting(1).await;
            tx.commit().await.unwrap();
        };
        let (deleted, ()) = tokio::join!(scene.store.delete_stream(&stream).into_future(), end);
        deleted.unwrap();
        assert_eq!(length(&scene.store, &stream).await, 0);
        assert_eq!(scene.events().await, 0);
    }
}

/// Many at once, by the store's own queue and past it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn appends_and_deletions_of_one_stream_at_once_are_each_whole() {
    let scene = Scene::new().await;
    let another = scene.another_store().await;
    let stream = StreamId::from_name("invoices/1003").unwrap();
    let calls = (0..120).map(|number| {
        let (store, stream) = ([&scene.store, &another][number % 2].clone(), stream.clone());
        tokio::spawn(async move {
            match number % 6 {
                0 => store.delete_stream(&stream).await,
                1 | 2 => store.append(&stream, events(2)).no_versioning().await.map(drop),
                _ => {
                    let version = store.version(&stream).await?;
                    store.append(&stream, events(2)).expected_version(version).await.map(drop)
                }
            }
        })
    });
    for ended in futures_util::future::join_all(calls).await {
        match ended.unwrap() {
            Ok(())
            | Err(
                Error::Conflict { .. }
                | Error::ExpectedVersionUsedOnVersionlessStream { .. }
                | Error::NoExpectedVersionGivenOnVersionedStream { .. },
            ) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    let left = scene.store.load_stream::<RawEvent>(&stream).await.unwrap();
    assert!(left.len().is_multiple_of(2), "{} events", left.len());
    for (event, version) in left.iter().zip(1..) {
        assert!(event.version.is_none_or(|found| found == version));
    }
    assert_eq!(scene.events().await, left.len() as i64, "no event without its stream");
}

//! A caller's transaction that sits on one stream, existing or newly created, holds up appends to no other.

use std::time::Duration;

use event_sourcery::{Appended, Error, Result, StreamId};
use futures_util::future::join_all;
use tokio::task::JoinHandle;

use crate::scene::{Scene, Store, Tx, event, events, length, until};

/// Far below any time-out of the server's.
const AT_ONCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Existing,
    Unversioned,
    New,
    NewUnversioned,
}

impl Held {
    const ALL: [Self; 4] = [Self::Existing, Self::Unversioned, Self::New, Self::NewUnversioned];

    fn exists(self) -> bool {
        matches!(self, Self::Existing | Self::Unversioned)
    }

    fn is_versioned(self) -> bool {
        matches!(self, Self::Existing | Self::New)
    }

    fn append(self, store: &Store, stream: &StreamId) -> JoinHandle<Result<Appended>> {
        let (store, stream) = (store.clone(), stream.clone());
        tokio::spawn(async move {
            let append = store.append(&stream, event());
            match self {
                Self::Existing => append.expected_version(1).await,
                Self::New => append.await,
                _ => append.no_versioning().await,
            }
        })
    }
}

/// Appends to so many other streams: half of them are there, of each kind of versioning.
fn append_to_others(store: &Store, streams: &[StreamId]) -> Vec<JoinHandle<Result<Appended>>> {
    let append = |(number, stream): (usize, &StreamId)| {
        let (store, stream) = (store.clone(), stream.clone());
        tokio::spawn(async move {
            let append = store.append(&stream, events(2));
            if number % 2 == 0 { append.expected_version(1).await } else { append.no_versioning().await }
        })
    };
    streams.iter().enumerate().map(append).collect()
}

/// On one thread each has called before the first is answered: those to the held stream share statements with others.
#[tokio::test]
async fn appends_to_other_streams_finish_while_a_callers_transaction_sits_on_one() {
    for held in Held::ALL {
        for commit in [true, false] {
            let scene = Scene::new().await;
            let (stream, others) =
                (StreamId::random(), (0..64).map(|_| StreamId::random()).collect::<Vec<_>>());
            for other in others.iter().step_by(2) {
                scene.store.append(other, event()).await.unwrap();
            }
            if held.exists() {
                held.create(&scene.store, &stream).await;
            }
            let mut tx = scene.begin().await;
            let append = scene.store.within(&mut tx).append(&stream, event());
            match held {
                Held::Existing => append.expected_version(1).await.unwrap(),
                Held::New => append.await.unwrap(),
                _ => append.no_versioning().await.unwrap(),
            };

            let mut finished = append_to_others(&scene.store, &others[..32]);
            let waiting: Vec<_> = (0..8).map(|_| held.append(&scene.store, &stream)).collect();
            finished.extend(append_to_others(&scene.store, &others[32..]));
            for finished in tokio::time::timeout(AT_ONCE, join_all(finished)).await.expect("they do not wait")
            {
                finished.unwrap().unwrap();
            }
            scene.until_waiting(1).await;
            assert!(waiting.iter().all(|append| !append.is_finished()), "{held:?}: they wait");

            if commit {
                tx.commit().await.unwrap();
            } else {
                tx.rollback().await.unwrap();
            }
            let ended: Vec<_> = join_all(waiting).await.into_iter().map(Result::unwrap).collect();
            check(held, commit, &ended);
            let written = ended.iter().filter(|append| append.is_ok()).count();
            let before = usize::from(held.exists()) + usize::from(commit);
            assert_eq!(length(&scene.store, &stream).await, before + written);
        }
    }
}

/// However long a deletion takes: it holds the stream that it deletes, which readers see whole until it is over.
#[tokio::test]
async fn appends_to_other_streams_finish_while_a_deletion_is_under_way() {
    let scene = Scene::new().await;
    let (stream, others) = (StreamId::random(), (0..64).map(|_| StreamId::random()).collect::<Vec<_>>());
    scene.store.append(&stream, events(1_000)).await.unwrap();
    for other in others.iter().step_by(2) {
        scene.store.append(other, event()).await.unwrap();
    }
    let mut tx = scene.begin().await;
    scene.store.within(&mut tx).delete_stream(&stream).await.unwrap();

    let (store, held) = (scene.store.clone(), stream.clone());
    let waiting = tokio::spawn(async move { store.append(&held, event()).expected_version(1_000).await });
    let finished = append_to_others(&scene.store, &others);
    for finished in tokio::time::timeout(AT_ONCE, join_all(finished)).await.expect("they do not wait") {
        finished.unwrap().unwrap();
    }
    scene.until_waiting(1).await;
    assert!(!waiting.is_finished(), "its own stream's do");
    assert_eq!(length(&scene.store, &stream).await, 1_000);

    tx.commit().await.unwrap();
    let refused = waiting.await.unwrap();
    assert!(matches!(refused, Err(Error::Conflict { actual: 0, .. })), "{refused:?}");
    assert_eq!(length(&scene.store, &stream).await, 0);
}

impl Held {
    async fn create(self, store: &Store, stream: &StreamId) {
        let append = store.append(stream, event());
        if self.is_versioned() {
            append.await.unwrap()
        } else {
            append.no_versioning().await.unwrap()
        };
    }
}

/// Those that waited: all succeed without versions; with versions, one does where the transaction was rolled back.
fn check(held: Held, committed: bool, ended: &[Result<Appended>]) {
    let succeeded = ended.iter().filter(|append| append.is_ok()).count();
    if !held.is_versioned() {
        assert_eq!(succeeded, ended.len(), "{held:?}: {ended:?}");
        return;
    }
    assert_eq!(succeeded, usize::from(!committed), "{held:?}: {ended:?}");
    for refused in ended.iter().filter_map(|append| append.as_ref().err()) {
        assert!(matches!(refused, Error::Conflict { .. }), "{held:?}: {refused:?}");
    }
}

/// A stream that somebody holds, with so many appends that wait for it.
async fn many_wait(scene: &Scene) -> (Tx, StreamId, Vec<JoinHandle<Result<Appended>>>) {
    let (stream, mut tx) = (StreamId::random(), scene.begin().await);
    scene.store.within(&mut tx).append(&stream, event()).no_versioning().await.unwrap();
    let waiting = (0..50).map(|_| Held::Unversioned.append(&scene.store, &stream)).collect();
    scene.until_waiting(1).await;
    (tx, stream, waiting)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_appends_that_wait_for_one_held_stream_take_one_connection() {
    let scene = Scene::new().await;
    let (tx, stream, waiting) = many_wait(&scene).await;
    let connections = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let mut looks = tokio::time::interval(Duration::from_millis(10));
    for _ in 0..20 {
        looks.tick().await;
        // None in between, when its patience goes on to the next turn.
        assert!(scene.number(connections).await <= 1);
    }
    tx.commit().await.unwrap();
    for appended in join_all(waiting).await {
        appended.unwrap().unwrap();
    }
    assert_eq!(length(&scene.store, &stream).await, 51);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lone_append_waits_for_none_of_those_that_wait_for_a_held_stream() {
    let scene = Scene::new().await;
    let (tx, _, waiting) = many_wait(&scene).await;
    for _ in 0..5 {
        let appended = scene.store.append(&StreamId::random(), event());
        tokio::time::timeout(AT_ONCE, appended.into_future()).await.expect("it does not wait").unwrap();
    }
    assert!(waiting.iter().all(|append| !append.is_finished()));
    tx.commit().await.unwrap();
    for appended in join_all(waiting).await {
        appended.unwrap().unwrap();
    }
}

/// The caller of a waiting append goes away; whoever comes next has its turn.
#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_is_given_up_while_it_waits_holds_up_nobody() {
    let scene = Scene::new().await;
    let stream = StreamId::random();
    scene.store.append(&stream, event()).no_versioning().await.unwrap();
    let mut tx = scene.begin().await;
    scene.store.within(&mut tx).append(&stream, event()).no_versioning().await.unwrap();
    let given_up: Vec<_> = (0..3).map(|_| Held::Unversioned.append(&scene.store, &stream)).collect();
    scene.until_waiting(1).await;
    for append in given_up {
        append.abort();
        assert!(append.await.unwrap_err().is_cancelled());
    }
    tx.commit().await.unwrap();
    let appended = scene.store.append(&stream, event()).no_versioning();
    tokio::time::timeout(AT_ONCE, appended.into_future()).await.expect("it does not wait").unwrap();
    until(async || (3..=6).contains(&length(&scene.store, &stream).await)).await;
}

/// What a shared statement has written can be appended to at once, also while one that it passed over still waits.
#[tokio::test]
async fn streams_that_shared_a_statement_with_one_to_a_held_stream_are_free_again() {
    let scene = Scene::new().await;
    let (store, held) = (&scene.store, StreamId::random());
    store.append(&held, event()).await.unwrap();
    let mut tx = scene.begin().await;
    store.within(&mut tx).append(&held, event()).expected_version(1).await.unwrap();

    let append = |stream: StreamId, version: u64| {
        let store = store.clone();
        tokio::spawn(async move { store.append(&stream, event()).expected_version(version).await })
    };
    // On one thread each has called before the first is answered: the held one stands in the middle of those that wait.
    let streams: Vec<_> = (0..60).map(|_| StreamId::random()).collect();
    let (before, behind) = streams.split_at(30);
    let mut appends: Vec<_> = before.iter().map(|stream| append(stream.clone(), 0)).collect();
    let waiting = append(held.clone(), 1);
    appends.extend(behind.iter().map(|stream| append(stream.clone(), 0)));
    for version in 1..4 {
        let all = tokio::time::timeout(AT_ONCE, join_all(appends)).await.expect("they wait for nobody");
        assert!(all.into_iter().all(|appended| appended.unwrap().is_ok()));
        appends = streams.iter().map(|stream| append(stream.clone(), version)).collect();
    }
    assert!(!waiting.is_finished(), "it waits");
    tx.commit().await.unwrap();
    assert!(matches!(waiting.await.unwrap(), Err(Error::Conflict { expected: 1, actual: 2, .. })));
}

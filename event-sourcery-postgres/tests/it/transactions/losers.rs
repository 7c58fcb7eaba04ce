//! Races between callers' transactions: what the loser is told.

use event_sourcery::backend::stored_stream_id;
use event_sourcery::{Appended, Error, Result, StreamId};
use event_sourcery_postgres::sqlx;

use crate::scene::{Scene, Store, Tx, event, events, length};

#[derive(Debug, Clone, Copy)]
enum Race {
    Creating,
    TakingOneName,
    Extending,
}

impl Race {
    const ALL: [Self; 3] = [Self::Creating, Self::TakingOneName, Self::Extending];

    /// What the winner appends to, and what the loser.
    fn streams(self) -> (StreamId, StreamId) {
        let stream = StreamId::from_name("invoices/1003").unwrap();
        let impostor = stored_stream_id(uuid::Uuid::from_u128(7), Some("invoices/1003"), "");
        (stream.clone(), if matches!(self, Self::TakingOneName) { impostor } else { stream })
    }

    async fn append(self, store: &Store, tx: &mut Tx, stream: &StreamId) -> Result<Appended> {
        let append = store.within(tx).append(stream, event());
        match self {
            Self::Extending => append.expected_version(2).await,
            _ => append.await,
        }
    }

    fn is_lost(self, error: &Error) -> bool {
        match self {
            Self::Creating => matches!(error, Error::Conflict { expected: 0, actual: 1, .. }),
            Self::TakingOneName => matches!(error, Error::StreamNameTaken { .. }),
            Self::Extending => matches!(error, Error::Conflict { expected: 2, actual: 3, .. }),
        }
    }
}

/// Both have read before either appends; the second appends while the first is open, which is then committed.
async fn lose(scene: &Scene, level: &'static str, race: Race) -> (Error, Tx) {
    let (stream, other) = race.streams();
    if matches!(race, Race::Extending) {
        scene.store.append(&stream, events(2)).await.unwrap();
    }
    let (mut winner, mut loser) = (scene.begin_at(level).await, scene.begin_at(level).await);
    for tx in [&mut winner, &mut loser] {
        scene.store.within(tx).version(&stream).await.unwrap();
    }
    race.append(&scene.store, &mut winner, &stream).await.unwrap();
    let commit = async {
        scene.until_waiting(1).await;
        winner.commit().await.unwrap();
    };
    let (lost, ()) = tokio::join!(race.append(&scene.store, &mut loser, &other), commit);
    (lost.unwrap_err(), loser)
}

#[tokio::test]
async fn the_loser_at_read_committed_gets_a_conflict_and_its_transaction_goes_on() {
    for race in Race::ALL {
        let scene = Scene::new().await;
        let (lost, mut loser) = lose(&scene, "READ COMMITTED", race).await;
        assert!(race.is_lost(&lost) && !lost.is_retryable(), "{race:?}: {lost:?}");
        let other = StreamId::random();
        scene.store.within(&mut loser).append(&other, event()).await.unwrap();
        loser.commit().await.unwrap();
        assert_eq!(length(&scene.store, &other).await, 1);
    }
}

#[tokio::test]
async fn the_loser_at_repeatable_read_and_serializable_gets_a_retryable_serialization_failure() {
    for (level, race) in
        ["REPEATABLE READ", "SERIALIZABLE"].into_iter().flat_map(|level| Race::ALL.map(|race| (level, race)))
    {
        let scene = Scene::new().await;
        let (lost, loser) = lose(&scene, level, race).await;
        assert!(matches!(lost, Error::SerializationFailure { .. }), "{level}, {race:?}: {lost:?}");
        assert!(lost.is_retryable());
        loser.rollback().await.unwrap();
        // The whole transaction again, as the error says.
        let (_, other) = race.streams();
        let mut again = scene.begin_at(level).await;
        let found = race.append(&scene.store, &mut again, &other).await.unwrap_err();
        assert!(race.is_lost(&found), "{level}, {race:?}: {found:?}");
    }
}

/// Each has read what the other writes. The database notices when the second is committed, or before.
#[tokio::test]
async fn write_skew_between_two_streams_is_ended_at_serializable() {
    let scene = Scene::new().await;
    let (left, right) = (StreamId::random(), StreamId::random());
    let backend = scene.store.backend();
    let begin = async || {
        let mut tx = backend.begin().await.unwrap();
        sqlx::query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE").execute(&mut **tx).await.unwrap();
        tx
    };
    let (mut one, mut two) = (begin().await, begin().await);
    for tx in [&mut one, &mut two] {
        for stream in [&left, &right] {
            assert_eq!(scene.store.within(tx).version(stream).await.unwrap(), None);
        }
    }
    scene.store.within(&mut one).append(&left, event()).await.unwrap();
    let second = scene.store.within(&mut two).append(&right, event()).await;
    one.commit().await.unwrap();
    let ended = match second {
        Ok(_) => two.commit().await.unwrap_err(),
        Err(ended) => ended,
    };
    assert!(matches!(ended, Error::SerializationFailure { .. }) && ended.is_retryable(), "{ended:?}");
    assert_eq!(scene.events().await, 1);
}

#[tokio::test]
async fn of_two_transactions_that_wait_for_each_others_streams_one_gets_a_retryable_serialization_failure() {
    for (level, exists) in [("READ COMMITTED", true), ("READ COMMITTED", false), ("REPEATABLE READ", true)] {
        let scene = Scene::new().await;
        let (left, right) = (StreamId::random(), StreamId::random());
        if exists {
            for stream in [&left, &right] {
                scene.store.append(stream, event()).await.unwrap();
            }
        }
        let version = u64::from(exists);
        let append = async |tx: &mut Tx, stream: &StreamId| {
            scene.store.within(tx).append(stream, event()).expected_version(version).await
        };
        let (mut one, mut two) = (scene.begin_at(level).await, scene.begin_at(level).await);
        append(&mut one, &left).await.unwrap();
        append(&mut two, &right).await.unwrap();
        // Whoever is refused gives way; whoever is not is committed.
        let finish = async |mut tx: Tx, stream: &StreamId| match append(&mut tx, stream).await {
            Ok(_) => tx.commit().await.map_err(|error| panic!("{error}")),
            Err(refused) => {
                tx.rollback().await.unwrap();
                Err(refused)
            }
        };
        let (one, two) = tokio::join!(finish(one, &right), finish(two, &left));
        let refused: Vec<_> = [one, two].into_iter().filter_map(Result::err).collect();
        let [refused] = refused.as_slice() else { panic!("{level}, {exists}: {refused:?}") };
        assert!(
            matches!(refused, Error::SerializationFailure { .. }) && refused.is_retryable(),
            "{level}, {exists}: {refused:?}"
        );
        assert_eq!(scene.events().await, if exists { 4 } else { 2 });
    }
}

#[tokio::test]
async fn losers_of_a_race_burn_no_position() {
    let scene = Scene::new().await;
    let stream = StreamId::random();
    scene.store.append(&stream, events(3)).await.unwrap();
    let drawn = "SELECT last_value FROM event_sourcery_events_id_seq";
    for round in 0..5 {
        let appends = (0..12).map(|_| async {
            let store = scene.store.clone();
            store.append(&stream, events(2)).expected_version(3 + round * 2).await
        });
        let ended = futures_util::future::join_all(appends).await;
        assert_eq!(ended.iter().filter(|append| append.is_ok()).count(), 1);
        assert!(
            ended.iter().all(|append| matches!(append, Ok(_) | Err(Error::Conflict { .. }))),
            "{ended:?}"
        );
    }
    for refused in [
        scene.store.append(&stream, event()).await,
        scene.store.append(&stream, event()).expected_version(99).await,
        scene.store.append(&stream, event()).no_versioning().await,
    ] {
        refused.unwrap_err();
    }
    let mut tx = scene.begin().await;
    scene.store.within(&mut tx).append(&stream, event()).expected_version(99).await.unwrap_err();
    tx.commit().await.unwrap();
    assert_eq!(scene.number(drawn).await, 13);
    assert_eq!(scene.events().await, 13);
}

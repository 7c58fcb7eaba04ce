//! Transactions of the caller's that have their snapshot from before: what has happened since is never passed over in silence.

use event_sourcery::backend::{Backend as _, JoinableBackend as _};
use event_sourcery::{Error, StreamId};

use super::{create, found, is_shredded, key, new_keys, sealed, shredding, start, within};
use crate::scene::{Scene, Tx};

const LEVELS: [&str; 2] = ["REPEATABLE READ", "SERIALIZABLE"];

/// A transaction that has its snapshot.
async fn begin_at(scene: &Scene, level: &'static str) -> Tx {
    let mut tx = scene.begin_at(level).await;
    scene.store.within(&mut tx).version(&StreamId::random()).await.unwrap();
    tx
}

fn cases() -> impl Iterator<Item = (&'static str, usize)> {
    LEVELS.into_iter().flat_map(|level| [(level, 1), (level, 2)])
}

#[tokio::test]
async fn a_snapshot_from_before_a_shredding_lets_no_append_through() {
    for (level, streams) in cases() {
        let scene = Scene::new().await;
        let backend = scene.store.backend();
        let keys = create(backend, &["alice"]).await;
        let mut tx = begin_at(&scene, level).await;
        let seen = backend.join(&mut tx).keys(&super::asked(&["alice"])).await.unwrap();
        assert_eq!(seen, keys);
        backend.append(shredding(&["alice"])).await.unwrap();
        let refused = within(&scene, &mut tx, &sealed(streams, &keys)).await.unwrap_err();
        assert!(matches!(refused, Error::SerializationFailure { .. }), "{level}, {streams}: {refused:?}");
        tx.rollback().await.unwrap();
        // The whole transaction again, as the error says.
        let mut again = begin_at(&scene, level).await;
        let refused = within(&scene, &mut again, &sealed(streams, &keys)).await;
        assert!(is_shredded(&refused), "{level}, {streams}: {refused:?}");
        assert_eq!(scene.events().await, 1);
    }
}

#[tokio::test]
async fn a_snapshot_from_before_the_commit_of_a_shredding_lets_no_append_through() {
    for (level, streams) in cases() {
        let scene = Scene::new().await;
        let keys = create(scene.store.backend(), &["alice"]).await;
        let mut shreds = scene.begin().await;
        within(&scene, &mut shreds, &shredding(&["alice"])).await.unwrap();
        let mut tx = begin_at(&scene, level).await;
        let commit = async {
            scene.until_waiting(1).await;
            shreds.commit().await.unwrap();
        };
        let request = sealed(streams, &keys);
        let (refused, ()) = tokio::join!(within(&scene, &mut tx, &request), commit);
        let refused = refused.unwrap_err();
        assert!(matches!(refused, Error::SerializationFailure { .. }), "{level}, {streams}: {refused:?}");
        assert_eq!(scene.events().await, 1);
    }
}

#[tokio::test]
async fn an_append_in_a_snapshot_is_waited_for_by_a_shredding() {
    for (level, streams) in cases() {
        let scene = Scene::new().await;
        let keys = create(scene.store.backend(), &["alice"]).await;
        let mut tx = begin_at(&scene, level).await;
        within(&scene, &mut tx, &sealed(streams, &keys)).await.unwrap();
        let shreds = start(&scene, shredding(&["alice"]));
        scene.until_waiting(1).await;
        tx.commit().await.unwrap();
        shreds.await.unwrap().unwrap();
        assert_eq!(scene.events().await, streams as i64 + 1);
    }
}

/// A key that is too new for the snapshot is not taken for one that was shredded, which is for ever.
#[tokio::test]
async fn a_key_that_was_given_after_the_snapshot_is_a_serialization_failure_and_one_that_never_was_is_refused() {
    for (level, streams) in cases() {
        let scene = Scene::new().await;
        let backend = scene.store.backend();
        let mut tx = begin_at(&scene, level).await;
        let keys = create(backend, &["alice"]).await;
        let refused = within(&scene, &mut tx, &sealed(streams, &keys)).await.unwrap_err();
        assert!(matches!(refused, Error::SerializationFailure { .. }), "{level}, {streams}: {refused:?}");
        let refused = backend.join(&mut tx).create_keys(&new_keys(&["alice"])).await.unwrap_err();
        assert!(matches!(refused, Error::SerializationFailure { .. }), "{level}, {streams}: {refused:?}");
        let refused = within(&scene, &mut tx, &sealed(streams, &[key("bob")])).await;
        assert!(is_shredded(&refused), "{level}, {streams}: {refused:?}");
        // Each of them has taken back what it did, and nothing else.
        within(&scene, &mut tx, &sealed(streams, &[])).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(scene.events().await, streams as i64);
        assert_eq!(found(backend, "bob").await, None);
    }
}

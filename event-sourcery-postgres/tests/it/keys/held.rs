//! Sealed appends and shreddings, in each order in which they can meet: whichever is first keeps the other waiting.

use std::sync::Arc;

use event_sourcery::backend::{AppendOutcome, Backend as _, JoinableBackend as _};
use event_sourcery::{Error, StreamId};
use event_sourcery_postgres::sqlx;

use super::{create, found, is_shredded, key, new_keys, sealed, sealed_to, shredding, start, within};
use crate::scene::{Scene, until};

/// To how many streams a sealed append goes: one statement, or several under locks.
const WAYS: [usize; 2] = [1, 2];

#[tokio::test]
async fn a_shredding_waits_for_an_open_append_and_what_comes_after_it_is_refused() {
    for streams in WAYS {
        let scene = Scene::new().await;
        let backend = scene.store.backend();
        let keys = create(backend, &["alice"]).await;
        let mut tx = scene.begin().await;
        within(&scene, &mut tx, &sealed(streams, &keys)).await.unwrap();
        let shreds = start(&scene, shredding(&["alice"]));
        scene.until_waiting(1).await;
        assert!(found(backend, "alice").await.unwrap().wrapped.is_some(), "it is not shredded before");
        tx.commit().await.unwrap();
        shreds.await.unwrap().unwrap();
        assert_eq!(found(backend, "alice").await.unwrap().wrapped, None);
        let late = backend.append(sealed(streams, &keys)).await;
        assert!(is_shredded(&late), "{late:?}");
        assert_eq!(scene.events().await, streams as i64 + 1);
    }
}

#[tokio::test]
async fn an_append_waits_for_an_open_shredding_and_is_refused_where_that_is_committed() {
    for (streams, commits) in WAYS.into_iter().flat_map(|streams| [(streams, true), (streams, false)]) {
        let scene = Scene::new().await;
        let keys = create(scene.store.backend(), &["alice", "bob"]).await;
        let mut tx = scene.begin().await;
        within(&scene, &mut tx, &shredding(&["alice"])).await.unwrap();
        let append = start(&scene, sealed(streams, &keys));
        scene.until_waiting(1).await;
        if commits {
            tx.commit().await.unwrap()
        } else {
            tx.rollback().await.unwrap()
        }
        let appended = append.await.unwrap();
        if commits {
            assert!(is_shredded(&appended), "{appended:?}");
            assert_eq!(scene.events().await, 1, "nothing of it was written");
        } else {
            assert!(matches!(appended, Ok(AppendOutcome::Written(_))), "{appended:?}");
            assert_eq!(scene.events().await, streams as i64);
        }
    }
}

/// The caller's transaction goes on.
#[tokio::test]
async fn an_append_in_the_callers_transaction_waits_for_an_open_shredding_and_is_refused() {
    for streams in WAYS {
        let scene = Scene::new().await;
        let keys = create(scene.store.backend(), &["alice"]).await;
        let (mut shreds, mut tx) = (scene.begin().await, scene.begin().await);
        within(&scene, &mut shreds, &shredding(&["alice"])).await.unwrap();
        let commit = async {
            scene.until_waiting(1).await;
            shreds.commit().await.unwrap();
        };
        let request = sealed(streams, &keys);
        let (refused, ()) = tokio::join!(within(&scene, &mut tx, &request), commit);
        assert!(is_shredded(&refused), "{refused:?}");
        within(&scene, &mut tx, &sealed(streams, &[])).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(scene.events().await, streams as i64 + 1);
    }
}

/// In whichever way it is appended. What he has left of it goes with the next shredding.
#[tokio::test]
async fn a_key_that_somebody_has_put_down_as_shredded_by_hand_seals_nothing() {
    let scene = Scene::new().await;
    let backend = scene.store.backend();
    let keys = create(backend, &["alice"]).await;
    scene.run("UPDATE event_sourcery_subject_keys SET shredded_at = now()").await;
    assert_eq!(found(backend, "alice").await.unwrap().wrapped, None);
    for streams in WAYS {
        let refused = backend.append(sealed(streams, &keys)).await;
        assert!(is_shredded(&refused), "{refused:?}");
    }
    backend.append(shredding(&["alice"])).await.unwrap();
    assert_eq!(scene.number("SELECT count(wrapped) FROM event_sourcery_subject_keys").await, 0);
}

/// An append that was made is made, whatever became of its key.
#[tokio::test]
async fn a_repeat_is_recognised_although_its_key_was_shredded() {
    for streams in WAYS {
        let scene = Scene::new().await;
        let backend = scene.store.backend();
        let keys = create(backend, &["alice"]).await;
        let request = sealed(streams, &keys);
        backend.append(request.clone()).await.unwrap();
        backend.append(shredding(&["alice"])).await.unwrap();
        let again = backend.append(request.clone()).await.unwrap();
        assert!(matches!(&again, AppendOutcome::Present(present) if present.len() == streams), "{again:?}");
        let mut tx = scene.begin().await;
        let again = within(&scene, &mut tx, &request).await.unwrap();
        assert!(matches!(again, AppendOutcome::Present(_)), "{again:?}");
        tx.commit().await.unwrap();
        assert_eq!(scene.events().await, streams as i64 + 1);
    }
}

/// A repeat of a shredding shreds nothing more: who got a key since keeps it.
#[tokio::test]
async fn the_repeat_of_an_append_that_shreds_writes_nothing() {
    let scene = Scene::new().await;
    let backend = scene.store.backend();
    let request = shredding(&["alice"]);
    backend.append(request.clone()).await.unwrap();
    let again = backend.append(request).await.unwrap();
    assert!(matches!(again, AppendOutcome::Present(_)), "{again:?}");
    assert_eq!(scene.events().await, 1);
}

/// The marks of those who never had a key are taken back too.
#[tokio::test]
async fn a_refused_append_shreds_nothing() {
    let scene = Scene::new().await;
    let backend = scene.store.backend();
    let keys = create(backend, &["alice", "bob"]).await;
    backend.append(shredding(&["bob"])).await.unwrap();
    let mut request = Arc::into_inner(sealed(1, &keys)).unwrap();
    request.shreds = vec!["alice".into(), "carol".into()];
    let refused = backend.append(Arc::new(request)).await;
    assert!(is_shredded(&refused), "{refused:?}");
    assert!(found(backend, "alice").await.unwrap().wrapped.is_some());
    assert_eq!(found(backend, "carol").await, None);
    assert_eq!(scene.events().await, 1);
}

/// A key that is being given is waited for, where an append is sealed with it already.
#[tokio::test]
async fn an_append_waits_for_the_key_that_it_is_sealed_with() {
    for (streams, commits) in WAYS.into_iter().flat_map(|streams| [(streams, true), (streams, false)]) {
        let scene = Scene::new().await;
        let backend = scene.store.backend();
        let mut tx = scene.begin().await;
        let keys = backend.join(&mut tx).create_keys(&new_keys(&["alice"])).await.unwrap();
        let append = start(&scene, sealed(streams, &keys));
        scene.until_waiting(1).await;
        if commits {
            tx.commit().await.unwrap()
        } else {
            tx.rollback().await.unwrap()
        }
        let appended = append.await.unwrap();
        assert_eq!(appended.is_ok(), commits, "{appended:?}");
        assert_eq!(is_shredded(&appended), !commits, "{appended:?}");
        let marks = "SELECT count(*) FROM event_sourcery_subject_keys WHERE shredded_at IS NOT NULL";
        assert_eq!(scene.number(marks).await, 0, "no mark is left");
    }
}

/// It is about the key, not about the subject: another key, or none, is as good as a shredded one.
#[tokio::test]
async fn a_key_that_is_not_the_subjects_is_refused() {
    for streams in WAYS {
        let scene = Scene::new().await;
        let backend = scene.store.backend();
        create(backend, &["alice"]).await;
        for (other, subject) in [(key("alice"), "alice"), (key("bob"), "bob")] {
            let refused = backend.append(sealed(streams, &[other])).await.unwrap_err();
            assert!(
                matches!(&refused, Error::SubjectShredded { subject: told, .. } if told == subject),
                "{refused:?}"
            );
        }
        assert_eq!(scene.events().await, 0);
    }
}

/// In one order, and before any stream: so no two of them wait for each other.
#[tokio::test]
async fn keys_are_locked_in_the_order_of_their_subjects_and_before_streams() {
    for (count, shreds) in [(1, false), (2, false), (2, true)] {
        let scene = Scene::new().await;
        let backend = scene.store.backend();
        let keys = create(backend, &["a", "b", "c"]).await;
        let streams: Vec<_> = (0..count).map(|_| StreamId::random()).collect();
        backend.append(sealed_to(&streams, &keys)).await.unwrap();
        let mut tx = scene.begin().await;
        let hold = "SELECT FROM event_sourcery_subject_keys WHERE subject = 'b' FOR UPDATE";
        sqlx::raw_sql(hold).execute(&mut *tx).await.unwrap();
        let free = "SELECT count(*) FROM (
                        SELECT FROM event_sourcery_subject_keys WHERE subject = '{}' FOR UPDATE SKIP LOCKED) k";
        let is_free = async |subject: &str| scene.number(&free.replace("{}", subject)).await == 1;
        let backwards: Vec<_> = keys.into_iter().rev().collect();
        let mut request = Arc::into_inner(sealed_to(&streams, &backwards)).unwrap();
        if shreds {
            request.shreds = vec!["c".into(), "b".into(), "a".into()];
        }
        let append = start(&scene, Arc::new(request));
        until(async || !is_free("a").await).await;
        assert!(is_free("c").await, "it comes after what is waited for");
        let free = "SELECT count(*) FROM (SELECT FROM event_sourcery_streams FOR UPDATE SKIP LOCKED) s";
        assert_eq!(scene.number(free).await, count, "no stream is locked yet");
        tx.rollback().await.unwrap();
        append.await.unwrap().unwrap();
    }
}

//! A refused call leaves the caller's transaction as it was: it goes on, and is committed.

use event_sourcery::backend::stored_stream_id;
use event_sourcery::{Error, Event as _, PayloadError, RawEvent, Result, StreamId};
use event_sourcery_postgres::sqlx;
use uuid::Uuid;

use super::LEVELS;
use crate::scene::{Scene, Tx, event, insert_invoice, length};

struct Refusing {
    scene: Scene,
    versioned: StreamId,
    unversioned: StreamId,
    /// The id of an event that is there.
    taken: Uuid,
}

impl Refusing {
    async fn new() -> Self {
        let scene = Scene::new().await.with_own_table().await;
        let (versioned, unversioned) = (StreamId::from_name("versioned").unwrap(), StreamId::random());
        let taken = Uuid::now_v7();
        scene.store.append(&versioned, event().with_id(taken)).await.unwrap();
        scene.store.append(&unversioned, event()).no_versioning().await.unwrap();
        Self { scene, versioned, unversioned, taken }
    }

    /// Every refusal that there is.
    async fn refuse(&self, number: usize, tx: &mut Tx) -> Option<Error> {
        let (within, new) = (self.scene.store.within(tx), StreamId::random());
        let refused: Result<()> = match number {
            0 => within.append(&self.versioned, event()).await.map(drop),
            1 => within.append(&self.versioned, event()).expected_version(7).await.map(drop),
            2 => within.append(&self.versioned, event()).no_versioning().await.map(drop),
            3 => within.append(&self.unversioned, event()).expected_version(1).await.map(drop),
            4 => {
                let impostor = stored_stream_id(Uuid::from_u128(7), Some("versioned"), "");
                within.append(&impostor, event()).await.map(drop)
            }
            5 => within
                .append(&new, vec![event().with_id(Uuid::now_v7()), event().with_id(self.taken)])
                .await
                .map(drop),
            6 => within.append(&new, RawEvent::new("Nul", r#"{"text": "\u0000"}"#).unwrap()).await.map(drop),
            7 => within.append(&new, event()).requires(&self.versioned, 2).await.map(drop),
            8 => {
                within.append(&new, event()).and(&self.versioned, event()).expected_version(3).await.map(drop)
            }
            9 => within.save_snapshot(&self.versioned, 9, event()).await,
            10 => {
                within
                    .save_snapshot(&self.versioned, 1, RawEvent::new("Nul", r#"{"text": "\u0000"}"#).unwrap())
                    .await
            }
            _ => return None,
        };
        Some(refused.unwrap_err())
    }
}

fn is_as_expected(number: usize, error: &Error) -> bool {
    match number {
        0 => matches!(error, Error::Conflict { expected: 0, actual: 1, .. }),
        1 => matches!(error, Error::Conflict { expected: 7, actual: 1, .. }),
        2 => matches!(error, Error::NoExpectedVersionGivenOnVersionedStream { .. }),
        3 => matches!(error, Error::ExpectedVersionUsedOnVersionlessStream { .. }),
        4 => matches!(error, Error::StreamNameTaken { .. }),
        5 => matches!(error, Error::DuplicateEvent { .. }),
        6 | 10 => matches!(error, Error::InvalidPayload { problem: PayloadError::NotStorable { .. }, .. }),
        7 => matches!(error, Error::RequirementFailed { .. }),
        8 => matches!(error, Error::Conflict { expected: 3, actual: 1, .. }),
        _ => matches!(error, Error::SnapshotVersionMismatch { .. }),
    }
}

#[tokio::test]
async fn a_refused_call_leaves_the_transaction_usable_at_every_level() {
    for level in LEVELS {
        let refusing = Refusing::new().await;
        let scene = &refusing.scene;
        let stream = StreamId::random();
        let mut tx = scene.begin_at(level).await;
        let mut number = 0;
        while let Some(refused) = refusing.refuse(number, &mut tx).await {
            assert!(is_as_expected(number, &refused), "{level}, {number}: {refused:?}");
            assert!(!refused.is_retryable(), "{refused:?}");
            insert_invoice(&mut tx, &number.to_string()).await;
            let append = scene.store.within(&mut tx).append(&stream, event());
            append.expected_version(number as u64).await.unwrap();
            number += 1;
        }
        tx.commit().await.unwrap();
        assert_eq!(length(&scene.store, &stream).await, number, "{level}");
        assert_eq!(scene.number("SELECT count(*) FROM invoices").await, number as i64);
        assert_eq!(scene.events().await, number as i64 + 2, "nothing is kept of those that were refused");
    }
}

#[tokio::test]
async fn an_append_repeated_inside_a_transaction_is_recognised() {
    for level in LEVELS {
        let scene = Scene::new().await;
        let (stream, id) = (StreamId::random(), Uuid::now_v7());
        let mut tx = scene.begin_at(level).await;
        let first = scene.store.within(&mut tx).append(&stream, event().with_id(id)).await.unwrap();
        let again = scene.store.within(&mut tx).append(&stream, event().with_id(id)).await.unwrap();
        assert_eq!(
            (first.repeated, again.repeated, again.position),
            (false, true, first.position),
            "{level}"
        );
        tx.commit().await.unwrap();
        let mut tx = scene.begin_at(level).await;
        let again = scene.store.within(&mut tx).append(&stream, event().with_id(id)).await.unwrap();
        assert_eq!((again.repeated, again.position), (true, first.position), "{level}");
        tx.rollback().await.unwrap();
        assert_eq!(scene.events().await, 1);
    }
}

#[tokio::test]
async fn an_append_in_a_transaction_that_may_not_write_is_read_only() {
    let scene = Scene::new().await;
    let mut tx = scene.pool.begin_with("BEGIN READ ONLY").await.unwrap();
    let stream = StreamId::random();
    let refused = scene.store.within(&mut tx).append(&stream, event()).await.unwrap_err();
    assert!(matches!(refused, Error::ReadOnly { .. }), "{refused:?}");
    assert!(scene.store.within(&mut tx).load_stream::<RawEvent>(&stream).await.unwrap().is_empty());
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_transaction_that_failed_for_a_reason_of_the_callers_is_refused_and_not_hidden() {
    let scene = Scene::new().await;
    let mut tx = scene.begin().await;
    sqlx::query("SELECT 1 / 0").execute(&mut *tx).await.unwrap_err();
    let refused = scene.store.within(&mut tx).append(&StreamId::random(), event()).await.unwrap_err();
    assert!(matches!(refused, Error::RolledBack { .. }), "{refused}");
    tx.rollback().await.unwrap();
    assert_eq!(scene.events().await, 0);
}

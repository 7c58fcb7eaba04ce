//! Listeners in the caller's own transaction, at every isolation level.

use event_sourcery::{Error, RawEvent, StreamId};
use event_sourcery_postgres::sqlx::{self, Connection as _};

use super::{heard, invoices_and_events, listen, listen_in_silence, statement_failed};
use crate::scene::{Scene, event, events, insert_invoice, length};
use crate::transactions::LEVELS;

#[tokio::test]
async fn what_a_listener_writes_is_committed_with_the_callers_transaction_and_not_before() {
    for level in LEVELS {
        for commits in [false, true] {
            let scene = Scene::new().await.with_own_table().await;
            listen(&scene.store, "INSERT INTO invoices VALUES (gen_random_uuid())");
            let mut tx = scene.begin_at(level).await;
            let stream = StreamId::random();
            scene.store.within(&mut tx).append(&stream, [heard(), heard()]).await.unwrap();
            let both = scene.store.within(&mut tx).append(&stream, heard()).expected_version(2);
            both.and(&StreamId::random(), event()).await.unwrap();
            assert_eq!(invoices_and_events(&scene).await, (0, 0), "{level}: not before");
            if commits {
                tx.commit().await.unwrap();
            } else {
                tx.rollback().await.unwrap();
            }
            let expected = if commits { (3, 4) } else { (0, 0) };
            assert_eq!(invoices_and_events(&scene).await, expected, "{level}");
        }
    }
}

#[tokio::test]
async fn a_listener_whose_statement_fails_leaves_the_transaction_usable_and_nothing_of_the_append() {
    for level in LEVELS {
        let scene = Scene::new().await.with_own_table().await;
        listen(&scene.store, "INSERT INTO invoices VALUES ('the listener')");
        let (stream, mut tx) = (StreamId::random(), scene.begin_at(level).await);
        insert_invoice(&mut tx, "the listener").await;
        for _ in 0..2 {
            let refused = scene.store.within(&mut tx).append(&stream, heard()).await.unwrap_err();
            let failed = statement_failed(&refused).as_database_error().unwrap();
            assert!(failed.is_unique_violation() && !refused.is_retryable(), "{level}: {failed}");
        }
        insert_invoice(&mut tx, "1003").await;
        scene.store.within(&mut tx).append(&stream, event()).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(invoices_and_events(&scene).await, (2, 1), "{level}");
    }
}

/// The server would roll back what is to be released, and sqlx would not tell.
#[tokio::test]
async fn a_listener_that_keeps_the_failure_of_a_statement_to_itself_has_failed() {
    for level in LEVELS {
        let scene = Scene::new().await.with_own_table().await;
        listen_in_silence(&scene.store, "SELECT 1 / 0");
        let (stream, mut tx) = (StreamId::random(), scene.begin_at(level).await);
        insert_invoice(&mut tx, "1003").await;
        let refused = scene.store.within(&mut tx).append(&stream, heard()).await.unwrap_err();
        assert!(matches!(refused, Error::RolledBack { .. }), "{level}: {refused:?}");
        scene.store.within(&mut tx).append(&stream, event()).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(invoices_and_events(&scene).await, (1, 1), "{level}");
    }
}

#[tokio::test]
async fn a_listener_that_ends_the_callers_transaction_is_told_of() {
    for end in ["COMMIT", "ROLLBACK", "COMMIT; BEGIN", "ROLLBACK AND CHAIN"] {
        let scene = Scene::new().await;
        listen(&scene.store, end);
        let mut tx = scene.begin().await;
        let refused = scene.store.within(&mut tx).append(&StreamId::random(), heard()).await.unwrap_err();
        assert!(matches!(refused, Error::Backend { .. }), "{end}: {refused:?}");
        assert!(refused.in_full().contains("the transaction has been ended"), "{end}: {refused}");
    }
}

#[tokio::test]
async fn a_listener_may_begin_transactions_within_its_own() {
    let scene = Scene::new().await.with_own_table().await;
    let within = scene.store.listen::<RawEvent>().event_names(["Heard"]).within(|heard, tx| {
        Box::pin(async move {
            let mut kept = tx.connection().begin().await?;
            let insert = "INSERT INTO invoices VALUES ($1)";
            let number = heard.wrapped_event.uuid.to_string();
            sqlx::query(insert).bind(&number).execute(&mut *kept).await?;
            kept.commit().await?;
            let mut dropped = tx.connection().begin().await?;
            sqlx::query(insert).bind(format!("not {number}")).execute(&mut *dropped).await?;
            dropped.rollback().await?;
            Ok(())
        })
    });
    within.unwrap();
    scene.store.append(&StreamId::random(), heard()).await.unwrap();
    assert_eq!(invoices_and_events(&scene).await, (1, 1));
    let mut tx = scene.begin().await;
    scene.store.within(&mut tx).append(&StreamId::random(), [heard(), heard()]).await.unwrap();
    assert_eq!(invoices_and_events(&scene).await, (1, 1), "it is not committed by that");
    tx.commit().await.unwrap();
    assert_eq!(invoices_and_events(&scene).await, (3, 3));
}

/// The caller's transaction has read before somebody else changed the row that the listener changes.
#[tokio::test]
async fn a_listener_that_loses_a_race_is_a_retryable_serialization_failure() {
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        let scene = Scene::new().await;
        scene.run("CREATE TABLE counters (count INT); INSERT INTO counters VALUES (0)").await;
        listen(&scene.store, "UPDATE counters SET count = count + 1");
        let (stream, mut tx) = (StreamId::random(), scene.begin_at(level).await);
        scene.store.within(&mut tx).version(&stream).await.unwrap();
        scene.run("UPDATE counters SET count = count + 1").await;
        let lost = scene.store.within(&mut tx).append(&stream, heard()).await.unwrap_err();
        assert!(
            matches!(lost, Error::SerializationFailure { .. }) && lost.is_retryable(),
            "{level}: {lost:?}"
        );
        let source = std::error::Error::source(&lost).unwrap();
        statement_failed(source.downcast_ref().unwrap());
        tx.rollback().await.unwrap();

        let mut again = scene.begin_at(level).await;
        scene.store.within(&mut again).append(&stream, heard()).await.unwrap();
        again.commit().await.unwrap();
        assert_eq!(scene.number("SELECT count::bigint FROM counters").await, 2);
    }
}

/// What a listener appends is refused, and it goes on: that was under a savepoint of its own.
#[tokio::test]
async fn a_listener_goes_on_after_a_refused_append_of_its_own() {
    let scene = Scene::new().await;
    let taken = StreamId::from_name("taken").unwrap();
    scene.store.append(&taken, events(2)).await.unwrap();
    let own = taken.clone();
    let within = scene.store.listen::<RawEvent>().event_names(["Heard"]).within(move |_, tx| {
        let taken = own.clone();
        Box::pin(async move {
            let refused = tx.store().append(&taken, event()).await;
            assert!(matches!(refused, Err(Error::Conflict { expected: 0, .. })), "{refused:?}");
            let seen = tx.store().version(&taken).await?;
            tx.store().append(&taken, event()).expected_version(seen).await?;
            Ok(())
        })
    });
    within.unwrap();
    let mut tx = scene.begin().await;
    scene.store.within(&mut tx).append(&StreamId::random(), heard()).await.unwrap();
    tx.commit().await.unwrap();
    scene.store.append(&StreamId::random(), heard()).await.unwrap();
    assert_eq!(length(&scene.store, &taken).await, 4);
}

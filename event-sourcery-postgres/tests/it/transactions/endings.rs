//! The caller's rows and the events: both, or neither.

use std::time::Duration;

use event_sourcery::backend::JoinableBackend as _;
use event_sourcery::{Error, RawEvent, StreamId};
use event_sourcery_postgres::sqlx::{self, Connection as _};

use super::LEVELS;
use crate::scene::{Scene, Tx, event, events, insert_invoice, length, open, until};

/// A store with a stream of two events beside a table of the caller's own.
async fn scene() -> (Scene, StreamId) {
    let (scene, stream) = (Scene::new().await.with_own_table().await, StreamId::from_name("old").unwrap());
    scene.store.append(&stream, events(2)).await.unwrap();
    (scene, stream)
}

/// A row of the caller's, and everything that a transaction can do with the store.
async fn work(scene: &Scene, tx: &mut Tx, old: &StreamId) {
    let (new, gone) = (StreamId::from_name("new").unwrap(), StreamId::from_name("gone").unwrap());
    let store = &scene.store;
    insert_invoice(tx, "1003").await;
    store.within(tx).append(old, event()).expected_version(2).await.unwrap();
    store.within(tx).append(&new, events(2)).await.unwrap();
    store.within(tx).append(&StreamId::from_name("audit").unwrap(), event()).no_versioning().await.unwrap();
    store.within(tx).append(&gone, event()).await.unwrap();
    store.within(tx).delete_stream(&gone).await.unwrap();
    let several = store.within(tx).append(&gone, event()).and(&new, event()).expected_version(2);
    assert_eq!(several.await.unwrap().len(), 2);
    store.within(tx).save_snapshot(old, 3, RawEvent::new("Sum", "{}").unwrap()).await.unwrap();
    let seen = store.within(tx).load_stream::<RawEvent>(&new).await.unwrap();
    assert_eq!(seen.len(), 3, "it sees what it has written");
    assert_eq!(store.within(tx).version(old).await.unwrap(), Some(3));
}

async fn invoices_and_events(scene: &Scene) -> (i64, i64) {
    (scene.number("SELECT count(*) FROM invoices").await, scene.events().await)
}

const NOTHING: (i64, i64) = (0, 2);
const ALL: (i64, i64) = (1, 8);

#[tokio::test]
async fn what_is_committed_is_there_at_once_and_not_before() {
    for level in LEVELS {
        let (scene, old) = scene().await;
        let mut tx = scene.begin_at(level).await;
        work(&scene, &mut tx, &old).await;
        assert_eq!(invoices_and_events(&scene).await, NOTHING, "{level}: not before");
        assert_eq!(length(&scene.store, &old).await, 2);
        tx.commit().await.unwrap();
        assert_eq!(invoices_and_events(&scene).await, ALL, "{level}");
        assert_eq!(scene.store.version(&old).await.unwrap(), Some(3));
    }
}

#[tokio::test]
async fn nothing_is_left_of_what_is_rolled_back_or_dropped() {
    for level in LEVELS {
        let (scene, old) = scene().await;
        for rolled_back in [true, false] {
            let mut tx = scene.begin_at(level).await;
            work(&scene, &mut tx, &old).await;
            if rolled_back {
                tx.rollback().await.unwrap();
            } else {
                drop(tx);
            }
            assert_eq!(invoices_and_events(&scene).await, NOTHING, "{level}");
        }
        // Names, ids and versions were given back.
        let mut tx = scene.begin_at(level).await;
        work(&scene, &mut tx, &old).await;
        tx.commit().await.unwrap();
        assert_eq!(invoices_and_events(&scene).await, ALL, "{level}");
    }
}

/// PostgreSQL answers such a commit with a word, ROLLBACK, and no error.
#[tokio::test]
async fn a_transaction_in_which_a_statement_has_failed_is_not_taken_for_committed() {
    let scene = Scene::new().await;
    for failed in [true, false] {
        let mut tx = scene.store.backend().begin().await.unwrap();
        scene.store.within(&mut tx).append(&StreamId::random(), event()).await.unwrap();
        let divided = if failed { "SELECT 1 / 0" } else { "SELECT 1 / 1" };
        assert_eq!(sqlx::query(divided).execute(&mut **tx).await.is_err(), failed);
        let ended = tx.commit().await;
        assert!(matches!(ended, Err(Error::RolledBack { .. })) == failed, "{ended:?}");
        assert_eq!(scene.events().await, i64::from(!failed));
    }
    // The connections can be used again, and nothing is open on them.
    let open = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    until(async || scene.number(open).await == 0).await;
    let mut tx = scene.store.backend().begin_with("BEGIN ISOLATION LEVEL SERIALIZABLE").await.unwrap();
    let level: String = sqlx::query_scalar("SHOW transaction_isolation").fetch_one(&mut **tx).await.unwrap();
    assert_eq!(level, "serializable");
    scene.store.within(&mut tx).append(&StreamId::random(), event()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(scene.events().await, 2);
}

#[tokio::test]
async fn a_savepoint_of_the_callers_takes_back_its_events_only() {
    for level in LEVELS {
        let (scene, old) = scene().await;
        let mut tx = scene.begin_at(level).await;
        insert_invoice(&mut tx, "1003").await;
        scene.store.within(&mut tx).append(&old, event()).expected_version(2).await.unwrap();
        let mut savepoint = tx.begin().await.unwrap();
        scene.store.within(&mut savepoint).append(&old, event()).expected_version(3).await.unwrap();
        let new = StreamId::random();
        scene.store.within(&mut savepoint).append(&new, event()).await.unwrap();
        savepoint.rollback().await.unwrap();
        assert_eq!(scene.store.within(&mut tx).version(&old).await.unwrap(), Some(3), "{level}");
        scene.store.within(&mut tx).append(&old, event()).expected_version(3).await.unwrap();
        scene.store.within(&mut tx).append(&new, event()).no_versioning().await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!((length(&scene.store, &old).await, length(&scene.store, &new).await), (4, 1), "{level}");
        assert_eq!(invoices_and_events(&scene).await, (1, 5), "{level}");
    }
}

#[tokio::test]
async fn a_transaction_begun_through_the_store_is_one_of_sqlx() {
    let (scene, old) = scene().await;
    for commit in [false, true] {
        let mut tx = scene.store.backend().begin().await.unwrap();
        sqlx::query("INSERT INTO invoices VALUES ('1003')").execute(&mut **tx).await.unwrap();
        scene.store.within(&mut tx).append(&old, event()).expected_version(2).await.unwrap();
        let expected = if commit { (1, 3) } else { NOTHING };
        if commit {
            tx.commit().await.unwrap();
        } else {
            tx.rollback().await.unwrap();
        }
        assert_eq!(invoices_and_events(&scene).await, expected);
    }
}

/// What fails at the commit takes the events with it.
#[tokio::test]
async fn a_constraint_of_the_callers_that_fails_at_the_commit_takes_the_events_back() {
    let (scene, old) = scene().await;
    scene.run("ALTER TABLE invoices ADD of text REFERENCES invoices DEFERRABLE INITIALLY DEFERRED").await;
    let mut tx = scene.store.backend().begin().await.unwrap();
    sqlx::query("INSERT INTO invoices VALUES ('1003', 'nobody')").execute(&mut **tx).await.unwrap();
    scene.store.within(&mut tx).append(&old, event()).expected_version(2).await.unwrap();
    let refused = tx.commit().await.unwrap_err();
    assert!(!refused.is_retryable(), "{refused:?}");
    assert_eq!(invoices_and_events(&scene).await, NOTHING);
}

/// A log line with a transaction in it tells nobody how to get in.
#[tokio::test]
async fn a_transaction_shows_no_password() {
    let scene = Scene::new().await;
    let store = open(&scene.database.url().replace("//postgres@", "//postgres:s3cret-pw@")).await;
    let transaction = store.backend().begin().await.unwrap();
    let handling = store.backend().begin_handling(Duration::from_secs(10), None).await.unwrap();
    for shown in [format!("{transaction:?}"), format!("{handling:?}")] {
        assert!(!shown.contains("s3cret-pw"), "{shown}");
    }
}

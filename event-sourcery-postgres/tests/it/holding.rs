//! Entries of the outbox that are held, while somebody else has published them, or leaves them out.

use std::time::Duration;

use event_sourcery::backend::{Backend as _, HoldRequest};
use event_sourcery::outbox::{BoxFuture, OutboxEntry, PublishError, Publisher};
use event_sourcery::{Position, StreamId};

use crate::scene::{AT_THE_GATE, Scene, event, until};

/// Whoever reads entries waits, with what he sees, while the gate has a row.
const GATE: &str = "
    CREATE TABLE gate AS SELECT TRUE AS closed;
    CREATE FUNCTION is_open() RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
        WHILE EXISTS (SELECT FROM gate) LOOP
            PERFORM pg_sleep(0.005);
        END LOOP;
        RETURN TRUE;
    END $$;
    ALTER TABLE event_sourcery_outbox_entries RENAME TO entries;
    CREATE VIEW event_sourcery_outbox_entries AS SELECT * FROM entries WHERE is_open()";

#[tokio::test]
async fn an_entry_that_another_one_has_just_published_and_keeps_is_not_held() {
    let scene = Scene::new().await;
    let store = scene.store.clone().with_outbox(|_| true).unwrap();
    store.append(&StreamId::random(), event()).await.unwrap();
    scene.run(GATE).await;
    let hold = HoldRequest::new(vec![Position::from_i64(1)], Duration::from_secs(60));
    let publish = async {
        until(async || scene.number(AT_THE_GATE).await == 1).await;
        scene.run("UPDATE entries SET published_at = now() AT TIME ZONE 'UTC', tries_left = 0").await;
        scene.run("DELETE FROM gate").await;
    };
    let (held, ()) = tokio::join!(store.backend().hold_entries(hold), publish);
    assert!(held.unwrap().free.is_empty());
}

/// Refuses everything.
struct Closed;

impl Publisher for Closed {
    fn publish<'a>(&'a self, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(async move { entries.iter().map(|_| Err(PublishError::refused("too heavy"))).collect() })
    }
}

/// Whoever publishes an entry locks that first, and its stream's row when he is done. In the other order, each would wait for the other.
#[tokio::test]
async fn who_leaves_out_an_entry_that_is_being_published_keeps_no_row_that_the_publisher_wants() {
    let scene = Scene::new().await;
    let store = scene.store.clone().with_outbox(|_| true).unwrap();
    store.append(&StreamId::random(), event()).await.unwrap();
    store.outbox().attempts(1).run(Closed).await.unwrap();
    let parked = store.outbox().parked().await.unwrap();
    let hold = HoldRequest::new(vec![Position::from_i64(1)], Duration::from_secs(60));
    let held = store.backend().hold_entries(hold).await.unwrap();
    let others = store.clone();
    let skipping = tokio::spawn(async move { others.outbox().skip(&parked[0]).await });
    for _ in 0..5 {
        scene.until_waiting(1).await;
        scene.run("SELECT FROM event_sourcery_blocked_streams FOR UPDATE NOWAIT").await;
    }
    held.hold.unwrap().release().await;
    skipping.await.unwrap().unwrap();
    assert_eq!(scene.number("SELECT count(*) FROM event_sourcery_outbox_entries").await, 0);
}

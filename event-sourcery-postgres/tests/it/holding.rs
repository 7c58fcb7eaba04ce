//! Entries of the outbox that are published and kept while somebody else is about to hold them.

use std::time::Duration;

use event_sourcery::backend::{Backend as _, HoldRequest};
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

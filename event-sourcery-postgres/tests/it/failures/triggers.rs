//! What goes wrong in a trigger of the user's is the user's error, and none of the store's own.

use event_sourcery::{Error, RawEvent, StreamId};
use event_sourcery_postgres::sqlx::postgres::PgDatabaseError;
use event_sourcery_postgres::{classify, sqlx};

use crate::scene::{Scene, event, events, length};

/// What a trigger does wrongly, and the server's code for it.
const WRONGS: [(&str, &str); 9] = [
    ("INSERT INTO projected (name) VALUES ('taken')", "23505"),
    ("INSERT INTO projected (name, part_of) VALUES ('new', 'nothing')", "23503"),
    ("INSERT INTO projected (name) VALUES (NULL)", "23502"),
    ("INSERT INTO projected (name, amount) VALUES ('new', -1)", "23514"),
    ("RAISE unique_violation", "23505"),
    ("RAISE foreign_key_violation", "23503"),
    ("RAISE EXCEPTION 'no'", "P0001"),
    ("INSERT INTO nowhere VALUES (1)", "42P01"),
    ("RAISE insufficient_privilege", "42501"),
];

/// A store with a table of the user's, which is written to for each row of this table of the store's.
async fn projected(table: &str, wrong: &str) -> Scene {
    let scene = Scene::new().await;
    scene
        .run(&format!(
            "CREATE TABLE projected (
                 name text PRIMARY KEY, part_of text REFERENCES projected, amount int CHECK (amount > 0));
             INSERT INTO projected VALUES ('taken');
             CREATE FUNCTION project() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 {wrong};
                 RETURN NULL;
             END $$;
             CREATE TRIGGER project AFTER INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION project()"
        ))
        .await;
    scene
}

/// The server's code, where it is the user's error, as the server tells it.
fn code_of_the_users(error: &Error) -> String {
    let Error::Backend { source, .. } = error else { panic!("{error:?}") };
    assert!(!error.is_retryable(), "{error:?}");
    let source = source.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error);
    source.and_then(|source| source.code()).unwrap().into_owned()
}

#[tokio::test]
async fn what_a_trigger_does_wrongly_is_the_users_error_and_nothing_is_tried_again() {
    for (wrong, code) in WRONGS {
        let scene = projected("event_sourcery_events", wrong).await;
        let drawn = async || scene.number("SELECT last_value FROM event_sourcery_events_id_seq").await;
        let (one, other) = (StreamId::random(), StreamId::random());

        let refused = scene.store.append(&one, event()).await.unwrap_err();
        assert_eq!(code_of_the_users(&refused), code, "{wrong}");
        assert_eq!(drawn().await, 1, "{wrong}");
        let refused = scene.store.append(&one, event()).and(&other, event()).await.unwrap_err();
        assert_eq!(code_of_the_users(&refused), code, "{wrong}");
        let mut transaction = scene.begin().await;
        let refused = scene.store.within(&mut transaction).append(&one, events(2)).await.unwrap_err();
        assert_eq!(code_of_the_users(&refused), code, "{wrong}");
        transaction.commit().await.unwrap();

        scene.run("DROP TRIGGER project ON event_sourcery_events").await;
        scene.store.append(&one, event()).await.unwrap();
        assert_eq!(length(&scene.store, &one).await, 1, "{wrong}");
    }
}

#[tokio::test]
async fn what_a_trigger_does_wrongly_with_a_snapshot_is_the_users_error() {
    for (wrong, code) in WRONGS {
        let scene = projected("event_sourcery_snapshots", wrong).await;
        let stream = StreamId::random();
        scene.store.append(&stream, event()).await.unwrap();
        let refused = scene.store.save_snapshot(&stream, 1, event()).await.unwrap_err();
        assert_eq!(code_of_the_users(&refused), code, "{wrong}");
    }
}

/// The server tells the row that does not pass. It is there for whoever asks the driver's error for it.
#[tokio::test]
async fn an_error_about_a_row_shows_nothing_of_it() {
    let scene = Scene::new().await;
    scene.run("ALTER TABLE event_sourcery_events ADD CHECK (data ->> 'diagnosis' IS NULL)").await;
    let told = || RawEvent::new("Told", r#"{"diagnosis": "appendicitis"}"#).unwrap();
    let (one, other) = (StreamId::random(), StreamId::random());
    let mut transaction = scene.begin().await;
    let own = "UPDATE event_sourcery_events SET data = '{\"diagnosis\": \"appendicitis\"}'";
    scene.store.append(&one, event()).await.unwrap();
    let refused = [
        scene.store.append(&other, told()).await.unwrap_err(),
        scene.store.append(&one, told()).expected_version(1).and(&other, event()).await.unwrap_err(),
        scene.store.within(&mut transaction).append(&other, told()).await.unwrap_err(),
        classify(sqlx::raw_sql(own).execute(&scene.pool).await.unwrap_err()),
    ];
    for refused in refused {
        assert_eq!(code_of_the_users(&refused), "23514");
        let chain = std::iter::successors(Some(&refused as &(dyn std::error::Error + 'static)), |error| {
            error.source()
        });
        for error in chain {
            let shown = format!("{error} {error:?} {error:#?}");
            assert!(shown.contains("check constraint") && !shown.contains("appendicitis"), "{shown}");
        }
        let Error::Backend { source, .. } = &refused else { panic!("{refused:?}") };
        let source = source.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error).unwrap();
        let detail = source.downcast_ref::<PgDatabaseError>().detail().unwrap();
        assert!(detail.contains("appendicitis"), "{detail}");
    }
}

/// The store has no such constraint, so nothing that it knows of tells why.
#[tokio::test]
async fn a_unique_index_that_was_added_to_the_events_is_the_users() {
    let scene = Scene::new().await;
    scene.run("CREATE UNIQUE INDEX ON event_sourcery_events ((data ->> 'invoice'))").await;
    let invoice = || RawEvent::new("Issued", r#"{"invoice": "1003"}"#).unwrap();
    scene.store.append(&StreamId::random(), invoice()).await.unwrap();
    let refused = scene.store.append(&StreamId::random(), invoice()).await.unwrap_err();
    assert_eq!(code_of_the_users(&refused), "23505");
}

/// It will refuse the append again: nobody is to try it again.
#[tokio::test]
async fn a_unique_index_that_was_added_to_the_streams_is_the_users() {
    let (scene, stream, other) = (Scene::new().await, StreamId::random(), StreamId::random());
    scene.run("CREATE UNIQUE INDEX ON event_sourcery_streams (uuid)").await;
    scene.store.append(&stream, event()).await.unwrap();
    let elsewhere = stream.in_category("invoices").unwrap();
    let refused = scene.store.append(&elsewhere, event()).await.unwrap_err();
    assert_eq!(code_of_the_users(&refused), "23505");
    let refused = scene.store.append(&elsewhere, event()).and(&other, event()).await.unwrap_err();
    assert_eq!(code_of_the_users(&refused), "23505");
    assert_eq!(scene.events().await, 1);
}

/// A deletion is refused as a whole, whenever the key is looked at.
#[tokio::test]
async fn a_foreign_key_of_the_users_onto_events_refuses_their_deletion_and_nothing_is_deleted() {
    for when in ["", "DEFERRABLE INITIALLY DEFERRED"] {
        let (scene, stream) = (Scene::new().await, StreamId::random());
        scene.store.append(&stream, events(3)).await.unwrap();
        scene
            .run(&format!(
                "CREATE TABLE audited (event bigint REFERENCES event_sourcery_events (id) {when});
                 INSERT INTO audited VALUES (2)"
            ))
            .await;
        let refused = scene.store.delete_stream(&stream).await.unwrap_err();
        assert_eq!(code_of_the_users(&refused), "23503", "{when}");
        assert_eq!(length(&scene.store, &stream).await, 3, "{when}");
        scene.store.append(&stream, event()).expected_version(3).await.unwrap();
        scene.run("DELETE FROM audited").await;
        scene.store.delete_stream(&stream).await.unwrap();
        assert_eq!(scene.events().await, 0, "{when}");
    }
}

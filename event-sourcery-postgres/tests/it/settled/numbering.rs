//! Contract 4.7: a sequence that goes back under a store that is open.

use event_sourcery::{Error, RawEvent, Result, StreamId};
use event_sourcery_postgres::sqlx;
use futures_util::future::join_all;

use super::{Reader, append, draw, settled};
use crate::scene::{Scene, event, events};

/// What the error names: the last position drawn, the highest that was given, and the statement that repairs it.
async fn is_refused(scene: &Scene, drawn: i64, highest: i64) -> String {
    let told = scene.store.position().await.unwrap_err();
    let waiting = scene.store.subscribe::<RawEvent>().after(event_sourcery::Position::from_i64(highest));
    let of_reader = waiting.stream().try_next().await;
    assert!(matches!(of_reader, Err(Error::NumberingWentBack { .. })), "{of_reader:?}");
    let Error::NumberingWentBack { drawn: found, highest: given, repair, .. } = told else {
        panic!("{told:?}")
    };
    assert_eq!((found, given), (drawn, highest));
    repair
}

#[tokio::test]
async fn a_sequence_that_is_set_back_under_a_reader_is_told_with_the_statement_that_repairs_it() {
    let scene = Scene::new().await;
    let (gone, kept) = (StreamId::random(), StreamId::random());
    scene.store.append(&gone, events(5)).await.unwrap();
    scene.store.append(&kept, events(5)).await.unwrap();
    let mut reader = Reader::of(&scene.store);
    reader.comes_to_see(&(1..=10).collect::<Vec<_>>()).await;
    scene.store.delete_stream(&gone).await.unwrap();
    scene.run("SELECT setval('event_sourcery_events_id_seq', 1, false)").await;

    let repair = is_refused(&scene, 0, 10).await;
    scene.run(&repair).await;
    let again = scene.another_store().await;
    assert_eq!(append(&again).await, 11);
    Reader::of(&again).comes_to_see(&(6..=11).collect::<Vec<_>>()).await;
}

fn is_told(told: Result<impl Sized>, highest: i64) {
    let error = told.map(drop).unwrap_err();
    let is_told = matches!(error, Error::NumberingWentBack { highest: found, .. } if found == highest);
    assert!(is_told && !error.is_retryable(), "{error:?}");
}

/// Ten positions are settled, and the events at the last three are deleted: the sequence is set to what is left.
async fn with_a_sequence_behind_what_is_settled() -> Scene {
    let scene = Scene::new().await;
    let (kept, gone) = (StreamId::random(), StreamId::random());
    scene.store.append(&kept, events(7)).await.unwrap();
    scene.store.append(&gone, events(3)).await.unwrap();
    assert_eq!(settled(&scene.store).await, 10);
    scene.store.delete_stream(&gone).await.unwrap();
    scene
        .run("SELECT setval('event_sourcery_events_id_seq', (SELECT max(id) FROM event_sourcery_events))")
        .await;
    scene
}

/// However it is appended: at once, several events, several streams, without versions, and in a transaction of the caller's.
#[tokio::test(flavor = "multi_thread")]
async fn an_append_gets_no_position_that_was_settled_and_writes_nothing() {
    for way in 0..5 {
        let scene = with_a_sequence_behind_what_is_settled().await;
        let (store, stream) = (&scene.store, StreamId::random());
        let mut joined = scene.begin().await;
        match way {
            0 => is_told(store.append(&stream, event()).await, 10),
            1 => is_told(store.append(&stream, events(5)).await, 10),
            2 => is_told(store.append(&stream, event()).and(&StreamId::random(), event()).await, 10),
            3 => is_told(store.append(&stream, event()).no_versioning().await, 10),
            _ => is_told(store.within(&mut joined).append(&stream, event()).await, 10),
        }
        // Nobody has looked in time, and the sequence has caught up.
        scene.run("SELECT setval('event_sourcery_events_id_seq', 20)").await;
        is_told(store.position().await, 10);
        is_told(store.append(&stream, event()).await, 10);
        is_told(store.within(&mut joined).append(&stream, event()).await, 10);
        joined.commit().await.unwrap();
        assert_eq!(scene.events().await, 7, "{way}");
        let again = scene.another_store().await;
        assert_eq!(append(&again).await, 21);
        Reader::of(&again).comes_to_see(&[1, 2, 3, 4, 5, 6, 7, 21]).await;
    }
}

/// More appends at a time than run alone.
#[tokio::test(flavor = "multi_thread")]
async fn appends_that_share_a_statement_get_no_position_that_was_settled() {
    let scene = with_a_sequence_behind_what_is_settled().await;
    let appends = (0..60).map(|_| scene.store.append(&StreamId::random(), event()).into_future());
    for appended in join_all(appends).await {
        match appended {
            Ok(appended) => assert!(appended.position.to_i64() > 10, "{}", appended.position),
            refused => is_told(refused, 10),
        }
    }
    is_told(scene.store.position().await, 10);
    assert_eq!(scene.number("SELECT count(*) FROM event_sourcery_events WHERE id BETWEEN 8 AND 10").await, 0);
}

/// Seen by one look, in between the appends of others.
#[tokio::test]
async fn what_a_look_has_seen_is_told_until_the_store_is_opened_again() {
    let scene = with_a_sequence_behind_what_is_settled().await;
    is_told(scene.store.position().await, 10);
    scene.run("SELECT setval('event_sourcery_events_id_seq', 20)").await;
    is_told(scene.store.position().await, 10);
    is_told(scene.store.append(&StreamId::random(), event()).await, 10);
    assert_eq!(append(&scene.another_store().await).await, 21);
}

/// It is known from when the store was opened, where nobody has looked since.
#[tokio::test]
async fn a_store_in_which_nobody_has_looked_gives_no_position_again_either() {
    let scene = Scene::new().await;
    let gone = StreamId::random();
    append(&scene.store).await;
    scene.store.append(&gone, events(9)).await.unwrap();
    let opened = scene.another_store().await;
    scene.store.delete_stream(&gone).await.unwrap();
    scene.run("SELECT setval('event_sourcery_events_id_seq', 1)").await;
    is_told(opened.append(&StreamId::random(), event()).await, 10);
}

/// A process that only appends looks at nothing, and was opened before anything was there.
#[tokio::test]
async fn a_process_that_only_appends_gives_no_position_that_was_settled_either() {
    let scene = Scene::new().await;
    let only_appends = scene.another_store().await;
    scene.store.append(&StreamId::random(), events(10)).await.unwrap();
    assert_eq!(settled(&scene.store).await, 10);
    scene.run("TRUNCATE event_sourcery_events, event_sourcery_streams RESTART IDENTITY CASCADE").await;
    is_told(only_appends.append(&StreamId::random(), event()).await, 10);
    let mut joined = scene.begin().await;
    is_told(only_appends.within(&mut joined).append(&StreamId::random(), event()).await, 10);
    joined.commit().await.unwrap();
    assert_eq!(scene.events().await, 0);
    scene.run("SELECT setval('event_sourcery_events_id_seq', 10)").await;
    assert_eq!(append(&scene.another_store().await).await, 11);
}

/// An append's position is above what was settled before it began, whatever is drawn, ended and settled meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn appends_beside_looks_are_never_told_that_numbers_went_back() {
    let scene = Scene::new().await;
    let mut early = scene.begin().await;
    sqlx::query("SELECT count(*) FROM event_sourcery_events").execute(&mut *early).await.unwrap();
    let writers = (0..8).map(|number| {
        let (store, pool) = (scene.store.clone(), scene.pool.clone());
        tokio::spawn(async move {
            for round in 0..25 {
                if number % 2 == 0 {
                    append(&store).await;
                    settled(&store).await;
                    continue;
                }
                let mut tx = pool.begin().await.unwrap();
                draw(&store, &mut tx, 2).await;
                settled(&store).await;
                draw(&store, &mut tx, 1).await;
                if round % 2 == 0 { tx.commit().await.unwrap() } else { tx.rollback().await.unwrap() }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    draw(&scene.store, &mut early, 1).await;
    early.commit().await.unwrap();
}

/// As a developer empties the store.
#[tokio::test]
async fn tables_that_are_emptied_with_their_sequence_are_told() {
    let scene = Scene::new().await;
    scene.store.append(&StreamId::random(), events(50)).await.unwrap();
    assert_eq!(settled(&scene.store).await, 50);
    scene
        .run(
            "TRUNCATE event_sourcery_events, event_sourcery_streams, event_sourcery_snapshots RESTART IDENTITY CASCADE",
        )
        .await;
    is_told(scene.store.append(&StreamId::random(), event()).await, 50);
    let repair = is_refused(&scene, 1, 50).await;
    scene.run(&repair).await;
    assert_eq!(append(&scene.another_store().await).await, 51);
}

#[tokio::test]
async fn a_negative_sequence_is_told_in_an_empty_store() {
    let scene = Scene::new().await;
    scene.run("ALTER SEQUENCE event_sourcery_events_id_seq MINVALUE -100 RESTART -5").await;
    let told = scene.store.position().await.unwrap_err();
    assert!(matches!(told, Error::NumberingWentBack { drawn: -6, highest: 0, .. }), "{told:?}");
    is_told(scene.store.append(&StreamId::random(), event()).await, 0);
    assert_eq!(scene.events().await, 0);
}

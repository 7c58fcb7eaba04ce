//! Contract 4.7: a sequence that goes back under a store that is open.

use event_sourcery::{Error, RawEvent, StreamId};

use super::{Reader, append, settled};
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
    let next = append(&scene.store).await;
    assert_eq!(next, 11);
    reader.comes_to_see(&(1..=11).collect::<Vec<_>>()).await;
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
    scene.store.append(&StreamId::random(), events(3)).await.unwrap();
    let repair = is_refused(&scene, 3, 50).await;
    scene.run(&repair).await;
    assert_eq!(append(&scene.store).await, 51);
}

#[tokio::test]
async fn a_negative_sequence_is_told_in_an_empty_store() {
    let scene = Scene::new().await;
    scene.run("ALTER SEQUENCE event_sourcery_events_id_seq MINVALUE -100 RESTART -5").await;
    let told = scene.store.position().await.unwrap_err();
    assert!(matches!(told, Error::NumberingWentBack { drawn: -6, highest: 0, .. }), "{told:?}");
    scene.store.append(&StreamId::random(), event()).await.unwrap();
    let told = scene.store.position().await.unwrap_err();
    assert!(matches!(told, Error::NumberingWentBack { drawn: -5, .. }), "{told:?}");
}

//! Sequences that are at their end.

use event_sourcery::{Error, StreamId};

use crate::scene::{Scene, event};

#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_at_its_end_says_what_to_do_and_goes_on_when_it_was_done() {
    for sequence in ["events", "streams"] {
        let scene = Scene::new().await;
        let named = format!("event_sourcery_{sequence}_id_seq");
        scene.run(&format!("ALTER SEQUENCE {named} AS integer; SELECT setval('{named}', 2147483647)")).await;
        let mut joined = scene.begin().await;
        let refused = [
            scene.store.append(&StreamId::random(), event()).await.unwrap_err(),
            scene.store.append(&StreamId::random(), event()).no_versioning().await.unwrap_err(),
            scene
                .store
                .append(&StreamId::random(), event())
                .and(&StreamId::random(), event())
                .await
                .unwrap_err(),
            scene.store.within(&mut joined).append(&StreamId::random(), event()).await.unwrap_err(),
        ];
        for refused in refused {
            let Error::NumbersUsedUp { last: 2_147_483_647, repair } = &refused else {
                panic!("{refused:?}")
            };
            assert!(repair.contains(&named) && !refused.is_retryable(), "{refused}");
        }
        assert_eq!(scene.events().await, 0);
        // It holds the sequence, as it would hold a table.
        joined.rollback().await.unwrap();
        let refused = scene.store.append(&StreamId::random(), event()).await.unwrap_err();
        let Error::NumbersUsedUp { repair, .. } = &refused else { panic!("{refused:?}") };
        scene.run(repair).await;
        let mut joined = scene.begin().await;
        scene.store.within(&mut joined).append(&StreamId::random(), event()).await.unwrap();
        joined.commit().await.unwrap();
        scene.store.append(&StreamId::random(), event()).await.unwrap();
        assert_eq!(scene.events().await, 2);
    }
}

/// What no append of ours comes to, but an import may.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_at_its_highest_version_refuses_another_event_and_writes_nothing() {
    let scene = Scene::new().await;
    let (full, nearly) = (StreamId::random(), StreamId::random());
    for (stream, version) in [(&full, 2_147_483_647_i64), (&nearly, 2_147_483_646)] {
        scene.store.append(stream, event()).await.unwrap();
        scene
            .run(&format!(
                "UPDATE event_sourcery_events SET version = {version}
                 WHERE id = (SELECT max(id) FROM event_sourcery_events);
                 UPDATE event_sourcery_streams SET version = {version}
                 WHERE id = (SELECT max(id) FROM event_sourcery_streams)"
            ))
            .await;
    }
    let mut joined = scene.begin().await;
    let of_full = || scene.store.append(&full, event()).expected_version(2_147_483_647);
    let refused = [
        of_full().await.unwrap_err(),
        scene.store.append(&nearly, [event(), event()]).expected_version(2_147_483_646).await.unwrap_err(),
        of_full().and(&StreamId::random(), event()).await.unwrap_err(),
        scene
            .store
            .within(&mut joined)
            .append(&full, event())
            .expected_version(2_147_483_647)
            .await
            .unwrap_err(),
    ];
    for refused in refused {
        assert!(matches!(refused, Error::VersionsUsedUp { .. }), "{refused:?}");
    }
    joined.rollback().await.unwrap();
    assert_eq!(scene.events().await, 2);
    let last = scene.store.append(&nearly, event()).expected_version(2_147_483_646).await.unwrap();
    assert_eq!(last.last_version, Some(2_147_483_647));
    scene.store.save_snapshot(&nearly, 2_147_483_647, event()).await.unwrap();
}

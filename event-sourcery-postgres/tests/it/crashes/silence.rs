//! Ways to the server that die in silence: no call waits for an answer that does not come, and none is ended that takes long.

use std::time::{Duration, Instant};

use event_sourcery::{Error, Event as _, RawEvent, StreamId};
use futures_util::future::join_all;
use tokio::time::timeout;
use uuid::Uuid;

use super::cut::Cut;
use super::proxy::Lost;
use crate::scene::{Scene, event, length};

/// What the tests give a call until it has to have ended: generous, and less than a system takes to give a connection up.
const IN_TIME: Duration = Duration::from_secs(120);

async fn in_time<T>(call: impl Future<Output = T>) -> T {
    timeout(IN_TIME, call).await.expect("a call waits for an answer that does not come")
}

#[tokio::test]
async fn an_append_on_a_way_that_dies_in_silence_has_an_unknown_outcome_and_its_repeat_is_recognised() {
    let cut = Cut::new(Lost::AnswerInSilence, 1).await;
    let (stream, id) = (StreamId::random(), Uuid::now_v7());
    cut.store.append(&StreamId::random(), event()).await.expect("it is prepared");
    cut.after(1).await;
    let lost = in_time(cut.store.append(&stream, event().with_id(id)).into_future()).await.unwrap_err();
    assert!(matches!(lost, Error::OutcomeUnknown { .. }), "{lost:?}");
    assert!(in_time(cut.store.append(&stream, event().with_id(id)).into_future()).await.unwrap().repeated);
    assert_eq!(length(&cut.scene.store, &stream).await, 1);
}

#[tokio::test]
async fn a_call_that_reads_on_a_way_that_dies_in_silence_is_unavailable_and_can_be_made_again() {
    let cut = Cut::new(Lost::AnswerInSilence, 1).await;
    let stream = StreamId::random();
    cut.store.append(&stream, event()).await.unwrap();
    assert_eq!(length(&cut.store, &stream).await, 1);
    cut.after(1).await;
    let lost = in_time(cut.store.load_stream::<RawEvent>(&stream).into_future()).await.unwrap_err();
    assert!(matches!(lost, Error::Unavailable { .. }) && lost.is_retryable(), "{lost:?}");
    assert_eq!(length(&cut.store, &stream).await, 1);
    cut.after(1).await;
    // All who ask share the look that waits in vain.
    for asked in in_time(join_all((0..5).map(|_| cut.store.position()))).await {
        assert!(matches!(asked, Ok(_) | Err(Error::Unavailable { .. })), "{asked:?}");
    }
    in_time(cut.store.position()).await.unwrap();
}

/// A page takes several statements of one moment. Whether the n-th of them was lost.
async fn page_with_a_loss_at(n: i64) -> bool {
    let cut = Cut::new(Lost::AnswerInSilence, 1).await;
    let stream = StreamId::random();
    cut.store.append(&stream, event()).await.unwrap();
    cut.after(n).await;
    let page = async || cut.store.load_stream::<RawEvent>(&stream).stream().try_next().await;
    let read = in_time(page()).await;
    assert!(matches!(read, Err(Error::Unavailable { .. }) | Ok(Some(_))), "lost at {n}: {read:?}");
    let was_lost = cut.proxy.has_cut();
    cut.proxy.cut(0);
    assert!(in_time(page()).await.unwrap().is_some(), "lost at {n}");
    was_lost
}

#[tokio::test]
async fn a_page_on_a_way_that_dies_in_silence_can_be_read_again_whatever_was_lost_of_it() {
    let lost = join_all((1..=8).map(page_with_a_loss_at)).await;
    assert!(lost.iter().take(3).all(|lost| *lost) && lost.last() == Some(&false), "{lost:?}");
}

#[tokio::test]
async fn appends_that_share_a_way_that_dies_in_silence_are_each_written_once() {
    for n in [1, 3, 6] {
        let cut = Cut::new(Lost::AnswerInSilence, 3).await;
        let (store, id) = (&cut.store, Uuid::now_v7());
        let append = async |number: u128| {
            let id = Uuid::from_u128(id.as_u128() + number);
            let append = || store.append(&StreamId::from_uuid(id), event().with_id(id)).into_future();
            match in_time(append()).await {
                // Busy is who has waited for his turn. Nobody else may be told that nothing was written.
                Err(Error::OutcomeUnknown { .. } | Error::Busy { .. }) => in_time(append()).await.map(drop),
                appended => appended.map(drop),
            }
        };
        cut.after(n).await;
        for appended in join_all((0..40).map(append)).await {
            appended.unwrap();
        }
        assert!(cut.proxy.has_cut());
        assert_eq!(cut.scene.events().await, 40, "cut at {n}");
    }
}

#[tokio::test]
async fn what_takes_long_is_waited_for_as_long_as_the_server_is_at_work() {
    let scene = Scene::new().await;
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
                    'BEGIN PERFORM pg_sleep(12); RETURN NEW; END';
                CREATE TRIGGER slow BEFORE INSERT ON event_sourcery_events FOR EACH ROW EXECUTE FUNCTION slow()";
    scene.run(slow).await;
    let begun = Instant::now();
    scene.store.append(&StreamId::random(), event()).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(12));
}

//! Clauses 3.4, 8.1, 8.8 and 12.2: a row that cannot be read is an error of its event, and stops nobody but its stream.

use std::sync::Arc;

use event_sourcery::backend::Backend;
use event_sourcery::testing::FaultyBackend;
use event_sourcery::{CommandError, Error, EventStore, Position, QueryItem, RawEvent, Select};

use super::ledger::{Ledgers as _, Noted, ledger, noted, notes, number};
use super::running::{Handled, Running, SOON, eventually, letters};
use super::subject::Subject;
use super::subscribing::InTime as _;
use super::tagging::{tag, tagged};

/// A store in which the third of four events of a ledger cannot be read; another ledger was begun before and goes on behind.
struct Scene {
    backend: FaultyBackend<Arc<dyn Backend>>,
    store: EventStore,
    lost: Position,
}

impl Scene {
    async fn new(subject: &Subject) -> Self {
        let backend = subject.faulty().backend().clone();
        let erased: Arc<dyn Backend> = Arc::new(backend.clone());
        let store = EventStore::new(erased);
        store.append(&ledger("other"), noted(11)).await.unwrap();
        store.append(&ledger("1"), notes(1..=4)).await.unwrap();
        let last = store.append(&ledger("other"), notes(12..=13)).expected_version(1).await.unwrap();
        let lost = store.records(last.position).await[3].position;
        backend.lose(lost);
        Self { backend, store, lost }
    }

    fn assert_names(&self, error: &Error) {
        assert!(
            matches!(error, Error::InvalidEvent { name, stream, version: Some(3), position, problem }
                if name == "noted" && *stream == ledger("1") && *position == self.lost && problem.contains("lost")),
            "{error:?}"
        );
    }
}

pub(super) async fn clause_3_4_a_row_that_cannot_be_read_is_an_error_of_its_event_alone(subject: Subject) {
    let scene = Scene::new(&subject).await;
    let (store, stream) = (&scene.store, ledger("1"));
    scene.assert_names(&store.load_stream::<Noted>(&stream).await.unwrap_err());
    scene.assert_names(&store.load_stream::<RawEvent>(&stream).full_history().await.unwrap_err());
    assert_eq!(store.load_stream::<Noted>(&stream).versions(1..3).await.unwrap().len(), 2);
    assert_eq!(store.load_stream::<Noted>(&stream).versions(4..).await.unwrap().len(), 1);
    assert_eq!(store.numbers(&ledger("other")).await, [11, 12, 13]);
    let mut one_by_one = store.load_stream::<Noted>(&stream).stream();
    for expected in 1..=2 {
        assert_eq!(one_by_one.try_next().await.unwrap().unwrap().event, noted(expected));
    }
    scene.assert_names(&one_by_one.try_next().await.unwrap_err());
    store.append(&stream, noted(5)).expected_version(4).await.unwrap();
}

pub(super) async fn clause_3_4_what_stands_before_a_row_that_cannot_be_read_is_handed_over_and_reading_goes_on_behind_it(
    subject: Subject,
) {
    let scene = Scene::new(&subject).await;
    let mut all = scene.store.read_all::<RawEvent>().stream();
    for expected in [11, 1, 2] {
        assert_eq!(number(&all.try_next().await.unwrap().unwrap()), expected);
    }
    let error = all.try_next().await.unwrap_err();
    scene.assert_names(&error);
    let Error::InvalidEvent { position, .. } = error else { unreachable!("it was looked at") };
    let rest = scene.store.records_after(position).await;
    assert_eq!(rest.iter().map(number).collect::<Vec<_>>(), [4, 12, 13]);
}

pub(super) async fn clause_8_1_what_stands_before_a_row_that_cannot_be_read_is_handed_over(subject: Subject) {
    let scene = Scene::new(&subject).await;
    let mut subscription = scene.store.subscribe::<RawEvent>().stream();
    for expected in [11, 1, 2] {
        assert_eq!(number(&subscription.next_event().await), expected);
    }
    scene.assert_names(&subscription.try_next().await.unwrap_err());

    let mut batches = scene.store.subscribe::<RawEvent>().batches(10);
    let batch = batches.next(SOON).await.unwrap();
    assert_eq!(batch.events.iter().map(number).collect::<Vec<_>>(), [11, 1, 2]);
    scene.assert_names(&batches.next(SOON).await.unwrap_err());
}

pub(super) async fn clause_8_8_a_row_that_cannot_be_read_is_parked_and_other_streams_go_on(subject: Subject) {
    let scene = Scene::new(&subject).await;
    let (store, stream, handled) = (&scene.store, ledger("1"), Handled::default());
    let run = Running::noting(letters(store), &handled);
    handled.reach(5).await;
    assert_eq!(handled.numbers(), [11, 1, 2, 12, 13]);
    let parked = letters(store).parked().await.unwrap();
    let [parked] = &parked[..] else { panic!("parked are {parked:?}") };
    assert_eq!((&parked.stream, parked.position, parked.retry_at), (&stream, scene.lost, None));
    assert!(parked.error.contains("lost"), "{}", parked.error);

    // Tried again, it is parked again, and nobody else is disturbed.
    letters(store).replay(parked).await.unwrap();
    eventually("it is parked again", async || !letters(store).parked().await.unwrap().is_empty()).await;
    store.append(&ledger("other"), noted(14)).expected_version(3).await.unwrap();
    store.append(&stream, noted(5)).expected_version(4).await.unwrap();
    handled.reach(6).await;
    assert_eq!(handled.of(&stream), [1, 2]);

    scene.backend.find(scene.lost);
    let parked = letters(store).parked().await.unwrap();
    letters(store).replay(&parked[0]).await.unwrap();
    handled.reach(9).await;
    run.stop().await;
    assert_eq!(handled.of(&stream), [1, 2, 3, 4, 5]);
    assert!(letters(store).blocked().await.unwrap().is_empty());
}

pub(super) async fn clause_8_8_a_row_that_cannot_be_read_behind_a_parked_event_is_parked_in_its_turn(
    subject: Subject,
) {
    let scene = Scene::new(&subject).await;
    let (store, stream, handled) = (&scene.store, ledger("1"), Handled::default());
    let run = Running::planned(letters(store), &handled, |item, before| match item.number {
        2 if before < 3 => Err("not yet".into()),
        _ => Ok(()),
    });
    eventually("the one before it is parked", async || !letters(store).parked().await.unwrap().is_empty())
        .await;
    let parked = letters(store).parked().await.unwrap();
    letters(store).replay(&parked[0]).await.unwrap();
    eventually("it is parked in its turn", async || {
        letters(store).parked().await.unwrap().iter().any(|parked| parked.position == scene.lost)
    })
    .await;
    assert_eq!(handled.of(&stream), [1, 2, 2, 2, 2]);

    let parked = letters(store).parked().await.unwrap();
    letters(store).skip(&parked[0]).await.unwrap();
    eventually("what stands behind it is handled", async || handled.of(&stream).last() == Some(&4)).await;
    run.stop().await;
    assert!(letters(store).blocked().await.unwrap().is_empty());
}

pub(super) async fn clause_12_2_a_dry_run_counts_a_row_that_cannot_be_read_and_goes_on(subject: Subject) {
    let scene = Scene::new(&subject).await;
    let found = scene.store.verify::<Noted>().await.unwrap();
    assert_eq!((found.read(), found.failed()), (7, 1));
    assert_eq!(found.failures[0].position, scene.lost);
    scene.assert_names(&found.failures[0].problem);
}

/// Nobody can tell which tags it has. And nothing is decided without it.
pub(super) async fn clause_17_1_who_reads_by_tags_or_by_a_query_is_told_of_a_row_that_cannot_be_read(
    subject: Subject,
) {
    let scene = Scene::new(&subject).await;
    let last = scene.store.append(&ledger("2"), tagged(21, &["course:c1"])).await.unwrap();
    scene.store.settled(last.position).await;
    let by_tag = || scene.store.read_all::<RawEvent>().tagged(tag("course:c1"));
    scene.assert_names(&by_tag().stream().try_next().await.unwrap_err());
    let mut behind = by_tag().after(scene.lost).stream();
    assert_eq!(number(&behind.try_next().await.unwrap().unwrap()), 21);
    assert!(behind.try_next().await.unwrap().is_none());

    let query = QueryItem::new().of::<Noted>().into();
    scene.assert_names(&scene.store.read::<Noted>(&query).await.unwrap_err());
    let all = Select::<Noted>::all().fold((), |(), _| {});
    match scene.store.decide(all, |(), _| Ok::<_, ()>(())).await {
        Err(CommandError::Store(error)) => scene.assert_names(&error),
        decided => panic!("{decided:?}"),
    }
}

//! Clauses 5.1 and 5.2 for streams that are too long to be removed at once.

use event_sourcery::backend::{BacklogRequest, Expectation, Filter, Span, SubscriptionBackend as _};
use event_sourcery::{AppendPosition, Event as _, EventStore, NewEvent, Position, StreamId};
use uuid::Uuid;

use super::ledger::{
    Ledgers as _, Noted, append_request, category, delete_request, ledger, load_request, noted,
};
use super::steps::{Answer, Ending, Step};
use super::subject::Subject;

/// How many events such a stream has.
const LONG: u64 = 12_000;

fn long() -> StreamId {
    ledger("long").in_category("red").unwrap()
}

/// Each has the same id whenever it is made.
fn event(number: u64) -> NewEvent<Noted> {
    noted(number).with_id(Uuid::from_u128(u128::from(number) + 1))
}

fn events(first: u64, end: u64) -> Vec<NewEvent<Noted>> {
    (first..end).map(event).collect()
}

async fn with_long(store: &EventStore) -> AppendPosition {
    let mut last = None;
    for first in (0..LONG).step_by(1_000) {
        let append = store.append(&long(), events(first, first + 1_000)).expected_version(first);
        last = Some(append.await.unwrap().position);
    }
    last.unwrap()
}

pub(super) async fn clause_5_1_a_long_streams_events_are_gone_from_every_read_at_once(subject: Subject) {
    let (store, another, other) = (subject.store(), subject.another_store().await, ledger("other"));
    with_long(&store).await;
    let last = store.append(&other, noted(LONG)).await.unwrap().position;
    store.settled(last).await;
    store.delete_stream(&long()).await.unwrap();
    for store in [&store, &another] {
        assert!(store.numbers(&long()).await.is_empty());
        assert_eq!(store.version(&long()).await.unwrap(), None);
        let records = store.records_after(Position::START).await;
        assert_eq!(records.iter().map(|record| &record.stream_id).collect::<Vec<_>>(), [&other]);
        let red = store.read_all::<Noted>().category(category("red")).stream().try_next().await.unwrap();
        assert!(red.is_none(), "{red:?}");
        let backlog = BacklogRequest::new(Position::START, Filter::default());
        assert_eq!(store.backend().backlog(backlog).await.unwrap().events, 1);
    }
    store.delete_stream(&long()).await.unwrap();
    assert!(last.is_covered_by(store.position().await.unwrap()), "what was settled stays settled");
}

pub(super) async fn clause_5_2_a_long_stream_is_made_anew_at_once_also_with_the_same_ids(subject: Subject) {
    let store = subject.store();
    with_long(&store).await;
    store.delete_stream(&long()).await.unwrap();
    let again = || events(LONG - 500, LONG);
    let appended = store.append(&long(), again()).await.unwrap();
    assert_eq!((appended.first_version, appended.repeated), (Some(1), false));
    assert!(store.append(&long(), again()).await.unwrap().repeated);
    // By now most of what was deleted is removed, or all: it takes none of these with it.
    store.delete_stream(&ledger("none")).await.unwrap();
    store.settled(appended.position).await;
    let numbers: Vec<_> = (LONG - 500..LONG).collect();
    assert_eq!(store.numbers(&long()).await, numbers);
    assert_eq!(store.records_after(Position::START).await.len(), numbers.len());
    store.delete_stream(&long()).await.unwrap();
    assert!(store.records_after(Position::START).await.is_empty());
}

pub(super) async fn clause_2_11_a_long_deletion_that_is_rolled_back_has_removed_nothing(subject: Subject) {
    let store = subject.store();
    with_long(&store).await;
    let load = || load_request(&long(), Span::Last);
    let steps = vec![
        Step::Delete(delete_request(&long())),
        Step::Load(load()),
        Step::Append(append_request(&long(), Expectation::Version(0), &[7])),
        Step::Delete(delete_request(&long())),
        Step::Load(load()),
    ];
    let answers = subject.transaction(steps, Ending::Fail).await.unwrap();
    let loaded = answers.iter().filter_map(|answer| match answer {
        Ok(Answer::Loaded(loaded)) => Some(loaded.events.len()),
        _ => None,
    });
    assert_eq!(loaded.collect::<Vec<_>>(), [0, 0]);
    assert_eq!(store.numbers(&long()).await, (0..LONG).collect::<Vec<_>>());
    assert!(store.append(&long(), events(0, 1_000)).await.unwrap().repeated, "they have their ids still");
}

//! Clause 11.2 where commands are repeated: each takes effect once for its key.

use std::time::Duration;

use event_sourcery::{CommandError, Emitting, Error, NewEvent, RawEvent, Repository};

use super::ledger::{Ledgers as _, tenant};
use super::subject::Subject;
use super::tally::{Tally, TooMuch, stream_of, tallies, tally};

pub(super) async fn clause_11_2_a_command_takes_effect_once_for_each_key(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    let (tallies, other) = (tallies(&store), tally("2"));
    let command = |tally: &mut Emitting<Tally>| Tally::note_all([5, tally.sum])(tally).map(|()| tally.sum);
    let first = tallies.aggregate(&id, command).idempotency_key("request 1").await.unwrap();
    tallies.aggregate(&id, Tally::note(1)).await.unwrap();
    let again = tallies.aggregate(&id, command).idempotency_key("request 1").await.unwrap();
    assert_eq!((first.value, again.value), (5, 5));
    let (first, again) = (first.appended.unwrap(), again.appended.unwrap());
    assert_eq!((first.repeated, again.repeated), (false, true));
    assert_eq!((first.last_version, first.position), (again.last_version, again.position));
    // Another key, another aggregate and another tenant are other commands.
    tallies.aggregate(&id, Tally::note(2)).idempotency_key("request 2").await.unwrap();
    tallies.aggregate(&other, command).idempotency_key("request 1").await.unwrap();
    let acme = store.for_tenant(tenant("acme"));
    tallies.on(&acme).aggregate(&id, command).idempotency_key("request 1").await.unwrap();
    assert_eq!(store.numbers(&stream_of(&id)).await, [5, 0, 1, 2]);
    assert_eq!(store.numbers(&stream_of(&other)).await, [5, 0]);
    assert_eq!(acme.numbers(&stream_of(&id)).await, [5, 0]);
}

pub(super) async fn clause_11_2_a_key_of_another_command_is_refused(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    let tallies = tallies(&store);
    let keyed = async |numbers: Vec<u64>| {
        tallies.aggregate(&id, Tally::note_all(numbers)).idempotency_key("request").await
    };
    keyed(vec![1, 2]).await.unwrap();
    // Another event; fewer, or none; more; one that is rejected.
    for other in [vec![2, 2], vec![1], vec![], vec![1, 2, 3], vec![Tally::MOST + 1]] {
        let refused = keyed(other.clone()).await;
        let is_reused = matches!(
            &refused,
            Err(CommandError::Store(Error::KeyReused { key, stream }))
                if key == "request" && *stream == stream_of(&id)
        );
        assert!(is_reused, "{other:?}: {refused:?}");
    }
    assert!(keyed(vec![1, 2]).await.unwrap().appended.unwrap().repeated);
    assert_eq!(store.numbers(&stream_of(&id)).await, [1, 2]);
}

/// No look finds them there: the command must not look for ever.
pub(super) async fn clause_11_2_a_key_whose_events_are_in_another_stream_by_now_is_refused(subject: Subject) {
    let (store, id, elsewhere) = (subject.store(), tally("1"), tally("2"));
    let tallies = tallies(&store);
    let command = || tallies.aggregate(&id, Tally::note(1)).idempotency_key("request");
    command().await.unwrap();
    let events = store.load_stream::<RawEvent>(&stream_of(&id)).await.unwrap();
    store.delete_stream(&stream_of(&id)).await.unwrap();
    let moved = events.into_iter().map(|event| NewEvent::new(event.event).with_id(event.uuid));
    store.append(&stream_of(&elsewhere), moved.collect::<Vec<_>>()).await.unwrap();
    let refused = tokio::time::timeout(Duration::from_secs(20), command()).await.unwrap();
    assert!(matches!(refused, Err(CommandError::Store(Error::DuplicateEvent { .. }))), "{refused:?}");
    assert!(store.numbers(&stream_of(&id)).await.is_empty());
}

/// The client of a request that is under way asks again: the second one looks for the key, the first one commits, and the
/// second one decides on what the first one has left.
pub(super) async fn clause_11_2_of_one_command_twice_at_once_both_return_what_the_first_one_did(
    subject: Subject,
) {
    let id = tally("1");
    let overtaken = |tallies: Repository<Tally>, key: String, others: Option<Repository<Tally>>| {
        let id = id.clone();
        async move {
            let mut others = others;
            let command = |tally: &mut Emitting<Tally>| {
                if let Some(others) = others.take() {
                    let first = async {
                        let first = others.aggregate(&id, next).idempotency_key(&*key).await;
                        first.unwrap();
                        others.aggregate(&id, Tally::note(50)).await.unwrap();
                    };
                    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(first));
                }
                next(tally)
            };
            tallies.aggregate(&id, command).idempotency_key(&*key).await.unwrap()
        }
    };
    for round in 0..3 {
        let (one, other) = (tallies(&subject.store()), tallies(&subject.another_store().await));
        let key = format!("round {round}");
        let before = one.load(&id).await.unwrap().sum;
        let executed = overtaken(one.retries(0), key, Some(other)).await;
        assert_eq!(executed.value, 2 * before + 1);
        assert!(executed.appended.unwrap().repeated);
    }
    assert_eq!(subject.store().numbers(&stream_of(&id)).await, [1, 50, 52, 50, 154, 50]);
}

/// A command whose event and value depend on the state.
fn next(tally: &mut Emitting<Tally>) -> Result<u64, TooMuch> {
    Tally::note(tally.sum + 1)(tally)
}

pub(super) async fn clause_11_2_of_one_command_many_times_at_once_one_takes_effect(subject: Subject) {
    let id = tally("1");
    for round in 0..5 {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let (tallies, id) = (tallies(&subject.another_store().await), id.clone());
            let key = format!("round {round}");
            tasks.spawn(async move { tallies.aggregate(&id, next).idempotency_key(key).await.unwrap() });
        }
        let executed = tasks.join_all().await;
        assert_eq!(executed.iter().filter(|one| !one.appended.unwrap().repeated).count(), 1);
        assert!(executed.iter().all(|one| one.value == executed[0].value), "{executed:?}");
    }
    assert_eq!(subject.store().numbers(&stream_of(&id)).await, [1, 2, 4, 8, 16]);
}

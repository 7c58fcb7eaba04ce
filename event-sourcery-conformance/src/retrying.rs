//! Clause 2.7 where it matters: a client that lost answers and tries again, with the same ids, until it gets one.

use event_sourcery::testing::{Fault, FaultyBackend};
use event_sourcery::{Appended, Error, Event as _, EventStore, NewEvent, Version};
use uuid::Uuid;

use super::ledger::{Ledgers as _, Noted, ledger, noted, repeated};
use super::subject::Subject;

/// A client that appends batches of three, and the store that fails it.
struct Client {
    store: EventStore<FaultyBackend<std::sync::Arc<dyn event_sourcery::backend::Backend>>>,
    versioned: bool,
}

impl Client {
    fn new(subject: &Subject, versioned: bool) -> Self {
        Self { store: EventStore::new(FaultyBackend::new(subject.backend().clone())), versioned }
    }

    /// The batch's events: the same each time, ids included.
    fn batch(number: u64) -> Vec<NewEvent<Noted>> {
        let numbers = number * 3 + 1..=number * 3 + 3;
        numbers.map(|number| noted(number).with_id(Uuid::from_u128(u128::from(number)))).collect()
    }

    async fn try_append(&self, number: u64) -> Result<Appended, Error> {
        let stream = ledger("1");
        let append = self.store.append(&stream, Self::batch(number));
        if self.versioned { append.expected_version(number * 3).await } else { append.no_versioning().await }
    }

    /// Appends a batch, trying again until it is acknowledged; how often it was tried, and the acknowledgement.
    async fn append(&self, number: u64) -> (u32, Appended) {
        for tries in 1.. {
            match self.try_append(number).await {
                Ok(appended) => return (tries, appended),
                Err(Error::Backend { .. }) => {}
                Err(other) => panic!("a retry was answered with {other}"),
            }
        }
        unreachable!("an append is acknowledged at some time")
    }
}

async fn assert_each_event_is_there_once(subject: &Subject, batches: u64) {
    let expected: Vec<_> = (1..=batches * 3).collect();
    assert_eq!(subject.store().numbers(&ledger("1")).await, expected);
    subject.holds(expected.len()).await;
}

async fn retry_each_call(subject: &Subject, fault: Fault, versioned: bool) {
    const BATCHES: u64 = 4;
    for failing in 1..=BATCHES {
        let client = Client::new(subject, versioned);
        client.store.backend().fail(failing, fault);
        for number in 0..BATCHES {
            let (tries, appended) = client.append(number).await;
            let is_hit = number + 1 == failing;
            assert_eq!(tries, if is_hit { 2 } else { 1 });
            assert_eq!(appended.repeated, is_hit && fault == Fault::After);
            let versions = versioned.then_some((number * 3 + 1, number * 3 + 3));
            let (first, last): (Option<Version>, Option<Version>) = versions.unzip();
            assert_eq!((appended.first_version, appended.last_version), (first, last));
        }
        assert_each_event_is_there_once(subject, BATCHES).await;
        subject.store().delete_stream(&ledger("1")).await.unwrap();
    }
}

pub(super) async fn clause_2_7_a_client_that_lost_the_answer_can_retry(subject: Subject) {
    retry_each_call(&subject, Fault::After, true).await;
    retry_each_call(&subject, Fault::After, false).await;
}

pub(super) async fn clause_2_7_a_client_whose_call_did_not_arrive_can_retry(subject: Subject) {
    retry_each_call(&subject, Fault::Before, true).await;
    retry_each_call(&subject, Fault::Before, false).await;
}

pub(super) async fn clause_2_7_many_answers_can_be_lost_in_a_row(subject: Subject) {
    let client = Client::new(&subject, true);
    for (nth, fault) in (1..).zip([Fault::Before, Fault::After, Fault::Before, Fault::After, Fault::After]) {
        client.store.backend().fail(nth, fault);
    }
    let (tries, appended) = client.append(0).await;
    assert!(appended.repeated);
    assert_eq!((tries, client.store.backend().calls()), (6, 6));
    assert_each_event_is_there_once(&subject, 1).await;
}

pub(super) async fn clause_2_7_others_may_append_between_the_loss_and_the_retry(subject: Subject) {
    let client = Client::new(&subject, true);
    client.store.backend().fail(1, Fault::After);
    assert_refused!(client.try_append(0).await, Error::Backend { .. });
    let other = subject.another_store().await;
    other.append(&ledger("1"), noted(4)).expected_version(3).await.unwrap();
    let appended = client.try_append(0).await.unwrap();
    assert_eq!((appended.first_version, appended.last_version, appended.repeated), (Some(1), Some(3), true));
    assert_eq!(other.numbers(&ledger("1")).await, [1, 2, 3, 4]);
}

pub(super) async fn clause_2_7_a_retry_that_others_overtook_gets_the_conflict(subject: Subject) {
    let client = Client::new(&subject, true);
    client.store.backend().fail(1, Fault::Before);
    assert_refused!(client.try_append(0).await, Error::Backend { .. });
    subject.store().append(&ledger("1"), noted(9)).await.unwrap();
    assert_refused!(client.try_append(0).await, Error::Conflict { expected: 0, actual: 1, .. });
}

pub(super) async fn clause_2_7_the_same_append_twice_at_once_is_written_once(subject: Subject) {
    let (store, another) = (subject.store(), subject.another_store().await);
    for round in 0..10 {
        let stream = ledger(&format!("round {round}"));
        let attempts = (0..6).map(|attempt| {
            let (store, stream) = ([&store, &another][attempt % 2].clone(), stream.clone());
            let events =
                [1, 2].map(|number| noted(number as u64).with_id(Uuid::from_u128(round * 10 + number)));
            tokio::spawn(async move { store.append(&stream, events).await.unwrap() })
        });
        let appended: Vec<_> = futures_util::future::join_all(attempts)
            .await
            .into_iter()
            .map(|joined| joined.unwrap())
            .collect();
        assert_eq!(appended.iter().filter(|appended| !appended.repeated).count(), 1, "{appended:?}");
        for each in &appended {
            assert_eq!(repeated(*each), repeated(appended[0]));
        }
        assert_eq!(store.numbers(&stream).await, [1, 2]);
    }
}

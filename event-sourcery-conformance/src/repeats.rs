//! Clause 2.7: an append that is made again.

use event_sourcery::{Appended, Error, Event, EventStore, NewEvent, RawEvent, Result, StreamId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ledger::{Ledgers as _, Noted, ledger, noted, notes, repeated, tenant};
use super::subject::Subject;

/// Notes whose ids are their numbers.
fn identified(numbers: impl IntoIterator<Item = u64>) -> Vec<NewEvent<Noted>> {
    numbers.into_iter().map(|number| noted(number).with_id(id(number))).collect()
}

fn id(number: u64) -> Uuid {
    Uuid::from_u128(u128::from(number))
}

/// A ledger of the numbers 1 to 6, written as 1, 2 | 3, 4, 5 | 6.
async fn written_in_three(store: &EventStore) -> (StreamId, [Appended; 3]) {
    let stream = ledger("1");
    let first = store.append(&stream, identified([1, 2])).await.unwrap();
    let second = store.append(&stream, identified([3, 4, 5])).expected_version(2).await.unwrap();
    let third = store.append(&stream, identified([6])).expected_version(5).await.unwrap();
    (stream, [first, second, third])
}

/// Asserts that an append is refused as something other than a repeat, naming a stored id, and wrote nothing.
async fn assert_duplicate(subject: &Subject, to: &StreamId, refused: Result<Appended>, names: &[u64]) {
    assert_refused!(
        refused,
        Error::DuplicateEvent { event_id, stream, .. }
            if stream == *to && names.iter().any(|number| id(*number) == event_id),
    );
    subject.holds(6).await;
    assert_eq!(subject.store().ids(&ledger("1")).await, [1, 2, 3, 4, 5, 6].map(id));
}

pub(super) async fn clause_2_7_a_repeat_returns_what_it_has_and_writes_nothing(subject: Subject) {
    let store = subject.store();
    let (stream, [first, second, third]) = written_in_three(&store).await;
    for _ in 0..3 {
        let repeat = store.append(&stream, identified([1, 2])).await.unwrap();
        assert_eq!(repeat, repeated(first));
        let repeat = store.append(&stream, identified([3, 4, 5])).expected_version(2).await.unwrap();
        assert_eq!(repeat, repeated(second));
        let repeat = store.append(&stream, identified([6])).expected_version(5).await.unwrap();
        assert_eq!(repeat, repeated(third));
    }
    assert_eq!(store.numbers(&stream).await, [1, 2, 3, 4, 5, 6]);
    subject.holds(6).await;
}

pub(super) async fn clause_2_7_a_repeat_is_recognised_by_another_handle(subject: Subject) {
    let (store, another) = (subject.store(), subject.another_store().await);
    let (stream, [_, second, _]) = written_in_three(&store).await;
    let repeat = another.append(&stream, identified([3, 4, 5])).expected_version(2).await.unwrap();
    assert_eq!(repeat, repeated(second));
}

pub(super) async fn clause_2_7_a_repeat_is_recognised_whatever_version_it_expects(subject: Subject) {
    let store = subject.store();
    let (stream, [_, second, _]) = written_in_three(&store).await;
    for expected in [None, Some(1), Some(6), Some(99)] {
        let repeat = store.append(&stream, identified([3, 4, 5])).expected_version(expected).await.unwrap();
        assert_eq!(repeat, repeated(second));
    }
    subject.holds(6).await;
}

pub(super) async fn clause_2_7_a_repeat_of_an_append_without_versions_is_recognised(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let first = store.append(&stream, identified([1, 2])).no_versioning().await.unwrap();
    store.append(&stream, identified([3])).no_versioning().await.unwrap();
    let repeat = store.append(&stream, identified([1, 2])).no_versioning().await.unwrap();
    assert_eq!(repeat, repeated(first));
    assert_eq!(store.numbers(&stream).await, [1, 2, 3]);
    assert_refused!(
        store.append(&stream, identified([1, 3])).no_versioning().await,
        Error::DuplicateEvent { .. },
    );
}

pub(super) async fn clause_2_7_only_some_of_the_ids_present_is_a_duplicate(subject: Subject) {
    let store = subject.store();
    let (stream, _) = written_in_three(&store).await;
    for (numbers, present) in [(vec![6, 7], vec![6]), (vec![7, 6], vec![6]), (vec![7, 1, 8], vec![1])] {
        let refused = store.append(&stream, identified(numbers)).expected_version(6).await;
        assert_duplicate(&subject, &stream, refused, &present).await;
    }
}

pub(super) async fn clause_2_7_the_ids_in_another_order_are_a_duplicate(subject: Subject) {
    let store = subject.store();
    let (stream, _) = written_in_three(&store).await;
    for numbers in [[3, 5, 4], [5, 4, 3], [4, 3, 5]] {
        let refused = store.append(&stream, identified(numbers)).expected_version(2).await;
        assert_duplicate(&subject, &stream, refused, &[3, 4, 5]).await;
    }
}

pub(super) async fn clause_2_7_ids_that_are_not_next_to_each_other_are_a_duplicate(subject: Subject) {
    let store = subject.store();
    let (stream, _) = written_in_three(&store).await;
    for numbers in [[3, 5], [1, 6], [2, 4]] {
        let refused = store.append(&stream, identified(numbers)).expected_version(2).await;
        assert_duplicate(&subject, &stream, refused, &[1, 2, 3, 4, 5, 6]).await;
    }
}

pub(super) async fn clause_2_7_other_streams_between_leave_a_repeat_a_repeat(subject: Subject) {
    let (store, stream, other) = (subject.store(), ledger("1"), ledger("2"));
    store.append(&stream, identified([1])).no_versioning().await.unwrap();
    store.append(&other, notes([7])).no_versioning().await.unwrap();
    let second = store.append(&stream, identified([2])).no_versioning().await.unwrap();
    let repeat = store.append(&stream, identified([1, 2])).no_versioning().await.unwrap();
    assert_eq!(repeat, repeated(second));
}

pub(super) async fn clause_2_7_the_ids_in_another_stream_are_a_duplicate(subject: Subject) {
    let store = subject.store();
    let (stream, _) = written_in_three(&store).await;
    let elsewhere = [ledger("2"), stream.clone().in_category("red").unwrap()];
    for other in &elsewhere {
        let refused = store.append(other, identified([1, 2])).await;
        assert_duplicate(&subject, other, refused, &[1, 2]).await;
        assert!(store.numbers(other).await.is_empty());
    }
    let acme = store.for_tenant(tenant("acme"));
    let refused = acme.append(&stream, identified([1, 2])).await;
    assert_duplicate(&subject, &stream, refused, &[1, 2]).await;
    assert!(acme.numbers(&stream).await.is_empty());
}

pub(super) async fn clause_2_7_the_ids_with_another_payload_are_a_duplicate(subject: Subject) {
    let store = subject.store();
    let (stream, _) = written_in_three(&store).await;
    let changed = vec![noted(3).with_id(id(3)), noted(4).with_id(id(4)), noted(55).with_id(id(5))];
    let refused = store.append(&stream, changed).expected_version(2).await;
    assert_duplicate(&subject, &stream, refused, &[3, 4, 5]).await;
}

pub(super) async fn clause_2_7_the_ids_with_another_type_are_a_duplicate(subject: Subject) {
    let store = subject.store();
    let (stream, _) = written_in_three(&store).await;
    let renamed = RawEvent::new("erased", r#"{"number":6}"#).unwrap().with_id(id(6));
    let refused = store.append(&stream, renamed).expected_version(5).await;
    assert_duplicate(&subject, &stream, refused, &[6]).await;
}

pub(super) async fn clause_2_7_a_payload_that_is_equal_but_written_otherwise_is_a_repeat(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let write = |text: &str| RawEvent::new("priced", text).unwrap().with_id(id(1));
    let first = store.append(&stream, write(r#"{"a":1,"b":{"x":"é","y":[1,2.5]}}"#)).await.unwrap();
    for text in
        [r#"{"b":{"y":[1,2.5],"x":"\u00e9"},"a":1}"#, "{ \"b\" : {\"x\":\"é\", \"y\":[1, 25e-1]},\n\"a\": 1}"]
    {
        let repeat = store.append(&stream, write(text)).await.unwrap();
        assert_eq!(repeat, repeated(first), "{text}");
    }
    for text in [r#"{"a":1,"b":{"x":"é","y":[2.5,1]}}"#, r#"{"a":1,"b":{"x":"é","y":[1,2.5]},"c":null}"#] {
        assert_refused!(store.append(&stream, write(text)).await, Error::DuplicateEvent { .. });
    }
}

/// A note of a later version of the application.
#[derive(Event, Serialize, Deserialize)]
#[event(name = "noted in full", alias = "noted")]
struct NotedInFull {
    number: u64,
    #[serde(default)]
    remark: String,
}

pub(super) async fn clause_2_7_a_field_added_with_a_default_leaves_a_repeat_a_repeat(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let write = |text: &str| RawEvent::new("noted in full", text).unwrap().with_id(id(1));
    let first = store.append(&stream, write(r#"{"number":1}"#)).await.unwrap();
    let note = |remark: &str| NotedInFull { number: 1, remark: remark.to_owned() }.with_id(id(1));
    let repeat = store.append(&stream, note("")).await.unwrap();
    assert_eq!(repeat, repeated(first));
    assert_refused!(store.append(&stream, note("new")).await, Error::DuplicateEvent { .. });
}

pub(super) async fn clause_2_7_a_type_that_was_renamed_leaves_a_repeat_a_repeat(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let first = store.append(&stream, identified([1])).await.unwrap();
    let renamed = NotedInFull { number: 1, remark: String::new() }.with_id(id(1));
    let repeat = store.append(&stream, renamed).await.unwrap();
    assert_eq!(repeat, repeated(first));
}

pub(super) async fn clause_2_7_one_id_twice_in_one_call_is_a_duplicate(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    assert_refused!(
        store.append(&stream, identified([1, 2, 1])).await,
        Error::DuplicateEvent { event_id, stream: named, .. } if event_id == id(1) && named == stream,
    );
    subject.holds(0).await;
}

pub(super) async fn clause_2_7_a_deleted_streams_ids_can_be_imported_again(subject: Subject) {
    let store = subject.store();
    let (stream, _) = written_in_three(&store).await;
    store.delete_stream(&stream).await.unwrap();
    let again = store.append(&stream, identified(1..=6)).await.unwrap();
    assert!(!again.repeated);
    assert_eq!(store.numbers(&stream).await, [1, 2, 3, 4, 5, 6]);
}

#[derive(Event, Serialize, Deserialize, Clone)]
struct Invited {
    guests: std::collections::HashSet<String>,
}

pub(super) async fn clause_2_7_a_type_that_writes_in_any_order_can_be_retried(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let invited = Invited { guests: (0..40).map(|guest| format!("guest {guest}")).collect() };
    store.append(&stream, invited.clone().with_id(id(1))).await.unwrap();
    assert!(store.append(&stream, invited.with_id(id(1))).await.unwrap().repeated);
    subject.holds(1).await;
}

#[derive(Event, Serialize, Deserialize)]
struct Measured {
    atoms: u128,
}

pub(super) async fn clause_2_7_integers_beyond_64_bits_are_told_apart(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let measured = |atoms| Measured { atoms }.with_id(id(1));
    store.append(&stream, measured(u128::MAX)).await.unwrap();
    assert!(store.append(&stream, measured(u128::MAX)).await.unwrap().repeated);
    assert_refused!(store.append(&stream, measured(u128::MAX - 1)).await, Error::DuplicateEvent { .. });
}

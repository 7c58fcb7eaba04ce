//! Clause 8.10: a projector applies each version once and in order, catches up on what it missed, and begins anew with a
//! stream that was made anew; read model and cursor are committed together.

use event_sourcery::backend::{Cursor, CursorId};
use event_sourcery::{
    Error, Event, EventStore, Position, RawEvent, Recorded, Result, StreamId, TenantId, Version,
};
use serde::{Deserialize, Serialize};

use super::feeding::{Decodes, Feeding, model_of};
use super::ledger::{Ledgers as _, Summed, category, ledger, noted, notes, tenant};
use super::steps::{Answer, Ending, Step};
use super::subject::Subject;

pub(super) const SUMS: &str = "sums";

#[derive(Event, Serialize, Deserialize)]
#[event(name = "closed")]
struct Closed {}

pub(super) fn fed(recorded: &Recorded<RawEvent>) -> Feeding {
    let (decodes, recorded) = (Decodes::Everything, recorded.clone());
    Feeding { projector: SUMS, recorded, decodes, is_past: false, fails_on: None }
}

/// Feeds one event, in a transaction of its own.
pub(super) async fn feed(subject: &Subject, recorded: &Recorded<RawEvent>) {
    project(subject, fed(recorded)).await;
}

pub(super) async fn project(subject: &Subject, feeding: Feeding) {
    let step = vec![Step::Project(feeding)];
    subject.transaction(step, Ending::Commit).await.unwrap().remove(0).unwrap();
}

/// Feeds an event that is refused, in a transaction that is rolled back for it.
async fn refused(subject: &Subject, feeding: Feeding) -> Result<Answer> {
    subject.transaction(vec![Step::Project(feeding)], Ending::Fail).await.unwrap().remove(0)
}

/// What the read model was handed of a stream, as it is kept: numbers, and `anew`.
pub(super) async fn model(store: &EventStore, recorded: &Recorded<RawEvent>) -> Vec<String> {
    model_by(SUMS, store, recorded).await
}

pub(super) async fn model_by(
    projector: &str,
    store: &EventStore,
    recorded: &Recorded<RawEvent>,
) -> Vec<String> {
    let stream = model_of(projector, &recorded.tenant_id, &recorded.stream_id);
    let entries = store.load_stream::<RawEvent>(&stream).await.unwrap();
    let text = |entry: &RawEvent| -> serde_json::Value { serde_json::from_str(entry.data().get()).unwrap() };
    entries.iter().map(|entry| text(&entry.event)["text"].as_str().unwrap().to_owned()).collect()
}

/// The events of a stream, as a subscription hands them over.
async fn records(store: &EventStore, stream: &StreamId) -> Vec<Recorded<RawEvent>> {
    let last = store.load_stream::<RawEvent>(stream).full_history().await.unwrap().len();
    assert!(last > 0, "{stream} has events");
    loop {
        let mut records = store.records_after(Position::START).await;
        records.retain(|record| record.stream_id == *stream && record.tenant_id == *store.tenant_id());
        if records.len() == last {
            return records;
        }
    }
}

pub(super) async fn with_records(
    store: &EventStore,
    stream: &StreamId,
    length: u64,
) -> Vec<Recorded<RawEvent>> {
    store.with_ledger(stream, length).await;
    records(store, stream).await
}

fn cursor_id(tenant: &TenantId, stream: &StreamId) -> CursorId {
    CursorId::new(SUMS.into(), tenant.clone(), stream.clone())
}

pub(super) async fn cursor(subject: &Subject, tenant: &TenantId, stream: &StreamId) -> Option<Version> {
    let hold = Step::HoldCursor(cursor_id(tenant, stream), Position::START);
    let answer = subject.transaction(vec![hold], Ending::Fail).await.unwrap().remove(0).unwrap();
    let Answer::Held(held) = answer else { panic!("a cursor that is held answers with {answer:?}") };
    held.cursor.map(|cursor| cursor.version)
}

pub(super) async fn clause_8_10_an_unknown_stream_is_projected_from_its_first_version(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let events = with_records(&store, &stream, 5).await;
    feed(&subject, &events[2]).await;
    assert_eq!(model(&store, &events[0]).await, ["anew", "1", "2", "3"]);
    assert_eq!(cursor(&subject, &TenantId::DEFAULT, &stream).await, Some(3));
}

pub(super) async fn clause_8_10_the_next_version_is_applied(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let events = with_records(&store, &stream, 3).await;
    for (number, event) in events.iter().enumerate() {
        feed(&subject, event).await;
        assert_eq!(model(&store, event).await.len(), number + 2);
    }
    assert_eq!(model(&store, &events[0]).await, ["anew", "1", "2", "3"]);
}

pub(super) async fn clause_8_10_missed_versions_are_loaded_and_applied_before(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let events = with_records(&store, &stream, 6).await;
    feed(&subject, &events[0]).await;
    feed(&subject, &events[4]).await;
    assert_eq!(model(&store, &events[0]).await, ["anew", "1", "2", "3", "4", "5"]);
    feed(&subject, &events[5]).await;
    assert_eq!(model(&store, &events[0]).await.last().unwrap(), "6");
}

pub(super) async fn clause_8_10_many_missed_versions_are_all_applied_in_order(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let events = with_records(&store, &stream, 1_030).await;
    feed(&subject, &events[1]).await;
    feed(&subject, &events[1_028]).await;
    let expected: Vec<_> = (1..=1_029).map(|number| number.to_string()).collect();
    assert_eq!(model(&store, &events[0]).await[1..], expected);
}

pub(super) async fn clause_8_10_versions_that_were_seen_are_ignored(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let events = with_records(&store, &stream, 3).await;
    for seen in [2, 2, 1, 0] {
        feed(&subject, &events[seen]).await;
    }
    assert_eq!(model(&store, &events[0]).await, ["anew", "1", "2", "3"]);
    assert_eq!(cursor(&subject, &TenantId::DEFAULT, &stream).await, Some(3));
}

pub(super) async fn clause_8_10_an_event_without_a_version_is_refused(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.append(&stream, notes(1..=2)).no_versioning().await.unwrap();
    let events = records(&store, &stream).await;
    assert_refused!(
        refused(&subject, fed(&events[1])).await,
        Error::CannotProjectUnversionedEvent { projector, stream: of, position }
            if projector == SUMS && of == stream && position == events[1].position,
    );
    assert!(model(&store, &events[1]).await.is_empty());
}

pub(super) async fn clause_8_10_snapshots_stand_in_for_nothing(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let events = with_records(&store, &stream, 5).await;
    feed(&subject, &events[0]).await;
    store.save_snapshot(&stream, 3, Summed { sum: 6 }).await.unwrap();
    feed(&subject, &events[4]).await;
    assert_eq!(model(&store, &events[0]).await, ["anew", "1", "2", "3", "4", "5"]);
    let other = Feeding { projector: "other", ..fed(&events[4]) };
    project(&subject, other).await;
    assert_eq!(model_by("other", &store, &events[0]).await, ["anew", "1", "2", "3", "4", "5"]);
}

pub(super) async fn clause_8_10_each_projector_has_cursors_of_its_own(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let events = with_records(&store, &stream, 3).await;
    feed(&subject, &events[2]).await;
    for event in &events[..2] {
        project(&subject, Feeding { projector: "other", ..fed(event) }).await;
    }
    assert_eq!(model_by("other", &store, &events[0]).await, ["anew", "1", "2"]);
}

pub(super) async fn clause_8_10_cursors_know_tenants_and_categories(subject: Subject) {
    let (store, plain) = (subject.store(), ledger("1"));
    let red = plain.clone().in_category("red").unwrap();
    let acme = store.for_tenant(tenant("acme"));
    assert_eq!(red.category(), Some(&category("red")));
    let mut all = Vec::new();
    for (length, (handle, stream)) in (3..).zip([(&store, &plain), (&store, &red), (&acme, &plain)]) {
        all.push(with_records(handle, stream, length).await);
    }
    for (number, events) in all.iter().enumerate() {
        feed(&subject, events.last().unwrap()).await;
        for (other, events) in all.iter().enumerate() {
            let expected = if other <= number { events.len() + 1 } else { 0 };
            assert_eq!(model(&store, &events[0]).await.len(), expected);
        }
    }
}

pub(super) async fn clause_8_10_events_of_other_names_are_passed_over(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.append(&stream, (noted(1), Closed {}, noted(3), Closed {}, noted(5))).await.unwrap();
    let events = records(&store, &stream).await;
    for event in [&events[2], &events[4]] {
        project(&subject, Feeding { decodes: Decodes::Notes, ..fed(event) }).await;
    }
    assert_eq!(model(&store, &events[0]).await, ["anew", "1", "3", "5"]);
    project(&subject, Feeding { projector: "all", ..fed(&events[4]) }).await;
    assert_eq!(model_by("all", &store, &events[0]).await, ["anew", "1", "closed", "3", "closed", "5"]);
}

pub(super) async fn clause_8_10_a_deleted_stream_that_is_made_anew_is_projected_anew(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    for length in [2, 3, 5] {
        let events = with_records(&store, &stream, 3).await;
        feed(&subject, &events[2]).await;
        store.delete_stream(&stream).await.unwrap();
        store.append(&stream, notes(11..11 + length)).await.unwrap();
        let anew = records(&store, &stream).await;
        let before = model(&store, &events[0]).await.len();
        feed(&subject, anew.last().unwrap()).await;
        let expected = (11..11 + length).map(|number| number.to_string());
        let expected: Vec<_> = std::iter::once("anew".to_owned()).chain(expected).collect();
        assert_eq!(model(&store, &events[0]).await[before..], expected);
        store.delete_stream(&stream).await.unwrap();
    }
}

/// Whoever does not know of our cursors deletes a stream and leaves them.
pub(super) async fn clause_8_10_a_cursor_that_an_older_stream_has_left_counts_for_nothing(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let old = with_records(&store, &stream, 4).await;
    let left = Cursor::new(3, old[2].position);
    store.delete_stream(&stream).await.unwrap();
    for (length, fed_version) in [(1, 1), (2, 2), (3, 3), (3, 1), (5, 4), (6, 6), (6, 2)] {
        store.append(&stream, notes(11..11 + length)).await.unwrap();
        let anew = records(&store, &stream).await;
        let before = model(&store, &anew[0]).await.len();
        let leave = Step::MoveCursor(cursor_id(&TenantId::DEFAULT, &stream), left);
        subject.transaction(vec![leave], Ending::Commit).await.unwrap().remove(0).unwrap();
        feed(&subject, &anew[fed_version - 1]).await;
        let handed = model(&store, &anew[0]).await;
        assert_eq!(handed[before], "anew", "{length} events, fed {fed_version}");
        assert_eq!(handed.len(), before + 1 + fed_version, "{length} events, fed {fed_version}");
        store.delete_stream(&stream).await.unwrap();
    }
}

pub(super) async fn clause_8_10_an_event_of_a_stream_that_is_gone_is_ignored(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let old = with_records(&store, &stream, 2).await;
    store.delete_stream(&stream).await.unwrap();
    feed(&subject, &old[1]).await;
    store.append(&stream, notes(11..=13)).await.unwrap();
    feed(&subject, &old[1]).await;
    assert!(model(&store, &old[1]).await.is_empty());
    let anew = records(&store, &stream).await;
    feed(&subject, &anew[0]).await;
    feed(&subject, &old[1]).await;
    feed(&subject, &anew[1]).await;
    assert_eq!(model(&store, &old[1]).await, ["anew", "11", "12"]);
}

pub(super) async fn clause_8_10_a_read_model_that_fails_leaves_cursor_and_model_as_they_were(
    subject: Subject,
) {
    let (store, stream) = (subject.store(), ledger("1"));
    let events = with_records(&store, &stream, 5).await;
    feed(&subject, &events[0]).await;
    for fails_on in ["2", "3", "5"] {
        let failing = Feeding { fails_on: Some(fails_on), ..fed(&events[4]) };
        assert_refused!(refused(&subject, failing).await, Error::Backend { backend: "conformance", .. });
        assert_eq!(model(&store, &events[0]).await, ["anew", "1"]);
        assert_eq!(cursor(&subject, &TenantId::DEFAULT, &stream).await, Some(1));
    }
    for ending in [Ending::Fail, Ending::Panic] {
        subject.transaction(vec![Step::Project(fed(&events[4]))], ending).await.unwrap().remove(0).unwrap();
        assert_eq!(model(&store, &events[0]).await, ["anew", "1"]);
    }
    feed(&subject, &events[4]).await;
    assert_eq!(model(&store, &events[0]).await, ["anew", "1", "2", "3", "4", "5"]);
}

pub(super) async fn clause_8_10_several_events_may_share_a_transaction(subject: Subject) {
    let (store, one, two) = (subject.store(), ledger("1"), ledger("2"));
    let (ones, twos) = (with_records(&store, &one, 3).await, with_records(&store, &two, 2).await);
    let steps = [&ones[0], &twos[1], &ones[2], &ones[1]].map(|event| Step::Project(fed(event)));
    for answer in subject.transaction(steps.into(), Ending::Commit).await.unwrap() {
        answer.unwrap();
    }
    assert_eq!(model(&store, &ones[0]).await, ["anew", "1", "2", "3"]);
    assert_eq!(model(&store, &twos[0]).await, ["anew", "1", "2"]);
}

pub(super) async fn clause_8_10_cursors_survive_reopening(subject: Subject) {
    let stream = ledger("1");
    let events = with_records(&subject.store(), &stream, 4).await;
    feed(&subject, &events[1]).await;
    let subject = subject.reopened().await;
    feed(&subject, &events[0]).await;
    feed(&subject, &events[3]).await;
    assert_eq!(model(&subject.store(), &events[0]).await, ["anew", "1", "2", "3", "4"]);
}

pub(super) async fn clause_8_10_two_that_feed_one_projector_apply_each_version_once(subject: Subject) {
    let (store, subject) = (subject.store(), std::sync::Arc::new(subject));
    for round in 0..8 {
        let events = with_records(&store, &ledger(&round.to_string()), 12).await;
        let feeders = (0..4).map(|feeder| {
            let (subject, mut events) = (std::sync::Arc::clone(&subject), events.clone());
            events.rotate_left(3 * feeder);
            tokio::spawn(async move {
                for event in events {
                    let step = vec![Step::Project(fed(&event))];
                    subject.transaction(step, Ending::Commit).await.unwrap().remove(0).unwrap();
                }
            })
        });
        for feeder in feeders.collect::<Vec<_>>() {
            feeder.await.unwrap();
        }
        let expected = (1..=12).map(|number: u64| number.to_string());
        let expected: Vec<_> = std::iter::once("anew".to_owned()).chain(expected).collect();
        assert_eq!(model(&store, &events[0]).await, expected, "round {round}");
    }
}

pub(super) async fn clause_5_1_a_deleted_streams_cursors_are_gone_and_others_stay(subject: Subject) {
    let (store, plain, other) = (subject.store(), ledger("1"), ledger("2"));
    let red = plain.clone().in_category("red").unwrap();
    let acme = store.for_tenant(tenant("acme"));
    let places = [(&store, &plain), (&store, &red), (&acme, &plain), (&acme, &red), (&store, &other)];
    for (handle, stream) in places {
        feed(&subject, with_records(handle, stream, 2).await.last().unwrap()).await;
    }
    let delete = Step::Delete(super::ledger::delete_request(&plain));
    subject.transaction(vec![delete], Ending::Fail).await.unwrap().remove(0).unwrap();
    for (deleted, (handle, stream)) in (0..).zip(places) {
        assert_eq!(cursor(&subject, handle.tenant_id(), stream).await, Some(2), "place {deleted}");
        handle.delete_stream(stream).await.unwrap();
        // What has no stream has no cursor to be held.
        handle.with_ledger(stream, 1).await;
        for (place, (handle, stream)) in (0..).zip(places) {
            let expected = (place > deleted).then_some(2);
            assert_eq!(cursor(&subject, handle.tenant_id(), stream).await, expected, "place {place}");
        }
    }
}

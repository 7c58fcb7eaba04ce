//! Clause 14: errors that can be handled, and inputs that cannot do harm.

use std::time::Duration;

use event_sourcery::{
    AppendPosition, Context, ContextComponent, Error, Event as _, Position, RawEvent, Source, StreamId,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::ledger::{Ledgers as _, Noted, ledger, noted, notes, tenant};
use super::running::{Handled, Running, eventually, letters};
use super::subject::Subject;

pub(super) async fn clause_14_1_a_refusal_is_not_retryable_and_says_what_to_do(subject: Subject) {
    let (store, stream, unversioned) = (subject.store(), ledger("1"), ledger("2"));
    store.with_ledger(&stream, 2).await;
    store.append(&unversioned, noted(1)).no_versioning().await.unwrap();
    let refusals = [
        (store.append(&stream, noted(3)).await.unwrap_err(), "load it again"),
        (store.append(&stream, noted(3)).no_versioning().await.unwrap_err(), ".expected_version("),
        (store.append(&unversioned, noted(3)).await.unwrap_err(), ".no_versioning()"),
        (store.append(&stream, notes([])).await.unwrap_err(), "at least one event"),
        (
            store.append(&stream, noted(3)).requires(&unversioned, 1).expected_version(2).await.unwrap_err(),
            "ledgers/2",
        ),
        (store.save_snapshot(&stream, 9, noted(3)).await.unwrap_err(), "version 9"),
        (store.load_stream::<Noted>(&unversioned).versions(1..).await.unwrap_err(), "load the whole stream"),
    ];
    for (refusal, advice) in refusals {
        assert!(!refusal.is_retryable(), "{refusal:?}");
        assert!(refusal.to_string().contains(advice), "{refusal}");
        assert!(!matches!(refusal, Error::Backend { .. }), "{refusal:?}");
    }
}

pub(super) async fn clause_14_1_what_can_be_retried_says_so(_: Subject) {
    let source = || Source::from("the database's own words");
    let retryable = [
        Error::serialization_failure(source()),
        Error::busy(Duration::from_secs(5)),
        Error::unavailable(source()),
        Error::storage_full(source()),
        Error::StreamChangedWhileReading { stream: ledger("1") },
        Error::NotHandledInTime {
            subscription: "letters".to_owned(),
            stream: Some(ledger("1")),
            position: AppendPosition::from_i64(2),
            checkpoint: Position::START,
            is_blocked: true,
            waited: Duration::from_secs(5),
        },
    ];
    assert!(retryable.iter().all(Error::is_retryable));
    let others = [
        Error::Closed,
        Error::outcome_unknown(source()),
        Error::backend("any", source()),
        Error::bug("two streams have one row"),
    ];
    assert!(!others.iter().any(Error::is_retryable));
}

/// What would do harm if it reached a database as text, a format string, a path or a pattern.
const MALICE: [&str; 14] = [
    "'; DROP TABLE event_sourcery_events; --",
    "\" OR \"\"=\"",
    "') UNION SELECT * FROM event_sourcery_streams --",
    "$1 $2 ?1 ?2 :name @name",
    "%s %d %n {} {0} ${HOME} $(id) `id`",
    "\\",
    "\\'; SELECT pg_sleep(10); --",
    "/* */ -- #",
    "../../etc/passwd",
    "a%b_c*d?e[f]",
    "events.>.*",
    "E'\\x00'",
    "\u{1}\u{7f}\r\n\t",
    "＇；ＤＲＯＰ　ＴＡＢＬＥ",
];

pub(super) async fn clause_14_1_errors_tell_place_and_type_and_quote_the_beginning_of_a_value(
    subject: Subject,
) {
    let (store, stream) = (subject.store(), ledger("1"));
    let secret = "4111 ".repeat(20_000);
    let wrong = RawEvent::new("noted", format!("{{\"number\":\"{secret}\"}}")).unwrap();
    let appended = store.append(&stream, (noted(1), wrong)).await.unwrap();
    store.settled(appended.position).await;
    let refused = store.load_stream::<Noted>(&stream).await.unwrap_err();
    let verified = store.verify::<Noted>().await.unwrap();
    let run = Running::noting(letters(&store), &Handled::default());
    eventually("it is parked", async || !letters(&store).parked().await.unwrap().is_empty()).await;
    let parked = letters(&store).parked().await.unwrap().remove(0).error;
    run.stop().await;
    let told =
        [refused.to_string(), format!("{refused:?}"), verified.to_string(), format!("{verified:?}"), parked];
    for text in told {
        assert!(text.len() < 1_500 && text.matches("4111").count() <= 8, "{text}");
        for part in [std::any::type_name::<Noted>(), "noted", "line 1 column", "expected u64"] {
            assert!(text.contains(part), "{text}: {part}");
        }
    }
}

pub(super) async fn clause_14_2_malice_in_names_is_only_text(subject: Subject) {
    let store = subject.store();
    let mut last = None;
    for text in MALICE {
        let stream = StreamId::from_name(text).unwrap().in_category(text).unwrap();
        let handle = store.for_tenant(tenant(text));
        let event = RawEvent::new(text, json!({ text: text, "nested": [text] }).to_string()).unwrap();
        handle.append(&stream, event.clone()).await.unwrap();
        assert_refused!(handle.append(&stream, event.clone()).await, Error::Conflict { actual: 1, .. });
        handle.append(&stream, event.clone()).expected_version(1).requires(&ledger(text), 0).await.unwrap();
        handle.save_snapshot(&stream, 1, event.clone()).await.unwrap();
        let events = handle.load_stream::<RawEvent>(&stream).await.unwrap();
        assert!(events.iter().all(|wrapped| wrapped.event == event), "{events:?}");
        assert_eq!(events.len(), 2);
        last = Some(handle.append(&ledger(text), noted(1)).await.unwrap());
        handle.delete_stream(&ledger(text)).await.unwrap();
    }
    let records = store.records(last.unwrap().position).await;
    assert_eq!(records.len(), MALICE.len() * 2);
    for (pair, text) in records.chunks(2).zip(MALICE) {
        for record in pair {
            assert_eq!(record.stream_id.name(), Some(text));
            assert_eq!(record.stream_id.stored_category(), text);
            assert_eq!(record.tenant_id.as_str(), text);
        }
        assert_eq!(store.for_tenant(tenant(text)).records_after(Position::START).await.len(), 2);
    }
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Injected {
    texts: Vec<String>,
}

impl ContextComponent for Injected {
    const NAME: &'static str = "'; DROP TABLE \"event_sourcery_events\"; --";
}

pub(super) async fn clause_14_2_malice_in_a_context_is_only_text(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let texts: Vec<_> = MALICE.iter().map(|text| (*text).to_owned()).collect();
    let root: serde_json::Map<_, _> = texts.iter().map(|text| (text.clone(), json!(text))).collect();
    let context: Context = serde_json::from_value(root.into()).unwrap();
    let context = context.with_component(&Injected { texts: texts.clone() }).unwrap();
    store.append(&stream, noted(1).with_context(context.clone())).await.unwrap();
    let read = store.load_stream::<Noted>(&stream).await.unwrap().remove(0).context;
    assert_eq!(read, context);
    assert_eq!(read.component::<Injected>().unwrap(), Some(Injected { texts }));
}

#[derive(Serialize, Deserialize)]
struct Bare(u8);

impl ContextComponent for Bare {
    const NAME: &'static str = "bare";
}

#[derive(Serialize, Deserialize)]
struct Measure {
    value: f64,
}

impl ContextComponent for Measure {
    const NAME: &'static str = "measure";
}

pub(super) async fn clause_14_2_a_component_that_cannot_be_stored_is_refused(subject: Subject) {
    assert_refused!(
        Context::new().with_component(&Bare(1)),
        Error::InvalidContext { component, .. } if component == "bare",
    );
    assert_refused!(
        Context::new().with_component(&Measure { value: f64::NAN }),
        Error::InvalidContext { component, .. } if component == "measure",
    );
    let store = subject.store().with_enricher(|_| Some(Measure { value: f64::INFINITY })).unwrap();
    assert_refused!(
        store.append(&ledger("1"), noted(1)).await,
        Error::InvalidContext { component, .. } if component == "measure",
    );
    subject.holds(0).await;
}

pub(super) async fn clause_14_2_extreme_ids_and_positions_are_only_values(subject: Subject) {
    let store = subject.store();
    for (number, uuid) in (1..).zip([Uuid::nil(), Uuid::max()]) {
        let stream = StreamId::from_uuid(uuid);
        let appended = store.append(&stream, noted(number).with_id(uuid)).await.unwrap();
        assert_eq!(store.ids(&stream).await, [uuid]);
        assert_eq!(store.records(appended.position).await.len() as u64, number);
    }
    for position in [i64::MIN, -1] {
        assert_eq!(store.records_after(Position::from_i64(position)).await.len(), 2);
    }
    let beyond = Position::from_i64(i64::MAX);
    let refused = store.read_all::<Noted>().after(beyond).stream().try_next().await;
    assert!(matches!(refused, Err(Error::BeyondEnd { position, .. }) if position == beyond), "{refused:?}");
    letters(&store).until(std::future::ready(())).run(async |_, _| Ok(())).await.unwrap();
    let (stream, last) = (StreamId::from_uuid(Uuid::nil()), u64::MAX);
    for position in [i64::MIN, -1, 0].map(AppendPosition::from_i64) {
        letters(&store).wait_for(&stream, position, Duration::ZERO).await.unwrap();
    }
    let beyond = AppendPosition::from_i64(i64::MAX);
    let refused = letters(&store).wait_for(&stream, beyond, Duration::ZERO).await;
    assert_refused!(refused, Error::BeyondEnd { position, .. } if position.to_i64() == i64::MAX);
    let refused = store.append(&stream, noted(3)).expected_version(last).await;
    assert_refused!(refused, Error::Conflict { expected, actual: 1, .. } if expected == last);
    assert!(store.load_stream::<Noted>(&stream).versions(last..).await.unwrap().is_empty());
    let refused = store.save_snapshot(&stream, last, noted(3)).await;
    assert_refused!(refused, Error::SnapshotVersionMismatch { version, .. } if version == last);
}

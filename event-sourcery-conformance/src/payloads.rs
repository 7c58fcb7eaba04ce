//! Clause 2.13: what is stored reads back equal, and what cannot be is refused before anything is written.

use std::collections::BTreeMap;

use event_sourcery::{Error, Event, PayloadError, RawEvent};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ledger::{Ledgers as _, ledger, noted};
use super::subject::Subject;

/// A payload with a field for everything that a store might bend.
#[derive(Event, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[event(name = "measured")]
struct Measured {
    text: String,
    texts: Vec<String>,
    map: BTreeMap<String, Option<i64>>,
    unsigned: Vec<u64>,
    signed: Vec<i64>,
    floats: Vec<f64>,
    nested: Option<Box<Measured>>,
    nothing: Option<String>,
    flag: bool,
    character: Option<char>,
}

/// Asserts that a payload comes back as it was, from its stream and across streams.
async fn assert_comes_back(subject: &Subject, payload: Measured) {
    let (store, stream) = (subject.store(), event_sourcery::StreamId::random());
    let appended = store.append(&stream, payload.clone()).await.unwrap();
    assert_eq!(store.load_stream::<Measured>(&stream).await.unwrap()[0].event, payload);
    let record = store.records(appended.position).await.pop().unwrap();
    let across = Measured::decode("measured", record.wrapped_event.event.data().get()).unwrap();
    assert_eq!(across, payload);
}

pub(super) async fn clause_2_13_texts_read_back_equal(subject: Subject) {
    let texts = [
        "",
        " ",
        "Grüße, 世界, שלום, مرحبا",
        "🧾👩‍👩‍👧‍👦🇩🇪",
        "\u{10FFFF}\u{FFFF}\u{FFFD}\u{FEFF}\u{200F}\u{2028}",
        "e\u{301} is not \u{e9}",
        "\"quoted\" \\ and \\\" escaped / \u{8}\u{c}\n\r\t\u{1}\u{1f}\u{7f}",
        "'; DROP TABLE event_sourcery_events; -- $1 ?1 :a @b %s {0} ${x}",
        "null",
        "{\"json\": [1, 2]}",
        "\\u0041",
    ];
    let texts: Vec<String> = texts.into_iter().map(str::to_owned).collect();
    let map = texts.iter().map(|text| (text.clone(), None)).collect();
    let payload =
        Measured { text: texts.concat(), texts, map, character: Some('\u{10FFFF}'), ..Measured::default() };
    assert_comes_back(&subject, payload).await;
}

pub(super) async fn clause_2_13_numbers_read_back_equal(subject: Subject) {
    let floats = vec![
        0.0,
        -0.0,
        0.1 + 0.2,
        1e21,
        1e-7,
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        f64::from_bits(1),
        -f64::from_bits(0x000F_FFFF_FFFF_FFFF),
        f64::EPSILON,
        9_007_199_254_740_993.0,
        std::f64::consts::PI,
        123_456_789.123_456_78,
    ];
    let unsigned = vec![0, 1, u64::from(u32::MAX), (1 << 53) + 1, i64::MAX as u64 + 1, u64::MAX];
    let signed = vec![i64::MIN, i64::MAX, -1, 0, -(1 << 53) - 1];
    assert_comes_back(&subject, Measured { floats, unsigned, signed, ..Measured::default() }).await;
}

pub(super) async fn clause_2_13_empty_and_absent_things_read_back_equal(subject: Subject) {
    assert_comes_back(&subject, Measured::default()).await;
    let nested =
        Some(Box::new(Measured { map: BTreeMap::from([(String::new(), Some(0))]), ..Measured::default() }));
    assert_comes_back(
        &subject,
        Measured { nested, flag: true, texts: vec![String::new()], ..Measured::default() },
    )
    .await;

    let (store, stream) = (subject.store(), ledger("empty"));
    let empty = RawEvent::new("emptied", "{}").unwrap();
    store.append(&stream, empty.clone()).await.unwrap();
    assert_eq!(store.load_stream::<RawEvent>(&stream).await.unwrap()[0].event, empty);
}

pub(super) async fn clause_2_13_a_payload_of_a_megabyte_reads_back_equal(subject: Subject) {
    let text: String =
        (0..250_000_u32).filter_map(|number| char::from_u32(0x20 + number * 7_919 % 0x2FFF)).collect();
    assert!(text.len() > 500_000);
    let texts = (0..50_000).map(|number| format!("entry {number}")).collect();
    assert_comes_back(&subject, Measured { text, texts, ..Measured::default() }).await;
}

pub(super) async fn clause_2_13_nesting_reads_back_as_deep_as_it_is_allowed(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let nested = |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
    let deepest = RawEvent::new("nested", nested(127)).unwrap();
    store.append(&stream, deepest.clone()).await.unwrap();
    assert_eq!(store.load_stream::<RawEvent>(&stream).await.unwrap()[0].event, deepest);
    assert_refused!(
        RawEvent::new("nested", nested(128)),
        Error::InvalidPayload { name, problem: PayloadError::TooDeep { deepest: 127 } } if name == "nested",
    );
    let chain = (0..200).fold(Measured::default(), |inner, _| Measured {
        nested: Some(Box::new(inner)),
        ..Measured::default()
    });
    assert_refused!(
        store.append(&stream, chain).expected_version(1).await,
        Error::InvalidPayload { problem: PayloadError::TooDeep { .. }, .. },
    );
    subject.holds(1).await;
}

pub(super) async fn clause_2_13_raw_json_reads_back_equal_as_a_value(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let text = " {\n\"b\" : [1, 2.50, 1E2, null, true, \"\\u00e9\\/\"] ,\t\"a\":{\"x\":{}}, \"\":0} ";
    let event = RawEvent::new("raw", text).unwrap();
    store.append(&stream, event.clone()).await.unwrap();
    assert_eq!(store.load_stream::<RawEvent>(&stream).await.unwrap()[0].event, event);
}

/// Asserts that an event is stored exactly, or refused with a typed error and without a trace.
async fn assert_exact_or_refused<E: Event + Clone + PartialEq + std::fmt::Debug>(
    subject: &Subject,
    event: E,
) {
    let (store, stream) = (subject.store(), event_sourcery::StreamId::random());
    let name = event.event_name();
    let before = store.records_after(event_sourcery::Position::START).await.len();
    match store.append(&stream, (noted(1), event.clone())).await {
        Ok(_) => {
            let stored = store.load_stream::<RawEvent>(&stream).await.unwrap().pop().unwrap().event;
            assert_eq!(E::decode(stored.name(), stored.data().get()).unwrap(), event);
        }
        Err(Error::InvalidPayload { name: refused, problem: PayloadError::NotStorable { .. } }) => {
            assert_eq!(refused, name);
            assert!(store.load_stream::<RawEvent>(&stream).await.unwrap().is_empty());
            subject.holds(before).await;
        }
        Err(other) => panic!("neither stored nor refused with a typed error: {other}"),
    }
}

pub(super) async fn clause_2_13_a_nul_is_stored_exactly_or_refused(subject: Subject) {
    let payload = Measured { text: "a\0b".to_owned(), ..Measured::default() };
    assert_exact_or_refused(&subject, payload).await;
    let payload = Measured { map: BTreeMap::from([("\0".to_owned(), None)]), ..Measured::default() };
    assert_exact_or_refused(&subject, payload).await;
    // What only looks like one.
    assert_comes_back(&subject, Measured { text: "\\u0000".to_owned(), ..Measured::default() }).await;
}

pub(super) async fn clause_2_13_a_number_out_of_range_is_stored_exactly_or_refused(subject: Subject) {
    assert_exact_or_refused(
        &subject,
        RawEvent::new("measured", r#"{"long":123456789012345678901234567890}"#).unwrap(),
    )
    .await;
    assert_exact_or_refused(&subject, RawEvent::new("measured", r#"{"short":1e-300}"#).unwrap()).await;
}

pub(super) async fn clause_2_13_numbers_that_are_not_finite_are_refused(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let inner = Measured { floats: vec![1.0, number], ..Measured::default() };
        for payload in [inner.clone(), Measured { nested: Some(Box::new(inner)), ..Measured::default() }] {
            assert_refused!(
                store.append(&stream, (noted(1), payload)).await,
                Error::InvalidPayload { name, problem: PayloadError::NotFinite } if name == "measured",
            );
        }
    }
    subject.holds(0).await;
}

pub(super) async fn clause_2_13_a_payload_is_an_object(_: Subject) {
    for text in ["1", "null", "\"text\"", "[]", "[{}]", "", "true"] {
        assert_refused!(
            RawEvent::new("raw", text),
            Error::InvalidPayload { name, problem: PayloadError::NotAnObject } if name == "raw",
        );
    }
    for text in ["{", "{}}", "{} {}", "{\"a\":}", "{a:1}", "{\"a\":1,}"] {
        assert_refused!(
            RawEvent::new("raw", text),
            Error::InvalidPayload { problem: PayloadError::Serialize(_), .. }
        );
    }
}

pub(super) async fn clause_2_13_times_of_the_years_1_to_9999_read_back_equal(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let times = [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00.000001Z",
        "0999-06-15T12:34:56.000007Z",
        "1582-10-10T00:00:00Z",
        "1969-12-31T23:59:59.999999Z",
        "1970-01-01T00:00:00Z",
        "2016-12-31T23:59:59.5Z",
        "2026-03-29T01:30:00.1Z",
        "9999-12-30T22:00:00.999999Z",
    ];
    let times: Vec<Timestamp> = times.iter().map(|time| time.parse().unwrap()).collect();
    let events: Vec<_> = times.iter().map(|time| noted(1).with_created_at(*time)).collect();
    let appended = store.append(&stream, events).await.unwrap();
    let loaded: Vec<_> =
        store.load_stream::<RawEvent>(&stream).await.unwrap().iter().map(|event| event.created_at).collect();
    assert_eq!(loaded, times);
    let scanned: Vec<_> =
        store.records(appended.position).await.iter().map(|record| record.wrapped_event.created_at).collect();
    assert_eq!(scanned, times);
}

pub(super) async fn clause_2_13_times_are_cut_to_microseconds(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let time: Timestamp = "2026-01-01T00:00:00.123456789Z".parse().unwrap();
    store.append(&stream, noted(1).with_created_at(time)).await.unwrap();
    let cut: Timestamp = "2026-01-01T00:00:00.123456Z".parse().unwrap();
    assert_eq!(store.load_stream::<RawEvent>(&stream).await.unwrap()[0].created_at, cut);
}

pub(super) async fn clause_2_13_times_before_the_year_1_are_refused(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    for before in ["0000-12-31T23:59:59.999999Z", "-000001-01-01T00:00:00Z"] {
        let before: Timestamp = before.parse().unwrap();
        assert_refused!(
            store.append(&stream, (noted(1), noted(2).with_created_at(before))).await,
            Error::InvalidTime { created_at } if created_at == before,
        );
    }
    subject.holds(0).await;
}

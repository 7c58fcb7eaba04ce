//! Clause 1: what identifies a stream.

use std::collections::HashSet;
use std::sync::Arc;

use event_sourcery::backend::{AppendRequest, Expectation, stored_stream_id};
use event_sourcery::{Category, Error, Event as _, NameKind, NameProblem, RawEvent, StreamId, TenantId};
use uuid::{Uuid, uuid};

use super::ledger::{Ledgers as _, append_request, category, ledger, noted, notes, tenant};
use super::subject::Subject;

pub(super) async fn clause_1_1_a_name_stands_for_its_version_5_uuid(_: Subject) {
    let expected = uuid!("28151947-71f3-590d-8132-7f9cd7bb9adc");
    assert_eq!(StreamId::from_name("invoices/1003").unwrap().uuid(), expected);
}

pub(super) async fn clause_1_1_without_uuid_and_name_the_id_is_random(subject: Subject) {
    let store = subject.store();
    let ids: HashSet<_> = (0..100).map(|_| StreamId::random()).collect();
    assert_eq!(ids.len(), 100);

    let (one, other) = (StreamId::random(), StreamId::random());
    store.append(&one, noted(1)).await.unwrap();
    assert!(store.numbers(&other).await.is_empty());
    assert_eq!(store.numbers(&one).await, [1]);
}

pub(super) async fn clause_1_2_a_uuid_that_the_name_does_not_hash_to_is_refused(_: Subject) {
    let (right, wrong) = (ledger("1").uuid(), Uuid::from_u128(7));
    assert!(StreamId::from_uuid_and_name(right, "ledgers/1").is_ok());
    assert_refused!(
        StreamId::from_uuid_and_name(wrong, "ledgers/1"),
        Error::IncompatibleUuidAndName { given, expected, name }
            if given == wrong && expected == right && name == "ledgers/1",
    );
}

pub(super) async fn clause_1_3_the_same_uuid_in_another_category_is_another_stream(subject: Subject) {
    let store = subject.store();
    let plain = ledger("1");
    let (red, blue) = (plain.clone().in_category("red").unwrap(), plain.clone().in_category("blue").unwrap());
    for (stream, length) in [(&plain, 1), (&red, 2), (&blue, 3)] {
        store.with_ledger(stream, length).await;
    }
    assert_eq!(store.numbers(&plain).await, [1]);
    assert_eq!(store.numbers(&red).await, [1, 2]);
    assert_eq!(store.numbers(&blue).await, [1, 2, 3]);
    store.append(&red, noted(9)).expected_version(2).await.unwrap();
    assert_eq!(store.numbers(&blue).await, [1, 2, 3]);
}

pub(super) async fn clause_1_3_the_same_uuid_in_another_tenant_is_another_stream(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let (acme, zenith) = (store.for_tenant(tenant("acme")), store.for_tenant(tenant("zenith")));
    store.with_ledger(&stream, 1).await;
    acme.with_ledger(&stream, 2).await;
    zenith.with_ledger(&stream, 3).await;
    acme.append(&stream, noted(9)).expected_version(2).await.unwrap();
    assert_eq!(store.numbers(&stream).await, [1]);
    assert_eq!(acme.numbers(&stream).await, [1, 2, 9]);
    assert_eq!(zenith.numbers(&stream).await, [1, 2, 3]);
}

pub(super) async fn clause_1_3_equality_and_hashing_follow_uuid_and_category(_: Subject) {
    let named = ledger("1");
    let bare = StreamId::from_uuid(named.uuid());
    let set = HashSet::from([named.clone(), bare.clone(), named.clone().in_category("red").unwrap()]);
    assert_eq!(named, bare);
    assert_eq!(set.len(), 2);
    assert_eq!(bare.clone().in_category("").unwrap(), named);
    assert_ne!(bare.in_category("red").unwrap(), named);
}

/// The three ways to open the ledger `1`.
fn ways_to_open() -> [StreamId; 3] {
    let by_name = ledger("1");
    let by_uuid = StreamId::from_uuid(by_name.uuid());
    let by_both = StreamId::from_uuid_and_name(by_name.uuid(), "ledgers/1").unwrap();
    [by_name, by_uuid, by_both]
}

pub(super) async fn clause_1_4_name_and_uuid_and_both_reach_the_same_stream(subject: Subject) {
    let store = subject.store();
    for (number, creator) in ways_to_open().into_iter().enumerate() {
        let place = format!("created {number}");
        let creator = creator.in_category(&place).unwrap();
        store.append(&creator, noted(1)).await.unwrap();
        for (version, opener) in (1..).zip(ways_to_open()) {
            let opener = opener.in_category(&place).unwrap();
            assert_eq!(
                store.numbers(&opener).await.len() as u64,
                version,
                "{creator:?} opened as {opener:?}"
            );
            store.append(&opener, noted(version + 1)).expected_version(version).await.unwrap();
        }
        assert_eq!(store.numbers(&creator).await, [1, 2, 3, 4]);
    }
}

pub(super) async fn clause_1_4_the_first_append_that_knows_the_name_stores_it(subject: Subject) {
    let store = subject.store();
    let [by_name, by_uuid, _] = ways_to_open();
    let names = async |appended: event_sourcery::Appended| {
        let records = store.records(appended.position).await;
        records.into_iter().map(|record| record.stream_id.name().map(str::to_owned)).collect::<Vec<_>>()
    };
    let unnamed = store.append(&by_uuid, noted(1)).await.unwrap();
    assert_eq!(names(unnamed).await, [None]);
    let named = store.append(&by_name, noted(2)).expected_version(1).await.unwrap();
    assert_eq!(names(named).await, vec![Some("ledgers/1".to_owned()); 2]);
    let kept = store.append(&by_uuid, noted(3)).expected_version(2).await.unwrap();
    assert_eq!(names(kept).await, vec![Some("ledgers/1".to_owned()); 3]);
}

/// An id that claims a name with a UUID that is not the name's: only a backend can be asked for it.
fn impostor(uuid: u128, of: &StreamId) -> StreamId {
    stored_stream_id(Uuid::from_u128(uuid), of.name(), of.stored_category())
}

pub(super) async fn clause_1_5_a_name_taken_by_another_uuid_is_refused(subject: Subject) {
    let (store, rightful) = (subject.store(), ledger("1"));
    store.append(&rightful, noted(1)).await.unwrap();
    for expectation in [Expectation::Version(0), Expectation::NoVersioning] {
        let request = append_request(&impostor(7, &rightful), expectation, &[2]);
        assert_refused!(
            subject.backend().append(Arc::new(request)).await,
            Error::StreamNameTaken { stream, name, holder, .. }
                if stream == impostor(7, &rightful) && name == "ledgers/1" && holder == rightful.uuid(),
        );
    }
    subject.holds(1).await;
    assert_eq!(store.numbers(&rightful).await, [1]);
}

/// Appends to these streams at once, an event each.
fn append_to_all(streams: &[StreamId]) -> Arc<AppendRequest> {
    let requests =
        (0..).zip(streams).map(|(number, stream)| append_request(stream, Expectation::Version(0), &[number]));
    let all = requests.reduce(|mut all, request| {
        all.streams.extend(request.streams);
        all
    });
    Arc::new(all.unwrap())
}

pub(super) async fn clause_1_5_of_streams_of_one_append_one_has_the_name(subject: Subject) {
    let (store, rightful) = (subject.store(), ledger("1"));
    let (impostors, nameless) =
        ([7, 8].map(|number| impostor(number, &rightful)), StreamId::from_uuid(rightful.uuid()));
    let both = [rightful.clone(), impostors[0].clone()];
    let turned = [impostors[0].clone(), rightful.clone()];
    for streams in [&both, &turned, &impostors] {
        assert_refused!(
            subject.backend().append(append_to_all(streams)).await,
            Error::StreamNameTaken { stream, name, holder, .. }
                if streams.contains(&stream)
                    && name == "ledgers/1"
                    && holder != stream.uuid()
                    && streams.iter().any(|stream| stream.uuid() == holder),
        );
    }
    subject.holds(0).await;
    // The stream whose UUID the name stands for is one without a name, and stays so.
    subject.backend().append(append_to_all(&[impostors[0].clone(), nameless.clone()])).await.unwrap();
    assert_eq!((store.numbers(&impostors[0]).await, store.numbers(&nameless).await), (vec![0], vec![1]));
    for stream in [&rightful, &impostors[1]] {
        let expectation = if *stream == rightful { Expectation::Version(1) } else { Expectation::Version(0) };
        assert_refused!(
            subject.backend().append(Arc::new(append_request(stream, expectation, &[2]))).await,
            Error::StreamNameTaken { holder, .. } if holder == impostors[0].uuid(),
        );
    }
    subject.holds(2).await;
}

pub(super) async fn clause_1_5_a_taken_name_is_refused_on_an_existing_stream_too(subject: Subject) {
    let (store, rightful) = (subject.store(), ledger("1"));
    store.append(&rightful, noted(1)).await.unwrap();
    let nameless = StreamId::from_uuid(Uuid::from_u128(7));
    store.append(&nameless, noted(1)).await.unwrap();
    let request = append_request(&impostor(7, &rightful), Expectation::Version(1), &[2]);
    assert_refused!(
        subject.backend().append(Arc::new(request)).await,
        Error::StreamNameTaken { holder, .. } if holder == rightful.uuid(),
    );
    assert_eq!(store.numbers(&nameless).await, [1]);
}

pub(super) async fn clause_1_5_a_name_is_free_in_another_category_or_tenant(subject: Subject) {
    let (store, rightful) = (subject.store(), ledger("1"));
    store.append(&rightful, noted(1)).await.unwrap();
    let elsewhere = impostor(7, &rightful).in_category("elsewhere").unwrap();
    let request = append_request(&elsewhere, Expectation::Version(0), &[2]);
    subject.backend().append(Arc::new(request)).await.unwrap();
    let mut request = append_request(&impostor(8, &rightful), Expectation::Version(0), &[3]);
    request.tenant = tenant("acme");
    subject.backend().append(Arc::new(request)).await.unwrap();
    subject.holds(3).await;
}

pub(super) async fn clause_1_5_a_deleted_stream_frees_its_name(subject: Subject) {
    let (store, rightful) = (subject.store(), ledger("1"));
    let request = append_request(&impostor(7, &rightful), Expectation::Version(0), &[1]);
    subject.backend().append(Arc::new(request)).await.unwrap();
    assert_refused!(
        store.append(&rightful, noted(2)).await,
        Error::StreamNameTaken { holder, .. } if holder == Uuid::from_u128(7),
    );
    store.delete_stream(&StreamId::from_uuid(Uuid::from_u128(7))).await.unwrap();
    store.append(&rightful, noted(2)).await.unwrap();
    assert_eq!(store.numbers(&rightful).await, [2]);
}

/// 255 characters in 850 bytes, all different from their neighbours, so that no backend can compress them away.
fn longest_name(seed: u32) -> String {
    let mixed = |number: u32| (number.wrapping_mul(2_654_435_761) ^ seed.wrapping_mul(40_503)) >> 7;
    let three_bytes = |number| char::from_u32(0x4E00 + mixed(number) % 0x5000).unwrap();
    let four_bytes = |number| char::from_u32(0x1_F300 + mixed(number) % 0x200).unwrap();
    (0..170).map(three_bytes).chain((170..255).map(four_bytes)).collect()
}

pub(super) async fn clause_1_6_the_longest_names_are_stored_and_read_back_all_at_once(subject: Subject) {
    let (name, category, owner) = (longest_name(1), longest_name(2), longest_name(3));
    assert_eq!((name.chars().count(), name.len()), (255, 850));
    let event_name = "🧾".repeat(200);
    let store = subject.store().for_tenant(tenant(&owner));
    let stream = StreamId::from_name(&name).unwrap().in_category(&category).unwrap();
    let event = RawEvent::new(event_name.clone(), "{}").unwrap();

    let appended = store.append(&stream, event.clone()).await.unwrap();
    let nameless = StreamId::from_uuid(stream.uuid()).in_category(&category).unwrap();
    assert_eq!(store.load_stream::<RawEvent>(&nameless).await.unwrap()[0].event, event);
    let records = store.records(appended.position).await;
    assert_eq!(records[0].stream_id.name(), Some(&*name));
    assert_eq!(records[0].stream_id.stored_category(), category);
    assert_eq!(records[0].tenant_id.as_str(), owner);

    let impostor = stored_stream_id(Uuid::from_u128(7), Some(&name), &category);
    let mut request = append_request(&impostor, Expectation::Version(0), &[1]);
    request.tenant = tenant(&owner);
    assert_refused!(subject.backend().append(Arc::new(request)).await, Error::StreamNameTaken { .. });
}

pub(super) async fn clause_1_6_names_may_hold_any_character_but_nul(subject: Subject) {
    let store = subject.store();
    for name in [
        " ",
        "\t\n\r",
        "a\u{7f}\u{1}",
        "\u{10FFFF}",
        "e\u{301}",
        "\u{e9}",
        "שלום",
        "Ａ",
        "A",
        "a",
        "ß",
        "ẞ",
        "\\",
        "'\"%_",
    ] {
        let stream = StreamId::from_name(name).unwrap().in_category(name).unwrap();
        let store = store.for_tenant(tenant(name));
        store.append(&stream, RawEvent::new(name, "{}").unwrap()).await.unwrap();
        let events = store.load_stream::<RawEvent>(&stream).await.unwrap();
        assert_eq!(events.len(), 1, "{name:?} is told from every other name");
        assert_eq!(events[0].event.name(), name);
    }
}

/// What each kind of name answers to a value.
fn refusals(value: &str) -> [(NameKind, Result<(), Error>); 3] {
    [
        (NameKind::StreamName, StreamId::from_name(value).map(drop)),
        (NameKind::Category, Category::new(value).map(drop)),
        (NameKind::Tenant, TenantId::new(value).map(drop)),
    ]
}

pub(super) async fn clause_1_6_names_beyond_the_limits_are_refused_when_they_are_made(_: Subject) {
    let refused: [(String, NameProblem); 5] = [
        (String::new(), NameProblem::Empty),
        ("a\0b".to_owned(), NameProblem::Nul),
        ("a".repeat(256), NameProblem::TooManyCharacters { actual: 256, allowed: 255 }),
        ("🧾".repeat(213), NameProblem::TooManyBytes { actual: 852, allowed: 850 }),
        (format!("{}a", longest_name(1)), NameProblem::TooManyCharacters { actual: 256, allowed: 255 }),
    ];
    for (value, expected) in refused {
        for (made, result) in refusals(&value) {
            assert_refused!(result, Error::InvalidName { kind, problem, .. } if kind == made && problem == expected);
        }
    }
    for value in ["a".repeat(255), format!("{}aa", "🧾".repeat(212)), longest_name(1), "a".to_owned()] {
        for (kind, result) in refusals(&value) {
            assert!(result.is_ok(), "{kind} {value:?}: {result:?}");
        }
    }
    let event = |name: String| RawEvent::new(name, "{}").map(|event| event.with_id(Uuid::nil()));
    assert!(event("🧾".repeat(200)).is_ok());
    for name in [String::new(), "a\0".to_owned(), "a".repeat(201)] {
        assert_refused!(event(name), Error::InvalidName { kind: NameKind::EventName, .. });
    }
}

pub(super) async fn clause_1_6_an_empty_category_is_none(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let appended = store.append(&stream.clone().in_category("").unwrap(), notes([1])).await.unwrap();
    assert_eq!(store.numbers(&stream).await, [1]);
    let records = store.records(appended.position).await;
    assert_eq!(records[0].stream_id.category(), None);
    assert_ne!(stream.clone().with_category(category("red")), stream);
}

pub(super) async fn clause_1_6_the_default_tenant_has_a_name_of_its_own(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.for_tenant(tenant("acme")).append(&stream, noted(1)).await.unwrap();
    assert!(store.numbers(&stream).await.is_empty());
    let back = store.for_tenant(tenant("acme")).for_tenant(TenantId::DEFAULT);
    let appended = back.append(&stream, noted(2)).await.unwrap();
    assert_eq!(store.numbers(&stream).await, [2]);
    assert!(store.records(appended.position).await[1].tenant_id.is_default());
}

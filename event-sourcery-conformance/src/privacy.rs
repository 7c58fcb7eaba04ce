//! Clauses 13.1, 13.2 and 13.4: what is encrypted, for whom, and with which keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use event_sourcery::backend::{
    AppendRequest, Expectation, KeysRequest, NewRecord, StoredEvent, StreamAppend,
};
use event_sourcery::privacy::{Encryption, KeyWrapping as _, MasterKey};
use event_sourcery::{Error, Event, RawEvent, Source, StoredForm, StreamId, TenantId};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::customers::{
    Customers as _, Described, Friend, Registered, SECRETS, address, ann, bob, customers, registered,
};
use super::ledger::{Ledgers as _, ledger, noted, tenant};
use super::subject::Subject;

/// Everything that can be encrypted.
#[derive(Event, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[event(name = "everything", stream_is_subject)]
struct Everything {
    #[event(encrypted)]
    text: String,
    #[event(encrypted)]
    number: u64,
    #[event(encrypted)]
    large: i128,
    #[event(encrypted, mask = -1.0)]
    float: f64,
    #[event(encrypted)]
    truth: bool,
    #[event(encrypted)]
    none: Option<String>,
    #[event(encrypted)]
    some: Option<String>,
    #[event(encrypted)]
    list: Vec<i8>,
    #[event(encrypted)]
    map: BTreeMap<String, Vec<Option<f64>>>,
    #[event(encrypted, mask = jiff::Timestamp::UNIX_EPOCH)]
    time: jiff::Timestamp,
    #[event(encrypted, mask = address())]
    nested: super::customers::Address,
    #[event(encrypted)]
    #[serde(with = "as_text")]
    written: u32,
}

mod as_text {
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

fn everything(text: &str) -> Everything {
    Everything {
        text: text.to_owned(),
        number: u64::MAX,
        large: i128::MIN,
        float: -0.1,
        truth: true,
        none: None,
        some: Some(text.to_owned()),
        list: vec![-128, 0, 127],
        map: BTreeMap::from([(text.to_owned(), vec![None, Some(0.1)])]),
        time: jiff::Timestamp::from_microsecond(1_700_000_000_123_456).unwrap(),
        nested: address(),
        written: 12,
    }
}

fn masked() -> Everything {
    Everything {
        text: String::new(),
        number: 0,
        large: 0,
        float: -1.0,
        truth: false,
        none: None,
        some: None,
        list: Vec::new(),
        map: BTreeMap::new(),
        time: jiff::Timestamp::UNIX_EPOCH,
        nested: address(),
        written: 0,
    }
}

pub(super) async fn clause_13_1_any_type_round_trips_exactly_and_is_masked_as_its_own_type(subject: Subject) {
    let (store, stream) = (subject.private(), customers("17"));
    let texts = ["007", "true", "null", "", "\"}{\\\u{1f980}", "[1]"];
    let events: Vec<_> = texts.iter().map(|text| everything(text)).collect();
    store.append(&stream, events.clone()).await.unwrap();
    let read = subject.another_private().await.load_stream::<Everything>(&stream).await.unwrap();
    assert_eq!(read.into_iter().map(|wrapped| wrapped.event).collect::<Vec<_>>(), events);

    store.shred(stream.name().unwrap()).await.unwrap();
    let read = store.load_stream::<Everything>(&stream).await.unwrap();
    assert_eq!(read.len(), texts.len());
    assert!(read.into_iter().all(|wrapped| wrapped.event == masked()));
}

pub(super) async fn clause_13_1_nothing_that_is_encrypted_stands_in_the_clear(subject: Subject) {
    let (store, stream) = (subject.private(), customers("17"));
    store.append(&stream, (ann(), bob(), described())).await.unwrap();
    store.save_snapshot(&stream, 2, ann()).await.unwrap();
    subject.holds_no_secret(&stream).await;
    let stored = subject.stored(&TenantId::DEFAULT, &stream).await;
    assert!(stored[0].data.contains("forgotten") && stored[0].data.contains("York"), "{}", stored[0].data);
}

pub(super) async fn clause_13_1_an_event_without_marks_is_stored_as_ever(subject: Subject) {
    let (store, stream) = (subject.private(), ledger("1"));
    store.append(&stream, noted(1)).await.unwrap();
    let stored = subject.stored(&TenantId::DEFAULT, &stream).await;
    assert_eq!(&*stored[0].context, "{}");
    assert_eq!(subject.store().numbers(&stream).await, [1], "without keys too");
}

/// An event as it is stored, for another place.
fn copied(event: &StoredEvent, id: Uuid, context: String) -> NewRecord {
    NewRecord::new(id, event.name.to_string(), event.data.to_string(), event.created_at).with_context(context)
}

async fn put(subject: &Subject, tenant: &TenantId, stream: &StreamId, record: NewRecord) {
    let part = StreamAppend::new(stream.clone(), Expectation::NoVersioning, vec![record]);
    let request = AppendRequest::new(tenant.clone(), vec![part]);
    subject.backend().append(Arc::new(request)).await.unwrap();
}

pub(super) async fn clause_13_1_a_ciphertext_that_was_moved_is_refused(subject: Subject) {
    let (store, stream, acme) = (subject.private(), customers("17"), tenant("acme"));
    let mut two = ann();
    two.email = "1987".to_owned();
    store.append(&stream, (ann(), two)).await.unwrap();
    // The same subject has a key there too.
    store.for_tenant(acme.clone()).append(&customers("other"), ann()).await.unwrap();
    let stored = subject.stored(&TenantId::DEFAULT, &stream).await;
    let (first, id) = (&stored[0], stored[0].id);
    let context = first.context.to_string();

    let elsewhere = ["id", "stream", "fields", "tenant", "damaged"].map(customers);
    // To another event; the id of the first is taken in the whole store, so that every move is one to another event too.
    put(&subject, &TenantId::DEFAULT, &elsewhere[0], copied(first, Uuid::now_v7(), context.clone())).await;
    let swapped = context.replace("/email", "/other").replace("/born", "/email").replace("/other", "/born");
    put(&subject, &TenantId::DEFAULT, &elsewhere[2], copied(first, Uuid::now_v7(), swapped)).await;
    put(&subject, &acme, &elsewhere[3], copied(first, Uuid::now_v7(), context.clone())).await;
    let damaged = context.replace("/born", "born");
    put(&subject, &TenantId::DEFAULT, &elsewhere[4], copied(first, Uuid::now_v7(), damaged)).await;
    // To another stream, with its id: the first stream is gone by then.
    store.delete_stream(&stream).await.unwrap();
    put(&subject, &TenantId::DEFAULT, &elsewhere[1], copied(first, id, context)).await;

    for (stream, tenant) in elsewhere.iter().zip([0, 0, 0, 1, 0]) {
        let handle = if tenant == 1 { store.for_tenant(acme.clone()) } else { store.clone() };
        let read = handle.load_stream::<Registered>(stream).await;
        assert_refused!(read, Error::SealBroken { stream: of, .. } if of == *stream);
        assert_refused!(handle.load_stream::<RawEvent>(stream).await, Error::SealBroken { .. });
    }
    assert_eq!(store.for_tenant(acme).registrations(&customers("other")).await, [ann()]);
}

pub(super) async fn clause_13_1_writers_that_meet_end_with_one_key(subject: Subject) {
    let writers = join_all((0..6).map(|_| subject.another_private())).await;
    let appends = writers.iter().enumerate().map(|(number, writer)| {
        let (writer, stream) = (writer.clone(), customers(&number.to_string()));
        tokio::spawn(async move { writer.append(&stream, ann()).await })
    });
    let appends: Vec<_> = appends.collect();
    for appended in join_all(appends).await {
        appended.unwrap().unwrap();
    }
    let keys = KeysRequest::new(TenantId::DEFAULT, vec![Arc::from("17")]);
    assert_eq!(subject.backend().keys(keys).await.unwrap().len(), 1);
    let reader = subject.another_private().await;
    for number in 0..6 {
        assert_eq!(reader.registrations(&customers(&number.to_string())).await, [ann()]);
    }
}

fn described() -> Described {
    let friend = |id, email: &str| Friend { id, email: email.to_owned(), lives: Some(Box::new(address())) };
    Described {
        customer: "17".to_owned(),
        lives: vec![address(), address()],
        by_purpose: BTreeMap::from([("a/b~c".to_owned(), address()), (String::new(), address())]),
        friends: vec![friend(18, "bob@example.com"), friend(19, "eve@example.com")],
        main: Some(address()),
        referrer: Some(18),
        referred_by: "bob@example.com".to_owned(),
    }
}

pub(super) async fn clause_13_2_marks_count_wherever_they_stand(subject: Subject) {
    let (store, stream) = (subject.private(), customers("17"));
    let empty = Described {
        lives: Vec::new(),
        by_purpose: BTreeMap::new(),
        friends: Vec::new(),
        main: None,
        ..described()
    };
    store.append(&stream, (described(), empty.clone())).await.unwrap();
    subject.holds_no_secret(&stream).await;
    let read = store.load_stream::<Described>(&stream).await.unwrap();
    assert_eq!((&read[0].event, &read[1].event), (&described(), &empty));

    // Two of the three subjects: the third is left as he was.
    store.shred("17").await.unwrap();
    let mut left = described();
    let homes = left.lives.iter_mut().chain(left.by_purpose.values_mut()).chain(&mut left.main);
    homes.for_each(|home| home.street_and_number = "somewhere".to_owned());
    assert_eq!(store.load_stream::<Described>(&stream).await.unwrap()[0].event, left);
    store.shred("18").await.unwrap();
    left.friends[0].email = "a friend".to_owned();
    left.friends[0].lives.as_mut().unwrap().street_and_number = "somewhere".to_owned();
    left.referred_by = "nobody".to_owned();
    assert_eq!(store.load_stream::<Described>(&stream).await.unwrap()[0].event, left);
}

pub(super) async fn clause_13_2_without_keys_writing_and_reading_are_errors(subject: Subject) {
    let (plain, store, stream) = (subject.store(), subject.private(), customers("17"));
    assert_refused!(
        plain.append(&stream, ann()).await,
        Error::EncryptionMissing { name, stream: of } if name == "registered" && of == stream,
    );
    subject.holds(0).await;
    store.append(&stream, ann()).await.unwrap();
    assert_refused!(plain.save_snapshot(&stream, 1, ann()).await, Error::EncryptionMissing { .. });
    assert_refused!(plain.load_stream::<Registered>(&stream).await, Error::EncryptionMissing { .. });
    assert_refused!(plain.load_stream::<RawEvent>(&stream).await, Error::EncryptionMissing { .. });
    assert_eq!(plain.version(&stream).await.unwrap(), Some(1), "which nothing is decoded for");
    assert_eq!(store.registrations(&stream).await, [ann()]);
}

pub(super) async fn clause_13_2_without_a_subject_nothing_is_written(subject: Subject) {
    let (store, nameless) = (subject.private(), StreamId::random());
    let refused = store.append(&nameless, everything("")).await;
    assert_refused!(refused, Error::NoSubject { stream, .. } if stream == nameless);
    let of_null = Described { referrer: None, ..described() };
    assert_refused!(store.append(&customers("17"), of_null).await, Error::NoSubject { .. });
    let long = registered(&"x".repeat(256), "ann@example.com");
    assert_refused!(store.append(&customers("17"), long).await, Error::InvalidName { .. });
    subject.holds(0).await;
}

pub(super) async fn clause_13_2_a_subject_has_a_key_in_each_tenant(subject: Subject) {
    let (store, stream) = (subject.private(), customers("17"));
    let handles = [store.clone(), store.for_tenant(tenant("acme")), store.for_tenant(tenant("globex"))];
    for handle in &handles {
        handle.append(&stream, ann()).await.unwrap();
    }
    handles[1].shred("17").await.unwrap();
    for (handle, email) in handles.iter().zip(["ann@example.com", "forgotten", "ann@example.com"]) {
        assert_eq!(handle.registrations(&stream).await[0].email, email);
    }
}

pub(super) async fn clause_13_2_a_payload_that_looks_like_what_is_encrypted_stays_as_it_is(subject: Subject) {
    let (store, stream, model) = (subject.private(), customers("17"), customers("model"));
    store.append(&model, ann()).await.unwrap();
    let context = subject.stored(&TenantId::DEFAULT, &model).await[0].context.to_string();
    for text in [context.as_str(), r#"{"":{"17":{"/email":"1.x.y"}}}"#, r#"{"":1}"#] {
        let raw = RawEvent::new("registered", text).unwrap();
        store.append(&stream, raw.clone()).no_versioning().await.unwrap();
        let read = store.load_stream::<RawEvent>(&stream).await.unwrap();
        assert_eq!(read.last().unwrap().event, raw);
    }
    let shown: event_sourcery::Context = serde_json::from_str(&context).unwrap();
    let refused = store.append(&stream, noted(1).with_context(shown)).no_versioning().await;
    assert_refused!(refused, Error::InvalidContext { .. });
    let own: event_sourcery::Context = serde_json::from_str(r#"{"": {"a": "own"}}"#).unwrap();
    let refused = store.append(&model, ann().with_context(own.clone())).expected_version(1).await;
    assert_refused!(refused, Error::InvalidContext { .. });
    store.append(&model, noted(1).with_context(own.clone())).expected_version(1).await.unwrap();
    assert_eq!(store.load_stream::<RawEvent>(&model).await.unwrap()[1].context, own);
}

pub(super) async fn clause_13_2_a_copy_of_an_event_is_encrypted_too(subject: Subject) {
    let (store, stream, acme) = (subject.private(), customers("17"), tenant("acme"));
    store.append(&stream, ann()).await.unwrap();
    let raw = store.load_stream::<RawEvent>(&stream).await.unwrap().remove(0).event;
    assert!(raw.data().get().contains("ann@example.com"));
    let archive = customers("archive");
    store.append(&archive, raw.clone()).await.unwrap();
    store.for_tenant(acme.clone()).append(&archive, raw).await.unwrap();
    subject.holds_no_secret(&archive).await;
    for event in subject.stored(&acme, &archive).await {
        assert!(SECRETS.iter().all(|secret| !event.data.contains(secret)), "{}", event.data);
    }
    store.shred("17").await.unwrap();
    assert_eq!(store.registrations(&archive).await[0].email, "forgotten");
    assert_eq!(store.for_tenant(acme).registrations(&archive).await, [ann()]);
}

/// The same customer once the email is a contact.
#[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
#[event(name = "registered", upcast(to_contact))]
struct Registered2 {
    #[event(subject)]
    customer: String,
    #[event(encrypted, mask = "nowhere")]
    contact: String,
}

fn to_contact(event: &mut StoredForm) -> Result<(), Source> {
    let email: String = event.read("email")?;
    event.write("contact", format!("mailto:{email}"))
}

pub(super) async fn clause_13_2_upcasters_see_what_is_encrypted(subject: Subject) {
    let (store, stream) = (subject.private(), customers("17"));
    store.append(&stream, ann()).await.unwrap();
    let contact = async || store.load_stream::<Registered2>(&stream).await.unwrap().remove(0).event.contact;
    assert_eq!(contact().await, "mailto:ann@example.com");
    store.shred("17").await.unwrap();
    assert_eq!(contact().await, "mailto:forgotten");
}

pub(super) async fn clause_13_4_keys_are_stored_wrapped_and_only_their_master_opens_them(subject: Subject) {
    let (store, stream) = (subject.private(), customers("17"));
    store.append(&stream, ann()).await.unwrap();
    let keys = KeysRequest::new(TenantId::DEFAULT, vec![Arc::from("17"), Arc::from("18")]);
    let keys = subject.backend().keys(keys).await.unwrap();
    let wrapped = keys[0].wrapped.as_ref().unwrap();
    assert_eq!((keys.len(), &*wrapped.by), (1, MasterKey::from_bytes([1; 32]).name()));
    assert!(wrapped.bytes.len() > 32);

    let another = Encryption::new(MasterKey::from_bytes([2; 32]));
    let another = subject.another_store().await.with_encryption(another).unwrap();
    assert_refused!(
        another.load_stream::<Registered>(&stream).await,
        Error::KeyNotUnwrapped { subject, .. } if subject == "17",
    );
    assert_refused!(another.append(&customers("new"), ann()).await, Error::KeyNotUnwrapped { .. });
    another.append(&customers("18"), bob()).await.unwrap();
}

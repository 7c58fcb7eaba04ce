//! Files of events, and what no backend has a part in.

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::{Copy, export};
use crate::backend::{
    AppendRequest, Backend as _, Expectation, NewRecord, ScanRequest, StoredRecord, StreamAppend,
};
use crate::{Error, EventStore, MemoryBackend, Position, RawEvent, StreamId, Tag, TenantId};

fn empty() -> EventStore<MemoryBackend> {
    EventStore::new(MemoryBackend::new())
}

/// Appends an event as another program may have written it.
async fn write(store: &EventStore<MemoryBackend>, data: &str, context: &str) {
    let at = Timestamp::from_microsecond(1_700_000_000_123_456).unwrap();
    let record = NewRecord::new(Uuid::now_v7(), "noted", data.to_owned(), at);
    let tags = vec![Tag::new("bytes", data.len()).unwrap(), Tag::new("it's", "ü\":").unwrap()];
    let record = record.with_context(context.to_owned()).with_schema_version(3).with_tags(tags);
    let stream = StreamId::from_name(format!("ledgers/{data}")).unwrap().in_category("red").unwrap();
    let part = StreamAppend::new(stream, Expectation::NoVersioning, vec![record]);
    let request = AppendRequest::new(TenantId::new("acme").unwrap(), vec![part]);
    store.backend().append(Arc::new(request)).await.unwrap();
}

async fn stored(store: &EventStore<MemoryBackend>) -> Vec<StoredRecord> {
    store.backend().scan(ScanRequest::new(Position::START, 9_999)).await.unwrap().records
}

async fn exported(store: &EventStore<MemoryBackend>) -> String {
    let mut file = Vec::new();
    export(store, &mut file).await.unwrap();
    String::from_utf8(file).unwrap()
}

#[tokio::test]
async fn what_is_in_a_file_comes_out_of_it_to_the_character() {
    let (store, another) = (empty(), empty());
    let exact = r#"{"n":1.10,"big":123456789012345678901234567890,"a" : "\u00e9"}"#;
    for data in [exact, "{\n\"a\":1}", r#"{"a":NaN}"#, " {} "] {
        write(&store, data, r#"{"trace":{"id":7},"components":{"x":{"y":1.0}}}"#).await;
    }
    store.append(&StreamId::random(), RawEvent::new("Paid", "{}").unwrap()).await.unwrap();

    let file = exported(&store).await;
    assert_eq!(file.lines().count(), 7, "one line each, and two: {file}");
    assert!(file.contains(&format!(r#""data":{exact}"#)) && file.contains(r#""data_text":"{\n\"a\":1}""#));
    let copied = Copy::import(file.as_bytes(), &another).run().await.unwrap();
    assert_eq!((copied.written, copied.is_clean()), (5, true), "{copied:?}");

    let (ours, theirs) = (stored(&store).await, stored(&another).await);
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let raw = |record: &StoredRecord| {
            let StoredRecord { stream, tenant, event } = record.clone();
            let name = stream.name().map(str::to_owned);
            let what = (event.id, event.version, event.name, event.schema_version, event.created_at);
            (stream, name, tenant, what, event.tags, event.data, event.context)
        };
        assert_eq!(raw(ours), raw(theirs));
    }
    assert!(Copy::new(&store, &another).compare().await.unwrap().is_equal());
    assert!(Copy::import(file.as_bytes(), &another).compare().await.unwrap().is_equal());
}

#[tokio::test]
async fn a_line_that_is_wrong_is_told_by_its_number() {
    let store = empty();
    for number in 0..3 {
        store.append(&StreamId::random(), RawEvent::new("Paid", "{}").unwrap()).await.unwrap();
        assert_eq!(exported(&store).await.lines().count(), number + 3);
    }
    let file = exported(&store).await;
    let lines: Vec<&str> = file.lines().collect();
    let with = |number: usize, line: &str| {
        let mut lines = lines.clone();
        lines[number - 1] = line;
        lines.join("\n")
    };
    let half = lines[2].split_at(40).0;
    let without_id = lines[2].replace(r#""id":"#, r#""di":"#);
    let both = lines[2].replace(r#""data":{}"#, r#""data":{},"data_text":"{}""#);
    let tagged = |tag: &str| lines[2].replace(r#""data":{}"#, &format!(r#""tags":["{tag}"],"data":{{}}"#));
    let (untold, nameless) = (tagged("course"), tagged(":c1"));
    for (wrong, number, said) in [
        (String::new(), 1, "not written to its end"),
        (with(1, "{}"), 1, "missing field `format`"),
        (with(1, r#"{"format":"letters","version":1}"#), 1, "the format is to be"),
        (with(1, r#"{"format":"event-sourcery events","version":2}"#), 1, "update it"),
        (with(3, half), 3, "EOF while parsing"),
        (with(3, &without_id), 3, "unknown field `di`"),
        (with(3, &both), 3, "`data_text`"),
        (with(3, &untold), 3, "a colon between name and value"),
        (with(3, &nameless), 3, r#"the tag ":c1" is refused"#),
        (with(3, lines[1]), 3, "not above"),
        (with(4, ""), 4, "the line is empty"),
        (with(5, r#"{"end": true, "events": 4}"#), 5, "the end of 4 events, and 3 stand above it"),
        (lines[..4].join("\n"), 5, "not written to its end"),
        (format!("{file}{}", lines[1]), 6, "behind the last line"),
    ] {
        let refused = Copy::import(wrong.as_bytes(), &empty()).run().await;
        let Err(Error::InvalidLine { line, problem }) = &refused else { panic!("{said}: {refused:?}") };
        assert!(*line == number && problem.contains(said), "{said}: {refused:?}");
    }
}

#[tokio::test]
async fn a_file_that_was_imported_halfway_is_imported_to_its_end() {
    let (store, another) = (empty(), empty());
    for _ in 0..1_500 {
        store.append(&StreamId::random(), RawEvent::new("Paid", "{}").unwrap()).await.unwrap();
    }
    let file = exported(&store).await;
    let cut = file.split_at(file.len() * 3 / 4).0;
    assert!(Copy::import(cut.as_bytes(), &another).run().await.is_err());
    let there = stored(&another).await.len() as u64;
    assert!(there > 0 && there < 1_500, "{there}");

    let copied = Copy::import(file.as_bytes(), &another).run().await.unwrap();
    assert_eq!((copied.present, copied.written), (there, 1_500 - there));
    assert!(Copy::new(&store, &another).compare().await.unwrap().is_equal());
    let refused = Copy::import(file.as_bytes(), &another).deleting().run().await;
    assert!(matches!(refused, Err(Error::InvalidOption { option: "deleting", .. })), "{refused:?}");
}

#[tokio::test]
async fn a_tenants_handle_copies_that_tenant_and_two_tenants_are_refused() {
    let (store, another) = (empty(), empty());
    let tenant = |name: &str| TenantId::new(name).unwrap();
    for name in ["acme", "zenith"] {
        let paid = RawEvent::new("Paid", "{}").unwrap();
        store.for_tenant(tenant(name)).append(&StreamId::random(), paid).await.unwrap();
    }
    let acme = store.for_tenant(tenant("acme"));
    for destination in [another.clone(), another.for_tenant(tenant("acme"))] {
        Copy::new(&acme, &destination).run().await.unwrap();
        assert!(Copy::new(&acme, &destination).compare().await.unwrap().is_equal());
    }
    assert_eq!(stored(&another).await.len(), 1);
    for source in [&acme, &store] {
        let refused = Copy::new(source, &another.for_tenant(tenant("zenith"))).run().await;
        assert!(matches!(refused, Err(Error::InvalidOption { option: "destination", .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn a_copy_can_run_in_a_task_of_its_own() {
    let (store, another) = (empty(), empty());
    store.append(&StreamId::random(), RawEvent::new("Paid", "{}").unwrap()).await.unwrap();
    let copying = another.clone();
    let copied = tokio::spawn(async move { Copy::new(&store, &copying).run().await });
    assert_eq!(copied.await.unwrap().unwrap().written, 1);
}

#[tokio::test]
async fn a_comparison_says_how_far_it_has_come() {
    let (store, another) = (empty(), empty());
    for _ in 0..600 {
        store.append(&StreamId::random(), RawEvent::new("Paid", "{}").unwrap()).await.unwrap();
    }
    Copy::new(&store, &another).run().await.unwrap();
    let mut told = Vec::new();
    let comparing = Copy::new(&store, &another).on_progress(|so_far| told.push(so_far.present));
    assert!(comparing.compare().await.unwrap().is_equal());
    assert_eq!(told, [512, 600]);
}

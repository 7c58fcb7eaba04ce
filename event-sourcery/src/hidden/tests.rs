//! Every public type is in one of these lists, and `Debug` of those that hold payloads shows none.

mod lists;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use self::lists::{HOLD_ERRORS, HOLD_PLAIN_FACTS, HOLD_SECRETS, HOLD_WHAT_IS_THE_CALLERS, OF_OTHER_CRATES};
use crate::backend::{
    AppendOutcome, AppendRequest, Backend as _, Boundary, EventAt, EventsRequest, Expectation, Filter,
    HeardRecord, Listener, LoadRequest, NewRecord, PresentEvent, ReadRecords, ScanRequest, SnapshotRequest,
    Span, StateRequest, StoredEvent, StoredRecord, StreamAppend, TransactionalBackend as _,
};
use crate::new_event::{Encoded, IntoEvent as _, IntoEvents as _};
use crate::outbox::OutboxEntry;
use crate::telemetry::TraceCarrier;
use crate::{
    Batch, Context, Enriching, Event as _, EventStore, Heard, MemoryBackend, MemoryTransaction, Next,
    Position, Projected, Query, RawEvent, Recorded, Selection, StoredForm, StreamId, TenantId, WrappedEvent,
};

/// What no `Debug` may show.
const SECRET: &str = "4111-secret";

fn payload() -> String {
    json!({ "number": SECRET }).to_string()
}

fn context() -> Context {
    let text = json!({ "components": { "card": { "number": SECRET } }, "rest": SECRET }).to_string();
    Context::decode(&text).unwrap()
}

fn event() -> RawEvent {
    RawEvent::new("CardAdded", payload()).unwrap()
}

fn new_record() -> NewRecord {
    let mut record = event().into_event().unwrap().record;
    record.context = context().encode().unwrap();
    record
}

fn stored_event() -> StoredEvent {
    let NewRecord { id, name, data, context, created_at, schema_version, .. } = new_record();
    let (name, data, context) = (name.into(), data.into(), Cow::Owned(context));
    StoredEvent {
        position: Position::START,
        version: Some(1),
        id,
        name,
        data,
        context,
        created_at,
        schema_version,
        tags: Vec::new(),
        unreadable: None,
        opening: None,
    }
}

fn stored_record() -> StoredRecord {
    StoredRecord { stream: StreamId::random(), tenant: TenantId::DEFAULT, event: stored_event() }
}

fn recorded() -> Recorded<RawEvent> {
    let recorded = Recorded::<RawEvent>::decode(&stored_record()).unwrap();
    assert!(recorded.wrapped_event.event.data().get().contains(SECRET));
    recorded
}

fn state() -> StateRequest {
    StateRequest {
        tenant: TenantId::DEFAULT,
        stream: StreamId::random(),
        name: "card",
        format: 1,
        behind: EventAt { version: 1, id: Uuid::nil() },
        made_of: None,
        data: payload(),
        created_at: Timestamp::UNIX_EPOCH,
    }
}

fn stream_append() -> StreamAppend {
    let (stream, expectation) = (StreamId::random(), Expectation::Version(0));
    StreamAppend::new(stream, expectation, vec![new_record()])
}

fn snapshot() -> SnapshotRequest {
    let (tenant, stream) = (TenantId::DEFAULT, StreamId::random());
    SnapshotRequest { tenant, stream, version: 1, record: new_record() }
}

/// What a value shows, and the name of its type.
#[derive(Default)]
struct Samples(Vec<(String, String)>);

impl Samples {
    fn add<T: Debug>(&mut self, value: &T) {
        let name = std::any::type_name::<T>();
        let name = name.split('<').next().unwrap_or(name);
        let name = name.rsplit("::").next().unwrap_or(name);
        self.0.push((name.to_owned(), format!("{value:?} {value:#?}")));
    }
}

fn plain_values(samples: &mut Samples) {
    let (stream, tenant, context) = (StreamId::random(), TenantId::DEFAULT, context());
    let (event_name, stream_id, tenant_id) = ("CardAdded", &stream, &tenant);
    let record = new_record();
    samples.add(&Enriching { event_name, stream_id, tenant_id, context: &context, record: &record });
    samples.add(&context);
    samples.add(&TraceCarrier::new([("baggage", SECRET)]));
    samples.add(&event());
    samples.add(&event().with_context(context.clone()));
    samples.add(&event().with_context(context).into_event().unwrap());
    let mut encoded = Encoded::default();
    event().encode_into(&mut encoded).unwrap();
    samples.add(&encoded);
    samples.add(&new_record());
    samples.add(&stored_event());
    samples.add(&stored_record());
    samples.add(&PresentEvent { record: stored_record(), previous: None });
    let record = stored_record();
    samples.add(&AppendOutcome::Present(vec![PresentEvent { record, previous: None }]));
    let boundary = Boundary::new(tenant.clone(), Query::all(), "0");
    samples.add(&Selection { events: vec![recorded()], boundary: boundary.clone() });
    samples.add(&ReadRecords::new(vec![stored_record()], boundary));
    samples.add(&stream_append());
    samples.add(&AppendRequest::new(TenantId::DEFAULT, vec![stream_append()]));
    samples.add(&snapshot());
    samples.add(&state());
    let fields = json!({ "number": SECRET }).as_object().unwrap().clone();
    samples.add(&StoredForm::new("CardAdded".into(), 1, fields));
    samples.add(&WrappedEvent::<RawEvent>::decode(&stream, &stored_event()).unwrap());
    samples.add(&recorded());
    samples.add(&OutboxEntry::new(recorded(), 1));
    samples.add(&Heard::<RawEvent>::decode(&stored_record()).unwrap());
    samples.add(&Next::Event(recorded()));
    samples.add(&Projected::Event(recorded()));
    let events = vec![recorded()];
    samples.add(&Batch { events, position: Position::START, caught_up: true });
}

/// Shows what listeners are called with.
#[derive(Default)]
struct Shows(Mutex<Samples>);

impl Listener<MemoryBackend> for Shows {
    fn hear(&self, event: &HeardRecord<'_>, _: &mut MemoryTransaction<'_>) -> crate::Result<()> {
        self.0.lock().unwrap().add(event);
        Ok(())
    }
}

async fn stores(samples: &mut Samples) {
    let (store, stream) = (EventStore::new(MemoryBackend::new()), StreamId::random());
    let globex = store.for_tenant(TenantId::new("globex").unwrap());
    // What a subscription has read is kept for all.
    let mut following = store.subscribe::<RawEvent>().stream();
    assert!(matches!(following.try_next().await, Ok(Some(Next::CaughtUp(_)))));
    let appended = globex.append(&stream, event().with_context(context()));
    samples.add(&appended);
    let shows = Arc::new(Shows::default());
    let listening = store.backend().listen(vec![Filter::new()], shows.clone()).unwrap();
    appended.await.unwrap();
    listening.remove();
    samples.0.append(&mut shows.0.lock().unwrap().0);
    assert!(matches!(following.try_next().await, Ok(Some(Next::Event(_)))));
    samples.add(&store.for_tenant(TenantId::new("acme").unwrap()));
    samples.add(store.backend());
    samples.add(&globex.save_snapshot(&stream, 1, event()));
    globex.delete_stream(&StreamId::from_name(SECRET).unwrap()).await.unwrap();
    samples.add(&store.delete_stream(&stream));
    let (tenant, backend) = (globex.tenant_id().clone(), store.backend());
    let load = LoadRequest { tenant, stream: stream.clone(), span: Span::Full, limit: None };
    let loaded = backend.load(load).await.unwrap();
    assert_eq!(loaded.events.len(), 1);
    samples.add(&loaded);
    let scan = ScanRequest { after: Position::START, up_to: None, filter: Filter::default(), limit: 9 };
    let page = backend.scan(scan).await.unwrap();
    assert_eq!(page.records.len(), 1);
    samples.add(&page);
    let look = globex.look();
    samples.add(&look.backwards(&stream, None, 9).await.unwrap());
    let seen = look.events(EventsRequest::newest(1)).await.unwrap().items.remove(0);
    samples.add(&look.caused_by(seen.uuid()).await.unwrap().unwrap());
    samples.add(&seen);
    let shown = backend
        .transaction(&TenantId::DEFAULT, |transaction| {
            let mut samples = Samples::default();
            samples.add(transaction);
            Ok::<_, crate::Error>(samples)
        })
        .await;
    samples.0.extend(shown.unwrap().0);
}

#[tokio::test]
async fn no_public_type_shows_a_payload() {
    let mut samples = Samples::default();
    plain_values(&mut samples);
    stores(&mut samples).await;
    for (name, shown) in &samples.0 {
        assert!(!shown.contains(SECRET), "`Debug` of {name} shows a payload: {shown}");
    }
    let names: BTreeSet<_> = samples.0.iter().map(|(name, _)| &**name).collect();
    let missing: Vec<_> = HOLD_SECRETS.iter().filter(|name| !names.contains(**name)).collect();
    assert_eq!(missing, [&"PostgresOptions"], "there is a sample of each");
}

/// The names of the public types in a folder. Those for tests are to be seen.
fn public_types(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_for_tests = ["testing", "tests"].iter().any(|name| path.ends_with(name));
        if path.is_dir() && !is_for_tests {
            public_types(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            for line in text.lines().map(str::trim_start) {
                let declared = ["pub struct ", "pub enum ", "pub union "]
                    .iter()
                    .find_map(|kind| line.strip_prefix(kind));
                let end = |c: char| !c.is_alphanumeric() && c != '_';
                names.extend(declared.and_then(|rest| rest.split(end).next()).map(str::to_owned));
            }
        }
    }
}

#[test]
fn every_public_type_is_in_a_list() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = BTreeSet::new();
    // What is for tests, and what has no types for others.
    let not_for_others = ["event-sourcery-conformance", "event-sourcery-macros", "event-sourcery-cli"];
    for entry in fs::read_dir(crates).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_one = name.starts_with("event-sourcery") && !not_for_others.contains(&name);
        if is_one && path.join("Cargo.toml").is_file() {
            public_types(&path.join("src"), &mut found);
        }
    }
    let lists = [HOLD_SECRETS, HOLD_ERRORS, HOLD_WHAT_IS_THE_CALLERS, HOLD_PLAIN_FACTS, OF_OTHER_CRATES];
    let listed: BTreeSet<_> = lists.iter().copied().flatten().map(|name| (*name).to_owned()).collect();
    assert_eq!(listed.len(), lists.iter().map(|list| list.len()).sum::<usize>(), "none is in two lists");
    let unlisted: Vec<_> = found.difference(&listed).collect();
    assert!(unlisted.is_empty(), "does `Debug` of these show what others must not see? {unlisted:?}");
    let gone: Vec<_> = listed.difference(&found).collect();
    assert!(gone.is_empty(), "these are not there any more: {gone:?}");
}

//! What is encrypted, in closures and with key services; what every backend does is in the conformance kit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use event_sourcery::privacy::{
    DataKey, Encryption, KeyState, KeyWrapping, MasterKey, Personal, SubjectOf, SubjectShredded,
};
use event_sourcery::{
    Error, Event, EventStore, MemoryBackend, NewEvent, Next, PayloadError, Position, RawEvent, Result,
    StreamId,
};
use serde::{Deserialize, Serialize, Serializer};

#[derive(Event, Serialize, Deserialize, Debug, Clone, PartialEq)]
struct Registered {
    #[event(subject)]
    customer: u64,
    #[event(encrypted, mask = "forgotten")]
    email: String,
}

/// A master key that counts how often it is asked.
#[derive(Debug, Clone)]
struct Service {
    master: Arc<MasterKey>,
    calls: Arc<AtomicUsize>,
    forgotten: Arc<AtomicUsize>,
    /// Whether it answers at once.
    is_near: bool,
}

impl Service {
    fn new(is_near: bool) -> Self {
        let master = Arc::new(MasterKey::from_bytes([1; 32]));
        Self { master, calls: Arc::default(), forgotten: Arc::default(), is_near }
    }

    async fn called(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if !self.is_near {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn calls(&self) -> usize {
        self.calls.swap(0, Ordering::Relaxed)
    }
}

#[async_trait]
impl KeyWrapping for Service {
    fn name(&self) -> &str {
        self.master.name()
    }

    async fn wrap(&self, keys: &[(SubjectOf, DataKey)]) -> Result<Vec<Vec<u8>>> {
        self.called().await;
        self.master.wrap(keys).await
    }

    async fn unwrap(&self, keys: &[(SubjectOf, Vec<u8>)]) -> Result<Vec<DataKey>> {
        self.called().await;
        self.master.unwrap(keys).await
    }

    async fn forget(&self, _: &SubjectOf) -> Result<()> {
        self.forgotten.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

fn registered(customer: u64) -> Registered {
    Registered { customer, email: "ann@example.com".to_owned() }
}

fn over(backend: &MemoryBackend, service: &Service) -> EventStore<MemoryBackend> {
    EventStore::new(backend.clone()).with_encryption(Encryption::new(service.clone())).unwrap()
}

async fn emails(store: &EventStore<MemoryBackend>, stream: &StreamId) -> Vec<String> {
    let events = store.load_stream::<Registered>(stream).full_history().await.unwrap();
    events.into_iter().map(|wrapped| wrapped.event.email).collect()
}

#[tokio::test]
async fn a_page_fetches_each_key_once_and_all_of_them_in_one_call() {
    let (backend, service, stream) = (MemoryBackend::new(), Service::new(true), StreamId::random());
    let writer = over(&backend, &service);
    let events: Vec<_> = (0..1_000).map(registered).collect();
    writer.append(&stream, events).await.unwrap();
    assert_eq!(service.calls(), 1, "a thousand keys are wrapped in one call");
    let reader = over(&backend, &service);
    assert_eq!(emails(&reader, &stream).await.len(), 1_000);
    assert_eq!(service.calls(), 1, "and unwrapped in one");
    emails(&reader, &stream).await;
    assert_eq!(service.calls(), 0, "and kept");
}

#[tokio::test]
async fn a_report_that_is_not_whole_says_where_to_go_on() {
    let (backend, service, stream) = (MemoryBackend::new(), Service::new(true), StreamId::random());
    let store = over(&backend, &service);
    let others: Vec<_> = (0..1_500).map(|_| RawEvent::new("Noted", "{}").unwrap()).collect();
    store.append(&stream, others).await.unwrap();
    store.append(&stream, [registered(1), registered(2)]).expected_version(1_500).await.unwrap();
    let first = store.subject_report("1", Position::START).await.unwrap();
    assert_eq!((first.key, first.mentions.len()), (KeyState::Stored, 0));
    let second = store.subject_report("1", first.next.expect("it has looked at a part")).await.unwrap();
    assert_eq!((second.mentions.len(), second.next), (1, None));
}

#[tokio::test]
async fn a_closure_shreds_and_this_handle_forgets_with_it() {
    let (backend, service, stream) = (MemoryBackend::new(), Service::new(true), StreamId::random());
    let (store, of) = (over(&backend, &service), stream.clone());
    store.append(&stream, [registered(1), registered(2), registered(1)]).await.unwrap();
    let mut subscription = store.subscribe::<Registered>().stream();
    let mut next = async || match subscription.try_next().await.unwrap() {
        Some(Next::Event(recorded)) => recorded.into_event().email,
        other => panic!("{other:?}"),
    };
    assert_eq!(next().await, "ann@example.com");

    let failed = store.transaction::<(), Error, _>(move |tx| {
        assert!(!tx.shred("1")?.repeated);
        assert!(tx.shred("1")?.repeated);
        let read = tx.load_stream::<Registered>(&of).full_history().run()?;
        assert_eq!((&*read[0].event.email, &*read[1].event.email), ("forgotten", "ann@example.com"));
        let refused = tx.append(&of, registered(1)).expected_version(3).run();
        assert!(matches!(refused, Err(Error::SubjectShredded { .. })), "{refused:?}");
        Err(Error::bug("the caller's code has failed"))
    });
    failed.await.unwrap_err();
    assert_eq!(emails(&store, &stream).await, ["ann@example.com"; 3], "it was taken back");

    assert!(!store.transaction(|tx| tx.shred("1")).await.unwrap().repeated);
    assert_eq!(emails(&store, &stream).await, ["forgotten", "ann@example.com", "forgotten"]);
    assert_eq!((next().await, next().await), ("ann@example.com".to_owned(), "forgotten".to_owned()));
    assert_eq!(service.forgotten.load(Ordering::Relaxed), 0, "nobody knows what comes of a transaction");
    assert!(store.shred("1").await.unwrap().repeated);
    assert_eq!(service.forgotten.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_closure_seals_and_opens() {
    let (backend, service, stream) = (MemoryBackend::new(), Service::new(true), StreamId::random());
    let (store, of) = (over(&backend, &service), stream.clone());
    let read = store.transaction(move |tx| {
        tx.append(&of, [registered(1), registered(2)]).run()?;
        tx.save_snapshot(&of, 2, registered(1)).run()?;
        let again = tx.append(&of, registered(1)).expected_version(2).run()?;
        assert_eq!(again.last_version, Some(3));
        tx.load_stream::<Registered>(&of).full_history().run()
    });
    assert_eq!(read.await.unwrap().len(), 3);
    assert_eq!(emails(&store, &stream).await, ["ann@example.com"; 3]);
    assert!(EventStore::new(backend).load_stream::<RawEvent>(&stream).await.is_err(), "it is sealed");
    store.shred("1").await.unwrap();
    assert_eq!(service.forgotten.load(Ordering::Relaxed), 1);
    assert_eq!(emails(&store, &stream).await, ["forgotten", "ann@example.com", "forgotten"]);
    let refused = store.transaction(move |tx| tx.append(&stream, registered(1)).no_versioning().run());
    assert!(matches!(refused.await, Err(Error::SubjectShredded { .. })));
}

#[tokio::test]
async fn a_closure_is_refused_although_its_handle_has_the_key_in_memory() {
    let (backend, service, stream) = (MemoryBackend::new(), Service::new(true), StreamId::random());
    let (store, another) = (over(&backend, &service), over(&backend, &service));
    store.append(&stream, registered(1)).await.unwrap();
    another.shred("1").await.unwrap();
    assert_eq!(emails(&store, &stream).await, ["ann@example.com"], "it is in memory");
    let of = stream.clone();
    let refused = store.transaction(move |tx| tx.append(&of, registered(1)).expected_version(1).run());
    assert!(matches!(refused.await, Err(Error::SubjectShredded { .. })));
    assert_eq!(emails(&store, &stream).await, ["forgotten"], "a refusal tells it");
}

/// The key is gone with the transaction, and is not used by those who come after it.
#[tokio::test]
async fn a_key_that_was_made_in_a_closure_goes_with_it() {
    let (backend, service, stream) = (MemoryBackend::new(), Service::new(true), StreamId::random());
    let (store, of) = (over(&backend, &service), stream.clone());
    let failed: Result<()> = store
        .transaction(move |tx| {
            tx.append(&of, registered(1)).run()?;
            tx.load_stream::<Registered>(&of).run()?;
            Err(Error::Closed)
        })
        .await;
    assert!(matches!(failed, Err(Error::Closed)));
    store.append(&stream, registered(1)).await.unwrap();
    assert_eq!(emails(&over(&backend, &service), &stream).await, ["ann@example.com"]);
}

#[tokio::test]
async fn a_closure_does_not_wait_for_a_key_service() {
    let (backend, service, stream) = (MemoryBackend::new(), Service::new(false), StreamId::random());
    let (store, of) = (over(&backend, &service), stream.clone());
    let append = move |tx: &mut event_sourcery::Within<'_, event_sourcery::MemoryTransaction<'_>>| {
        tx.append(&of, registered(1)).no_versioning().run().map(drop)
    };
    let refused = store.transaction(append.clone()).await;
    assert!(matches!(refused, Err(Error::KeyNotAtHand { subject }) if subject == "1"));
    assert!(emails(&store, &stream).await.is_empty());
    store.append(&StreamId::random(), registered(1)).await.unwrap();
    store.transaction(append).await.unwrap();
    assert_eq!(emails(&store, &stream).await.len(), 1);
}

/// An event that cannot be decoded says nothing of what is encrypted in it.
#[tokio::test]
async fn no_error_tells_what_is_encrypted() {
    #[derive(Event, Serialize, Deserialize, Debug)]
    #[event(name = "Registered")]
    struct Other {
        email: u64,
    }

    let (store, stream) = (over(&MemoryBackend::new(), &Service::new(true)), StreamId::random());
    store.append(&stream, registered(1)).await.unwrap();
    let error = store.load_stream::<Other>(&stream).await.unwrap_err();
    assert!(matches!(error, Error::InvalidEvent { .. }));
    assert!(!format!("{error:?} {}", error.in_full()).contains("ann@example.com"), "{error}");
}

fn as_map<S: Serializer>(pairs: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(key, value)| (key, value)))
}

/// The keys of a map that is encrypted are encrypted with it.
#[tokio::test]
async fn no_refusal_tells_a_key_of_what_is_to_be_encrypted() {
    #[derive(Event, Serialize, Deserialize)]
    #[event(stream_is_subject)]
    struct Listed {
        #[event(encrypted)]
        #[serde(serialize_with = "as_map")]
        friends: Vec<(String, String)>,
    }

    let store = over(&MemoryBackend::new(), &Service::new(true));
    let friends = ["a friend", "another"].map(|who| ("ann@example.com".to_owned(), who.to_owned()));
    let listed = Listed { friends: friends.to_vec() };
    let error = store.append(&StreamId::from_name("people/1").unwrap(), listed).await.unwrap_err();
    assert!(matches!(
        &error,
        Error::InvalidPayload { problem: PayloadError::KeyTwice { place, .. }, .. } if place == "friends"
    ));
    assert!(!format!("{error:?} {}", error.in_full()).contains("ann@example.com"), "{error}");
}

/// A tree of them: what is within itself is looked into as well.
#[derive(Personal, Serialize, Deserialize)]
struct Person {
    #[event(encrypted)]
    name: String,
    children: Vec<Person>,
}

#[derive(Event, Serialize, Deserialize)]
#[event(stream_is_subject)]
struct Described {
    family: Person,
}

#[tokio::test]
async fn a_type_may_hold_itself() {
    let (backend, stream) = (MemoryBackend::new(), StreamId::from_name("people/1").unwrap());
    let store = over(&backend, &Service::new(true));
    let person = |name: &str, children| Person { name: name.to_owned(), children };
    let family = person("Ann", vec![person("Bob", Vec::new())]);
    store.append(&stream, Described { family }).await.unwrap();
    store.shred("people/1").await.unwrap();
    let read = store.load_stream::<Described>(&stream).await.unwrap().remove(0).event.family;
    assert_eq!((&*read.name, &*read.children[0].name), ("", ""));
}

/// In the place of a whole object nobody could tell it from one that was never encrypted.
#[tokio::test]
async fn what_stands_for_a_whole_object_is_refused() {
    #[derive(Event, Serialize, Deserialize)]
    #[event(stream_is_subject)]
    #[serde(transparent)]
    struct Whole {
        #[event(encrypted)]
        fields: BTreeMap<String, String>,
    }

    #[derive(Personal, Serialize, Deserialize)]
    #[serde(transparent)]
    struct Rest {
        #[event(encrypted)]
        fields: BTreeMap<String, String>,
    }

    #[derive(Personal, Serialize, Deserialize)]
    struct Page {
        number: String,
        #[serde(flatten)]
        rest: Rest,
    }

    #[derive(Event, Serialize, Deserialize)]
    #[event(stream_is_subject)]
    struct Noted {
        page: Page,
    }

    #[derive(Event, Serialize, Deserialize)]
    #[event(stream_is_subject)]
    struct Placed {
        rest: Rest,
    }

    let store = over(&MemoryBackend::new(), &Service::new(true));
    let stream = StreamId::from_name("people/1").unwrap();
    let fields = BTreeMap::from([("email".to_owned(), "ann@example.com".to_owned())]);
    let whole = store.append(&stream, Whole { fields: fields.clone() }).await;
    assert!(matches!(whole, Err(Error::InvalidPayload { .. })));
    let page = Page { number: "1".to_owned(), rest: Rest { fields: fields.clone() } };
    let flattened = store.append(&stream, Noted { page }).await;
    assert!(matches!(flattened, Err(Error::InvalidPayload { .. })));
    // In a place of its own it is a field like any other.
    store.append(&stream, Placed { rest: Rest { fields: fields.clone() } }).await.unwrap();
    let read = store.load_stream::<Placed>(&stream).await.unwrap().remove(0).event.rest;
    assert_eq!(read.fields, fields);
    store.shred("people/1").await.unwrap();
    let left = store.load_stream::<Placed>(&stream).await.unwrap().remove(0).event.rest;
    assert!(left.fields.is_empty());
}

/// Events can be copied to another store, whose keys are others.
#[tokio::test]
async fn a_copy_of_a_shredding_shreds_nobody_and_keeps_nobody_from_it() {
    let service = Service::new(true);
    let origin = over(&MemoryBackend::new(), &service);
    origin.shred("1").await.unwrap();
    let shredding = origin.read_all::<RawEvent>().stream().try_next().await.unwrap().unwrap();
    for has_same_id in [true, false] {
        let (store, stream) = (over(&MemoryBackend::new(), &service), StreamId::random());
        let copy = NewEvent::new(shredding.event().clone());
        let copy = if has_same_id { copy.with_id(shredding.wrapped_event.uuid) } else { copy };
        store.append(&shredding.stream_id, copy).await.unwrap();
        store.append(&stream, registered(1)).await.unwrap();
        assert!(!store.shred("1").await.unwrap().repeated, "{has_same_id}");
        assert_eq!(emails(&store, &stream).await, ["forgotten"]);
        let refused = store.append(&stream, registered(1)).expected_version(1).await;
        assert!(matches!(refused, Err(Error::SubjectShredded { .. })));
        assert!(store.shred("1").await.unwrap().repeated, "{has_same_id}");
        let told = store.load_stream::<SubjectShredded>(&shredding.stream_id).await.unwrap();
        assert_eq!(told.len(), 2);
    }
}

/// A subject that counts how often it is written.
#[derive(Deserialize)]
struct Counted(u64);

static WRITTEN: AtomicUsize = AtomicUsize::new(0);

impl Serialize for Counted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        WRITTEN.fetch_add(1, Ordering::Relaxed);
        serializer.serialize_u64(self.0)
    }
}

#[test]
fn an_event_without_marks_is_not_asked_for_its_subject_whatever_its_enum_holds() {
    #[derive(Event, Serialize, Deserialize)]
    enum Shop {
        Registered {
            #[event(subject)]
            customer: Counted,
            #[event(encrypted)]
            email: String,
        },
        Visited {
            #[event(subject)]
            customer: Counted,
            pages: u64,
        },
    }

    let written_for = |event: Shop| {
        WRITTEN.store(0, Ordering::Relaxed);
        event.marks(&mut event_sourcery::__private::Marks::default());
        WRITTEN.load(Ordering::Relaxed)
    };
    assert_eq!(written_for(Shop::Visited { customer: Counted(17), pages: 3 }), 0);
    assert_eq!(written_for(Shop::Registered { customer: Counted(17), email: String::new() }), 1);
}

//! Decisions with a key, where somebody makes the one of the same key meanwhile.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::{Decide, Select, decide};
use crate::aggregate::{CommandError, Executed};
use crate::backend::{
    AppendOutcome, AppendRequest, KeysRequest, LoadRequest, LoadSink, LoadedStream, ReadRecords, ReadRequest,
    SubjectKey,
};
use crate::error::{Error, Result};
use crate::event::{Event as _, RawEvent};
use crate::memory::MemoryBackend;
use crate::store::EventStore;
use crate::stream_id::StreamId;
use crate::tag::Tag;
use crate::within::{OnStore, Reach};

type Meanwhile<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A store where something happens before the first look at an event, or before the first append.
struct Between<'a> {
    store: OnStore<'a>,
    look: Option<Meanwhile<'a>>,
    append: Option<Meanwhile<'a>>,
}

impl Reach for Between<'_> {
    async fn append(&mut self, request: &Arc<AppendRequest>) -> Result<AppendOutcome> {
        if let Some(meanwhile) = self.append.take() {
            meanwhile.await;
        }
        self.store.append(request).await
    }

    async fn load(&mut self, request: &LoadRequest) -> Result<LoadedStream> {
        if let Some(meanwhile) = self.look.take() {
            meanwhile.await;
        }
        self.store.load(request).await
    }

    async fn load_in_parts(&mut self, request: &LoadRequest, sink: &mut dyn LoadSink) -> Result<()> {
        self.store.load_in_parts(request, sink).await
    }

    async fn keys(&mut self, request: KeysRequest) -> Result<Vec<SubjectKey>> {
        self.store.keys(request).await
    }

    async fn read(&mut self, request: &ReadRequest) -> Result<ReadRecords> {
        self.store.read(request).await
    }
}

fn counted() -> RawEvent {
    RawEvent::new("Counted", "{}").unwrap()
}

fn tag() -> Tag {
    Tag::new("counter", "c1").unwrap()
}

async fn count(store: &EventStore) {
    store.append(&StreamId::random(), counted().with_tags([tag()])).await.unwrap();
}

/// Numbers what was counted: the next number, which is also in its event.
async fn number(
    on: impl Reach,
    store: &EventStore,
    to: Option<&StreamId>,
) -> Result<Executed<u32>, CommandError<()>> {
    let counts = Select::<RawEvent>::tagged("counter", "c1").fold(0, |count: &mut u32, _| *count += 1);
    let decision = |&count: &u32, events: &mut super::NewEvents| {
        let event = RawEvent::new("Numbered", format!("{{\"number\": {count}}}")).unwrap();
        events.emit(event.with_tags([tag()]));
        Ok::<_, ()>(count)
    };
    let call = Decide::new(on, store.scope(), counts, decision).idempotency_key("request");
    decide(match to {
        Some(stream) => call.to(stream),
        None => call,
    })
    .await
}

fn store() -> EventStore {
    EventStore::new(MemoryBackend::new()).erased()
}

#[tokio::test]
async fn one_that_was_made_between_the_read_and_the_look_is_repeated_with_all_that_it_rested_on() {
    let store = store();
    count(&store).await;
    let meanwhile = async {
        count(&store).await;
        assert_eq!(number(store.on_store(), &store, None).await.unwrap().value, 2);
        count(&store).await;
    };
    let on = Between { store: store.on_store(), look: Some(Box::pin(meanwhile)), append: None };
    let decided = number(on, &store, None).await.unwrap();
    assert_eq!((decided.value, decided.appended.unwrap().repeated), (2, true));
}

#[tokio::test]
async fn one_whose_events_are_deleted_before_they_are_recognised_is_made_anew_on_all_that_is_there() {
    let store = store();
    count(&store).await;
    let first = number(store.on_store(), &store, None).await.unwrap();
    assert_eq!(first.value, 1);
    count(&store).await;
    let meanwhile = async {
        let stream = super::Key::new(&store.scope().tenant, "request").stream();
        store.delete_stream(&stream).await.unwrap();
    };
    let on = Between { store: store.on_store(), look: None, append: Some(Box::pin(meanwhile)) };
    let decided = number(on, &store, None).await.unwrap();
    assert_eq!((decided.value, decided.appended.unwrap().repeated), (2, false));
}

#[tokio::test]
async fn a_key_that_was_used_for_another_stream_is_told_as_that() {
    let store = store();
    let (one, another) = (StreamId::random(), StreamId::random());
    number(store.on_store(), &store, Some(&one)).await.unwrap();
    for stream in [Some(&another), None] {
        let refused = number(store.on_store(), &store, stream).await.unwrap_err();
        assert!(
            matches!(&refused, CommandError::Store(Error::KeyReused { key, .. }) if key == "request"),
            "{refused:?}"
        );
    }
    assert!(number(store.on_store(), &store, Some(&one)).await.unwrap().appended.unwrap().repeated);
}

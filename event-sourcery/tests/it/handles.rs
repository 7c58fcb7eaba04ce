//! A handle for a request: its context is on everything that is appended through it.

use event_sourcery::uuid::Uuid;
use event_sourcery::{
    Context, ContextComponent, Error, Event as _, EventStore, MemoryBackend, RawEvent, StreamId, TenantId,
    WrappedEvent,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct User {
    name: String,
}

impl ContextComponent for User {
    const NAME: &'static str = "user";
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Client {
    address: String,
}

impl ContextComponent for Client {
    const NAME: &'static str = "client";
}

fn user(name: &str) -> User {
    User { name: name.to_owned() }
}

fn paid() -> RawEvent {
    RawEvent::new("Paid", "{}").unwrap()
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn store() -> EventStore<MemoryBackend> {
    EventStore::new(MemoryBackend::new())
}

/// The context of the last event of a stream.
async fn last(store: &EventStore<MemoryBackend>, stream: &StreamId) -> Context {
    store.load_stream::<RawEvent>(stream).await.unwrap().remove(0).context
}

async fn appended(store: &EventStore<MemoryBackend>, event: impl event_sourcery::IntoEvents) -> Context {
    let stream = StreamId::random();
    store.append(&stream, event).await.unwrap();
    last(store, &stream).await
}

fn context(correlation: u128, name: &str) -> Context {
    Context::new().with_correlation_id(id(correlation)).with_component(&user(name)).unwrap()
}

#[tokio::test]
async fn everything_that_is_appended_through_it_carries_its_context() {
    let store = store();
    let request = store.with_context(context(1, "ada"));
    assert_eq!(appended(&request, paid()).await, context(1, "ada"));
    // Its clones, a tenant's handle of it, and its transactions do so, too; the store that it was made of does not.
    assert_eq!(appended(&request.clone(), paid()).await, context(1, "ada"));
    let acme = request.for_tenant(TenantId::new("acme").unwrap());
    assert_eq!(appended(&acme, paid()).await, context(1, "ada"));
    let stream = StreamId::random();
    let in_transaction = stream.clone();
    request.transaction(move |tx| tx.append(&in_transaction, paid()).run()).await.unwrap();
    assert_eq!(last(&store, &stream).await, context(1, "ada"));
    assert_eq!(appended(&store, paid()).await, Context::new());
}

#[tokio::test]
async fn what_an_event_brings_goes_before_it_and_the_rest_is_added() {
    let request = store().with_context(context(1, "ada").with_causation_id(id(9)));
    let own = Context::new().with_component(&user("bob")).unwrap().with_causation_id(id(2));
    let carried = appended(&request, paid().with_context(own)).await;
    assert_eq!(carried, context(1, "bob").with_causation_id(id(2)));
    let client = Client { address: "::1".to_owned() };
    let own = Context::new().with_component(&client).unwrap();
    let carried = appended(&request, paid().with_context(own)).await;
    let expected = context(1, "ada").with_component(&client).unwrap().with_causation_id(id(9));
    assert_eq!(carried, expected);
}

#[tokio::test]
async fn of_two_contexts_of_a_handle_the_later_goes_before_the_earlier() {
    let client = Client { address: "::1".to_owned() };
    let first = store().with_context(context(1, "ada").with_component(&client).unwrap());
    let second = first.with_context(Context::new().with_component(&user("bob")).unwrap());
    assert_eq!(appended(&second, paid()).await, context(1, "bob").with_component(&client).unwrap());
    let third = second.with_context(Context::new().with_correlation_id(id(3)));
    assert_eq!(appended(&third, paid()).await, context(3, "bob").with_component(&client).unwrap());
}

/// What reacts to an event is about that event, whoever has begun to listen.
#[tokio::test]
async fn an_event_that_is_reacted_to_takes_the_place_of_the_ids_and_not_of_the_components() {
    let request = store().with_context(context(1, "ada").with_causation_id(id(9)));
    let ordered = WrappedEvent::new(paid()).with_id(id(5));
    let caused = appended(&request.caused_by(&ordered), paid()).await;
    assert_eq!((caused.correlation_id(), caused.causation_id()), (None, Some(id(5))));
    assert_eq!(caused.component::<User>().unwrap(), Some(user("ada")));
    let ordered = ordered.with_context(Context::new().with_correlation_id(id(7)));
    let caused = appended(&request.caused_by(&ordered), paid()).await;
    assert_eq!((caused.correlation_id(), caused.causation_id()), (Some(id(7)), Some(id(5))));
}

#[tokio::test]
async fn an_enricher_leaves_alone_what_the_handle_has_set() -> Result<(), Error> {
    let enriched = store().with_enricher(|_| Some(user("nobody")))?;
    assert_eq!(appended(&enriched, paid()).await.component::<User>()?, Some(user("nobody")));
    let request = enriched.with_context(context(1, "ada"));
    assert_eq!(appended(&request, paid()).await.component::<User>()?, Some(user("ada")));
    Ok(())
}

//! What a listener can do in its transaction, and what becomes of it, beside the contract.

use std::sync::{Arc, Mutex};

use event_sourcery::backend::{
    AppendRequest, Backend as _, Expectation, Filter, HeardRecord, Listener, NewRecord, StreamAppend,
    TransactionalBackend as _,
};
use event_sourcery::jiff::Timestamp;
use event_sourcery::uuid::Uuid;
use event_sourcery::{
    Aggregate, AppendPosition, CommandError, Emitting, Error, Event, EventStore, Heard, Listening,
    MemoryBackend, MemoryTransaction, Next, RawEvent, Repository, Result, Source, StreamId, Subscription,
    TenantId, Within, WrappedEvent,
};

type Store = EventStore<MemoryBackend>;

type Tx<'w, 't> = Within<'w, MemoryTransaction<'t>>;

fn store() -> Store {
    EventStore::new(MemoryBackend::new())
}

fn event(name: &'static str) -> RawEvent {
    RawEvent::new(name, "{}").unwrap()
}

async fn names(subscription: &mut Subscription<RawEvent>) -> Vec<String> {
    let mut names = Vec::new();
    while let Some(Next::Event(recorded)) = subscription.try_next().await.unwrap() {
        names.push(recorded.event().name().to_owned());
    }
    names
}

/// A store with three streams of an event each, of which a subscription has read the first; whoever hears of a purge
/// deletes the second.
async fn purged() -> (Store, Subscription<RawEvent>) {
    let (store, streams) = (store(), [0, 1, 2].map(|_| StreamId::random()));
    for (stream, name) in streams.iter().zip(["first", "goes", "stays"]) {
        store.append(stream, event(name)).await.unwrap();
    }
    let mut subscription = store.subscribe::<RawEvent>().stream();
    assert!(matches!(subscription.try_next().await, Ok(Some(Next::Event(_)))));
    let goes = streams[1].clone();
    let listen = store.listen::<RawEvent>().event_names(["purged", "refused"]);
    let purge = move |heard: Heard<RawEvent>, tx: &mut Tx<'_, '_>| -> Result<(), Source> {
        tx.delete_stream(&goes).run()?;
        if heard.event().name() == "refused" { Err("not now".into()) } else { Ok(()) }
    };
    listen.in_transaction(purge).unwrap();
    (store, subscription)
}

#[tokio::test]
async fn what_a_listener_deletes_is_not_handed_over_once_the_append_has_returned() {
    let (store, mut subscription) = purged().await;
    store.append(&StreamId::random(), event("purged")).await.unwrap();
    assert_eq!(names(&mut subscription).await, ["stays", "purged"]);
}

#[tokio::test]
async fn what_a_listener_deletes_in_a_closure_is_not_handed_over_once_that_has_returned() {
    let (store, mut subscription) = purged().await;
    store.transaction(|tx| tx.append(&StreamId::random(), event("purged")).run()).await.unwrap();
    assert_eq!(names(&mut subscription).await, ["stays", "purged"]);
}

#[tokio::test]
async fn what_a_listener_deletes_that_fails_is_there_still() {
    let (store, mut subscription) = purged().await;
    let refused = store.append(&StreamId::random(), event("refused")).await;
    assert!(matches!(refused, Err(Error::ListenerFailed { .. })), "{refused:?}");
    assert_eq!(names(&mut subscription).await, ["goes", "stays"]);
}

#[tokio::test]
async fn listeners_may_be_removed_and_registered_while_they_are_at_work() {
    let (store, calls) = (store(), Arc::<Mutex<Vec<&'static str>>>::default());
    let own: Arc<Mutex<Option<Listening>>> = Arc::default();
    // A handle that does not keep the store.
    let (backend, noting, removes) = (Arc::new(store.clone()), Arc::clone(&calls), Arc::clone(&own));
    let others = Arc::downgrade(&backend);
    let once = move |_: Heard<RawEvent>, _: &mut Tx<'_, '_>| -> Result<(), Source> {
        noting.lock().unwrap().push("once");
        if let Some(own) = removes.lock().unwrap().take() {
            own.remove();
        }
        let next = Arc::clone(&noting);
        if let Some(store) = others.upgrade() {
            store.listen::<RawEvent>().in_transaction(move |_, _| {
                next.lock().unwrap().push("next");
                Ok(())
            })?;
        }
        Ok(())
    };
    *own.lock().unwrap() = Some(store.listen::<RawEvent>().in_transaction(once).unwrap());
    for _ in 0..2 {
        store.append(&StreamId::random(), event("Happened")).await.unwrap();
    }
    assert_eq!(*calls.lock().unwrap(), ["once", "next"]);
}

#[tokio::test]
async fn the_error_of_a_listener_is_the_source_and_its_panic_is_told() {
    #[derive(Debug, thiserror::Error)]
    #[error("there is nothing left of {0}")]
    struct SoldOut(&'static str);

    let (store, stream) = (store(), StreamId::random());
    let refuse = store.listen::<RawEvent>().event_names(["Ordered"]);
    refuse.in_transaction(|_, _| Err(SoldOut("tea").into())).unwrap();
    let refused = store.append(&stream, event("Ordered")).await.unwrap_err();
    let source = std::error::Error::source(&refused).unwrap();
    assert_eq!(source.downcast_ref::<SoldOut>().unwrap().0, "tea");
    assert!(!refused.is_retryable());
    assert!(refused.in_full().ends_with("there is nothing left of tea"), "{}", refused.in_full());

    let panic = store.listen::<RawEvent>().event_names(["Returned"]);
    panic.in_transaction(|_, _| panic!("nobody returns tea")).unwrap();
    let refused = store.append(&stream, event("Returned")).await.unwrap_err();
    assert!(
        refused.in_full().ends_with("the listener panicked: nobody returns tea"),
        "{}",
        refused.in_full()
    );
    store.append(&stream, event("Drunk")).await.unwrap();
    assert_eq!(store.version(&stream).await.unwrap(), Some(1));
}

#[derive(Event)]
enum StockEvent {
    Taken,
}

#[derive(Default)]
struct Stock {
    taken: u32,
}

impl Aggregate for Stock {
    type Event = StockEvent;
    const CATEGORY: &'static str = "stock";

    fn apply(&mut self, _: &StockEvent) {
        self.taken += 1;
    }
}

/// A rule across streams that is never broken: the order and what it takes are both there, or neither.
#[tokio::test]
async fn a_listener_runs_commands_whose_rejection_refuses_the_append() {
    let (store, tea) = (store(), StreamId::from_name("tea").unwrap());
    let (stock, id) = (Repository::<Stock>::new(&store), tea.clone());
    let taking = stock.clone();
    let take = move |_: Heard<RawEvent>, tx: &mut Tx<'_, '_>| -> Result<(), Source> {
        let take = |stock: &mut Emitting<Stock>| {
            stock.emit(StockEvent::Taken);
            if stock.taken > 2 { Err("sold out") } else { Ok(()) }
        };
        match taking.on(&mut *tx).aggregate(&id, take).run() {
            Ok(_) => Ok(()),
            Err(CommandError::Rejected(why)) => Err(why.into()),
            Err(CommandError::Store(error)) => Err(error.into()),
        }
    };
    store.listen::<RawEvent>().event_names(["Ordered"]).in_transaction(take).unwrap();
    let order = async || store.append(&StreamId::random(), event("Ordered")).await;
    order().await.unwrap();
    order().await.unwrap();
    let refused = order().await.unwrap_err();
    assert!(refused.in_full().ends_with("sold out"), "{}", refused.in_full());
    assert_eq!(stock.load(&tea).await.unwrap().taken, 2);
}

/// On the backend itself, as an outbox would be.
#[tokio::test]
async fn a_listener_on_the_backend_is_called_for_what_is_appended_there() {
    #[derive(Default)]
    struct Notes(Mutex<Vec<(Uuid, TenantId)>>);

    impl Listener<MemoryBackend> for Notes {
        fn hear(&self, event: &HeardRecord<'_>, _: &mut MemoryTransaction<'_>) -> Result<()> {
            self.0.lock().unwrap().push((event.record.event.id, event.record.tenant.clone()));
            Ok(())
        }
    }

    let (backend, notes) = (MemoryBackend::new(), Arc::new(Notes::default()));
    let acme = TenantId::new("acme").unwrap();
    let listening = backend.listen(vec![Filter::new().with_tenant(acme.clone())], notes.clone()).unwrap();
    assert!(backend.capabilities().listeners);
    let append = async |tenant: TenantId| {
        let record = NewRecord::new(Uuid::now_v7(), "Paid", "{}".to_owned(), Timestamp::UNIX_EPOCH);
        let id = record.id;
        let part = StreamAppend::new(StreamId::random(), Expectation::Version(0), vec![record]);
        backend.append(Arc::new(AppendRequest::new(tenant, vec![part]))).await.unwrap();
        id
    };
    append(TenantId::DEFAULT).await;
    let id = append(acme.clone()).await;
    listening.remove();
    append(acme.clone()).await;
    assert_eq!(*notes.0.lock().unwrap(), [(id, acme)]);
}

#[test]
fn what_is_heard_can_be_made_for_a_test_of_a_listener() {
    let position = AppendPosition::from_i64(7);
    let heard = Heard::new(WrappedEvent::new(event("Paid")), StreamId::random(), position);
    let acme = TenantId::new("acme").unwrap();
    let heard = heard.with_tenant_id(acme.clone());
    assert_eq!((&heard.tenant_id, heard.position), (&acme, position));
    assert_eq!(heard.into_event().name(), "Paid");
}

//! One reads for all, whoever comes and goes.

mod waking;

use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};

use super::reader::Reading;
use super::*;
use crate::backend::{ScanPage, StoredEvent, StoredRecord, lost_stream_id, stored_tenant_id};
use crate::subscription::deletions::AsOf;
use crate::testing::FaultyBackend;
use crate::{Category, EventStore, MemoryBackend, Next, RawEvent, StreamId, Subscription, TenantId};

type Store = EventStore<FaultyBackend<MemoryBackend>>;

const SOON: Duration = Duration::from_secs(20);

fn store() -> Store {
    EventStore::new(FaultyBackend::new(MemoryBackend::new()))
}

/// A handle that has no tail in common with this one.
fn another(store: &Store) -> Store {
    EventStore::new(store.backend().clone())
}

async fn append(store: &Store, count: usize) {
    let events: Vec<_> = (0..count).map(|_| RawEvent::new("Happened", "{}").unwrap()).collect();
    store.append(&StreamId::random(), events).await.unwrap();
}

fn subscribe(store: &Store) -> Subscription<RawEvent> {
    store.subscribe().stream()
}

async fn next(subscription: &mut Subscription<RawEvent>) -> Next<RawEvent> {
    timeout(SOON, subscription.try_next()).await.expect("it goes on").unwrap().unwrap()
}

/// How many events come before word that there are no more.
async fn until_caught_up(subscription: &mut Subscription<RawEvent>) -> usize {
    let mut count = 0;
    while let Next::Event(_) = next(subscription).await {
        count += 1;
    }
    count
}

async fn until(mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(SOON, waiting).await.expect("it comes about");
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[tokio::test]
async fn what_was_kept_when_the_reader_ended_is_not_taken_for_all_there_is() {
    let store = store();
    let tail = store.tail();
    let mut first = subscribe(&store);
    assert_eq!(until_caught_up(&mut first).await, 0);
    let (waiting, ()) = tokio::join!(until_caught_up(&mut first), append(&store, 500));
    assert_eq!(waiting, 500);
    drop(first);
    until(|| tail.0.state().reader.is_none()).await;
    append(&another(&store), 1_000).await;
    assert_eq!(until_caught_up(&mut subscribe(&store)).await, 1_500);

    // A reader that has only begun knows no better.
    tail.0.state().reader = Some(Instant::now());
    tail.0.state().is_current = false;
    assert_eq!(until_caught_up(&mut subscribe(&store)).await, 1_500);
}

#[test]
fn a_runtime_that_ends_before_it_has_read_holds_up_nobody_on_another_one() {
    let (store, ended) = (store(), runtime());
    ended.block_on(async {
        let mut subscription = subscribe(&store);
        assert_eq!(until_caught_up(&mut subscription).await, 0);
        assert!(subscription.try_next().now_or_never().is_none());
    });
    assert!(store.tail().0.state().reader.is_some());
    drop(ended);
    assert!(store.tail().0.state().reader.is_none());
    runtime().block_on(async {
        let mut subscription = subscribe(&store);
        assert_eq!(until_caught_up(&mut subscription).await, 0);
        let (count, ()) = tokio::join!(until_caught_up(&mut subscription), append(&store, 3));
        assert_eq!(count, 3);
    });
}

#[test]
fn a_runtime_that_nobody_drives_holds_up_nobody_on_another_one() {
    let (store, idle) = (store(), runtime());
    let mut asleep = subscribe(&store);
    idle.block_on(async {
        assert_eq!(until_caught_up(&mut asleep).await, 0);
        assert!(asleep.try_next().now_or_never().is_none());
    });
    runtime().block_on(async {
        let mut subscription = subscribe(&store);
        assert_eq!(until_caught_up(&mut subscription).await, 0);
        for _ in 0..3 {
            let (count, ()) = tokio::join!(until_caught_up(&mut subscription), append(&store, 3));
            assert_eq!(count, 3);
        }
    });
    idle.block_on(async { assert_eq!(until_caught_up(&mut asleep).await, 9) });
}

#[test]
fn without_a_runtime_a_subscription_waits_by_itself() {
    let store = store();
    let mut subscription = subscribe(&store);
    assert!(matches!(subscription.try_next().now_or_never(), Some(Ok(Some(Next::CaughtUp(_))))));
    assert!(subscription.try_next().now_or_never().is_none());
    append(&store, 2).now_or_never().expect("memory does not wait");
    for _ in 0..2 {
        assert!(matches!(subscription.try_next().now_or_never(), Some(Ok(Some(Next::Event(_))))));
    }
    drop(subscription);
    let state = store.tail();
    let state = state.0.state();
    assert_eq!((state.waiting, state.reader), (0, None));
}

#[tokio::test]
async fn a_reader_far_behind_leaves_what_is_between_to_those_who_are_there() {
    let store = store();
    let (backend, tail): (Arc<dyn Backend>, _) = (Arc::new(store.backend().clone()), store.tail());
    append(&store, 20_000).await;
    // Somebody has just read, and far less than is there: whoever waits next reads on from there.
    tail.0.state().reader = Some(Instant::now());
    tail.0.state().last_read = Some(Instant::now());
    tail.0.state().waiting = 1;
    let before = store.backend().scans();
    tokio::spawn(Reading::new(Arc::clone(&tail.0)).read_for_all(backend));
    until(|| tail.0.state().window.to == Position::from_i64(20_000)).await;
    assert_eq!(store.backend().scans() - before, 16);
    assert!(tail.page(Position::START, &Filter::default(), 10).is_none());
    append(&store, 1).await;
    until(|| tail.0.state().window.to == Position::from_i64(20_001)).await;
    // It shows that it goes on, but for where nothing is run here for a second.
    tail.0.state().reader = Some(Instant::now());
    let page = tail.page(Position::from_i64(20_000), &Filter::default(), 10).unwrap();
    assert_eq!((page.records.len(), page.at_end), (1, true));
    tail.0.state().waiting = 0;
}

#[tokio::test]
async fn once_there_is_no_handle_any_more_the_backend_is_let_go() {
    let backend = FaultyBackend::new(MemoryBackend::new());
    let store = EventStore::new(backend);
    let mut subscription = subscribe(&store);
    assert_eq!(until_caught_up(&mut subscription).await, 0);
    let (count, ()) = tokio::join!(until_caught_up(&mut subscription), append(&store, 1));
    assert_eq!(count, 1);
    let shared = Arc::downgrade(&store.tail().0);
    drop((subscription, store));
    // So often that it is run many times, and no time has passed: it does not wait until it looks.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(shared.strong_count(), 0);
}

/// An event whose stream's row is missing, as a backend tells it.
fn lost(position: Position) -> StoredRecord {
    let event = StoredEvent {
        position,
        version: Some(1),
        id: uuid::Uuid::nil(),
        name: "Happened".into(),
        data: Box::default(),
        context: "{}".into(),
        created_at: jiff::Timestamp::UNIX_EPOCH,
        schema_version: 1,
        tags: Vec::new(),
        unreadable: Some("the row of its stream is missing".into()),
        opening: None,
    };
    StoredRecord { stream: lost_stream_id(position), tenant: stored_tenant_id(""), event }
}

#[test]
fn an_event_of_a_lost_stream_is_nobodys_in_no_category() {
    let (mut window, first) = (Window::at(Position::START), Position::from_i64(1));
    let page = ScanPage { records: vec![lost(first)], next: first, has_more: false };
    window.extend(page, AsOf::default(), &Deletions::default());
    let passing = |filter: Filter| {
        let page = window.page(Position::START, &filter, 10).unwrap();
        assert_eq!((page.next, page.at_end), (first, true));
        page.records.len()
    };
    assert_eq!(passing(Filter::default()), 1, "who asks for all meets it");
    assert_eq!(passing(Filter { names: Some([Arc::from("Happened")].into()), ..Filter::default() }), 1);
    assert_eq!(passing(Filter { tenant: Some(TenantId::DEFAULT), ..Filter::default() }), 0);
    assert_eq!(passing(Filter { category: Category::new("red").ok(), ..Filter::default() }), 0);
}

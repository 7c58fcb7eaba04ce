//! Aggregates in the caller's transaction.

use event_sourcery::backend::{Backend as _, EventAt, StateRequest};
use event_sourcery::jiff::Timestamp;
use event_sourcery::{
    Aggregate, CommandError, Emitting, Error, Event, Repository, SnapshotState, StreamId, TenantId,
};
use serde::{Deserialize, Serialize};

use super::LEVELS;
use crate::scene::{Scene, insert_invoice};

#[derive(Event)]
enum CounterEvent {
    Counted,
}

#[derive(Debug, PartialEq)]
struct TooMany;

#[derive(Default, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Counter {
    count: u64,
}

impl Aggregate for Counter {
    type Event = CounterEvent;
    const CATEGORY: &'static str = "counters";

    fn apply(&mut self, _: &CounterEvent) {
        self.count += 1;
    }
}

impl SnapshotState for Counter {
    const FORMAT: u16 = 1;
}

impl Counter {
    fn count(counter: &mut Emitting<Self>) -> Result<u64, TooMany> {
        counter.emit(CounterEvent::Counted);
        if counter.count > 3 { Err(TooMany) } else { Ok(counter.count) }
    }
}

#[tokio::test]
async fn a_command_and_the_callers_rows_are_both_kept_or_neither() {
    for level in LEVELS {
        let scene = Scene::new().await.with_own_table().await;
        let (history, id) = (Repository::<Counter>::new(&scene.store), StreamId::random());
        let counters = history.clone().snapshot_every(1);
        for commit in [false, true] {
            let mut tx = scene.begin_at(level).await;
            insert_invoice(&mut tx, "1003").await;
            let counted = counters.on(scene.store.within(&mut tx)).aggregate(&id, Counter::count).await;
            assert_eq!(counted.unwrap().value, 1);
            let mut seen = counters.on(scene.store.within(&mut tx)).load(&id).await.unwrap();
            assert_eq!((seen.count, seen.stored_version()), (1, 1), "it sees what it has written");
            seen.execute(Counter::count).unwrap();
            counters.on(scene.store.within(&mut tx)).save(seen).await.unwrap();
            assert!(history.load(&id).await.unwrap().is_new(), "nobody else does");
            if commit {
                tx.commit().await.unwrap();
            }
        }
        assert_eq!(history.load(&id).await.unwrap().count, 2, "{level}");
        assert_eq!(scene.number("SELECT count(*) FROM invoices").await, 1);
        // What may never be committed is not kept as a state.
        assert_eq!(scene.number("SELECT count(*) FROM event_sourcery_aggregate_snapshots").await, 0);
    }
}

#[tokio::test]
async fn a_rejected_command_leaves_the_transaction_usable() {
    let scene = Scene::new().await.with_own_table().await;
    let (counters, id) = (Repository::<Counter>::new(&scene.store), StreamId::random());
    let mut tx = scene.begin().await;
    for _ in 0..3 {
        counters.on(scene.store.within(&mut tx)).aggregate(&id, Counter::count).await.unwrap();
    }
    let rejected = counters.on(scene.store.within(&mut tx)).aggregate(&id, Counter::count).await;
    assert!(matches!(rejected, Err(CommandError::Rejected(TooMany))));
    insert_invoice(&mut tx, "1003").await;
    tx.commit().await.unwrap();
    assert_eq!(counters.load(&id).await.unwrap().count, 3);
    assert_eq!(scene.number("SELECT count(*) FROM invoices").await, 1);
}

/// T loads the counter; somebody else counts and commits; T appends. At READ COMMITTED, T meets a conflict, loads what was
/// committed, and decides again. Above that it would never see it, and the database ends it.
#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_is_decided_again_where_the_transaction_can_see_what_was_committed() {
    for level in LEVELS {
        let scene = Scene::new().await;
        let (counters, id) = (Repository::<Counter>::new(&scene.store), StreamId::random());
        counters.aggregate(&id, Counter::count).await.unwrap();
        let mut tx = scene.begin_at(level).await;
        let (mut calls, others) = (0, counters.clone());
        let command = |counter: &mut Emitting<Counter>| {
            calls += 1;
            if calls == 1 {
                let count = async { others.aggregate(&id, Counter::count).await.unwrap() };
                tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(count));
            }
            Counter::count(counter)
        };
        let executed = counters.on(scene.store.within(&mut tx)).aggregate(&id, command).await;
        if level.starts_with("READ") {
            assert_eq!(executed.unwrap().value, 3, "{level}");
            tx.commit().await.unwrap();
            assert_eq!((counters.load(&id).await.unwrap().count, calls), (3, 2));
        } else {
            assert!(
                matches!(executed, Err(CommandError::Store(Error::SerializationFailure { .. }))),
                "{level}"
            );
        }
    }
}

/// T deletes the counter; the state of a save before is written; T commits. Written, nothing could reach the state any more,
/// and nothing would delete it.
#[tokio::test]
async fn no_state_is_kept_of_a_stream_that_is_being_deleted() {
    let scene = Scene::new().await;
    let (counters, id) = (Repository::<Counter>::new(&scene.store), StreamId::random());
    let stream = id.clone().in_category(Counter::CATEGORY).unwrap();
    counters.aggregate(&id, Counter::count).await.unwrap();
    let event = scene.store.load_stream::<CounterEvent>(&stream).await.unwrap()[0].uuid;
    let state = |event| {
        let (name, data) = ((Counter::CATEGORY, Counter::FORMAT), r#"{"state":{"count":1}}"#.to_owned());
        let behind = EventAt::new(1, event);
        StateRequest::new(TenantId::DEFAULT, stream.clone(), name, behind, data, Timestamp::now())
    };
    let mut tx = scene.begin().await;
    scene.store.within(&mut tx).delete_stream(&stream).await.unwrap();
    scene.store.backend().save_state(state(event)).await.unwrap();
    tx.commit().await.unwrap();
    let states = "SELECT count(*) FROM event_sourcery_aggregate_snapshots";
    assert_eq!(scene.number(states).await, 0);

    // While somebody appends it is.
    counters.aggregate(&id, Counter::count).await.unwrap();
    let event = scene.store.load_stream::<CounterEvent>(&stream).await.unwrap()[0].uuid;
    let mut tx = scene.begin().await;
    counters.on(scene.store.within(&mut tx)).aggregate(&id, Counter::count).await.unwrap();
    scene.store.backend().save_state(state(event)).await.unwrap();
    assert_eq!(scene.number(states).await, 1);
    tx.rollback().await.unwrap();
}

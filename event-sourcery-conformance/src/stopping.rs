//! Clause 8.9: a run that is stopped finishes what it has in hand, and saves its checkpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use event_sourcery::Start;
use tokio::sync::Semaphore;

use super::ledger::{ledger, noted, notes};
use super::running::{Handled, Running, Settings, eventually, letters};
use super::subject::Subject;

/// A run whose handler takes a permit for each event, and ends it some time after it has begun.
struct Gated {
    run: Running,
    permits: Arc<Semaphore>,
    begun: Arc<AtomicUsize>,
}

impl Gated {
    fn start(store: &event_sourcery::EventStore, settings: &Settings, handled: &Handled) -> Self {
        let (permits, begun) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let (handled, gate, counted) = (handled.clone(), Arc::clone(&permits), Arc::clone(&begun));
        let run = Running::start(settings.of(store.subscribe()), move |recorded, _| {
            let (handled, gate, counted) = (handled.clone(), Arc::clone(&gate), Arc::clone(&counted));
            async move {
                counted.fetch_add(1, Ordering::SeqCst);
                gate.acquire().await?.forget();
                handled.note(&recorded);
                Ok(())
            }
        });
        Self { run, permits, begun }
    }

    async fn has_begun(&self, events: usize) {
        let what = format!("{events} events are begun");
        eventually(&what, async || self.begun.load(Ordering::SeqCst) >= events).await;
    }
}

pub(super) async fn clause_8_9_a_stop_finishes_the_event_in_hand_and_no_event_comes_twice(subject: Subject) {
    let (store, handled) = (subject.store(), Handled::default());
    store.append(&ledger("1"), notes(1..=20)).await.unwrap();
    for (round, done) in [(1, 4), (2, 9), (3, 10)] {
        let mut gated = Gated::start(&store, &Settings::default(), &handled);
        let before = handled.items().len();
        gated.permits.add_permits(done - before - 1);
        gated.has_begun(done - before).await;
        gated.run.request_stop().await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(handled.items().len(), done - 1, "round {round}: one is in hand");
        gated.permits.add_permits(100);
        gated.run.stop().await;
        assert_eq!(handled.items().len(), done, "round {round}: it is finished, and no other begun");
    }
    let run = Running::noting(letters(&store), &handled);
    handled.reach(20).await;
    run.stop().await;
    assert_eq!(handled.numbers(), (1..=20).collect::<Vec<_>>());
}

pub(super) async fn clause_8_9_a_stop_finishes_the_event_in_hand_of_a_stream_that_waited(subject: Subject) {
    let (store, handled, stream) = (subject.store(), Handled::default(), ledger("1"));
    store.append(&stream, notes(1..=10)).await.unwrap();
    let settings = Settings { attempts: 1, ..Settings::default() };
    let run = Running::planned(settings.of(store.subscribe()), &handled, |_, _| Err("as always".into()));
    eventually("it is parked", async || !letters(&store).parked().await.unwrap().is_empty()).await;
    run.stop().await;
    handled.forget();
    letters(&store).replay(&letters(&store).parked().await.unwrap()[0]).await.unwrap();
    let mut gated = Gated::start(&store, &settings, &handled);
    gated.permits.add_permits(2);
    gated.has_begun(3).await;
    gated.run.request_stop().await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    gated.permits.add_permits(100);
    gated.run.stop().await;
    assert_eq!(handled.numbers(), [1, 2, 3]);
    let run = Running::noting(letters(&store), &handled);
    handled.reach(10).await;
    run.stop().await;
    assert_eq!(handled.numbers(), (1..=10).collect::<Vec<_>>());
}

pub(super) async fn clause_8_9_others_take_over_from_one_that_stops_without_waiting_for_its_lease(
    subject: Subject,
) {
    let (store, another, handled) = (subject.store(), subject.another_store().await, Handled::default());
    // Were the lease waited for, the case would not end in time.
    let settings = Settings { lease: Duration::from_secs(3_600), ..Settings::default() };
    store.append(&ledger("1"), notes(1..=3)).await.unwrap();
    let run = Running::noting(settings.of(store.subscribe()), &handled);
    handled.reach(3).await;
    run.stop().await;
    store.append(&ledger("1"), noted(4)).expected_version(3).await.unwrap();
    let run = Running::noting(settings.of(another.subscribe()), &handled);
    handled.reach(4).await;
    run.stop().await;
    assert_eq!(handled.numbers(), [1, 2, 3, 4]);
}

pub(super) async fn clause_8_9_a_run_that_is_stopped_as_it_loses_its_lease_ends_well(subject: Subject) {
    let (store, handled) = (subject.store(), Handled::default());
    store.append(&ledger("1"), notes(1..=2)).await.unwrap();
    let mut gated = Gated::start(&store, &Settings::default(), &handled);
    gated.has_begun(1).await;
    letters(&store).reset(Start::Beginning).await.unwrap();
    gated.run.request_stop().await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    gated.permits.add_permits(100);
    gated.run.stop().await;
    assert_eq!(letters(&store).status().await.unwrap().unwrap().members, 0);
    let run = Running::noting(letters(&store), &handled);
    handled.reach(3).await;
    run.stop().await;
    assert_eq!(handled.numbers(), [1, 1, 2], "what was handled without a lease is handled again");
}

pub(super) async fn clause_8_9_a_run_that_is_stopped_before_it_begins_ends(subject: Subject) {
    let store = subject.store();
    store.append(&ledger("1"), noted(1)).await.unwrap();
    let ended = letters(&store).until(std::future::ready(())).run(async |_, _| unreachable!("it is stopped"));
    ended.await.unwrap();
}

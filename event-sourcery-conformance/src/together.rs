//! Clause 8.13: a handler may take a batch, and one that fails is taken apart.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use event_sourcery::{Appended, Event as _, EventStore, RawEvent, Recorded, Source};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::exactly_once::{
    Handing, assert_a_lease_that_is_lost_takes_its_effects_with_it, assert_a_parked_event_has_no_effect,
    assert_a_run_may_be_dropped_anywhere, assert_exactly_once,
    assert_outages_are_borne_and_each_event_takes_effect_once, source, with_sources,
};
use super::ledger::{Ledgers as _, Noted, ledger, noted, notes};
use super::reaction::{Deed, End, Reaction};
use super::running::{Handled, Running, SOON, Settings, eventually};
use super::subject::Subject;

/// How many events the batches had. Clones share it.
#[derive(Debug, Clone, Default)]
struct Sizes(Arc<Mutex<Vec<usize>>>);

impl Sizes {
    fn note<T>(&self, batch: &[T]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(batch.len());
    }

    fn all(&self) -> Vec<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn reach(&self, events: usize) {
        let what = format!("{events} events are handed over");
        eventually(&what, async || self.all().iter().sum::<usize>() >= events).await;
    }
}

/// Runs with a handler that notes the batches that it does not fail with.
fn noting(
    store: &EventStore,
    settings: &Settings,
    (sizes, handled): (&Sizes, &Handled),
    fail: impl Fn(&Recorded<Noted>) -> Result<(), Source> + Send + Sync + 'static,
) -> Running {
    let (sizes, handled, fail) = (sizes.clone(), handled.clone(), Arc::new(fail));
    Running::start_batches(settings.of(store.subscribe()), move |batch: Vec<Recorded<Noted>>, _| {
        let (sizes, handled, fail) = (sizes.clone(), handled.clone(), Arc::clone(&fail));
        async move {
            sizes.note(&batch);
            batch.iter().try_for_each(|recorded| fail(recorded))?;
            batch.iter().for_each(|recorded| handled.note(recorded));
            Ok(())
        }
    })
}

async fn settled(store: &EventStore, appended: Appended) {
    store.settled(appended.position).await;
}

/// A hundred events of five streams, and one of another.
async fn with_a_hundred_and_one(store: &EventStore) {
    with_sources(store, 20).await;
    settled(store, store.append(&ledger("last"), noted(1)).await.unwrap()).await;
}

pub(super) async fn clause_8_13_what_is_there_is_handed_over_together_and_in_order(subject: Subject) {
    let (store, seen) = (subject.store(), (Sizes::default(), Handled::default()));
    with_a_hundred_and_one(&store).await;
    let settings = Settings { batch: 16, ..Settings::default() };
    let run = noting(&store, &settings, (&seen.0, &seen.1), |_| Ok(()));
    seen.1.reach(101).await;
    run.stop().await;
    assert_eq!(seen.0.all(), [16, 16, 16, 16, 16, 16, 5]);
    assert!(seen.1.items().is_sorted_by_key(|item| item.position));
    for stream in 0..5 {
        assert_eq!(seen.1.of(&source(stream)), (1..=20).collect::<Vec<_>>());
    }
    let run = noting(&store, &settings, (&seen.0, &seen.1), |_| Ok(()));
    settled(&store, store.append(&ledger("last"), noted(2)).expected_version(1).await.unwrap()).await;
    seen.1.reach(102).await;
    run.stop().await;
    assert_eq!(seen.0.all().last(), Some(&1), "what was handled does not come again");
}

/// It grows while there is more, and no further than asked, and begins anew at the end.
pub(super) async fn clause_8_13_batches_grow_while_it_is_behind_and_no_further_than_asked(subject: Subject) {
    let (store, seen) = (subject.store(), (Sizes::default(), Handled::default()));
    let append = async |first: u64| {
        let appended = store.append(&ledger("1"), notes(first..first + 500)).no_versioning().await.unwrap();
        settled(&store, appended).await;
    };
    for first in [0, 500, 1_000] {
        append(first).await;
    }
    let settings = Settings { batch: 300, ..Settings::default() };
    let run = noting(&store, &settings, (&seen.0, &seen.1), |_| Ok(()));
    seen.1.reach(1_500).await;
    let sizes = seen.0.all();
    assert_eq!((sizes[0], sizes.iter().max()), (64, Some(&300)), "{sizes:?}");
    assert!(sizes.len() <= 14, "{sizes:?}");
    // By the page of an event that comes alone it has caught up: what follows is read after it has taken note of that.
    settled(&store, store.append(&ledger("1"), noted(1_500)).no_versioning().await.unwrap()).await;
    seen.1.reach(1_501).await;
    let calls = seen.0.all().len();
    append(1_501).await;
    seen.1.reach(2_001).await;
    run.stop().await;
    assert!(seen.0.all()[calls] <= 64, "{:?}", seen.0.all());
    assert_eq!(seen.1.numbers(), (0..2_001).collect::<Vec<_>>());
}

/// However many events are asked for, what is held is bounded by their bytes.
pub(super) async fn clause_8_13_a_batch_of_large_events_has_fewer_of_them(subject: Subject) {
    let (store, sizes) = (subject.store(), Sizes::default());
    let large = || RawEvent::new("noted", format!(r#"{{"number":1,"text":"{}"}}"#, "x".repeat(100_000)));
    for _ in 0..4 {
        let events: Vec<_> = (0..10).map(|_| large().unwrap()).collect();
        settled(&store, store.append(&ledger("1"), events).no_versioning().await.unwrap()).await;
    }
    let noting = sizes.clone();
    let run = Running::start_batches(
        Settings::default().of(store.subscribe::<RawEvent>()),
        move |batch: Vec<Recorded<RawEvent>>, _| {
            noting.note(&batch);
            std::future::ready(Ok(()))
        },
    );
    sizes.reach(40).await;
    run.stop().await;
    // Half a megabyte, and the one that goes beyond.
    assert!(sizes.all().iter().all(|events| *events <= 7), "{:?}", sizes.all());
}

/// One event fails in the middle: it is parked with its own error, its stream waits, all the others are handled, once.
async fn assert_it_is_parked_alone(
    subject: Subject,
    settings: Settings,
    error: &str,
    fail: impl Fn() -> Result<(), Source> + Send + Sync + 'static,
) {
    let (store, seen) = (subject.store(), (Sizes::default(), Handled::default()));
    with_a_hundred_and_one(&store).await;
    let settings = Settings { attempts: 2, ..settings };
    let run = noting(&store, &settings, (&seen.0, &seen.1), move |recorded| {
        let fails = recorded.stream_id == source(1) && recorded.wrapped_event.event.number == 7;
        if fails { fail() } else { Ok(()) }
    });
    let durable = settings.of(store.subscribe::<Noted>());
    eventually("it is parked", async || !durable.parked().await.unwrap().is_empty()).await;
    seen.1.reach(101 - 14).await;
    let all = durable.parked().await.unwrap();
    let [parked] = all.as_slice() else { panic!("one is parked: {all:?}") };
    assert_eq!((&parked.stream, parked.attempts), (&source(1), 2));
    assert!(parked.error.contains(error), "{}", parked.error);
    assert_eq!(seen.1.of(&source(1)), (1..=6).collect::<Vec<_>>());
    assert!(seen.0.all().len() < 30, "it is found soon: {:?}", seen.0.all());
    durable.skip(parked).await.unwrap();
    seen.1.reach(100).await;
    run.stop().await;
    assert_eq!(seen.1.of(&source(1)), (1..=20).filter(|number| *number != 7).collect::<Vec<_>>());
    for stream in [0, 2, 3, 4] {
        assert_eq!(seen.1.of(&source(stream)), (1..=20).collect::<Vec<_>>());
    }
}

pub(super) async fn clause_8_13_an_event_that_fails_is_parked_alone_and_its_stream_waits(subject: Subject) {
    let fail = || Err("no address".into());
    assert_it_is_parked_alone(subject, Settings::default(), "no address", fail).await;
}

pub(super) async fn clause_8_13_an_event_that_panics_is_parked_alone(subject: Subject) {
    let fail = || -> Result<(), Source> { panic!("there is no such address") };
    assert_it_is_parked_alone(subject, Settings::default(), "panicked: there is no such address", fail).await;
}

pub(super) async fn clause_8_13_the_time_limit_holds_for_a_batch(subject: Subject) {
    let (store, handled) = (subject.store(), Handled::default());
    store.append(&ledger("hung"), notes(1..=2)).await.unwrap();
    settled(&store, store.append(&ledger("other"), notes(11..=14)).await.unwrap()).await;
    let limit = Some(Duration::from_millis(100));
    let settings = Settings { attempts: 2, handler_timeout: limit, ..Settings::default() };
    let noting = handled.clone();
    let run =
        Running::start_batches(settings.of(store.subscribe()), move |batch: Vec<Recorded<Noted>>, _| {
            let handled = noting.clone();
            async move {
                if batch.iter().any(|recorded| recorded.wrapped_event.event.number == 1) {
                    std::future::pending::<()>().await;
                }
                batch.iter().for_each(|recorded| handled.note(recorded));
                Ok(())
            }
        });
    let durable = settings.of(store.subscribe::<Noted>());
    eventually("it is parked", async || !durable.parked().await.unwrap().is_empty()).await;
    handled.reach(4).await;
    run.stop().await;
    let parked = durable.parked().await.unwrap();
    assert_eq!((&parked[0].stream, parked[0].attempts), (&ledger("hung"), 2));
    assert!(parked[0].error.contains("handler_timeout"), "{}", parked[0].error);
    assert_eq!(handled.of(&ledger("other")), [11, 12, 13, 14]);
}

/// Events that only fail together are all handled, in smaller batches.
pub(super) async fn clause_8_13_what_fails_only_together_is_handled_in_parts(subject: Subject) {
    let (store, handled) = (subject.store(), Handled::default());
    with_a_hundred_and_one(&store).await;
    let noting = handled.clone();
    let durable = Settings::default().of(store.subscribe());
    let run = Running::start_batches(durable, move |batch: Vec<Recorded<Noted>>, _| {
        let is_too_large = batch.len() > 20;
        if !is_too_large {
            batch.iter().for_each(|recorded| noting.note(recorded));
        }
        std::future::ready(if is_too_large { Err("too much at once".into()) } else { Ok(()) })
    });
    handled.reach(101).await;
    run.stop().await;
    assert!(handled.items().is_sorted_by_key(|item| item.position));
    assert_eq!(handled.items().len(), 101);
    assert!(Settings::default().of(store.subscribe::<Noted>()).blocked().await.unwrap().is_empty());
}

pub(super) async fn clause_8_13_a_stop_finishes_the_batch_in_hand(subject: Subject) {
    let (store, seen) = (subject.store(), (Sizes::default(), Handled::default()));
    with_a_hundred_and_one(&store).await;
    let settings = Settings { batch: 30, ..Settings::default() };
    let (gate, sizes, handled) = (Arc::new(Semaphore::new(1)), seen.0.clone(), seen.1.clone());
    let passing = Arc::clone(&gate);
    let mut run =
        Running::start_batches(settings.of(store.subscribe()), move |batch: Vec<Recorded<Noted>>, _| {
            let (gate, sizes, handled) = (Arc::clone(&passing), sizes.clone(), handled.clone());
            async move {
                sizes.note(&batch);
                gate.acquire().await?.forget();
                batch.iter().for_each(|recorded| handled.note(recorded));
                Ok(())
            }
        });
    seen.0.reach(60).await;
    run.request_stop().await;
    gate.add_permits(10);
    run.stop().await;
    assert_eq!((seen.0.all(), seen.1.items().len()), (vec![30, 30], 60));
    let run = noting(&store, &settings, (&seen.0, &seen.1), |_| Ok(()));
    seen.1.reach(101).await;
    run.stop().await;
    assert_eq!(seen.1.items().len(), 101, "each was handled once");
}

pub(super) async fn clause_8_13_nothing_of_a_deleted_stream_comes_in_a_batch(subject: Subject) {
    let (store, handled) = (subject.store(), Handled::default());
    for number in 0..10 {
        let stream = ledger(if number % 2 == 0 { "goes" } else { "stays" });
        settled(&store, store.append(&stream, noted(number)).no_versioning().await.unwrap()).await;
    }
    let (deleting, noting) = (store.clone(), handled.clone());
    let settings = Settings { batch: 4, ..Settings::default() };
    let run =
        Running::start_batches(settings.of(store.subscribe()), move |batch: Vec<Recorded<Noted>>, _| {
            let (store, handled) = (deleting.clone(), noting.clone());
            async move {
                batch.iter().for_each(|recorded| handled.note(recorded));
                if batch.iter().any(|recorded| recorded.wrapped_event.event.number == 3) {
                    store.delete_stream(&ledger("goes")).await?;
                }
                Ok(())
            }
        });
    handled.reach(7).await;
    store.append(&ledger("goes"), notes([20, 21])).await.unwrap();
    handled.reach(9).await;
    run.stop().await;
    assert_eq!(handled.numbers(), [0, 1, 2, 3, 5, 7, 9, 20, 21]);
}

/// Whoever looks meanwhile sees the effects of whole batches.
pub(super) async fn clause_8_13_a_batch_is_committed_as_a_whole(subject: Subject) {
    let (store, sizes) = (subject.store(), Sizes::default());
    with_a_hundred_and_one(&store).await;
    let posted = ledger("posted");
    let to = posted.clone();
    let reaction = Reaction::new(move |_| {
        let event = RawEvent::new("posted", "{}").unwrap().with_id(Uuid::now_v7());
        let appends = vec![(to.clone(), event)];
        Deed { deletes: Vec::new(), shreds: Vec::new(), appends, end: End::Takes(Duration::from_micros(300)) }
    });
    let noting = sizes.clone();
    let reaction = reaction.in_batches(move |batch| noting.note(batch));
    // A database ends the transaction of a handler that is kept from running for longer than its lease, and it comes again.
    let settings = Settings { batch: 16, lease: 2 * SOON, ..Settings::default() };
    let run = Running::exactly_once(&subject.reactor().await, settings, reaction);
    let (mut seen, give_up) = (Vec::new(), tokio::time::Instant::now() + SOON);
    while seen.last() != Some(&101) {
        assert!(tokio::time::Instant::now() < give_up, "effects came so far: {seen:?}");
        let events = store.load_stream::<RawEvent>(&posted).await.unwrap().len();
        if seen.last() != Some(&events) {
            seen.push(events);
        }
    }
    run.stop().await;
    assert_eq!(sizes.all(), [16, 16, 16, 16, 16, 16, 5]);
    assert!(seen.iter().all(|events| events % 16 == 0 || *events == 101), "{seen:?}");
}

pub(super) async fn clause_8_13_each_event_of_a_batch_takes_effect_once(subject: Subject) {
    assert_exactly_once(subject, Handing::InBatches, Settings::default(), |_| End::Done).await;
}

pub(super) async fn clause_8_13_a_batch_that_fails_has_no_effect(subject: Subject) {
    let settings = Settings { attempts: 20, batch: 8, ..Settings::default() };
    let end = |call| if call % 5 == 3 { End::Fails } else { End::Done };
    assert_exactly_once(subject, Handing::InBatches, settings, end).await;
}

pub(super) async fn clause_8_13_a_batch_that_panics_has_no_effect(subject: Subject) {
    let settings = Settings { attempts: 20, batch: 8, ..Settings::default() };
    let end = |call| if call % 7 == 5 { End::Panics } else { End::Done };
    assert_exactly_once(subject, Handing::InBatches, settings, end).await;
}

pub(super) async fn clause_8_13_an_event_of_a_batch_that_is_parked_has_no_effect(subject: Subject) {
    assert_a_parked_event_has_no_effect(subject, Handing::InBatches).await;
}

pub(super) async fn clause_8_13_a_run_of_batches_may_be_dropped_anywhere(subject: Subject) {
    assert_a_run_may_be_dropped_anywhere(subject, Handing::InBatches).await;
}

pub(super) async fn clause_8_13_a_lease_that_is_lost_takes_the_batch_with_it(subject: Subject) {
    assert_a_lease_that_is_lost_takes_its_effects_with_it(subject, Handing::InBatches).await;
}

pub(super) async fn clause_8_13_outages_are_borne_and_each_event_takes_effect_once(subject: Subject) {
    assert_outages_are_borne_and_each_event_takes_effect_once(subject, Handing::InBatches).await;
}

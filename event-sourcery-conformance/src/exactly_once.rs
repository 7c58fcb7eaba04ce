//! Clause 8.6, with a transaction: each event takes effect exactly once, whatever goes wrong in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use event_sourcery::backend::{RenewRequest, SubscriptionChange, SubscriptionId};
use event_sourcery::{Event as _, EventStore, Position, RawEvent, Recorded, StreamId, TenantId};
use uuid::Uuid;

use super::ledger::{kept, ledger, notes, number};
use super::reaction::{Deed, End, Reaction};
use super::running::{Running, Settings, eventually};
use super::subject::{Reactor, Subject};

pub(super) const STREAMS: u64 = 5;

pub(super) fn source(number: u64) -> StreamId {
    ledger(&format!("source {number}"))
}

/// Where the effects of a stream's events are noted.
pub(super) fn effects(of: &StreamId) -> StreamId {
    ledger(&format!("effects of {}", of.uuid()))
}

pub(super) async fn with_sources(store: &EventStore, length: u64) {
    for stream in 0..STREAMS {
        // In pieces, so that streams take turns in position order.
        for first in (1..=length).step_by(3) {
            let stop = (first + 3).min(length + 1);
            store.append(&source(stream), notes(first..stop)).expected_version(first - 1).await.unwrap();
        }
    }
}

/// Notes the effect of an event, and ends as told.
pub(super) fn effect(recorded: &Recorded<RawEvent>, end: End) -> Deed {
    let data = recorded.wrapped_event.event.data().get();
    let posted = RawEvent::new("posted", data).unwrap();
    let appends = vec![(effects(&recorded.stream_id), posted.with_id(Uuid::now_v7()))];
    Deed { deletes: Vec::new(), shreds: Vec::new(), appends, end }
}

pub(super) async fn effects_so_far(store: &EventStore, stream: u64) -> Vec<u64> {
    let effects = store.load_stream::<RawEvent>(&effects(&source(stream))).await.unwrap();
    let number =
        |event: &RawEvent| serde_json::from_str::<super::ledger::Noted>(event.data().get()).unwrap().number;
    effects.iter().map(|wrapped| number(&wrapped.event)).collect()
}

/// Waits until every event has an effect; each has one, in the order of its stream.
pub(super) async fn assert_each_has_one_effect(store: &EventStore, length: u64) {
    let expected: Vec<_> = (1..=length).collect();
    for stream in 0..STREAMS {
        let what = format!("the events of stream {stream} take effect");
        eventually(&what, async || effects_so_far(store, stream).await.len() >= expected.len()).await;
    }
    // Who would do it twice has a moment to do so.
    tokio::time::sleep(Duration::from_millis(10)).await;
    for stream in 0..STREAMS {
        assert_eq!(effects_so_far(store, stream).await, expected, "the effects of stream {stream}");
    }
}

/// How events are handed to a handler.
#[derive(Clone, Copy)]
pub(super) enum Handing {
    OneByOne,
    InBatches,
}

impl Handing {
    pub(super) fn to(self, reaction: Reaction) -> Reaction {
        match self {
            Self::OneByOne => reaction,
            Self::InBatches => reaction.in_batches(|_| {}),
        }
    }
}

pub(super) async fn assert_exactly_once(
    subject: Subject,
    handing: Handing,
    settings: Settings,
    end: impl Fn(u64) -> End + Send + Sync + 'static,
) {
    let store = subject.store();
    with_sources(&store, 20).await;
    let calls = AtomicU64::new(0);
    let reaction = Reaction::new(move |recorded| effect(recorded, end(calls.fetch_add(1, Ordering::SeqCst))));
    let run = Running::exactly_once(&subject.reactor().await, settings, handing.to(reaction));
    assert_each_has_one_effect(&store, 20).await;
    run.stop().await;
}

pub(super) async fn clause_8_6_each_event_takes_effect_once(subject: Subject) {
    assert_exactly_once(subject, Handing::OneByOne, Settings::default(), |_| End::Done).await;
}

pub(super) async fn clause_8_6_a_failure_within_a_batch_leaves_nothing_of_it(subject: Subject) {
    let settings = Settings { attempts: 20, batch: 8, ..Settings::default() };
    let end = |call| if call % 5 == 3 { End::Fails } else { End::Done };
    assert_exactly_once(subject, Handing::OneByOne, settings, end).await;
}

pub(super) async fn clause_8_6_a_panic_within_a_batch_leaves_nothing_of_it(subject: Subject) {
    let settings = Settings { attempts: 20, batch: 8, ..Settings::default() };
    let end = |call| if call % 7 == 5 { End::Panics } else { End::Done };
    assert_exactly_once(subject, Handing::OneByOne, settings, end).await;
}

/// A parked event has no effect, whatever its attempts have done before they failed.
pub(super) async fn clause_8_6_a_parked_event_has_no_effect(subject: Subject) {
    assert_a_parked_event_has_no_effect(subject, Handing::OneByOne).await;
}

pub(super) async fn assert_a_parked_event_has_no_effect(subject: Subject, handing: Handing) {
    let store = subject.store();
    with_sources(&store, 5).await;
    let reaction = Reaction::new(|recorded| {
        let fails = recorded.stream_id == source(1) && number(recorded) == 3;
        effect(recorded, if fails { End::Fails } else { End::Done })
    });
    let run = Running::exactly_once(&subject.reactor().await, Settings::default(), handing.to(reaction));
    let durable = Settings::default().of(store.subscribe::<RawEvent>());
    eventually("one is parked", async || durable.parked().await.unwrap().len() == 1).await;
    for stream in [0, 2, 3, 4] {
        eventually("the others are handled", async || effects_so_far(&store, stream).await.len() == 5).await;
    }
    assert_eq!(durable.parked().await.unwrap()[0].stream, source(1));
    durable.skip(&durable.parked().await.unwrap()[0]).await.unwrap();
    eventually("those behind follow", async || effects_so_far(&store, 1).await.len() == 4).await;
    run.stop().await;
    assert_eq!(effects_so_far(&store, 1).await, [1, 2, 4, 5]);
    for stream in [0, 2, 3, 4] {
        assert_eq!(effects_so_far(&store, stream).await, [1, 2, 3, 4, 5]);
    }
}

pub(super) async fn clause_8_6_a_run_may_be_dropped_anywhere(subject: Subject) {
    assert_a_run_may_be_dropped_anywhere(subject, Handing::OneByOne).await;
}

pub(super) async fn assert_a_run_may_be_dropped_anywhere(subject: Subject, handing: Handing) {
    const DROPS: u64 = 50;
    let (store, reactor) = (subject.store(), subject.reactor().await);
    with_sources(&store, 40).await;
    let lease = Duration::from_millis(100);
    let settings = Settings { batch: 4, attempts: 1_000, lease, ..Settings::default() };
    let calls = Arc::new(AtomicU64::new(0));
    for round in 0..DROPS {
        let counted = Arc::clone(&calls);
        let reaction = Reaction::new(move |recorded| {
            counted.fetch_add(1, Ordering::SeqCst);
            effect(recorded, End::Takes(Duration::from_micros(200)))
        });
        let run = Running::exactly_once(&reactor, settings.clone(), handing.to(reaction));
        let (before, patience) = (calls.load(Ordering::SeqCst), tokio::time::Instant::now());
        while calls.load(Ordering::SeqCst) < before + round % 7
            && patience.elapsed() < Duration::from_millis(160)
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_micros(round * 37 % 900)).await;
        run.kill().await;
    }
    let reaction = Reaction::new(|recorded| effect(recorded, End::Done));
    let run = Running::exactly_once(&reactor, settings, handing.to(reaction));
    assert_each_has_one_effect(&store, 40).await;
    run.stop().await;
}

/// Takes the work away from whoever does it, as though it had been away for longer than its lease.
pub(super) async fn steal(store: &EventStore) {
    let id = SubscriptionId::new(TenantId::DEFAULT, Settings::default().name);
    let Some(record) = store.backend().subscription(id.clone()).await.unwrap() else { return };
    for member in record.members {
        let leave = SubscriptionChange::Leave { member: member.id, reached: Vec::new() };
        store.backend().change_subscription(id.clone(), leave).await.unwrap();
    }
    let (member, lasting) = (Uuid::new_v4(), Duration::from_millis(100));
    let create = (8, Position::START);
    let take = RenewRequest::new(member, create, kept(create.1), lasting);
    store.backend().change_subscription(id.clone(), SubscriptionChange::Renew(take)).await.unwrap();
    let leave = SubscriptionChange::Leave { member, reached: Vec::new() };
    store.backend().change_subscription(id, leave).await.unwrap();
}

/// Two members, while their leases are taken away again and again.
async fn assert_exactly_once_in_spite(
    subject: Subject,
    handing: Handing,
    mut disturb: impl AsyncFnMut(u64, &[Arc<dyn Reactor>; 2]),
) {
    let store = subject.store();
    let reactors = [subject.reactor().await, subject.reactor().await];
    with_sources(&store, 40).await;
    let settings = Settings { batch: 6, attempts: 1_000, ..Settings::with_short_lease() };
    let runs = [0, 1].map(|member: usize| {
        let reaction = Reaction::new(|recorded| effect(recorded, End::Takes(Duration::from_micros(500))));
        Running::exactly_once(&reactors[member], settings.clone(), handing.to(reaction))
    });
    for round in 0..40 {
        disturb(round, &reactors).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for reactor in &reactors {
        reactor.interrupt(0);
    }
    assert_each_has_one_effect(&store, 40).await;
    for run in runs {
        run.stop().await;
    }
}

pub(super) async fn clause_8_6_a_lease_that_is_lost_takes_its_effects_with_it(subject: Subject) {
    assert_a_lease_that_is_lost_takes_its_effects_with_it(subject, Handing::OneByOne).await;
}

pub(super) async fn assert_a_lease_that_is_lost_takes_its_effects_with_it(
    subject: Subject,
    handing: Handing,
) {
    let store = subject.store();
    assert_exactly_once_in_spite(subject, handing, async |_, _| steal(&store).await).await;
}

pub(super) async fn clause_8_6_outages_are_borne_and_each_event_takes_effect_once(subject: Subject) {
    assert_outages_are_borne_and_each_event_takes_effect_once(subject, Handing::OneByOne).await;
}

pub(super) async fn assert_outages_are_borne_and_each_event_takes_effect_once(
    subject: Subject,
    handing: Handing,
) {
    let store = subject.store();
    let disturb = async |round, reactors: &[Arc<dyn Reactor>; 2]| {
        for reactor in reactors {
            reactor.interrupt([2, 3, 6][round as usize % 3]);
        }
        if round % 4 == 0 {
            steal(&store).await;
        }
    };
    assert_exactly_once_in_spite(subject, handing, disturb).await;
}

/// The handler that writes elsewhere is called at least once, and no event is lost.
pub(super) async fn clause_8_6_outages_are_borne_and_no_event_is_lost(subject: Subject) {
    use super::running::Handled;
    let (store, reactor) = (subject.store(), subject.faulty());
    with_sources(&store, 30).await;
    let handled = Handled::default();
    reactor.backend().interrupt(7);
    let settings = Settings { batch: 5, ..Settings::with_short_lease() };
    let run = Running::noting(settings.of(reactor.erased().subscribe()), &handled);
    let all_came = || {
        let complete = |stream| (1..=30).all(|number| handled.of(&source(stream)).contains(&number));
        (0..STREAMS).all(complete)
    };
    // Outages end. With some bad luck, the pauses between tries would outgrow the patience of the case otherwise.
    let over = tokio::time::Instant::now() + Duration::from_millis(500);
    eventually("every event is handled", async || {
        if tokio::time::Instant::now() >= over {
            reactor.backend().interrupt(0);
        }
        all_came()
    })
    .await;
    reactor.backend().interrupt(0);
    run.stop().await;
    for stream in 0..STREAMS {
        assert_none_is_overtaken(&handled.of(&source(stream)));
    }
}

/// Asserts that no event came before all those in front of it had; again is allowed.
pub(super) fn assert_none_is_overtaken(numbers: &[u64]) {
    let mut highest = 0;
    for number in numbers {
        assert!(*number <= highest + 1, "{number} came after {highest}: {numbers:?}");
        highest = highest.max(*number);
    }
}

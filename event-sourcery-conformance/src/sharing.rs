//! Clause 8.7: several members of one subscription share its work.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use event_sourcery::backend::{SubscriptionId, SubscriptionRecord};
use event_sourcery::{Error, EventStore, TenantId};
use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::exactly_once::{
    STREAMS, assert_each_has_one_effect, assert_none_is_overtaken, effect, effects_so_far, source,
    with_sources,
};
use super::ledger::{ledger, noted};
use super::reaction::{End, Reaction};
use super::running::{Handled, Running, Settings, eventually, letters};
use super::subject::Subject;
use super::worker::{self, Worker};

/// The subscription as it stands; nothing of it where it is not there yet.
async fn record(store: &EventStore) -> SubscriptionRecord {
    let id = SubscriptionId::new(TenantId::DEFAULT, Settings::default().name);
    let nothing = || SubscriptionRecord::new(Vec::new(), Vec::new(), None);
    store.backend().subscription(id).await.unwrap().unwrap_or_else(nothing)
}

/// Waits until so many members have a segment each, at least.
async fn work_is_shared(store: &EventStore, members: usize) {
    eventually(&format!("{members} members share the work"), async || {
        let segments = record(store).await.segments;
        let holders: HashSet<_> = segments.iter().map(|segment| segment.member).collect();
        holders.len() == members && !holders.contains(&None)
    })
    .await;
}

pub(super) async fn clause_8_7_members_share_the_work_and_each_event_is_handled_by_one(subject: Subject) {
    let handles = [subject.store(), subject.another_store().await, subject.another_store().await];
    // Who is kept from running for that long loses it, and what he has handled comes again.
    let settings = Settings { lease: Duration::from_secs(6), ..Settings::default() };
    let (together, each): (Handled, [Handled; 3]) = Default::default();
    let runs = [0, 1, 2].map(|member: usize| {
        let (together, own) = (together.clone(), each[member].clone());
        Running::start(settings.of(handles[member].subscribe()), move |recorded, _| {
            together.note(&recorded);
            own.note(&recorded);
            std::future::ready(Ok(()))
        })
    });
    work_is_shared(&handles[0], 3).await;
    for number in 1..=5 {
        for stream in 0..40 {
            let stream = ledger(&format!("shared {stream}"));
            handles[0].append(&stream, noted(number)).expected_version(number - 1).await.unwrap();
        }
    }
    together.reach(200).await;
    for run in runs {
        run.stop().await;
    }
    for stream in 0..40 {
        assert_eq!(together.of(&ledger(&format!("shared {stream}"))), [1, 2, 3, 4, 5]);
    }
    assert_eq!(together.items().len(), 200);
    for own in &each {
        assert!(!own.items().is_empty(), "a member has nothing to do");
    }
}

pub(super) async fn clause_8_7_members_come_and_go_and_nothing_is_lost_or_overtaken(subject: Subject) {
    const EVENTS: u64 = 150;
    let (store, handled) = (subject.store(), Handled::default());
    let settings = Settings { batch: 4, ..Settings::with_short_lease() };
    let writing = tokio::spawn(async move {
        for number in 1..=EVENTS {
            for stream in 0..STREAMS {
                store.append(&source(stream), noted(number)).expected_version(number - 1).await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    let start = async || Running::noting(settings.of(subject.another_store().await.subscribe()), &handled);
    let mut runs = vec![start().await];
    for round in 0..8 {
        tokio::time::sleep(Duration::from_millis(30)).await;
        runs.push(start().await);
        let leaving = runs.remove(0);
        // Some leave, some die.
        if round % 2 == 0 { leaving.stop().await } else { leaving.kill().await }
    }
    writing.await.unwrap();
    let is_complete = |stream| handled.of(&source(stream)).contains(&EVENTS);
    eventually("all is handled", async || (0..STREAMS).all(is_complete)).await;
    for run in runs {
        run.stop().await;
    }
    for stream in 0..STREAMS {
        assert_none_is_overtaken(&handled.of(&source(stream)));
    }
}

pub(super) async fn clause_8_7_members_with_transactions_come_and_go_and_each_event_takes_effect_once(
    subject: Subject,
) {
    // A database ends the transaction of a handler that is kept from running for longer than its lease: an attempt each time.
    let settings = Settings { batch: 3, attempts: 1_000, ..Settings::with_short_lease() };
    let store = subject.store();
    with_sources(&store, 60).await;
    let mut runs = Vec::new();
    for round in 0..8 {
        let reaction = Reaction::new(|recorded| effect(recorded, End::Takes(Duration::from_millis(1))));
        runs.push(Running::exactly_once(&subject.reactor().await, settings.clone(), reaction));
        tokio::time::sleep(Duration::from_millis(25)).await;
        if runs.len() > 2 {
            let leaving = runs.remove(0);
            if round % 2 == 0 { leaving.stop().await } else { leaving.kill().await }
        }
    }
    assert_each_has_one_effect(&store, 60).await;
    for run in runs {
        run.stop().await;
    }
}

pub(super) async fn clause_8_7_a_dead_members_work_is_taken_over_after_its_lease(subject: Subject) {
    let (store, another) = (subject.store(), subject.another_store().await);
    let (first, second) = (Handled::default(), Handled::default());
    let settings = Settings::with_short_lease();
    with_sources(&store, 3).await;
    let dying = Running::noting(settings.of(store.subscribe()), &first);
    first.reach(15).await;
    let survivor = Running::noting(settings.of(another.subscribe()), &second);
    work_is_shared(&store, 2).await;
    dying.kill().await;
    for stream in 0..STREAMS {
        store.append(&source(stream), noted(4)).expected_version(3).await.unwrap();
    }
    eventually("the survivor has it all", async || {
        (0..STREAMS).all(|stream| second.of(&source(stream)).contains(&4))
    })
    .await;
    work_is_shared(&store, 1).await;
    survivor.stop().await;
}

/// Who is kept from renewing it for so long loses it: then the lease of whoever has it next is looked at.
pub(super) async fn clause_8_7_a_handler_that_takes_longer_than_the_lease_keeps_it(subject: Subject) {
    let (store, another, handled) = (subject.store(), subject.another_store().await, Handled::default());
    let settings = Settings { lease: Duration::from_millis(300), segments: Some(1), ..Settings::default() };
    let gate = Arc::new(Semaphore::new(0));
    let runs = [&store, &another].map(|handle| {
        let (handled, gate) = (handled.clone(), Arc::clone(&gate));
        Running::start(settings.of(handle.subscribe()), move |recorded, _| {
            handled.note(&recorded);
            let gate = Arc::clone(&gate);
            async move {
                gate.acquire().await?.forget();
                Ok(())
            }
        })
    });
    let mut first = None;
    eventually("both take part, and the one has it that comes first", async || {
        let SubscriptionRecord { segments, members, .. } = record(&store).await;
        first = segments.first().copied();
        members.len() == 2 && first.is_some_and(|first| first.member == Some(members[0].id))
    })
    .await;
    store.append(&ledger("1"), noted(1)).await.unwrap();
    handled.reach(1).await;
    let mut given: Option<(i64, Timestamp)> = None;
    eventually("a handler's lease lasts three times as long as it was given for", async || {
        let SubscriptionRecord { segments, members, .. } = record(&store).await;
        let (token, holder) = (segments[0].token, segments[0].member);
        let Some(holder) = members.iter().find(|member| Some(member.id) == holder) else { return false };
        given = given.filter(|(before, _)| *before == token);
        let (_, begun) = *given.get_or_insert((token, holder.until));
        holder.until.duration_since(begun).as_millis() >= 900
    })
    .await;
    gate.add_permits(100);
    store.append(&ledger("1"), noted(2)).expected_version(1).await.unwrap();
    eventually("all is handled", async || {
        letters(&store).status().await.unwrap().unwrap().events_behind == 0
    })
    .await;
    let last = record(&store).await.segments[0];
    for run in runs {
        run.stop().await;
    }
    assert_none_is_overtaken(&handled.numbers());
    if first.is_some_and(|first| first.token == last.token) {
        assert_eq!(handled.numbers(), [1, 2], "nobody has lost a lease");
    }
}

pub(super) async fn clause_8_7_there_may_be_more_members_than_segments(subject: Subject) {
    let (store, handled) = (subject.store(), Handled::default());
    // Five of them have to be there at once: each renews its lease within that time, on a slow machine, too.
    let settings = Settings { segments: Some(2), lease: Duration::from_millis(600), ..Settings::default() };
    let mut runs: Vec<_> =
        (0..5).map(|_| Running::noting(settings.of(store.subscribe()), &handled)).collect();
    eventually("all take part", async || {
        letters(&store).status().await.unwrap().is_some_and(|status| status.members == 5)
    })
    .await;
    with_sources(&store, 4).await;
    let all_of = |number: u64| (0..STREAMS).all(|stream| handled.of(&source(stream)).contains(&number));
    eventually("all is handled", async || all_of(4)).await;
    // Those without work take over from those who had it.
    while runs.len() > 1 {
        runs.remove(0).kill().await;
    }
    for stream in 0..STREAMS {
        store.append(&source(stream), noted(5)).expected_version(4).await.unwrap();
    }
    eventually("the last one has it all", async || all_of(5)).await;
    for run in runs {
        run.stop().await;
    }
}

pub(super) async fn clause_8_7_the_count_of_segments_is_fixed(subject: Subject) {
    let store = subject.store();
    let settings = Settings { segments: Some(3), ..Settings::default() };
    let run = Running::noting(settings.of(store.subscribe()), &Handled::default());
    eventually("it is there", async || letters(&store).status().await.unwrap().is_some()).await;
    run.stop().await;
    let other = Settings { segments: Some(4), ..Settings::default() };
    let refused = Running::noting(other.of(store.subscribe()), &Handled::default()).ended().await;
    assert_refused!(refused, Error::InvalidOption { option: "segments", .. });
    // Who does not say takes what is there.
    Running::noting(letters(&store), &Handled::default()).stop().await;
}

/// What another process does: it takes part until it is told to end.
async fn take_part(subject: &Subject, settings: Settings) {
    let reaction = Reaction::new(|recorded| effect(recorded, End::Takes(Duration::from_millis(2))));
    let run = Running::exactly_once(&subject.reactor().await, settings, reaction);
    worker::answer("runs");
    while worker::next_order().is_some() {}
    run.stop().await;
}

/// Only on Linux can a process tell that another one has ended.
const LONG_LEASE: Duration =
    if cfg!(target_os = "linux") { Duration::from_secs(600) } else { Duration::from_millis(120) };

pub(super) async fn clause_8_7_a_process_that_is_started_again_does_not_wait_for_the_one_that_was_killed(
    subject: Subject,
) {
    let settings = Settings { lease: LONG_LEASE, ..Settings::default() };
    if subject.is_another_process() {
        return take_part(&subject, settings).await;
    }
    let store = subject.store();
    let killed = Worker::start(&subject);
    with_sources(&store, 5).await;
    assert_each_has_one_effect(&store, 5).await;
    drop(killed);
    for stream in 0..STREAMS {
        store.append(&source(stream), noted(6)).expected_version(5).await.unwrap();
    }
    let next = Worker::start(&subject);
    assert_each_has_one_effect(&store, 6).await;
    next.end().await;
}

pub(super) async fn clause_8_7_processes_share_the_work_and_one_that_is_killed_is_followed(subject: Subject) {
    // Long enough for processes that have to wait for a processor.
    let lease = Duration::from_millis(500);
    let settings = Settings { batch: 4, attempts: 1_000, lease, ..Settings::default() };
    if subject.is_another_process() {
        return take_part(&subject, settings).await;
    }
    let store = subject.store();
    with_sources(&store, 5).await;
    let mut workers = [(); 3].map(|()| Worker::start(&subject));
    for worker in &mut workers {
        assert_eq!(worker.answer().await, "runs");
    }
    work_is_shared(&store, 3).await;
    assert_each_has_one_effect(&store, 5).await;
    let [killed, first, second] = workers;
    for number in 6..=30 {
        for stream in 0..STREAMS {
            store.append(&source(stream), noted(number)).expected_version(number - 1).await.unwrap();
        }
    }
    eventually("they are at it", async || effects_so_far(&store, 0).await.len() > 6).await;
    drop(killed);
    assert_each_has_one_effect(&store, 30).await;
    for worker in [first, second] {
        worker.end().await;
    }
}

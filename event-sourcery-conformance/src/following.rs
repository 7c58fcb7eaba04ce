//! Clauses 8.4 and 8.5: subscribers that follow the store while many write to it.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use event_sourcery::backend::{Backend as _, BacklogRequest, Expectation, Filter, ScanRequest, Segments};
use event_sourcery::{Error, EventStore, Next, Position, RawEvent, Recorded, Subscription, TenantId};
use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use super::ledger::{Ledgers as _, Noted, append_request, category, ledger, noted, notes, tenant};
use super::running::{SOON, eventually};
use super::steps::{Ending, Step};
use super::subject::Subject;
use super::subscribing::{InTime as _, subscription, wanted};

const WRITERS: u64 = 6;
const ROUNDS: u64 = 20;

/// The name of the last event of all, which tells the subscribers to end. It passes every filter there is.
const LAST: u64 = u64::MAX;

/// Everything; and by category, name and tenant, alone and together.
fn filters() -> Vec<Filter> {
    let by_name = || Filter::new().with_names([Arc::<str>::from("noted")]);
    let (red, acme) = (|| category("red"), || tenant("acme"));
    vec![
        Filter::new(),
        Filter::new().with_category(red()),
        by_name(),
        Filter::new().with_tenant(acme()),
        by_name().with_tenant(acme()).with_category(red()),
    ]
}

/// Appends to streams of its own and to a shared one, in a category and none, of a tenant and none.
async fn write(store: EventStore, writer: u64) {
    let own = ledger(&format!("own {writer}"));
    for round in 0..ROUNDS {
        let handle = store.for_tenant(if round % 3 == 0 { TenantId::DEFAULT } else { tenant("acme") });
        let shared = ledger("shared").in_category("red").unwrap();
        let raw = RawEvent::new("crossed out", r#"{"number":0}"#).unwrap();
        match round % 4 {
            0 => drop(handle.append(&own, notes(0..=writer % 3)).no_versioning().await.unwrap()),
            1 => drop(handle.append(&shared, (noted(round), raw)).no_versioning().await.unwrap()),
            2 => drop(handle.append(&own, (raw, noted(round))).no_versioning().await.unwrap()),
            _ => assert!(handle.append(&own, noted(0)).expected_version(round + 7).await.is_err()),
        }
        tokio::task::yield_now().await;
    }
}

/// Follows until the last event of all; now and then it dawdles, so that it falls behind the others.
async fn follow(mut subscription: Subscription<RawEvent>, dawdle: bool) -> Vec<Recorded<RawEvent>> {
    let mut events = Vec::new();
    loop {
        let next = timeout(SOON, subscription.try_next()).await.expect("the events go on");
        match next.unwrap().expect("a subscription does not end") {
            Next::Event(event) if event.stream_id.name() == Some("ledgers/last") => return events,
            Next::Event(event) => events.push(event),
            Next::CaughtUp(_) => {}
        }
        if dawdle && events.len() % 10 == 0 {
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
    }
}

async fn assert_every_filter_misses_nothing(subject: Subject, disturb: impl AsyncFnOnce(&Subject)) {
    let handles = [subject.store(), subject.another_store().await];
    let mut followers = Vec::new();
    for (number, filter) in filters().into_iter().enumerate() {
        for handle in &handles {
            let subscription = subscription(handle, &filter, Position::START);
            followers.push((filter.clone(), tokio::spawn(follow(subscription, number % 2 == 0))));
        }
    }
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(handles[writer as usize % 2].clone(), writer)))
        .collect();
    disturb(&subject).await;
    for writer in join_all(writers).await {
        writer.unwrap();
    }
    let last = ledger("last").in_category("red").unwrap();
    let acme = handles[0].for_tenant(tenant("acme"));
    let appended = acme.append(&last, noted(LAST)).await.unwrap();
    let mut all = handles[0].records(appended.position).await;
    all.pop();
    let ids: HashSet<_> = all.iter().map(|record| record.wrapped_event.uuid).collect();
    assert_eq!(ids.len(), all.len());
    for (filter, follower) in followers {
        let seen = follower.await.unwrap();
        let expected = wanted(&all, &filter, Position::START);
        let positions =
            |events: &[Recorded<RawEvent>]| events.iter().map(|event| event.position).collect::<Vec<_>>();
        assert_eq!(positions(&seen), positions(&expected), "{filter:?}");
        assert_eq!(seen, expected, "{filter:?}");
    }
}

pub(super) async fn clause_8_4_no_filter_misses_or_repeats_an_event_while_many_write(subject: Subject) {
    assert_every_filter_misses_nothing(subject, async |_| {}).await;
}

pub(super) async fn clause_8_4_no_filter_misses_an_event_while_transactions_are_rolled_back(
    subject: Subject,
) {
    let disturb = async |subject: &Subject| {
        for round in 0..20 {
            let stream = ledger(&format!("in a transaction {round}"));
            let step = Step::Append(append_request(&stream, Expectation::Version(0), &[1, 2, 3]));
            let ending = [Ending::Fail, Ending::Commit, Ending::Panic][round % 3];
            subject.transaction(vec![step], ending).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    assert_every_filter_misses_nothing(subject, disturb).await;
}

/// Durable subscriptions read by segment.
pub(super) async fn clause_8_4_segments_divide_the_events_among_them(subject: Subject) {
    let store = subject.store();
    for number in 0..40 {
        let stream =
            if number % 2 == 0 { ledger(&number.to_string()) } else { event_sourcery::StreamId::random() };
        let appended = store.append(&stream, notes([number, number])).await.unwrap();
        store.settled(appended.position).await;
    }
    let mut seen = Vec::new();
    let all = store.records_after(Position::START).await;
    for numbers in [vec![0], vec![1, 3], vec![2], vec![]] {
        let segments = Segments::new(4, numbers.iter().copied());
        let filter = Filter::new().with_segments(segments);
        let mut after = Position::START;
        loop {
            let request = ScanRequest::new(after, 7).with_filter(filter.clone());
            let page = store.backend().scan(request).await.unwrap();
            for record in &page.records {
                assert!(numbers.contains(&Segments::number_of(record.stream.uuid(), 4)));
                seen.push(record.event.position);
            }
            after = page.next;
            if !page.has_more {
                break;
            }
        }
        assert!(after >= all[79].position);
        let backlog =
            store.backend().backlog(BacklogRequest::new(Position::START, filter.clone())).await.unwrap();
        let expected = wanted(&all, &filter, Position::START);
        assert_eq!(backlog.events, expected.len() as u64);
        assert_eq!(backlog.oldest, expected.first().map(|first| first.wrapped_event.created_at));
        assert_eq!(backlog.cut_off, None);
        for most in [1, 7, expected.len().max(1)] {
            counts_at_most(&store, &filter, &expected, most).await;
        }
    }
    seen.sort();
    assert_eq!(seen, all.iter().map(|record| record.position).collect::<Vec<_>>());
}

/// Counts some of the events that pass a filter, and then those behind them.
async fn counts_at_most(store: &EventStore, filter: &Filter, expected: &[Recorded<RawEvent>], most: usize) {
    let backlog = async |request: BacklogRequest| store.backend().backlog(request).await.unwrap();
    let all = BacklogRequest::new(Position::START, filter.clone());
    let some = backlog(all.clone().at_most(most as u64)).await;
    let counted = usize::try_from(some.events).unwrap();
    assert!(counted <= most);
    assert!(some.cut_off.is_some() || counted == expected.len(), "{counted} of {}", expected.len());
    let Some(cut_off) = some.cut_off else { return };
    assert_eq!(backlog(all.up_to(cut_off)).await.events, some.events);
    let rest = backlog(BacklogRequest::new(cut_off, filter.clone())).await;
    assert_eq!(rest.oldest, expected.get(counted).map(|next| next.wrapped_event.created_at));
    assert_eq!(rest.events + some.events, expected.len() as u64);
}

/// A subscriber that has caught up, and waits no more: it is polled by nobody.
async fn caught_up(store: &EventStore) -> Subscription<Noted> {
    let mut subscription = store.subscribe::<Noted>().stream();
    subscription.until_caught_up().await;
    subscription
}

pub(super) async fn clause_8_4_a_subscriber_far_behind_the_others_misses_nothing(subject: Subject) {
    const EVENTS: u64 = 3_200;
    let (store, stream) = (subject.store(), ledger("1"));
    store.append(&stream, noted(0)).no_versioning().await.unwrap();
    let mut behind = [caught_up(&store).await, caught_up(&store).await, caught_up(&store).await];
    let mut tail = caught_up(&store).await;
    let following = tokio::spawn(async move {
        let mut seen = Vec::new();
        while seen.last() != Some(&EVENTS) {
            if let Next::Event(event) = tail.next_in_time().await {
                seen.push(event.wrapped_event.event.number);
            }
        }
        seen
    });
    let mut read: [Vec<u64>; 3] = Default::default();
    for first in (1..=EVENTS).step_by(100) {
        let appended = store.append(&stream, notes(first..first + 100)).no_versioning().await.unwrap();
        store.settled(appended.position).await;
        // One stays where it is, one reads a few, one takes a page now and then.
        let takes = [0, 3, if first % 1_000 == 1 { 600 } else { 0 }];
        for ((subscription, seen), take) in behind.iter_mut().zip(&mut read).zip(takes) {
            for _ in 0..take.min(first + 99 - seen.len() as u64) {
                if let Next::Event(event) = subscription.next_in_time().await {
                    seen.push(event.wrapped_event.event.number);
                }
            }
        }
    }
    let expected: Vec<_> = (1..=EVENTS).collect();
    assert_eq!(following.await.unwrap(), expected);
    for (subscription, seen) in behind.iter_mut().zip(&mut read) {
        while (seen.len() as u64) < EVENTS {
            if let Next::Event(event) = subscription.next_in_time().await {
                seen.push(event.wrapped_event.event.number);
            }
        }
        assert_eq!(*seen, expected);
        subscription.until_caught_up().await;
    }
}

/// How often the store is read while so many subscribers wait, and each of some commits wakes them.
async fn reads_of(subject: &Subject, subscribers: usize) -> u64 {
    const COMMITS: u64 = 12;
    let store = subject.faulty();
    let stream = event_sourcery::StreamId::random();
    let start = store.position().await.unwrap();
    let [handed_over, caught_up] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let (so_far, waiting) = (Arc::clone(&handed_over), Arc::clone(&caught_up));
    let tasks: Vec<_> = (0..subscribers)
        .map(|_| {
            let mut subscription = store.subscribe::<Noted>().after(start).stream();
            let (handed_over, caught_up) = (Arc::clone(&handed_over), Arc::clone(&caught_up));
            tokio::spawn(async move {
                loop {
                    let counter = match subscription.next_in_time().await {
                        Next::Event(_) => &handed_over,
                        Next::CaughtUp(_) => &caught_up,
                    };
                    counter.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    eventually("they have caught up", async || waiting.load(Ordering::SeqCst) >= subscribers).await;
    let before = store.backend().scans();
    for commit in 1..=COMMITS {
        store.append(&stream, noted(commit)).no_versioning().await.unwrap();
        let all = commit as usize * subscribers;
        eventually("every subscriber has a new event", async || so_far.load(Ordering::SeqCst) == all).await;
    }
    let scans = store.backend().scans() - before;
    for task in tasks {
        task.abort();
    }
    scans
}

pub(super) async fn clause_8_4_subscribers_that_have_caught_up_share_one_read(subject: Subject) {
    let (one, ten) = (reads_of(&subject, 1).await, reads_of(&subject, 10).await);
    assert!(one >= 12, "{one} reads handed over 12 commits");
    // Where nothing is heard of the reader for a second, they look for themselves, once. Without it they would each time.
    assert!(ten <= 6 * one, "ten subscribers made {ten} reads where one made {one}");
}

pub(super) async fn clause_8_4_a_subscriber_that_started_later_holds_up_nobody(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let mut first = caught_up(&store).await;
    store.append(&stream, noted(1)).no_versioning().await.unwrap();
    let mut second = store.subscribe::<Noted>().stream();
    second.next_event().await;
    second.until_caught_up().await;
    let waiting = tokio::spawn(async move { second.next_event().await });
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(first.next_event().await.wrapped_event.event.number, 1);
    store.append(&stream, noted(2)).no_versioning().await.unwrap();
    assert_eq!(timeout(SOON, waiting).await.unwrap().unwrap().wrapped_event.event.number, 2);
}

/// As after a store was restored from an older backup.
pub(super) async fn clause_8_4_a_subscriber_beyond_the_end_is_told_and_holds_up_nobody(subject: Subject) {
    let (store, stream) = (subject.faulty(), ledger("1"));
    let mut beyond = store.subscribe::<Noted>().after(Position::from_i64(i64::MAX - 1)).stream();
    let refused = beyond.try_next().await;
    assert!(matches!(refused, Err(Error::BeyondEnd { .. })), "{refused:?}");
    let mut other = store.subscribe::<Noted>().stream();
    other.until_caught_up().await;
    let before = store.backend().scans();
    other.has_nothing().await;
    let scans = store.backend().scans() - before;
    assert!(scans < 10, "{scans} reads were made while there was nothing to read");
    for number in 1..4 {
        store.append(&stream, noted(number)).no_versioning().await.unwrap();
        assert_eq!(other.next_event().await.wrapped_event.event.number, number);
        other.until_caught_up().await;
    }
}

/// How many events are handed over sooner than that after they were appended, of as many as it takes to have eight.
async fn come_within(limit: Duration, reader: &EventStore, writer: &EventStore) -> usize {
    const ENOUGH: usize = 8;
    let mut subscription = reader.subscribe::<Noted>().stream();
    subscription.until_caught_up().await;
    let mut in_time = 0;
    for number in 0..60 {
        let writer = writer.clone();
        let writing = tokio::spawn(async move {
            // By then somebody waits, who has looked before.
            tokio::time::sleep(Duration::from_millis(10)).await;
            writer.append(&ledger("1"), noted(number)).no_versioning().await.unwrap();
            Instant::now()
        });
        subscription.next_event().await;
        let seen = Instant::now();
        let delay = seen.saturating_duration_since(writing.await.unwrap());
        in_time += usize::from(delay < limit);
        if in_time == ENOUGH {
            break;
        }
        subscription.until_caught_up().await;
    }
    in_time
}

/// The figures of the clause are measured elsewhere, on a machine that does nothing else. A subscriber that is not woken,
/// and polls, is found here: however slow the machine is, some come sooner than he would look.
pub(super) async fn clause_8_5_a_subscriber_is_woken_soon_by_another_handle_and_its_own(subject: Subject) {
    let (store, another) = (subject.store(), subject.another_store().await);
    let own = come_within(Duration::from_millis(60), &store, &store).await;
    assert_eq!(own, 8, "commits of the same handle that were told of in time");
    let others = come_within(Duration::from_millis(250), &store, &another).await;
    assert_eq!(others, 8, "commits of another handle that were told of in time");
}

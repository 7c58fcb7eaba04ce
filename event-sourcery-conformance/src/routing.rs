//! Clauses 8.1, 8.5 and 8.6: an event wakes those alone who want it, however many wait; and who wants none of what comes goes on.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use event_sourcery::backend::{Filter, ScanRequest, SubscriptionId};
use event_sourcery::{EventStore, Next, Position, RawEvent, StreamId, Subscription, TenantId};
use futures_util::future::join_all;

use super::ledger::{Ledgers as _, category, ledger, tenant};
use super::running::{Handled, Running, Settings, eventually};
use super::subject::Subject;
use super::subscribing::InTime as _;

/// How many wait for something else.
const OTHERS: u64 = 29;

/// How many events come that they do not want.
const EVENTS: u64 = 40;

/// Drives a future, and counts how often.
async fn counted<F: Future>(polls: Arc<AtomicU64>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        polls.fetch_add(1, Ordering::SeqCst);
        future.as_mut().poll(context)
    })
    .await
}

fn named(name: &str) -> RawEvent {
    RawEvent::new(name.to_owned(), "{}").unwrap()
}

async fn append(store: &EventStore, stream: &StreamId, name: &str) -> Position {
    let appended = store.append(stream, named(name)).no_versioning().await.unwrap();
    store.settled(appended.position).await;
    Position::from_i64(appended.position.to_i64())
}

fn of_names(store: &EventStore, name: &str) -> Subscription<RawEvent> {
    store.subscribe::<RawEvent>().event_names([name]).stream()
}

/// Waits for ever, for what does not come; tells when it begins to wait.
async fn wait(mut subscription: Subscription<RawEvent>, caught_up: Arc<AtomicU64>) {
    while let Some(next) = subscription.try_next().await.unwrap() {
        assert!(matches!(next, Next::CaughtUp(_)), "it is not what was asked for: {next:?}");
        caught_up.fetch_add(1, Ordering::SeqCst);
    }
}

pub(super) async fn clause_8_5_an_event_wakes_those_alone_who_want_it(subject: Subject) {
    let (store, [polls, caught_up]) = (subject.store(), [(); 2].map(|()| Arc::new(AtomicU64::new(0))));
    let mut wanting = of_names(&store, "wanted");
    wanting.until_caught_up().await;
    // By name, by category, and by tenant: none of it is that of the event.
    let others: Vec<_> = (0..OTHERS)
        .map(|number| {
            let subscribe = store.subscribe::<RawEvent>();
            let other = match number % 3 {
                0 => subscribe.event_names([&*format!("other {number}")]),
                1 => subscribe.category(category(&format!("other-{number}"))),
                _ => subscribe.tenant(tenant(&format!("other-{number}"))),
            };
            tokio::spawn(counted(Arc::clone(&polls), wait(other.stream(), Arc::clone(&caught_up))))
        })
        .collect();
    eventually("the others wait", async || caught_up.load(Ordering::SeqCst) == OTHERS).await;
    append(&store, &ledger("1"), "wanted").await;
    wanting.next_event().await;
    wanting.until_caught_up().await;
    let before = polls.load(Ordering::SeqCst);
    for _ in 0..EVENTS {
        append(&store, &ledger("1"), "wanted").await;
        wanting.next_event().await;
        wanting.until_caught_up().await;
    }
    let woken = polls.load(Ordering::SeqCst) - before;
    // A few times each: when they see whether somebody still reads for them.
    assert!(woken <= OTHERS * EVENTS / 4, "{OTHERS} others were woken {woken} times by {EVENTS} events");
    others.iter().for_each(tokio::task::JoinHandle::abort);
}

pub(super) async fn clause_8_1_each_of_many_narrow_subscribers_is_handed_all_that_it_wants(subject: Subject) {
    const KINDS: usize = 6;
    const EACH: usize = 25;
    let store = subject.store();
    let writing = (0..KINDS).map(|kind| {
        let store = store.clone();
        tokio::spawn(async move {
            for number in 0..EACH {
                append(&store, &ledger(&format!("{kind}/{number}")), &format!("kind {kind}")).await;
            }
        })
    });
    let reading = (0..KINDS).map(|kind| {
        let store = store.clone();
        tokio::spawn(async move {
            let (mut read, mut subscription) = (Vec::new(), of_names(&store, &format!("kind {kind}")));
            while read.len() < EACH {
                if let Next::Event(recorded) = subscription.next_in_time().await {
                    read.push(recorded.stream_id.clone());
                    // One that was dropped while it waits, or while it reads, goes on at its position.
                    if read.len() % 5 == 0 {
                        let after = subscription.position();
                        let again = store.subscribe::<RawEvent>().event_names([&*format!("kind {kind}")]);
                        subscription = again.after(after).stream();
                    }
                }
            }
            read
        })
    });
    let (reading, writing): (Vec<_>, Vec<_>) = (reading.collect(), writing.collect());
    for written in join_all(writing).await {
        written.unwrap();
    }
    for (kind, read) in join_all(reading).await.into_iter().enumerate() {
        let expected: Vec<_> = (0..EACH).map(|number| ledger(&format!("{kind}/{number}"))).collect();
        assert_eq!(read.unwrap(), expected, "kind {kind}");
    }
}

pub(super) async fn clause_8_6_the_checkpoint_of_one_that_wants_none_of_what_comes_goes_on(subject: Subject) {
    let (store, handled) = (subject.store(), Handled::default());
    let run = Running::noting(Settings::with_short_lease().of(store.subscribe()), &handled);
    let id = SubscriptionId::new(TenantId::DEFAULT, "letters");
    let checkpoint = async || {
        let record = store.backend().subscription(id.clone()).await.unwrap();
        record.and_then(|record| record.segments.iter().map(|segment| segment.position).min())
    };
    eventually("it runs", async || checkpoint().await.is_some()).await;
    for number in 0..3 {
        let position = append(&store, &ledger(&number.to_string()), "other").await;
        eventually("what is for others is passed", async || checkpoint().await >= Some(position)).await;
    }
    run.stop().await;
    assert!(handled.numbers().is_empty());
}

pub(super) async fn clause_8_3_who_has_caught_up_has_caught_up_with_what_others_want(subject: Subject) {
    let store = subject.store();
    let mut narrow = of_names(&store, "wanted");
    narrow.until_caught_up().await;
    for number in 0..20 {
        append(&store, &ledger(&number.to_string()), "other").await;
    }
    let position = append(&store, &ledger("wanted"), "wanted").await;
    assert_eq!(narrow.next_event().await.position, position);
    let (none, caught_up) = narrow.until_caught_up().await;
    assert!(none.is_empty() && caught_up >= position, "{caught_up:?} lies before {position:?}");
    let filter = Filter::new().with_names([Arc::<str>::from("wanted")]);
    let unread = ScanRequest::new(caught_up, 1).with_filter(filter);
    assert!(store.backend().scan(unread).await.unwrap().records.is_empty());
}

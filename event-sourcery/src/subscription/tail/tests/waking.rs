//! Those alone are woken who want what was read, and nothing is lost between a look and the wait behind it.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::subscription::feed::Feed;

/// One that has read to the end, and wants events of one name.
async fn narrow(store: &Store, name: &str) -> Feed {
    let filter = Filter::default().with_names([Arc::<str>::from(name)]);
    let mut feed = Feed::new(store.shared_backend(), store.tail(), filter, Position::START);
    let page = feed.read(10).await.unwrap();
    assert!(page.records.is_empty() && page.at_end);
    feed
}

async fn append_of(store: &Store, name: &str) -> Position {
    let event = RawEvent::new(name.to_owned(), "{}").unwrap();
    let appended = store.append(&StreamId::random(), event).await.unwrap();
    Position::from_i64(appended.position.to_i64())
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    timeout(SOON, future).await.expect("it does not wait for ever")
}

/// It was read for all when this one was not among those who wait, so nobody has noted that it is for him.
#[tokio::test]
async fn what_is_read_for_all_between_a_look_and_the_wait_behind_it_is_not_waited_for() {
    let store = store();
    let (tail, mut all) = (store.tail(), subscribe(&store));
    assert_eq!(until_caught_up(&mut all).await, 0);
    let mut looked = narrow(&store, "Wanted").await;
    let (count, position) = tokio::join!(until_caught_up(&mut all), append_of(&store, "Wanted"));
    assert_eq!((count, tail.0.state().window.to), (1, position));
    assert!(looked.cursor() < position);
    in_time(looked.wait()).await;
    assert_eq!(looked.read(10).await.unwrap().records.len(), 1);
}

/// As on a server that runs anew, where positions above the newest event are settled again only once a transaction has ended.
#[tokio::test]
async fn what_was_read_for_all_and_is_not_there_again_is_not_looked_for_on_and_on() {
    let store = store();
    append(&store, 3).await;
    let (tail, mut feed) = (store.tail(), narrow(&store, "Wanted").await);
    assert_eq!(feed.cursor(), Position::from_i64(3));
    tail.0.state().window = Window::at(Position::from_i64(10));
    in_time(feed.wait()).await;
    assert!(feed.read(10).await.unwrap().records.is_empty());
    assert!(feed.wait().now_or_never().is_none(), "it has looked");
    in_time(async { tokio::join!(feed.wait(), append_of(&store, "Wanted")) }).await;
    assert_eq!(feed.read(10).await.unwrap().records.len(), 1);
}

#[tokio::test]
async fn an_event_wakes_those_alone_who_want_it() {
    let (store, woken) = (store(), Arc::new(AtomicUsize::new(0)));
    for number in 0..20 {
        let (mut feed, woken) = (narrow(&store, &format!("kind {number}")).await, Arc::clone(&woken));
        tokio::spawn(async move {
            loop {
                feed.wait().await;
                woken.fetch_add(1, Ordering::SeqCst);
                feed.read(10).await.unwrap();
            }
        });
    }
    let tail = store.tail();
    for event in 1..=10 {
        until(|| tail.0.state().waiters.count() == 20).await;
        append_of(&store, "kind 7").await;
        until(|| woken.load(Ordering::SeqCst) >= event).await;
    }
    assert_eq!(woken.load(Ordering::SeqCst), 10);
}

#[tokio::test]
async fn what_was_for_others_while_one_waited_is_passed_and_not_looked_through() {
    let store = store();
    let (tail, mut feed) = (store.tail(), narrow(&store, "Wanted").await);
    let writing = async {
        // More than is kept.
        for round in 1..=20 {
            append(&store, 500).await;
            until(|| tail.0.state().window.to == Position::from_i64(500 * round)).await;
        }
        append_of(&store, "Wanted").await
    };
    let (position, ()) = in_time(async { tokio::join!(writing, feed.wait()) }).await;
    assert_eq!(feed.cursor(), position.previous());
    let scans = store.backend().scans();
    assert_eq!(feed.read(10).await.unwrap().records.len(), 1);
    assert_eq!(store.backend().scans(), scans);
}

#[tokio::test]
async fn who_keeps_what_he_has_passed_is_told_of_it_and_others_are_not() {
    let store = store();
    let (mut keeps, mut does_not) = (narrow(&store, "Wanted").await, narrow(&store, "Wanted").await);
    let (may_be_more, ()) = in_time(async { tokio::join!(keeps.wait_or_pass(), append(&store, 3)) }).await;
    assert_eq!((may_be_more, keeps.cursor()), (false, Position::from_i64(3)));
    assert!(does_not.wait().now_or_never().is_some(), "more was read than it has looked at");
    does_not.read(10).await.unwrap();
    let passing = async {
        let (passed, ()) = tokio::join!(keeps.wait_or_pass(), append(&store, 3));
        passed
    };
    match in_time(select(Box::pin(passing), Box::pin(does_not.wait()))).await {
        Either::Left((may_be_more, _)) => assert!(!may_be_more),
        Either::Right(_) => panic!("it was woken by what it does not want"),
    }
}

/// By name and category and tenant, in segments, or all of it.
#[tokio::test]
async fn whatever_a_filter_asks_for_it_is_woken_by_it() {
    let store = store();
    let (acme, red) = (TenantId::new("acme").unwrap(), Category::new("red").unwrap());
    let filters = (0..8).map(|bits: u8| Filter {
        names: (bits & 1 > 0).then(|| [Arc::from("Happened")].into()),
        category: (bits & 2 > 0).then(|| red.clone()),
        tenant: (bits & 4 > 0).then(|| acme.clone()),
        ..Filter::default()
    });
    let filters: Vec<_> = filters.collect();
    let stream = || StreamId::random().in_category("red").unwrap();
    let event = || RawEvent::new("Happened", "{}").unwrap();
    let mut feeds = Vec::new();
    for filter in &filters {
        let mut feed = Feed::new(store.shared_backend(), store.tail(), filter.clone(), Position::START);
        feed.read(10).await.unwrap();
        feeds.push(feed);
    }
    let all = futures_util::future::join_all(feeds.iter_mut().map(Feed::wait));
    let appending = async { store.for_tenant(acme.clone()).append(&stream(), event()).await.unwrap() };
    in_time(async { tokio::join!(all, appending) }).await;
    for (feed, filter) in feeds.iter_mut().zip(&filters) {
        assert_eq!(feed.read(10).await.unwrap().records.len(), 1, "{filter:?}");
    }
}

/// Five hundred that have nothing to do would do so all at once.
#[tokio::test]
async fn who_waits_does_not_begin_anew_when_its_leases_are_renewed() {
    let store = store();
    let (tail, durable) = (store.tail(), store.subscribe::<RawEvent>().durable("letters"));
    let running = tokio::spawn(durable.lease(Duration::from_millis(900)).run(async |_, _| Ok(())));
    let renewed = || store.backend().presence_renewals();
    until(|| renewed() >= 2).await;
    let (renewals, begun) = (renewed(), tail.0.state().waiters.begun());
    until(|| renewed() >= renewals + 3).await;
    assert_eq!(tail.0.state().waiters.begun(), begun, "it waits all the while");
    running.abort();
}

#[test]
fn those_who_wait_and_those_who_renew_their_leases_wake_at_the_same_times() {
    let (tail, lease) = (Tail::default(), Duration::from_secs(15));
    for tail in [tail.for_other_readers(), tail] {
        let (now, presence) = (Instant::now(), tail.presence());
        let shown = tail.0.beat.next_after(now, lease / 3);
        assert_eq!(shown, presence.renew_at(now, lease));
    }
}

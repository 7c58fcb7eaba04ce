//! A broker that is away, frozen, or killed at random: nothing is lost, and the order of each stream holds.

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use event_sourcery::StreamId;
use event_sourcery::outbox::{OutboxEntry, Publisher};
use event_sourcery::uuid::Uuid;
use event_sourcery_conformance::publisher::{
    Receiver as _, assert_whole_and_in_order, entry, publish_all, publisher_bears_an_outage,
    publisher_tells_that_the_other_end_is_away,
};

use crate::scene::Shop;

fn id(entry: &OutboxEntry) -> Uuid {
    entry.recorded().wrapped_event.uuid
}

#[tokio::test]
async fn a_broker_that_is_gone_is_away_and_has_what_it_confirmed_when_it_is_back() {
    let mut shop = Shop::open().await;
    let publisher = shop.publisher();
    let entries: Vec<_> = (1..=50).map(|number| entry(&StreamId::random(), number)).collect();
    assert!(publisher.publish(&entries).await.iter().all(Result::is_ok));
    shop.rabbitmq().kill();
    publisher_tells_that_the_other_end_is_away(&publisher).await;
    // As one that starts before its broker.
    let early = shop.publisher();
    publisher_tells_that_the_other_end_is_away(&early).await;
    shop.rabbitmq().start_again();
    for publisher in [&publisher, &early] {
        publish_all(publisher, vec![entry(&StreamId::random(), 1)]).await;
    }
    let arrived: HashSet<_> = shop.arrived().await.into_iter().collect();
    assert!(entries.iter().all(|entry| arrived.contains(&id(entry))));
}

#[tokio::test]
async fn a_broker_that_does_not_answer_is_away_and_what_comes_late_answers_nothing_else() {
    let mut shop = Shop::open().await;
    let publisher = shop.publisher().with_timeout(Duration::from_secs(2));
    let entries = [entry(&StreamId::random(), 1)];
    assert!(publisher.publish(&entries).await[0].is_ok());
    shop.rabbitmq().freeze();
    publisher_tells_that_the_other_end_is_away(&publisher).await;
    // Given up by its caller, not by itself.
    let given_up = [entry(&StreamId::random(), 1)];
    let publishing = tokio::time::timeout(Duration::from_millis(100), publisher.publish(&given_up));
    assert!(publishing.await.is_err());
    shop.rabbitmq().thaw();
    let after = [entry(&StreamId::random(), 1)];
    publish_all(&publisher, after.to_vec()).await;
    assert!(shop.arrived().await.contains(&id(&after[0])));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_it_loses_nothing_and_keeps_the_order_of_each_stream() {
    let mut shop = Shop::open().await;
    let publisher = shop.publisher();
    let streams: Vec<_> = (0..5).map(|_| StreamId::random()).collect();
    let entries: Vec<_> =
        (1..=200).flat_map(|number| streams.iter().map(move |stream| entry(stream, number))).collect();
    let mut rabbitmq = shop.rabbitmq.take().unwrap();
    let killing = tokio::task::spawn_blocking(move || {
        for _ in 0..2 {
            thread::sleep(Duration::from_millis(fastrand::u64(5..300)));
            rabbitmq.kill();
            rabbitmq.start_again();
        }
        rabbitmq
    });
    publish_all(&publisher, entries.clone()).await;
    shop.rabbitmq = Some(killing.await.unwrap());
    publish_all(&publisher, vec![entry(&StreamId::random(), 1)]).await;
    assert_whole_and_in_order(&entries, &shop.arrived().await);
}

/// Whoever publishes is stopped by it: his confirms stay pending until it is over.
#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_of_its_memory_or_its_disk_loses_nothing_parks_nothing_and_keeps_the_order() {
    let shop = Shop::open().await;
    let ctl = |arguments: &[&str]| drop(shop.rabbitmq.as_ref().unwrap().ctl(arguments));
    for (alarm, end) in [
        (["set_vm_memory_high_watermark", "0"], ["set_vm_memory_high_watermark", "0.9"]),
        // More bytes are to be free than any disk has.
        (["set_disk_free_limit", "1000000000000000"], ["set_disk_free_limit", "1000000"]),
    ] {
        let publisher = shop.publisher().with_timeout(Duration::from_secs(2));
        publisher_bears_an_outage(publisher, &shop, async || ctl(&alarm), async || ctl(&end)).await;
    }
}

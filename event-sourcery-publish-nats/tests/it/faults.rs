//! A server that is away, frozen, or killed at random: nothing is lost, and the order of each stream holds.

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy};
use broker_cluster::Nats;
use event_sourcery::StreamId;
use event_sourcery::outbox::{OutboxEntry, Publisher};
use event_sourcery::uuid::Uuid;
use event_sourcery_conformance::publisher::{
    Receiver as _, assert_whole_and_in_order, entry, publish_all, publisher_bears_an_outage,
    publisher_tells_that_the_other_end_is_away,
};

use crate::scene::{Shop, connect_later, publisher};

fn id(entry: &OutboxEntry) -> Uuid {
    entry.recorded().wrapped_event.uuid
}

#[tokio::test]
async fn a_server_that_is_gone_is_away_and_it_goes_on_when_it_is_back() {
    let mut shop = Shop::open().await;
    let publisher = shop.publisher();
    shop.nats().kill();
    publisher_tells_that_the_other_end_is_away(&publisher).await;
    shop.nats().start_again();
    let entries = vec![entry(&StreamId::random(), 1)];
    publish_all(&publisher, entries.clone()).await;
    assert_eq!(shop.arrived().await, [id(&entries[0])]);
}

#[tokio::test]
async fn a_server_that_is_not_there_at_start_is_away_and_is_published_to_once_it_is() {
    let mut shop = Shop::open().await;
    let url = shop.nats().url();
    shop.nats().kill();
    let early = publisher(connect_later(&url).await);
    publisher_tells_that_the_other_end_is_away(&early).await;
    shop.nats().start_again();
    let entries = vec![entry(&StreamId::random(), 1)];
    publish_all(&early, entries.clone()).await;
    // The shop's own client may come later.
    publish_all(&shop.publisher(), entries.clone()).await;
    assert_eq!(shop.arrived().await, [id(&entries[0])]);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_away() {
    let mut shop = Shop::open().await;
    let publisher = shop.publisher();
    let entries = [entry(&StreamId::random(), 1)];
    assert!(publisher.publish(&entries).await[0].is_ok());
    shop.nats().freeze();
    publisher_tells_that_the_other_end_is_away(&publisher).await;
    shop.nats().thaw();
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_kill() {
    let mut shop = Shop::open().await;
    let publisher = shop.publisher();
    let entries: Vec<_> = (1..=50).map(|number| entry(&StreamId::random(), number)).collect();
    assert!(publisher.publish(&entries).await.iter().all(Result::is_ok));
    shop.nats().kill();
    shop.nats().start_again();
    // Its client finds the way back by itself.
    publish_all(&publisher, vec![entry(&StreamId::random(), 1)]).await;
    let arrived: HashSet<_> = shop.arrived().await.into_iter().collect();
    assert!(entries.iter().all(|entry| arrived.contains(&id(entry))));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_it_loses_nothing_and_keeps_the_order_of_each_stream() {
    let mut shop = Shop::open().await;
    let publisher = shop.publisher();
    let streams: Vec<_> = (0..5).map(|_| StreamId::random()).collect();
    let entries: Vec<_> =
        (1..=200).flat_map(|number| streams.iter().map(move |stream| entry(stream, number))).collect();
    let mut nats = shop.nats.take().unwrap();
    let killing = tokio::task::spawn_blocking(move || {
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(fastrand::u64(5..200)));
            nats.kill();
            nats.start_again();
        }
        nats
    });
    publish_all(&publisher, entries.clone()).await;
    shop.nats = Some(killing.await.unwrap());
    publish_all(&publisher, vec![entry(&StreamId::random(), 1)]).await;
    assert_whole_and_in_order(&entries, &shop.arrived().await);
}

/// The limit is an outage, and no refusal: with more room, or less in it, each of the messages passes.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_takes_no_more_bytes_loses_nothing_parks_nothing_and_keeps_the_order() {
    let narrow = Config { max_bytes: 200_000, discard: DiscardPolicy::New, ..Config::default() };
    let shop = Shop::with_stream(narrow).await;
    let widen = async || {
        let narrow = shop.context.get_stream("SHOP").await.unwrap().cached_info().config.clone();
        let wide = Config { max_bytes: 100_000_000, ..narrow };
        shop.context.update_stream(wide).await.unwrap();
    };
    publisher_bears_an_outage(shop.publisher(), &shop, async || (), widen).await;
}

/// Another one's stream takes all the storage of the server, and gives it back.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_out_of_storage_loses_nothing_parks_nothing_and_keeps_the_order() {
    let small = Nats::start_with("jetstream {\n  sync_interval: always\n  max_file: 2000000\n}");
    let shop = Shop::on(small, Config::default()).await;
    let (name, subjects) = ("BALLAST".to_owned(), vec!["ballast".to_owned()]);
    shop.context.create_stream(Config { name, subjects, ..Config::default() }).await.unwrap();
    let fill = async || {
        for _ in 0..100 {
            let sent = shop.context.publish("ballast", vec![0_u8; 90_000].into()).await.unwrap();
            if sent.await.is_err() {
                return;
            }
        }
        panic!("its storage has no end");
    };
    let give_back = async || {
        shop.context.delete_stream("BALLAST").await.unwrap();
    };
    publisher_bears_an_outage(shop.publisher(), &shop, fill, give_back).await;
}

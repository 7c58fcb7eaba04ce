//! What is refused when a store is opened.

use std::time::Duration;

use broker_cluster::Nats;
use event_sourcery::{Error, EventStore, StreamId};
use event_sourcery_nats::NatsBackend;
use event_sourcery_nats::async_nats::jetstream::{self, stream::Config};
use event_sourcery_nats::async_nats::{Client, ConnectOptions};

use crate::scene::{Paid, Servers, connect, open, options, store};

fn is_refused(opened: Result<NatsBackend, Error>, by: &str, says: &str) {
    match opened {
        Err(Error::InvalidOption { option, problem }) => {
            assert_eq!(option, by, "{problem}");
            assert!(problem.contains(says), "{problem}");
        }
        other => panic!("{other:?} is not refused by {by}"),
    }
}

#[tokio::test]
async fn a_store_is_not_opened_before_somebody_says_that_its_servers_sync() {
    let servers = Servers::start(1);
    let context = connect(&servers.urls()).await;
    let opened = NatsBackend::options(context.clone(), "SHOP").open().await;
    is_refused(opened, "servers_sync_always", "sync_interval: always");
    assert!(context.get_stream("SHOP").await.is_err(), "nothing was made");
    open(options(&servers.urls(), "SHOP").await).await;
}

#[tokio::test]
async fn a_stream_that_forgets_what_is_old_is_refused_by_its_setting_and_so_is_its_side() {
    let servers = Servers::start(1);
    for name in ["SHOP", "BOOKS-side"] {
        let context = connect(&servers.urls()).await;
        let subjects = vec![format!("{}.>", name.to_lowercase())];
        let (name_of_it, max_age) = (name.to_owned(), Duration::from_secs(60));
        let forgets = Config { name: name_of_it, subjects, max_age, ..Config::default() };
        context.create_stream(forgets).await.unwrap();
        let store = name.split('-').next().unwrap();
        is_refused(options(&servers.urls(), store).await.open().await, "max_age", name);
    }
}

#[tokio::test]
async fn names_and_replicas_that_cannot_be_are_refused() {
    let servers = Servers::start(1);
    for name in ["", "a.b", "a b", "*", &"x".repeat(33)] {
        is_refused(options(&servers.urls(), name).await.open().await, "name", "letters");
    }
    is_refused(options(&servers.urls(), "SHOP").await.replicas(2).open().await, "replicas", "1, 3 and 5");
    open(options(&servers.urls(), "SHOP").await).await;
    is_refused(options(&servers.urls(), "SHOP").await.replicas(3).open().await, "num_replicas", "fewer");
}

/// A server whose system account can be asked, and connections of a user and of that account.
async fn with_system_account(jetstream: &str) -> (Nats, Client, Client) {
    let nats = Nats::start_with(&format!(
        "server_name: alone\njetstream {{ {jetstream} }}\nsystem_account: SYS\n\
         accounts {{\n\
           SHOP {{ jetstream: enabled, users: [ {{ user: shop, password: shop }} ] }}\n\
           SYS {{ users: [ {{ user: sys, password: sys }} ] }}\n\
         }}\n"
    ));
    let user = async |name: &str| {
        let options = ConnectOptions::new().user_and_password(name.to_owned(), name.to_owned());
        options.retry_on_initial_connect().connect(nats.url()).await.unwrap()
    };
    let (shop, system) = (user("shop").await, user("sys").await);
    shop.flush().await.unwrap();
    system.flush().await.unwrap();
    (nats, shop, system)
}

#[tokio::test]
async fn the_system_account_tells_whether_the_servers_sync() {
    for (jetstream, syncs) in [("sync_interval: always", true), ("sync_interval: 1m", false)] {
        let (_nats, shop, system) = with_system_account(jetstream).await;
        let asking = |system: Client| {
            NatsBackend::options(jetstream::new(shop.clone()), "SHOP").system_account(system).open()
        };
        if syncs {
            asking(system).await.unwrap();
            is_refused(asking(shop.clone()).await, "servers_sync_always", "no server has answered");
        } else {
            is_refused(asking(system).await, "servers_sync_always", "the server alone does not sync");
        }
    }
}

#[tokio::test]
async fn an_event_that_no_message_has_room_for_is_refused_and_nothing_is_written() {
    let nats = Nats::start();
    let store = EventStore::new(open(options(&nats.url(), "SHOP").await).await);
    let stream = StreamId::from_name("1").unwrap();
    let event = |bytes: usize| {
        event_sourcery::RawEvent::new("large", format!("{{\"x\":\"{}\"}}", "y".repeat(bytes))).unwrap()
    };
    let refused = store.append(&stream, [event(1), event(1 << 20)]).await;
    assert!(matches!(refused, Err(Error::InvalidPayload { ref name, .. }) if name == "large"), "{refused:?}");
    assert!(store.load_stream::<event_sourcery::RawEvent>(&stream).await.unwrap().is_empty());
    store.append(&stream, event(900 << 10)).await.unwrap();
}

#[tokio::test]
async fn what_a_name_holds_never_means_another_subject() {
    let servers = Servers::start(1);
    let store = store(&servers).await;
    let stream = StreamId::from_name("1").unwrap();
    for (number, category) in (1..).zip(["a", "b", "a.b", "*", ">", "a b", "%2E", "-"]) {
        let stream = stream.clone().in_category(category).unwrap();
        store.append(&stream, Paid { number }).await.unwrap();
    }
    store.delete_stream(&stream.clone().in_category("*").unwrap()).await.unwrap();
    store.delete_stream(&stream.clone().in_category(">").unwrap()).await.unwrap();
    for (number, category) in [(1, "a"), (2, "b"), (3, "a.b"), (6, "a b"), (7, "%2E"), (8, "-")] {
        let events = store.load_stream::<Paid>(&stream.clone().in_category(category).unwrap()).await.unwrap();
        assert_eq!(events.iter().map(|event| event.event.number).collect::<Vec<_>>(), [number], "{category}");
    }
}

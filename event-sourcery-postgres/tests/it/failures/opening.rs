//! Servers and databases that are not there.

use std::time::{Duration, Instant};

use event_sourcery::{Error, StreamId};
use event_sourcery_postgres::PostgresBackend;
use postgres_cluster::{Cluster, Server};

use crate::scene::{Scene, event, length, open};

const TIMEOUT: Duration = Duration::from_secs(1);

async fn refused_in_time(url: &str) -> Error {
    let began = Instant::now();
    let refused = PostgresBackend::options(url).acquire_timeout(TIMEOUT).open().await.unwrap_err();
    assert!(began.elapsed() < TIMEOUT + Duration::from_secs(5), "{:?}", began.elapsed());
    refused
}

#[tokio::test]
async fn a_server_that_is_away_is_unavailable_in_time() {
    // A port that was free a moment ago.
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refused = refused_in_time(&format!("postgres://postgres:secret@{nobody}/orders")).await;
    assert!(matches!(refused, Error::Unavailable { .. }) && refused.is_retryable(), "{refused:?}");
    assert!(!format!("{refused:?} {refused}").contains("secret"));
}

#[tokio::test]
async fn a_server_that_takes_connections_and_says_nothing_is_unavailable_in_time() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused =
        refused_in_time(&format!("postgres://postgres@{}/orders", listener.local_addr().unwrap())).await;
    assert!(matches!(refused, Error::Unavailable { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_host_that_nobody_knows_is_unavailable_in_time() {
    let refused = refused_in_time("postgres://postgres@nowhere.invalid/orders").await;
    assert!(matches!(refused, Error::Unavailable { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_store_whose_server_goes_away_is_unavailable_in_time_and_works_when_it_is_back() {
    let mut cluster = Cluster::start(&[]);
    let database = cluster.create_database();
    let options = PostgresBackend::options(database.url()).acquire_timeout(TIMEOUT);
    let store = event_sourcery::EventStore::new(options.open().await.unwrap());
    let stream = StreamId::random();
    store.append(&stream, event()).await.unwrap();
    cluster.stop_fast();
    for _ in 0..3 {
        let began = Instant::now();
        let refused = store.append(&stream, event()).expected_version(1).await.unwrap_err();
        assert!(matches!(refused, Error::Unavailable { .. } | Error::OutcomeUnknown { .. }), "{refused:?}");
        let refused = store.position().await.unwrap_err();
        assert!(matches!(refused, Error::Unavailable { .. }), "{refused:?}");
        assert!(began.elapsed() < TIMEOUT * 2 + Duration::from_secs(5), "{:?}", began.elapsed());
    }
    cluster.start_again();
    crate::scene::until(async || store.position().await.is_ok()).await;
    store.append(&stream, event()).expected_version(1).await.unwrap();
    assert_eq!(length(&store, &stream).await, 2);
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_named() {
    let refused = refused_in_time(&Server::shared().url("no_such_database")).await;
    let Error::StoreNotFound { place, problem } = &refused else { panic!("{refused:?}") };
    assert!(place.ends_with("/no_such_database") && problem.contains("no_such_database"), "{refused}");
}

#[tokio::test]
async fn a_wrong_password_is_said_to_be_one_and_not_repeated() {
    let cluster = Cluster::start(&[]);
    let rules = cluster.psql("postgres", "SHOW hba_file");
    let strict = "host all guest all scram-sha-256\nhost all all 127.0.0.1/32 trust\n";
    std::fs::write(&rules, strict).unwrap();
    cluster.psql("postgres", "CREATE ROLE guest LOGIN SUPERUSER PASSWORD 'right'; SELECT pg_reload_conf()");
    let url = |password: &str| format!("postgres://guest:{password}@127.0.0.1:{}/postgres", cluster.port());
    // The new rules hold once the server has read them.
    crate::scene::until(async || PostgresBackend::connect(url("wrong-secret")).await.is_err()).await;
    let refused = refused_in_time(&url("wrong-secret")).await;
    assert!(refused.in_full().contains("password authentication failed"), "{refused}");
    assert!(!refused.is_retryable() && !format!("{refused:?}").contains("wrong-secret"), "{refused:?}");
    open(&url("right")).await;
}

#[tokio::test]
async fn an_address_that_is_none_is_an_invalid_option() {
    for url in ["", "orders.db", "postgres://["] {
        let refused = PostgresBackend::connect(url).await.unwrap_err();
        assert!(matches!(refused, Error::InvalidOption { option: "url", .. }), "{url}: {refused:?}");
    }
}

#[tokio::test]
async fn options_outside_their_bounds_are_refused() {
    let scene = Scene::new().await;
    let options = || PostgresBackend::options(scene.database.url());
    for (options, named) in [
        (options().table_prefix("a\0"), "table_prefix"),
        (options().table_prefix("a".repeat(25)), "table_prefix"),
        (options().table_prefix("ü".repeat(13)), "table_prefix"),
        (options().schema(""), "schema"),
        (options().schema("a\0"), "schema"),
        (options().schema("a".repeat(64)), "schema"),
        (options().max_connections(0), "max_connections"),
    ] {
        let refused = options.open().await.unwrap_err();
        assert!(matches!(refused, Error::InvalidOption { option, .. } if option == named), "{refused:?}");
    }
}

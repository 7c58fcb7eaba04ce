//! A server that is sealed, gone, or silent; and one that is none.

use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use event_sourcery::privacy::KeyWrapping as _;
use event_sourcery_openbao::{OpenBao, OpenBaoError, Token};
use tokio::net::TcpListener;

use crate::scene::{bao, bao_as_root, beside, keys, open, said, server};

#[tokio::test]
async fn a_sealed_server_is_away_until_it_is_unsealed() {
    let server = server();
    let (key, keys) = (open(&server).await, keys(1));
    let wrapped = beside(&keys, key.wrap(&keys).await.unwrap());
    server.seal();
    let refused = key.unwrap(&wrapped).await.err().unwrap();
    assert!(matches!(said(&refused, true), OpenBaoError::Sealed), "{}", refused.in_full());
    assert!(matches!(said(&key.wrap(&keys).await.unwrap_err(), true), OpenBaoError::Sealed));
    server.unseal();
    assert_eq!(key.unwrap(&wrapped).await.unwrap()[0].as_bytes(), keys[0].1.as_bytes());
}

#[tokio::test]
async fn a_killed_server_is_away_and_has_lost_no_key_when_it_is_back() {
    let mut server = server();
    let (key, keys) = (open(&server).await, keys(300));
    let wrapped = beside(&keys, key.wrap(&keys).await.unwrap());
    server.kill();
    let refused = key.unwrap(&wrapped).await.err().unwrap();
    assert!(matches!(said(&refused, true), OpenBaoError::Unreachable { .. }), "{}", refused.in_full());
    assert!(said_of_opening(&bao_as_root(&server)).await);
    server.start_again();
    let refused = key.unwrap(&wrapped).await.err().unwrap();
    assert!(matches!(said(&refused, true), OpenBaoError::Sealed), "{}", refused.in_full());
    server.unseal();
    assert_eq!(key.unwrap(&wrapped).await.unwrap().len(), 300);
}

/// Whether opening a key fails as it does where nobody is there.
async fn said_of_opening(bao: &OpenBao) -> bool {
    matches!(said(&bao.open("customers").await.unwrap_err(), true), OpenBaoError::Unreachable { .. })
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_away_in_time() {
    let server = server();
    let key = bao(&server).with_timeout(Duration::from_secs(3)).open("customers").await.unwrap();
    server.freeze();
    let began = Instant::now();
    let refused = key.wrap(&keys(1)).await.unwrap_err();
    assert!(matches!(said(&refused, true), OpenBaoError::TimedOut { .. }), "{}", refused.in_full());
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    server.thaw();
    assert_eq!(key.wrap(&keys(1)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_wrong_route_says_nothing_of_a_key() {
    let server = server();
    let refused = bao_as_root(&server).with_mount("elsewhere").open("customers").await.unwrap_err();
    assert!(matches!(said(&refused, false), OpenBaoError::WrongRoute { .. }), "{}", refused.in_full());
    for (mount, key) in [("transit", "a/b"), ("transit", ""), ("../sys", "customers"), ("", "customers")] {
        let refused = bao(&server).with_mount(mount).open(key).await.unwrap_err();
        assert!(refused.to_string().contains("is refused"), "{refused}");
    }
}

/// The address of something that answers everything so.
async fn answering(status: StatusCode, location: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(move || async move { (status, [(LOCATION, location)], body) });
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

#[tokio::test]
async fn what_redirects_is_not_followed_and_what_is_no_openbao_is_not_believed() {
    let server = server();
    let elsewhere: &'static str = server.url().leak();
    let token = || Token::from_text(server.root_token());
    let redirecting = answering(StatusCode::TEMPORARY_REDIRECT, elsewhere, "").await;
    let refused = OpenBao::at(&redirecting, token()).unwrap().open("customers").await.unwrap_err();
    assert!(matches!(said(&refused, false), OpenBaoError::Redirected), "{}", refused.in_full());
    for (status, body) in [(StatusCode::OK, "<html>"), (StatusCode::OK, r#"{"data":{"name":"customers"}}"#)] {
        let other = answering(status, "", body).await;
        let refused = OpenBao::at(&other, token()).unwrap().open("customers").await.unwrap_err();
        assert!(matches!(said(&refused, false), OpenBaoError::Garbled), "{}", refused.in_full());
    }
}

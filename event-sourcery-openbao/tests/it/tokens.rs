//! Tokens: renewed, refused, and shown to nobody.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use event_sourcery::privacy::KeyWrapping as _;
use event_sourcery_openbao::{OpenBao, OpenBaoError, Token};
use serde_json::json;

use crate::scene::{POLICY, beside, keys, said, server};

#[tokio::test]
async fn a_token_that_ended_is_asked_for_again_and_no_call_fails() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let first = server.token(POLICY);
    fs::write(&file, format!("{first}\n")).unwrap();
    let key = OpenBao::at(&server.url(), Token::from_file(&file)).unwrap().open("customers").await.unwrap();
    let keys = keys(600);
    let wrapped = beside(&keys, key.wrap(&keys).await.unwrap());
    server.done("POST", "auth/token/revoke", &json!({ "token": first }));
    fs::write(&file, server.token(POLICY)).unwrap();
    assert_eq!(
        key.unwrap(&wrapped).await.unwrap().len(),
        600,
        "three requests at once, each refused at first"
    );
}

#[tokio::test]
async fn a_token_is_kept_until_it_is_refused() {
    let server = server();
    let (given, asked) = (server.token(POLICY), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&asked);
    let token = Token::from_fn(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Ok(given.clone()))
    });
    let key = OpenBao::at(&server.url(), token).unwrap().open("customers").await.unwrap();
    for _ in 0..3 {
        key.wrap(&keys(1)).await.unwrap();
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_a_token_may_not_do_is_said_by_path_and_capability() {
    let server = server();
    let without_decrypt = POLICY.replace("transit/decrypt/customers", "transit/decrypt/nobody");
    let token = Token::from_text(server.token(&without_decrypt));
    let key = OpenBao::at(&server.url(), token).unwrap().open("customers").await.unwrap();
    let keys = keys(1);
    let wrapped = beside(&keys, key.wrap(&keys).await.unwrap());
    let refused = key.unwrap(&wrapped).await.err().unwrap();
    let OpenBaoError::Denied { path, capability } = said(&refused, false) else {
        panic!("{}", refused.in_full())
    };
    assert_eq!((path.as_str(), *capability), ("transit/decrypt/customers", "update"));
}

#[tokio::test]
async fn no_token_is_an_error_of_its_own() {
    let server = server();
    for token in [
        Token::from_file("/nowhere/at/all"),
        Token::from_text("two\nlines"),
        Token::from_fn(|| async { Err("the login has failed".into()) }),
    ] {
        let refused = OpenBao::at(&server.url(), token).unwrap().open("customers").await.unwrap_err();
        assert!(matches!(said(&refused, false), OpenBaoError::NoToken { .. }), "{}", refused.in_full());
    }
}

#[tokio::test]
async fn neither_a_token_nor_a_key_is_shown() {
    const SECRET: &str = "s.a-token-of-nobody";
    let server = server();
    let bao = OpenBao::at(&server.url(), Token::from_text(SECRET)).unwrap();
    let refused = bao.open("customers").await.unwrap_err();
    assert!(matches!(said(&refused, false), OpenBaoError::Denied { .. }), "{}", refused.in_full());
    let root = OpenBao::at(&server.url(), Token::from_text(server.root_token())).unwrap();
    let key = root.open("customers").await.unwrap();
    for shown in [format!("{bao:?} {refused:?} {}", refused.in_full()), format!("{root:?} {key:?}")] {
        assert!(!shown.contains(SECRET) && !shown.contains(server.root_token()), "{shown}");
    }
}

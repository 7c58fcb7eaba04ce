//! Settings with which something could come back, or everything be lost, are refused when a key is opened.

use event_sourcery::Error;
use event_sourcery_openbao::{OpenBao, OpenBaoError, Token, TransitKey};
use serde_json::{Value, json};

use crate::scene::{POLICY, bao, bao_as_root, make, said, server};

#[tokio::test]
async fn a_key_that_could_come_back_or_be_lost_is_refused() {
    let server = server();
    let settings: [(&str, Value); 5] = [
        ("exportable", json!({ "exportable": true })),
        ("backed-up", json!({ "allow_plaintext_backup": true })),
        ("derived", json!({ "derived": true })),
        ("short", json!({ "type": "aes128-gcm96" })),
        ("signing", json!({ "type": "ed25519" })),
    ];
    for (name, settings) in settings {
        make(&server, name, &settings);
        let refused = bao_as_root(&server).open(name).await.unwrap_err();
        assert!(matches!(said(&refused, false), OpenBaoError::KeyRefused { .. }), "{}", refused.in_full());
    }
    // A backup can be allowed later, and then not be forbidden any more.
    server.done("POST", "transit/keys/customers/config", &json!({ "allow_plaintext_backup": true }));
    server.call("POST", "transit/keys/customers/config", &json!({ "allow_plaintext_backup": false }));
    let refused = bao(&server).open("customers").await.unwrap_err();
    assert!(matches!(said(&refused, false), OpenBaoError::KeyRefused { .. }), "{}", refused.in_full());
}

#[tokio::test]
async fn a_key_that_may_be_deleted_is_refused_until_it_may_not() {
    let server = server();
    let allow =
        |may: bool| server.done("POST", "transit/keys/customers/config", &json!({ "deletion_allowed": may }));
    allow(true);
    let refused = bao(&server).open("customers").await.unwrap_err();
    assert!(matches!(said(&refused, false), OpenBaoError::KeyRefused { .. }), "{}", refused.in_full());
    allow(false);
    assert!(bao(&server).open("customers").await.is_ok());
}

#[tokio::test]
async fn where_encrypting_would_make_a_key_it_is_refused_unless_the_token_may_not() {
    let server = server();
    server.done("POST", "transit/config/keys", &json!({ "disable_upsert": false }));
    is_refused(&bao_as_root(&server).open("customers").await);
    let may_make = POLICY.replace(
        r#"encrypt/customers" { capabilities = ["#,
        r#"encrypt/customers" { capabilities = ["create", "#,
    );
    assert_ne!(may_make, POLICY);
    let bao_with = |policy: &str| OpenBao::at(&server.url(), Token::from_text(server.token(policy))).unwrap();
    is_refused(&bao_with(&may_make).open("customers").await);
    assert!(bao_with(POLICY).open("customers").await.is_ok(), "it may only use what is there");
    // What a token may not see is not taken for good.
    let blind = r#"
        path "transit/keys/customers"    { capabilities = ["read"] }
        path "transit/encrypt/customers" { capabilities = ["update"] }
        path "sys/capabilities-self"     { capabilities = ["deny"] }
    "#;
    is_refused(&bao_with(blind).open("customers").await);
}

#[track_caller]
fn is_refused(opened: &Result<TransitKey, Error>) {
    let refused = opened.as_ref().unwrap_err();
    assert!(matches!(said(refused, false), OpenBaoError::WouldBeMadeAnew { .. }), "{}", refused.in_full());
}

//! A transit key that is gone: told from one that never was, from damage, and not made anew.

use std::time::{Duration, Instant};

use event_sourcery::privacy::KeyWrapping as _;
use event_sourcery_openbao::OpenBaoError;
use serde_json::json;

use crate::scene::{bao, bao_as_root, beside, erase, keys, make, said, server};

#[tokio::test]
async fn a_key_that_never_was_is_told_by_how_it_is_made() {
    let server = server();
    let refused = bao_as_root(&server).open("nobody").await.unwrap_err();
    assert!(matches!(said(&refused, false), OpenBaoError::KeyNotFound { .. }), "{}", refused.in_full());
    assert!(refused.in_full().contains("bao write -f transit/keys/nobody"), "{}", refused.in_full());
}

#[tokio::test]
async fn an_erased_key_is_told_whatever_the_token_may_do_and_is_not_made_anew() {
    let server = server();
    let (limited, root) = (bao(&server), bao_as_root(&server));
    let (limited, root) = (limited.open("customers").await.unwrap(), root.open("customers").await.unwrap());
    let keys = keys(1);
    let wrapped = beside(&keys, root.wrap(&keys).await.unwrap());
    erase(&server, "customers");
    for key in [limited, root] {
        let refused = key.wrap(&keys).await.unwrap_err();
        assert!(matches!(said(&refused, false), OpenBaoError::KeyErased { .. }), "{}", refused.in_full());
        let refused = key.unwrap(&wrapped).await.err().unwrap();
        assert!(matches!(said(&refused, false), OpenBaoError::KeyErased { .. }), "{}", refused.in_full());
    }
    assert_eq!(server.call("GET", "transit/keys/customers", &json!({})).0, 404, "nobody has made it");
}

#[tokio::test]
async fn another_key_by_the_same_name_is_told_from_damage() {
    let server = server();
    let (key, keys) = (bao(&server).open("customers").await.unwrap(), keys(1));
    let wrapped = beside(&keys, key.wrap(&keys).await.unwrap());
    let made = || server.done("GET", "transit/keys/customers", &json!({}))["data"]["keys"]["1"].clone();
    let before = made();
    let deadline = Instant::now() + Duration::from_secs(60);
    // OpenBao tells the second in which it was made.
    while made() == before {
        assert!(Instant::now() < deadline, "the time stands still");
        erase(&server, "customers");
        make(&server, "customers", &json!({}));
    }
    let refused = key.unwrap(&wrapped).await.err().unwrap();
    assert!(matches!(said(&refused, false), OpenBaoError::KeyReplaced { .. }), "{}", refused.in_full());
}

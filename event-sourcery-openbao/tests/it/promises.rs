//! What is wrapped is unwrapped, in few requests, and as nobody else's.

use event_sourcery::privacy::{DataKey, KeyWrapping as _, SubjectOf};
use event_sourcery::{Error, TenantId};
use event_sourcery_openbao::{OpenBao, Token};
use serde_json::{Value, json};

use crate::scene::{Onlooker, POLICY, bao_as_root, beside, keys, make, of, open, server};

#[tokio::test]
async fn a_thousand_keys_are_wrapped_in_five_requests_and_unwrapped_in_five() {
    let server = server();
    let onlooker = Onlooker::before(&server).await;
    let token = Token::from_text(server.token(POLICY));
    let key = OpenBao::at(&onlooker.url, token).unwrap().open("customers").await.unwrap();
    let keys = keys(1_000);
    let wrapped = beside(&keys, key.wrap(&keys).await.unwrap());
    assert_eq!(onlooker.take("transit/encrypt/customers").len(), 5);
    let back = key.unwrap(&wrapped).await.unwrap();
    assert_eq!(onlooker.take("transit/decrypt/customers").len(), 5);
    assert_eq!(back.len(), keys.len());
    for ((of, key), back) in keys.iter().zip(&back) {
        assert_eq!(key.as_bytes(), back.as_bytes(), "{of:?}");
    }
    assert!(wrapped.iter().all(|(_, wrapped)| wrapped.len() < 200), "far below what a store keeps of one");
}

#[tokio::test]
async fn of_no_keys_nothing_is_asked() {
    let server = server();
    let onlooker = Onlooker::before(&server).await;
    let token = Token::from_text(server.token(POLICY));
    let key = OpenBao::at(&onlooker.url, token).unwrap().open("customers").await.unwrap();
    onlooker.take("");
    assert!(key.wrap(&[]).await.unwrap().is_empty() && key.unwrap(&[]).await.unwrap().is_empty());
    assert!(onlooker.take("").is_empty());
}

#[tokio::test]
async fn openbao_is_told_no_subject_and_each_item_is_bound_to_its_own() {
    let server = server();
    let onlooker = Onlooker::before(&server).await;
    let token = Token::from_text(server.token(POLICY));
    let key = OpenBao::at(&onlooker.url, token).unwrap().open("customers").await.unwrap();
    let keys = keys(2);
    let wrapped = beside(&keys, key.wrap(&keys).await.unwrap());
    key.unwrap(&wrapped).await.unwrap();
    for asked in onlooker.take("/customers") {
        assert!(!asked.body.contains("customer-"), "{}", asked.body);
        if asked.body.is_empty() {
            continue;
        }
        let body: Value = serde_json::from_str(&asked.body).unwrap();
        let items = body["batch_input"].as_array().unwrap();
        assert_ne!(items[0]["associated_data"], items[1]["associated_data"]);
        assert!(
            items.iter().all(|item| item["associated_data"].is_string()),
            "in each item, or it is dropped"
        );
    }
}

#[tokio::test]
async fn a_wrapped_key_is_bound_to_its_subject_tenant_and_transit_key() {
    let server = server();
    make(&server, "others", &json!({}));
    let (key, others) = (open(&server).await, bao_as_root(&server).open("others").await.unwrap());
    assert_eq!((key.name(), others.name()), ("openbao:transit/customers", "openbao:transit/others"));
    let keys = [(of("17"), DataKey::from_bytes([3; 32]))];
    let wrapped = key.wrap(&keys).await.unwrap();
    assert_eq!(key.unwrap(&beside(&keys, wrapped.clone())).await.unwrap()[0].as_bytes(), &[3; 32]);
    let of_acme = SubjectOf { tenant: TenantId::new("acme").unwrap(), subject: "17".into() };
    for elsewhere in [of("18"), of("1"), of_acme] {
        let refused = key.unwrap(&[(elsewhere, wrapped[0].clone())]).await.err().unwrap();
        assert!(matches!(refused, Error::KeyNotUnwrapped { .. }), "{refused:?}");
    }
    assert!(others.unwrap(&beside(&keys, wrapped)).await.is_err());
}

#[tokio::test]
async fn of_many_keys_the_damaged_one_is_named() {
    let server = server();
    let key = open(&server).await;
    let keys = keys(300);
    let whole = beside(&keys, key.wrap(&keys).await.unwrap());
    let damages: [fn(&mut Vec<u8>); 5] = [
        |wrapped| wrapped[20] ^= 1,
        |wrapped| wrapped.truncate(30),
        |wrapped| wrapped.clear(),
        |wrapped| *wrapped = b"vault:v9:AAAA".to_vec(),
        |wrapped| wrapped[0] = 0xFF,
    ];
    for damage in damages {
        let mut wrapped = whole.clone();
        damage(&mut wrapped[270].1);
        let refused = key.unwrap(&wrapped).await.err().unwrap();
        assert!(
            matches!(&refused, Error::KeyNotUnwrapped { subject, .. } if subject == "customer-270"),
            "{refused:?}"
        );
        assert!(!refused.is_retryable());
    }
}

#[tokio::test]
async fn what_a_former_version_has_wrapped_is_unwrapped_after_a_rotation() {
    let server = server();
    let key = open(&server).await;
    let keys = keys(2);
    let before = beside(&keys, key.wrap(&keys).await.unwrap());
    server.done("POST", "transit/keys/customers/rotate", &json!({}));
    let after = beside(&keys, key.wrap(&keys).await.unwrap());
    assert!(before[0].1.starts_with(b"vault:v1:") && after[0].1.starts_with(b"vault:v2:"));
    for wrapped in [&before, &after] {
        let back = key.unwrap(wrapped).await.unwrap();
        assert_eq!(back[1].as_bytes(), keys[1].1.as_bytes());
    }
    assert_eq!(open(&server).await.name(), key.name());

    // A version that was taken out of use is told from a damage.
    server.done("POST", "transit/keys/customers/config", &json!({ "min_decryption_version": 2 }));
    let refused = key.unwrap(&before).await.err().unwrap();
    assert!(refused.to_string().contains("min_decryption_version"), "{refused}");
    assert_eq!(key.unwrap(&after).await.unwrap().len(), 2);
}

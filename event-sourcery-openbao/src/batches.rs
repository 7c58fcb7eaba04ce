//! Batches of keys, as OpenBao is handed them.
//!
//! Each item is bound to its tenant and subject by a digest: OpenBao drops what is to bind a whole batch, and counts the texts of a
//! request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use event_sourcery::privacy::{DataKey, SubjectOf};
use hyper::body::Bytes;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// How many items of two texts OpenBao takes in one request: it counts names and texts, and takes 1,000 of them.
pub(crate) const BATCH: usize = 249;

/// How many bytes an item of a key has at most.
const ITEM: usize = 160;

/// How many bytes a key has.
const KEY: usize = 32;

/// A little more than the base64 of a key makes.
const ROOM: usize = 48;

#[derive(Serialize)]
struct ToDecrypt<'a> {
    batch_input: Vec<Wrapped<'a>>,
}

#[derive(Serialize)]
struct Wrapped<'a> {
    ciphertext: &'a str,
    associated_data: String,
}

/// What a wrapped key is bound to: a digest, so that OpenBao is told no subject, and each is as long as any.
fn bound_to(of: &SubjectOf) -> String {
    let tenant = of.tenant.as_str().as_bytes();
    let mut digest = Sha256::new();
    digest.update(b"event-sourcery key 1");
    digest.update((tenant.len() as u64).to_be_bytes());
    digest.update(tenant);
    digest.update(of.subject.as_bytes());
    STANDARD.encode(digest.finalize())
}

/// Keys to be wrapped. It is written in one piece, and overwritten once it was sent.
pub(crate) fn to_encrypt(batch: &[(SubjectOf, DataKey)]) -> Bytes {
    let mut body = Zeroizing::new(String::with_capacity(ITEM * (batch.len() + 1)));
    body.push_str(r#"{"batch_input":["#);
    for (place, (of, key)) in batch.iter().enumerate() {
        body.push_str(if place == 0 { r#"{"plaintext":""# } else { r#",{"plaintext":""# });
        STANDARD.encode_string(key.as_bytes(), &mut body);
        body.push_str(r#"","associated_data":""#);
        body.push_str(&bound_to(of));
        body.push_str(r#""}"#);
    }
    body.push_str("]}");
    Bytes::from_owner(body)
}

/// Keys to be unwrapped; or whose key is none that OpenBao has wrapped.
pub(crate) fn to_decrypt(batch: &[(SubjectOf, Vec<u8>)]) -> Result<Bytes, &SubjectOf> {
    let mut batch_input = Vec::with_capacity(batch.len());
    for (of, wrapped) in batch {
        let ciphertext = std::str::from_utf8(wrapped).ok().filter(|text| text.starts_with("vault:v"));
        let ciphertext = ciphertext.ok_or(of)?;
        batch_input.push(Wrapped { ciphertext, associated_data: bound_to(of) });
    }
    let body = serde_json::to_vec(&ToDecrypt { batch_input });
    Ok(body.unwrap_or_default().into())
}

/// The key that was unwrapped.
pub(crate) fn key_in(plaintext: &str) -> Option<DataKey> {
    let mut bytes = Zeroizing::new([0; ROOM]);
    let length = STANDARD.decode_slice(plaintext, &mut *bytes).ok()?;
    let key = bytes.get(..length)?;
    <[u8; KEY]>::try_from(key).ok().map(DataKey::from_bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use event_sourcery::TenantId;
    use serde_json::Value;

    use super::*;

    fn of(tenant: &str, subject: &str) -> SubjectOf {
        let tenant = if tenant.is_empty() { TenantId::DEFAULT } else { TenantId::new(tenant).unwrap() };
        SubjectOf { tenant, subject: Arc::from(subject) }
    }

    #[test]
    fn what_is_sent_is_json_of_a_size_that_was_known_before() {
        let batch: Vec<_> =
            (0..BATCH).map(|n| (of("acme", &n.to_string()), DataKey::from_bytes([7; KEY]))).collect();
        let body = to_encrypt(&batch);
        assert!(body.len() <= ITEM * (BATCH + 1), "{}", body.len());
        let sent: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(sent["batch_input"].as_array().unwrap().len(), BATCH);
        assert_eq!(sent["batch_input"][0]["plaintext"], STANDARD.encode([7; KEY]));
        // The name of the list, and twice two for each item.
        const { assert!(4 * BATCH < 1_000) };
    }

    #[test]
    fn no_two_subjects_are_bound_alike_and_none_is_told() {
        let each = [of("acme", "17"), of("acme", "18"), of("acme1", "7"), of("", "acme17")];
        let bound: std::collections::HashSet<_> = each.iter().map(bound_to).collect();
        assert_eq!(bound.len(), each.len());
        let (long, short) = (of("acme", &"x".repeat(255)), of("acme", "x"));
        assert_eq!(bound_to(&long).len(), bound_to(&short).len());
    }

    #[test]
    fn what_is_no_key_is_none() {
        assert_eq!(key_in(&STANDARD.encode([9; KEY])).unwrap().as_bytes(), &[9; KEY]);
        for wrong in
            ["", "AAAA", "not base64", &STANDARD.encode([9; 31]), &STANDARD.encode([9; 33]), &"A".repeat(400)]
        {
            assert!(key_in(wrong).is_none(), "{wrong}");
        }
        let damaged = [(of("acme", "17"), vec![0xFF]), (of("acme", "18"), b"master".to_vec())];
        assert_eq!(to_decrypt(&damaged).err(), Some(&damaged[0].0));
        assert_eq!(to_decrypt(&damaged[1..]).err(), Some(&damaged[1].0));
    }
}

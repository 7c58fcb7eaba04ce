//! The master key is changed while a key is damaged. What every backend does is in the conformance kit.

use std::sync::Arc;

use event_sourcery::backend::{Backend as _, KeysRequest, OldKeysRequest, RewrapRequest, WrappedKey};
use event_sourcery::privacy::{Encryption, KeyWrapping as _, MasterKey};
use event_sourcery::{Error, Event, EventStore, MemoryBackend, StreamId, TenantId};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(stream_is_subject)]
struct Registered {
    #[event(encrypted, mask = "forgotten")]
    email: String,
}

fn master(number: u8) -> MasterKey {
    MasterKey::from_bytes([number; 32])
}

/// The same subject of another tenant is another one.
#[tokio::test]
async fn a_damaged_key_is_told_and_keeps_no_other_from_being_wrapped_anew() {
    let (backend, acme) = (MemoryBackend::new(), TenantId::new("acme").unwrap());
    let store = EventStore::new(backend.clone()).with_encryption(Encryption::new(master(1))).unwrap();
    let streams = ["1", "2", "3"].map(|name| StreamId::from_name(name).unwrap());
    for tenant in [TenantId::DEFAULT, acme.clone()] {
        for stream in &streams {
            let registered = Registered { email: "ann@example.com".to_owned() };
            store.for_tenant(tenant.clone()).append(stream, registered).await.unwrap();
        }
    }
    let asked = KeysRequest::new(acme.clone(), vec![Arc::from("2")]);
    let key = backend.keys(asked).await.unwrap().remove(0);
    let damaged = WrappedKey::new(master(1).name().into(), vec![0_u8; 60].into());
    assert!(backend.rewrap_key(RewrapRequest::new(acme.clone(), key, damaged)).await.unwrap());

    let both = Encryption::new(master(2)).with_former(master(1));
    let both = EventStore::new(backend.clone()).with_encryption(both).unwrap();
    for _ in 0..2 {
        let refused = both.rotate_keys().await;
        assert!(
            matches!(&refused, Err(Error::KeyNotUnwrapped { subject, .. }) if subject == "2"),
            "{refused:?}"
        );
    }
    let left = backend.old_keys(OldKeysRequest::new(master(2).name().into(), 10)).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!((&left[0].0, &*left[0].1.subject), (&acme, "2"));
    let alone = EventStore::new(backend).with_encryption(Encryption::new(master(2))).unwrap();
    for stream in &streams {
        let read = alone.load_stream::<Registered>(stream).await.unwrap();
        assert_eq!(read[0].event.email, "ann@example.com");
    }
}

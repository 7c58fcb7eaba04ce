//! A store whose keys OpenBao wraps.

use event_sourcery::backend::{Backend as _, KeysRequest};
use event_sourcery::privacy::{Encryption, KeyWrapping as _};
use event_sourcery::{Event, EventStore, MemoryBackend, StreamId, TenantId};
use event_sourcery_openbao::{OpenBao, OpenBaoError, Token, TransitKey};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::scene::{Onlooker, bao_as_root, erase, make, of, open, said, server};

#[derive(Event, Serialize, Deserialize, Debug, Clone, PartialEq)]
struct Registered {
    #[event(subject)]
    customer: String,
    #[event(encrypted, mask = "forgotten")]
    email: String,
}

fn registered(customer: impl ToString) -> Registered {
    let customer = customer.to_string();
    Registered { email: format!("{customer}@example.com"), customer }
}

async fn emails(store: &EventStore<MemoryBackend>, stream: &StreamId) -> Vec<String> {
    let events = store.load_stream::<Registered>(stream).await.unwrap();
    events.into_iter().map(|event| event.event.email).collect()
}

#[tokio::test]
async fn a_page_about_300_subjects_costs_two_requests() {
    let server = server();
    let onlooker = Onlooker::before(&server).await;
    let bao = OpenBao::at(&onlooker.url, Token::from_text(server.root_token())).unwrap();
    let store = EventStore::new(MemoryBackend::new());
    let encrypting = async || Encryption::new(bao.open("customers").await.unwrap());
    let (stream, count) = (StreamId::random(), 300);
    let writer = store.clone().with_encryption(encrypting().await).unwrap();
    writer.append(&stream, (0..count).map(registered).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(onlooker.take("transit/encrypt/customers").len(), 2);
    let reader = store.with_encryption(encrypting().await).unwrap();
    let expected: Vec<_> = (0..count).map(|number| registered(number).email).collect();
    assert_eq!(emails(&reader, &stream).await, expected);
    assert_eq!(onlooker.take("transit/decrypt/customers").len(), 2);
}

#[tokio::test]
async fn while_openbao_is_away_nothing_is_masked_and_nothing_is_written() {
    let server = server();
    let store = EventStore::new(MemoryBackend::new());
    let handle = |key: TransitKey| store.clone().with_encryption(Encryption::new(key)).unwrap();
    let stream = StreamId::random();
    handle(open(&server).await).append(&stream, registered(17)).await.unwrap();
    let another = handle(open(&server).await);
    server.seal();
    let refused = another.load_stream::<Registered>(&stream).await.unwrap_err();
    assert!(matches!(said(&refused, true), OpenBaoError::Sealed), "{}", refused.in_full());
    let refused = another.append(&StreamId::random(), registered(18)).await.unwrap_err();
    assert!(matches!(said(&refused, true), OpenBaoError::Sealed), "{}", refused.in_full());
    server.unseal();
    assert_eq!(emails(&another, &stream).await, ["17@example.com"]);
    another.shred("17").await.unwrap();
    assert_eq!(emails(&another, &stream).await, ["forgotten"]);
}

#[tokio::test]
async fn once_another_transit_key_has_taken_its_place_no_backup_opens_what_was_shredded() {
    let server = server();
    make(&server, "new", &json!({}));
    let (old, new) = (open(&server).await, bao_as_root(&server).open("new").await.unwrap());
    let backend = MemoryBackend::new();
    let store = EventStore::new(backend.clone());
    let streams = ["shredded", "kept"].map(|name| StreamId::from_name(name).unwrap());
    let before = store.clone().with_encryption(Encryption::new(old.clone())).unwrap();
    for stream in &streams {
        let customer = stream.name().unwrap().to_owned();
        before.append(stream, registered(customer)).await.unwrap();
    }
    // A backup of the table of keys.
    let asked = KeysRequest::new(TenantId::DEFAULT, vec!["shredded".into()]);
    let backup = backend.keys(asked).await.unwrap().remove(0).wrapped.unwrap();
    let backup = [(of("shredded"), backup.bytes.to_vec())];
    before.shred("shredded").await.unwrap();
    assert!(old.unwrap(&backup).await.is_ok(), "with the transit key, it still opens");

    let both = Encryption::new(new.clone()).with_former(old.clone());
    let after = store.clone().with_encryption(both).unwrap();
    assert_eq!(after.rotate_keys().await.unwrap(), 1);
    assert_eq!(after.rotate_keys().await.unwrap(), 0);
    erase(&server, "customers");

    let refused = old.unwrap(&backup).await.err().unwrap();
    assert!(matches!(said(&refused, false), OpenBaoError::KeyErased { .. }), "{}", refused.in_full());
    assert!(new.unwrap(&backup).await.is_err());
    let store = store.with_encryption(Encryption::new(new)).unwrap();
    assert_eq!(emails(&store, &streams[0]).await, ["forgotten"]);
    assert_eq!(emails(&store, &streams[1]).await, ["kept@example.com"]);
}

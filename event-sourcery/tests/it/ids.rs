//! Ids, positions and what an append returns, as an HTTP API takes and gives them.

use std::collections::{BTreeMap, BTreeSet};

use event_sourcery::uuid::Uuid;
use event_sourcery::{
    AppendPosition, Appended, Category, EventStore, MemoryBackend, Position, RawEvent, StreamId, TenantId,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

fn read<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// As JSON, and back.
fn written<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) -> Value {
    let json = serde_json::to_value(value).unwrap();
    assert_eq!(read::<T>(json.clone()).as_ref(), Ok(value));
    json
}

#[test]
fn a_stream_id_is_a_map_of_its_parts() {
    let uuid = Uuid::from_u128(7);
    assert_eq!(written(&StreamId::from_uuid(uuid)), json!({ "uuid": uuid, "name": null, "category": null }));
    let named = StreamId::from_name("invoices/1003").unwrap();
    assert_eq!(written(&named), json!({ "uuid": named.uuid(), "name": "invoices/1003", "category": null }));
    let red = named.clone().in_category("red").unwrap();
    assert_eq!(written(&red), json!({ "uuid": named.uuid(), "name": "invoices/1003", "category": "red" }));
    // The name alone will do, and it is not lost.
    let by_name: StreamId = read(json!({ "name": "invoices/1003", "category": "red" })).unwrap();
    assert_eq!((by_name.name(), &by_name), (Some("invoices/1003"), &red));
    assert_eq!(read::<StreamId>(json!({ "name": "invoices/1003", "category": "" })), Ok(named));
}

#[test]
fn what_is_no_stream_id_is_refused() {
    let too_long = "x".repeat(256);
    for (value, says) in [
        (json!({}), "missing field `uuid`"),
        (json!({ "category": "red" }), "missing field `uuid`"),
        (json!({ "uuid": Uuid::nil(), "name": "invoices/1003" }), "stands for the UUID"),
        (json!({ "name": "" }), "stream name"),
        (json!({ "name": too_long }), "stream name"),
        (json!({ "uuid": Uuid::nil(), "category": "a\0" }), "category"),
        (json!({ "uuid": "no UUID" }), "UUID"),
    ] {
        let refused = read::<StreamId>(value.clone()).unwrap_err();
        assert!(refused.contains(says), "{value}: {refused}");
    }
}

#[test]
fn stream_ids_are_ordered_as_they_are_equal() {
    let ids: Vec<_> = [2_u128, 1].map(|number| StreamId::from_uuid(Uuid::from_u128(number))).to_vec();
    let named = StreamId::from_name("a").unwrap();
    let unnamed = StreamId::from_uuid(named.uuid());
    let red = ids[1].clone().in_category("red").unwrap();
    let all = BTreeSet::from([ids[0].clone(), red.clone(), ids[1].clone(), named, unnamed.clone()]);
    assert_eq!(all.len(), 4, "a name makes no difference");
    let in_order: Vec<_> = all.into_iter().collect();
    assert_eq!(in_order, [ids[1].clone(), ids[0].clone(), unnamed, red]);
}

#[derive(Deserialize, Debug, PartialEq)]
struct Query {
    tenant: TenantId,
}

#[test]
fn a_tenant_is_its_name_or_null_and_what_is_forgotten_is_no_tenant() {
    let acme = TenantId::new("acme").unwrap();
    assert_eq!((written(&acme), written(&TenantId::DEFAULT)), (json!("acme"), Value::Null));
    assert_eq!("acme".parse::<TenantId>().unwrap(), acme);
    assert_eq!(TenantId::try_from("acme").unwrap(), acme);
    assert!("".parse::<TenantId>().is_err() && read::<TenantId>(json!("")).is_err());
    assert_eq!(read(json!({ "tenant": null })), Ok(Query { tenant: TenantId::DEFAULT }));
    assert_eq!(read(json!({ "tenant": "acme" })), Ok(Query { tenant: acme }));
    for wrong in [json!({}), json!({ "tenant": "" }), json!({ "tenant": 7 }), json!({ "tenant": [] })] {
        assert!(read::<Query>(wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn a_category_is_its_name() {
    let red = Category::new("red").unwrap();
    assert_eq!(written(&red), json!("red"));
    assert_eq!((red.as_ref(), "red".parse::<Category>().unwrap()), ("red", red.clone()));
    assert_eq!(Category::try_from("red").unwrap(), red);
    assert!("".parse::<Category>().is_err() && read::<Category>(json!("")).is_err());
    let counts = BTreeMap::from([(red, 1)]);
    assert_eq!(written(&counts), json!({ "red": 1 }));
}

#[test]
fn a_position_is_its_number() {
    let position = Position::from_i64(1_003);
    assert_eq!((position.to_string().parse(), written(&position)), (Ok(position), json!(1_003)));
    let appended = AppendPosition::from_i64(-1);
    assert_eq!((appended.to_string().parse(), written(&appended)), (Ok(appended), json!(-1)));
    assert!("".parse::<Position>().is_err() && "1.5".parse::<AppendPosition>().is_err());
}

#[tokio::test]
async fn what_an_append_returns_can_be_handed_on() {
    let store = EventStore::new(MemoryBackend::new());
    let event = || RawEvent::new("Paid", "{}").unwrap();
    let appended: Appended = store.append(&StreamId::random(), [event(), event()]).await.unwrap();
    let expected = json!({ "first_version": 1, "last_version": 2, "position": 2, "repeated": false });
    assert_eq!(written(&appended), expected);
}

//! `history(..).projected(..)` and `history(..).handled_by(..)`.

use std::collections::BTreeMap;

use event_sourcery::testing::{Handled, history};
use event_sourcery::{Event, EventStore, Recorded, StreamId, TenantId};
use serde::{Deserialize, Serialize};

use super::failure;

#[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
struct Ordered {
    item: String,
}

#[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
struct Packed {
    item: String,
}

fn ordered(item: &str) -> Ordered {
    Ordered { item: item.into() }
}

fn packed(item: &str) -> Packed {
    Packed { item: item.into() }
}

fn count(model: &mut BTreeMap<String, u64>, recorded: &Recorded<Ordered>) {
    *model.entry(recorded.event().item.clone()).or_default() += 1;
}

#[test]
fn a_projection_is_handed_what_its_type_decodes_in_order_of_position() {
    let (one, other) = (StreamId::random(), StreamId::random());
    let mut positions = Vec::new();
    let by_item = |model: &mut BTreeMap<_, _>, recorded: &Recorded<Ordered>| {
        positions.push((recorded.position, recorded.wrapped_event.version));
        count(model, recorded);
    };
    history(&one, [ordered("tea"), ordered("milk")])
        .and(&other, (ordered("tea"), packed("tea")))
        .and(&one, ordered("tea"))
        .projected(BTreeMap::new(), by_item)
        .then(&BTreeMap::from([("tea".to_owned(), 3), ("milk".to_owned(), 1)]));
    assert!(positions.is_sorted_by(|one, other| one.0 < other.0));
    assert_eq!(positions.iter().map(|at| at.1).collect::<Vec<_>>(), [Some(1), Some(2), Some(1), Some(3)]);
}

#[test]
fn another_read_model_is_shown_line_by_line() {
    let said = failure(|| {
        let tea = BTreeMap::from([("tea".to_owned(), 2)]);
        history(&StreamId::random(), ordered("tea")).projected(BTreeMap::new(), count).then(&tea);
    });
    assert!(said.contains("-     \"tea\": 2,\n+     \"tea\": 1,\n"), "{said}");
}

/// Packs what was ordered, in a stream of its own.
async fn pack(order: Recorded<Ordered>, store: EventStore) -> Result<(), event_sourcery::Source> {
    let item = order.into_event().item;
    if item == "air" {
        return Err("there is nothing to pack".into());
    }
    if item != "advice" {
        store.append(&parcel(&item), Packed { item }).await?;
    }
    Ok(())
}

fn parcel(item: &str) -> StreamId {
    StreamId::from_name(format!("parcels/{item}")).unwrap()
}

fn packing(items: &[&str]) -> Handled {
    let orders: Vec<_> = items.iter().map(|item| ordered(item)).collect();
    history(&StreamId::random(), orders).handled_by(pack)
}

#[test]
fn what_a_handler_appends_can_be_told() {
    packing(&["tea", "milk"]).then(&parcel("tea"), [packed("tea")]).then(&parcel("milk"), [packed("milk")]);
    packing(&["advice"]).then_nothing();
    packing(&["air"]).then_error("nothing to pack");
}

#[test]
fn what_a_handler_did_otherwise_is_shown() {
    let said = failure(|| drop(packing(&["tea"]).then(&parcel("tea"), [packed("milk")])));
    assert!(said.contains("-         item: \"milk\",\n+         item: \"tea\",\n"), "{said}");
    let said = failure(|| drop(packing(&["tea"]).then_nothing()));
    assert!(said.contains("parcels/tea") && said.contains("Packed"), "{said}");
    let said = failure(|| drop(packing(&["air"]).then_nothing()));
    assert_eq!(said, "the handler failed: there is nothing to pack");
    let said = failure(|| drop(packing(&["tea"]).then_error("nothing to pack")));
    assert!(said.starts_with("the handler succeeded"), "{said}");
    let said = failure(|| drop(packing(&["air"]).then_error("no paper")));
    assert!(said.contains("nothing to pack") && said.contains("no paper"), "{said}");
}

#[test]
fn a_handler_works_for_the_events_tenant_and_in_a_transaction() {
    let (acme, order) = (TenantId::new("acme").unwrap(), StreamId::random());
    let handled = history(&StreamId::random(), ordered("tea"))
        .and_of(acme.clone(), &order, ordered("milk"))
        .handled_in_transaction(|order: Recorded<Ordered>, tx| {
            let item = order.into_event().item;
            tx.append(&parcel(&item), Packed { item }).run()?;
            Ok(())
        });
    handled.then_of(&acme, &parcel("milk"), [packed("milk")]).then(&parcel("tea"), [packed("tea")]);
}

#[tokio::test]
async fn a_test_may_have_a_runtime_of_its_own() {
    packing(&["tea"]).then(&parcel("tea"), [packed("tea")]);
}

//! Types that would not read back equal what they write are found before anything is stored.

use std::collections::{BTreeMap, HashMap};

use event_sourcery_conformance::ordered::Ordered;
use serde::{Deserialize, Serialize};

use super::Lock;
use crate::Event;

#[test]
fn a_map_that_keeps_its_order_is_found() {
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate", name = "Planned")]
    struct Planned {
        days: Vec<Ordered>,
    }
    let message = Lock::missing().with::<Planned>().run(true).unwrap_err();
    assert!(message.contains("\"Planned\" in form 1 is written by"), "{message}");
    assert!(message.contains("(at days.0)") && message.contains("order of its keys"), "{message}");
}

#[test]
fn maps_without_an_order_of_their_own_are_locked() {
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate", name = "Counted")]
    struct Counted {
        sorted: BTreeMap<String, HashMap<u8, f64>>,
        hashed: HashMap<String, Option<serde_json::Value>>,
    }
    Lock::of::<Counted>();
}

#[test]
fn what_jsonb_makes_unreadable_is_found_in_a_sample() {
    #[derive(Serialize, Deserialize)]
    #[serde(tag = "type", content = "data")]
    enum Shelf {
        Big(u128),
    }
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate", name = "Stocked")]
    struct Stocked {
        shelf: Shelf,
    }
    let lock = Lock::missing();
    let message = lock.with::<Stocked>().run(true).unwrap_err();
    assert!(message.contains("Stocked"), "{message}");
    let given = lock.with::<Stocked>().sample("Stocked", 1, r#"{"shelf":{"type":"Big","data":5}}"#);
    let message = given.run(true).unwrap_err();
    assert!(message.contains("does not read it back") && message.contains("JSONB"), "{message}");
}

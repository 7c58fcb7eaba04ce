//! What was read back vouches for no value that would not be.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Event;
use crate::error::PayloadError;
use crate::payload::encode;

/// The first is stored, and the second of the same type is refused nevertheless.
#[track_caller]
fn assert_does_not_vouch<T: Serialize + DeserializeOwned>(good: &T, bad: &T) {
    encode(good).unwrap();
    let bad = encode(bad);
    assert!(matches!(bad, Err(PayloadError::NotReadBack { .. })), "{bad:?}");
}

#[derive(Serialize, Deserialize)]
struct Holding<T> {
    value: T,
}

const fn holding<T>(value: T) -> Holding<T> {
    Holding { value }
}

#[test]
fn a_key_of_a_flattened_map_may_be_that_of_a_field() {
    #[derive(Serialize, Deserialize)]
    struct Paid {
        id: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        #[serde(flatten)]
        extra: BTreeMap<String, i64>,
    }
    let paid = |key: &str| Paid { id: 1, note: None, extra: BTreeMap::from([(key.to_owned(), 5)]) };
    assert_does_not_vouch(&paid("color"), &paid("note"));
}

#[test]
fn a_variant_of_an_event_vouches_for_no_other() {
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate")]
    enum Tagged {
        A {
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            tags: Vec<String>,
        },
        B {
            #[serde(skip_serializing_if = "Vec::is_empty")]
            tags: Vec<String>,
        },
    }
    Tagged::A { tags: Vec::new() }.encode().unwrap();
    Tagged::B { tags: vec!["red".to_owned()] }.encode().unwrap();
    let bad = Tagged::B { tags: Vec::new() }.encode();
    assert!(matches!(bad, Err(PayloadError::NotReadBack { .. })), "{bad:?}");
}

#[test]
fn how_large_a_number_is_decides_which_type_takes_it() {
    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Number {
        Small(i32),
        Real(f32),
        Large(u64),
    }
    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Weight {
        Whole(i64),
        Real(f32),
    }
    assert_does_not_vouch(&holding(Weight::Real(1.5)), &holding(Weight::Real(1e13)));
    encode(&holding(Weight::Whole(1))).unwrap();
    assert_does_not_vouch(&holding(Number::Small(5)), &holding(Number::Large(5_000_000_000)));
    assert_does_not_vouch(&holding(Number::Large(5)), &holding(Number::Large(u64::MAX)));
}

#[test]
fn a_text_vouches_for_no_object() {
    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Note {
        Text(String),
        Meta {
            #[serde(skip_serializing_if = "Vec::is_empty")]
            tags: Vec<String>,
        },
    }
    assert_does_not_vouch(&holding(Note::Text("x".to_owned())), &holding(Note::Meta { tags: Vec::new() }));
}

/// Two sets may come in any order, and so may what holds them.
#[test]
fn lists_without_an_order_may_hold_lists_without_one() {
    #[derive(Serialize, Deserialize)]
    struct Groups {
        #[serde(with = "pairs")]
        groups: HashMap<u32, HashSet<String>>,
    }
    mod pairs {
        use super::{HashMap, HashSet};
        use serde::{Deserialize as _, Deserializer, Serializer};

        pub(super) fn serialize<S: Serializer>(
            groups: &HashMap<u32, HashSet<String>>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            to.collect_seq(groups)
        }

        pub(super) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<HashMap<u32, HashSet<String>>, D::Error> {
            Ok(Vec::deserialize(from)?.into_iter().collect())
        }
    }
    let members = |number: u32| (0..number).map(|member| format!("member {member}")).collect();
    for groups in 2..12 {
        let groups = (0..groups).map(|group| (group, members(group + 2))).collect();
        encode(&Groups { groups }).unwrap();
    }
}

#[test]
fn what_users_commonly_have_is_stored() {
    #[derive(Serialize, Deserialize)]
    struct Order {
        id: u32,
        tags: BTreeSet<String>,
        #[serde(flatten)]
        extra: serde_json::Map<String, serde_json::Value>,
    }
    for keys in [["zip", "city"], ["city", "zip"]] {
        let extra = keys.iter().map(|key| ((*key).to_owned(), keys.len().into())).collect();
        encode(&Order { id: 7, tags: BTreeSet::new(), extra }).unwrap();
    }
    encode(&HashMap::from([("one".to_owned(), vec![Some(1.5)]), ("three".to_owned(), vec![None])])).unwrap();
}

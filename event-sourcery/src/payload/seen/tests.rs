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

/// What an untagged enum writes: of each variant only the value within.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Note {
    /// It also reads a list, and writes an object.
    Meta(Meta),
    Absent,
    Truth(bool),
    Whole(i64),
    Real(f64),
    Text(String),
    At(jiff::Timestamp),
    Maybe(Option<String>),
    Named(Name),
    Empty(),
    One((String,)),
}

#[derive(Serialize, Deserialize)]
struct Meta {
    #[serde(default)]
    name: String,
}

#[derive(Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Name(String);

/// An empty list notes nothing.
#[test]
fn no_kind_of_value_vouches_for_an_empty_list() {
    let text = || "x".to_owned();
    for good in [
        Note::Absent,
        Note::Truth(true),
        Note::Whole(1),
        Note::Real(1.5),
        Note::Text(text()),
        Note::At(jiff::Timestamp::UNIX_EPOCH),
        Note::Maybe(None),
    ] {
        assert_does_not_vouch(&holding(good), &holding(Note::Empty()));
    }
}

/// A list of one notes what is in it.
#[test]
fn what_is_around_a_text_vouches_for_no_list_around_it() {
    for good in [Note::Maybe(Some("x".to_owned())), Note::Named(Name("x".to_owned()))] {
        assert_does_not_vouch(&holding(good), &holding(Note::One(("x".to_owned(),))));
    }
}

#[test]
fn a_list_vouches_for_no_list_of_other_items() {
    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Weight {
        Whole(i64),
        Real(f32),
    }
    let good = holding(vec![Weight::Whole(1), Weight::Real(1.5)]);
    assert_does_not_vouch(&good, &holding(vec![Weight::Whole(1), Weight::Real(1e13)]));
}

#[test]
fn a_float_vouches_for_none_that_would_be_another_kind_of_integer() {
    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Weight {
        Whole(i64),
        Real(f64),
    }
    encode(&holding(Weight::Whole(1))).unwrap();
    assert_does_not_vouch(&holding(Weight::Real(1e20)), &holding(Weight::Real(1e17)));
    assert_does_not_vouch(&holding(Weight::Real(-1e20)), &holding(Weight::Real(-1e17)));
}

#[test]
fn a_field_a_tag_and_a_variant_vouch_for_no_other() {
    #[derive(Serialize, Deserialize)]
    struct Sizes {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        width: Option<u8>,
        #[serde(default, skip_serializing_if = "Option::is_none", rename(serialize = "high"))]
        height: Option<u8>,
    }
    assert_does_not_vouch(&Sizes { width: Some(1), height: None }, &Sizes { width: None, height: Some(1) });
    #[derive(Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Tagged {
        Read {
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            tags: Vec<String>,
        },
        Lost {
            #[serde(skip_serializing_if = "Vec::is_empty")]
            tags: Vec<String>,
        },
    }
    assert_does_not_vouch(
        &holding(Tagged::Read { tags: Vec::new() }),
        &holding(Tagged::Lost { tags: Vec::new() }),
    );
    #[derive(Serialize, Deserialize)]
    enum Colour {
        Red,
        #[serde(rename(serialize = "Azure"))]
        Blue,
    }
    assert_does_not_vouch(&holding(Colour::Red), &holding(Colour::Blue));
}

#[test]
fn a_key_that_is_a_text_of_a_type_of_its_own_may_be_that_of_a_field() {
    #[derive(Serialize, Deserialize)]
    struct Paid {
        id: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        #[serde(flatten)]
        extra: BTreeMap<Name, i64>,
    }
    let paid = |key: &str| Paid { id: 1, note: None, extra: BTreeMap::from([(Name(key.to_owned()), 5)]) };
    assert_does_not_vouch(&paid("color"), &paid("note"));
}

#[test]
fn a_type_vouches_for_no_other_of_its_name() {
    fn encode_good() {
        #[derive(Serialize, Deserialize)]
        struct Tags {
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            tags: Vec<String>,
        }
        encode(&Tags { tags: Vec::new() }).unwrap();
    }
    #[derive(Serialize, Deserialize)]
    struct Tags {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tags: Vec<String>,
    }
    encode_good();
    let bad = encode(&Tags { tags: Vec::new() });
    assert!(matches!(bad, Err(PayloadError::NotReadBack { .. })), "{bad:?}");
}

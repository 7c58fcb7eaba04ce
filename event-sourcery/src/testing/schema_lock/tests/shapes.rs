//! What is found out about a type.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Deserializer, Serialize};

use super::Lock;
use crate::Event;

#[derive(Event, Serialize, Deserialize)]
#[event(crate = "crate")]
struct Kinds {
    flag: bool,
    small: i8,
    huge: u128,
    float: f64,
    letter: char,
    nothing: (),
    pair: (u8, String),
    array: [u16; 2],
    list: Vec<Option<i32>>,
    set: HashSet<String>,
    map: BTreeMap<String, u8>,
    numbered: HashMap<u32, bool>,
    by_suit: BTreeMap<Suit, u8>,
    value: serde_json::Value,
    at: jiff::Timestamp,
    day: jiff::civil::Date,
    id: uuid::Uuid,
    address: std::net::IpAddr,
    percent: Percent,
    #[serde(with = "as_text")]
    cents: u64,
    #[serde(rename = "name", alias = "called", alias = "titled")]
    title: String,
    #[serde(skip)]
    cached: u8,
    tree: Tree,
    tagged: Tagged,
    suit: Suit,
    shape: Form,
}

#[derive(Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
enum Suit {
    Hearts,
    Spades,
}

#[derive(Serialize, Deserialize)]
enum Form {
    Point,
    Circle(u8),
    Line(i8, i8),
    Box {
        width: u8,
        #[serde(default)]
        depth: Option<u8>,
    },
}

#[derive(Serialize, Deserialize)]
struct Tree {
    children: Vec<Tree>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Tagged {
    Cash,
    Card { last4: String, limit: u32 },
}

#[derive(Serialize)]
struct Percent(u8);

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let percent = u8::deserialize(deserializer)?;
        if percent > 100 { Err(serde::de::Error::custom("more than all")) } else { Ok(Self(percent)) }
    }
}

mod as_text {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(cents: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(cents)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[test]
fn every_kind_is_found_out() {
    let text = Lock::of::<Kinds>().text();
    for field in [
        r#""flag": "bool""#,
        r#""small": "i8""#,
        r#""huge": "u128""#,
        r#""float": "f64""#,
        r#""letter": "char""#,
        r#""nothing": "null""#,
        r#""pair": "[u8, text]""#,
        r#""array": "[u16, u16]""#,
        r#""list": "[i32 | null, ..]""#,
        r#""set": "[text, ..]""#,
        r#""map": "{[text]: u8}""#,
        r#""numbered": "{[u32]: bool}""#,
        r#""by_suit": "{[\"Hearts\" | \"Spades\"]: u8}""#,
        r#""value": "any""#,
        r#""at": "text like \"2024-02-29T23:59:59.999999Z\"""#,
        r#""day": "text like \"2024-02-29"#,
        r#""id": "text like \"0190163d"#,
        r#""address": "text like \"192.0.2.1\"""#,
        r#""percent": "u8""#,
        r#""cents": "text like \"18446744073709551615\"""#,
        r#""name": "text""#,
        r#""tree": "{children: [Tree again, ..]}""#,
        r#""tagged": "{kind: \"cash\"} | {kind: \"card\", last4: text, limit: number}""#,
        r#""suit": "\"Hearts\" | \"Spades\"""#,
        r#""shape": "\"Point\" | {Circle: u8} | {Line: [i8, i8]} | {Box: {width: u8, depth?: u8 | null}}""#,
    ] {
        assert!(text.contains(field), "{field} is not in {text}");
    }
    for absent in ["called", "titled", "cached"] {
        assert!(!text.contains(absent), "{absent} is in {text}");
    }
    for value in [
        "340282366920938463463374607431768211455",
        r#""small":-128"#,
        r#""percent":100"#,
        r#""limit":4294967295"#,
    ] {
        assert!(text.contains(value), "{value} is not in {text}");
    }
}

#[derive(Event, Serialize, Deserialize)]
#[event(crate = "crate")]
enum Invoice {
    Issued {
        number: String,
        #[serde(flatten)]
        rest: BTreeMap<String, serde_json::Value>,
    },
    #[event(alias = "Settled")]
    Paid {
        cents: u8,
    },
    Voided,
}

#[test]
fn the_variants_of_an_enum_are_events_each_and_flattened_fields_are_found() {
    let text = Lock::of::<Invoice>().text();
    for part in
        [r#""Issued": ["#, r#"{"number":"text"}"#, r#""Paid": ["#, r#"{"cents":255}"#, r#""Voided": ["#]
    {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(text.contains(r#""Settled": []"#), "a former name has no form of its own: {text}");
}

/// Whoever locks a type that was renamed before has events under both names.
#[test]
fn a_former_name_that_was_there_before_the_file_may_not_go() {
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate")]
    enum WithoutFormerName {
        Issued {
            number: String,
            #[serde(flatten)]
            rest: BTreeMap<String, serde_json::Value>,
        },
        Paid {
            cents: u8,
        },
        Voided,
    }
    let lock = Lock::of::<Invoice>();
    let message = lock.with::<WithoutFormerName>().run(true).unwrap_err();
    assert!(message.contains("\"Settled\""), "{message}");
}

#[test]
fn an_order_of_types_or_variants_makes_no_difference() {
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate")]
    enum Turned {
        Voided,
        #[event(alias = "Settled")]
        Paid {
            cents: u8,
        },
        Issued {
            number: String,
            #[serde(flatten)]
            rest: BTreeMap<String, serde_json::Value>,
        },
    }
    Lock::of::<Invoice>().is_kept_by::<Turned>();
}

/// An enum with a variant for each digit.
macro_rules! digits {
    ($name:ident $(($content:ident))?) => {
        #[derive(Serialize, Deserialize)]
        enum $name {
            D0$(($content))?, D1$(($content))?, D2$(($content))?, D3$(($content))?, D4$(($content))?,
            D5$(($content))?, D6$(($content))?, D7$(($content))?, D8$(($content))?, D9$(($content))?,
        }
    };
}

/// Each may be stored, so each has to stay.
#[test]
fn of_very_many_variants_each_has_a_sample() {
    digits!(Units);
    digits!(Tens(Units));
    digits!(Hundreds(Tens));

    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate")]
    struct Counted {
        number: Hundreds,
        digit: Units,
    }

    let text = Lock::of::<Counted>().text();
    assert_eq!(text.matches(r#"{"number":"#).count(), 1000, "{text}");
    for number in [r#"{"D0":{"D0":"D0"}}"#, r#"{"D5":{"D1":"D2"}}"#, r#"{"D9":{"D9":"D9"}}"#] {
        assert!(text.contains(number), "{number} is missing");
    }
}

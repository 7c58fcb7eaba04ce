//! Optional fields that serde buffers, of types whose values nobody guesses.

use serde::{Deserialize, Serialize};

use super::{Code, Lock};
use crate::Event;

impl Default for Code {
    fn default() -> Self {
        Self("open sesame".to_owned())
    }
}

/// Asserts that samples are asked for at these places, though these were given.
#[track_caller]
fn asks<E: Event>(given: &[&str], places: &str) {
    let name = E::NAMES[0];
    let lock = Lock::missing();
    let with = given.iter().fold(lock.with::<E>(), |lock, sample| lock.sample(name, 1, sample));
    let message = with.run(true).unwrap_err();
    assert!(message.contains(&format!("traced at {places}: give samples")), "{message}");
}

/// Asserts that nothing more is asked for than these samples, and gives the file.
#[track_caller]
fn asks_no_more<E: Event>(given: &[&str]) -> String {
    let name = E::NAMES[0];
    let lock = Lock::missing();
    let with = || given.iter().fold(lock.with::<E>(), |lock, sample| lock.sample(name, 1, sample));
    with().run(true).unwrap();
    with().run(false).unwrap();
    lock.text()
}

#[test]
fn in_a_tagged_enum_they_ask_for_a_sample() {
    #[derive(Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Method {
        Cash { voucher: Option<Code>, till: Option<u8> },
        Card { codes: Option<Vec<Code>> },
    }
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate")]
    struct Paid {
        by: Vec<Method>,
    }
    asks::<Paid>(&[], "by.voucher, by.codes");
    let empty = r#"{"by":[{"kind":"Cash","voucher":null},{"kind":"Card","codes":[]}]}"#;
    asks::<Paid>(&[empty], "by.voucher, by.codes");
    let voucher = r#"{"by":[{"kind":"Cash"},{"kind":"Cash","voucher":"open sesame"}]}"#;
    asks::<Paid>(&[voucher], "by.codes");
    let text = asks_no_more::<Paid>(&[voucher, r#"{"by":[{"kind":"Card","codes":["open sesame"]}]}"#]);
    assert!(text.contains(r#""till":255"#), "{text}");
}

#[test]
fn in_a_flattened_struct_they_ask_for_a_sample() {
    #[derive(Default, Serialize, Deserialize)]
    #[serde(default)]
    struct Inner {
        code: Option<Code>,
    }
    #[derive(Serialize, Deserialize)]
    struct Rest {
        #[serde(default)]
        code: Code,
        inner: Option<Inner>,
    }
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate")]
    struct Guarded {
        #[serde(flatten)]
        rest: Rest,
    }
    asks::<Guarded>(&[], "code, inner.code");
    // That it is the default, and nothing else, somebody has to say.
    asks::<Guarded>(&[r#"{"inner":{"code":"open sesame"}}"#], "code");
    asks_no_more::<Guarded>(&[r#"{"code":"open sesame","inner":{"code":"open sesame"}}"#]);
}

#[test]
fn under_the_keys_of_a_map_one_sample_is_enough_whatever_its_key() {
    #[derive(Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Method {
        Cash { voucher: Option<Code> },
    }
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate")]
    struct Paid {
        by: std::collections::BTreeMap<String, Method>,
    }
    asks::<Paid>(&[], "by.text.voucher");
    asks::<Paid>(&[r#"{"by":{"me":{"kind":"Cash"}}}"#], "by.text.voucher");
    asks_no_more::<Paid>(&[r#"{"by":{"me":{"kind":"Cash","voucher":"open sesame"}}}"#]);
}

/// What says which variants it has is asked for those that hold more than their name.
#[test]
fn the_variants_of_an_enum_are_guessed() {
    #[derive(Serialize, Deserialize)]
    enum Suit {
        Hearts,
        Spades,
    }
    #[derive(Serialize, Deserialize)]
    enum Bid {
        Pass,
        Of(u8),
    }
    #[derive(Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Move {
        Played { suit: Option<Suit>, nothing: Option<()> },
        Bid { bid: Option<Bid> },
    }
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate")]
    struct Moved {
        by: Move,
    }
    asks::<Moved>(&[], "by.bid");
    let text = asks_no_more::<Moved>(&[r#"{"by":{"kind":"Bid","bid":{"Of":1}}}"#]);
    for part in [r#""suit":"Hearts""#, r#""suit":"Spades""#, r#""suit":null"#, r#""bid":"Pass""#] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

/// One that is taken empty looks like a struct whose fields may all be left out.
#[test]
fn the_values_of_maps_are_guessed() {
    use std::collections::BTreeMap;

    #[derive(Serialize, Deserialize)]
    struct Open {
        note: Option<String>,
    }
    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Closed {
        note: Option<String>,
    }
    #[derive(Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Method {
        Cash {
            #[serde(default)]
            coins: BTreeMap<String, u8>,
            labels: BTreeMap<String, String>,
            open: Open,
            closed: Closed,
        },
        Card {
            codes: Option<BTreeMap<String, Code>>,
        },
    }
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate")]
    struct Paid {
        by: Method,
    }
    asks::<Paid>(&[], "by.codes.{}");
    let text = asks_no_more::<Paid>(&[r#"{"by":{"kind":"Card","codes":{"a":"open sesame"}}}"#]);
    for part in
        [r#""coins":{}"#, r#""coins":{"text":255}"#, r#""labels":{"text":"text"}"#, r#""note":"text""#]
    {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(!text.contains(r#""open":{"text""#), "{text}");
}

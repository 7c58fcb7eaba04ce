//! Optional fields that serde buffers before it reads them: nothing can be asked of their type.

use serde::{Deserialize, Serialize};

use super::Lock;
use crate::Event;

/// A struct `Paid` with a method that is told by a tag, in a module of its own.
macro_rules! paid {
    ($module:ident { $($variants:tt)* }) => {
        mod $module {
            #[allow(unused_imports, reason = "not every form needs all of it")]
            use super::*;

            #[derive(Event, Serialize, Deserialize)]
            #[event(crate = "crate", name = "Paid")]
            pub(super) struct Paid {
                methods: Vec<Method>,
            }

            #[derive(Serialize, Deserialize)]
            #[serde(tag = "kind")]
            enum Method { $($variants)* }
        }
    };
}

/// A receipt with optional fields of its own.
#[derive(Serialize, Deserialize)]
struct Receipt {
    number: u32,
    #[serde(default)]
    printed: bool,
}

#[derive(Serialize, Deserialize)]
struct LongReceipt {
    number: u32,
    #[serde(default)]
    printed: Vec<bool>,
}

paid!(first {
    Cash { till: Option<u8>, receipt: Option<Receipt> },
    Card { last4: String, #[serde(default)] labels: Vec<String> },
});

#[test]
fn optional_fields_of_a_tagged_enum_are_found_by_what_is_written() {
    let text = Lock::of::<first::Paid>().text();
    for sample in [
        r#""till":null"#,
        r#""till":255"#,
        r#""till":1"#,
        r#""receipt":null"#,
        r#""receipt":{"number":4294967295,"printed":false}"#,
        r#""printed":true"#,
        r#""labels":[]"#,
        r#""labels":["text"]"#,
    ] {
        assert!(text.contains(sample), "{sample} is not in {text}");
    }
}

#[test]
fn they_have_to_stay_readable() {
    let lock = Lock::of::<first::Paid>();
    paid!(narrower {
        Cash { till: Option<bool>, receipt: Option<Receipt> },
        Card { last4: String, #[serde(default)] labels: Vec<String> },
    });
    lock.refuses::<narrower::Paid>(&["invalid type: integer", "expected a boolean"]);
    paid!(required {
        Cash { till: u8, receipt: Option<Receipt> },
        Card { last4: String, #[serde(default)] labels: Vec<String> },
    });
    lock.refuses::<required::Paid>(&["null", "expected u8"]);
    paid!(items {
        Cash { till: Option<u8>, receipt: Option<Receipt> },
        Card { last4: String, #[serde(default)] labels: Vec<u8> },
    });
    lock.refuses::<items::Paid>(&["string \"text\", expected u8"]);
    paid!(deeper {
        Cash { till: Option<u8>, receipt: Option<LongReceipt> },
        Card { last4: String, #[serde(default)] labels: Vec<String> },
    });
    lock.refuses::<deeper::Paid>(&["invalid type: boolean", "expected a sequence"]);
}

#[test]
fn one_more_asks_for_an_update() {
    paid!(now {
        Cash { till: Option<u8>, receipt: Option<Receipt> },
        Card { last4: String, #[serde(default)] labels: Vec<String>, note: Option<String> },
    });
    let lock = Lock::of::<first::Paid>();
    lock.takes::<now::Paid>(&[r#""note":"text""#]);
    lock.is_kept_by::<first::Paid>();
}

#[test]
fn optional_fields_of_a_flattened_struct_are_found_by_what_is_written() {
    #[derive(Serialize, Deserialize)]
    struct Common {
        by: Option<String>,
        #[serde(default)]
        pages: u16,
    }
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate")]
    enum Invoice {
        Issued {
            number: String,
            #[serde(flatten)]
            common: Common,
        },
        Voided {
            #[serde(flatten)]
            common: Common,
        },
    }
    let text = Lock::of::<Invoice>().text();
    for sample in [
        r#"{"number":"text","by":"text","pages":0}"#,
        r#"{"number":"text","by":null,"pages":65535}"#,
        r#"{"by":"text","pages":0}"#,
        r#"{"by":null,"pages":65535}"#,
    ] {
        assert!(text.contains(sample), "{sample} is not in {text}");
    }
}

#[test]
fn a_type_within_itself_comes_to_an_end() {
    #[derive(Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Rule {
        All { of: Vec<Rule>, unless: Option<Box<Rule>> },
        Any { of: Vec<Rule>, unless: Option<Box<Rule>> },
        Never { unless: Option<Box<Rule>> },
    }
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate")]
    struct Ruled {
        by: Rule,
    }
    let text = Lock::of::<Ruled>().text();
    assert!(text.contains(r#""unless":{"kind":"#), "{text}");
    assert!(text.len() < 5_000, "{}", text.len());
}

/// A field that is written and never read takes anything.
#[test]
fn what_is_written_for_others_only_is_not_filled() {
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate")]
    struct Counted {
        #[serde(skip_deserializing)]
        total: u8,
        parts: Vec<u8>,
    }
    let text = Lock::of::<Counted>().text();
    assert!(text.contains(r#""total":0"#) && !text.contains(r#""total":1"#), "{text}");
}

#[test]
fn two_fields_may_be_of_one_enum() {
    #[derive(Serialize, Deserialize)]
    enum Suit {
        Hearts,
        Spades,
    }
    #[derive(Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Move {
        Beaten { by: Suit, card: Suit },
    }
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate")]
    struct Moved {
        moves: Vec<Move>,
    }
    let text = Lock::of::<Moved>().text();
    for pair in [r#""by":"Hearts","card":"Spades""#, r#""by":"Spades","card":"Hearts""#] {
        assert!(text.contains(pair), "{pair} is not in {text}");
    }
}

/// Their content is read as the tag says.
#[test]
fn variants_that_stand_beside_their_tag_are_found() {
    #[derive(Serialize, Deserialize)]
    #[serde(tag = "kind", content = "what")]
    enum Method {
        Cash,
        Card { last4: String, note: Option<u8> },
        Split(u8, i16),
        Cheque(Receipt),
    }
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate")]
    struct Settled {
        by: Option<Method>,
    }
    #[derive(Serialize, Deserialize)]
    enum Suit {
        Hearts,
        Spades,
    }
    /// It has two fields, too.
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate")]
    struct Played {
        suit: Suit,
        rank: u8,
    }

    let text = Lock::of::<Settled>().text();
    for part in [
        r#""by?": "{kind: \"Cash\"} | {kind: \"Card\", what: {last4: text}} | {kind: \"Split\", what: [u8, i16]} | "#,
        r#"{"kind":"Cash"}"#,
        r#"{"kind":"Card","what":{"last4":"text","note":255}}"#,
        r#"{"kind":"Split","what":[255,32767]}"#,
        r#"{"kind":"Split","what":[0,-32768]}"#,
        r#"{"kind":"Cheque","what":{"number":4294967295,"printed":true}}"#,
        r#"{"by":null}"#,
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let text = Lock::of::<Played>().text();
    assert!(text.contains(r#""suit": "\"Hearts\" | \"Spades\"""#), "{text}");
}

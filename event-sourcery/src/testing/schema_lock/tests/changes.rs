//! Changes of types.

use serde::{Deserialize, Serialize};

use super::Lock;
use crate::Event;
use crate::error::Source;
use crate::testing::SchemaLock;
use crate::upcast::{StoredForm, Successor};

paid!(first { number: String, cents: u64 });

#[derive(Serialize, Deserialize)]
enum Method {
    Cash,
    Card { last4: String },
}

#[derive(Serialize, Deserialize)]
enum FewerMethods {
    Card { last4: String },
}

#[derive(Serialize, Deserialize)]
struct Line {
    price: i64,
}

#[derive(Serialize, Deserialize)]
struct DearerLine {
    price: i64,
    tax: i64,
}

paid!(with_method { method: Method });
paid!(with_lines { lines: Vec<Line> });

#[test]
fn a_field_without_a_default_is_refused_and_named() {
    paid!(now { number: String, cents: u64, till: u8 });
    Lock::of::<first::Paid>().refuses::<now::Paid>(&[
        "\"Paid\" in form 1",
        "missing field `till`",
        "serde(default)",
    ]);
}

#[test]
fn a_field_with_a_default_asks_for_an_update() {
    paid!(now {
        number: String,
        cents: u64,
        #[serde(default)]
        till: u8
    });
    let lock = Lock::of::<first::Paid>();
    lock.takes::<now::Paid>(&["\"Paid\", form 1: its fields have changed", "+ till?: u8"]);
    // What was stored before may still be there.
    paid!(later { number: String, cents: u64, till: u8 });
    lock.refuses::<later::Paid>(&["missing field `till`"]);
}

#[test]
fn an_option_is_a_default() {
    paid!(now { number: String, cents: u64, note: Option<String> });
    Lock::of::<first::Paid>().takes::<now::Paid>(&["+ note?: text | null"]);
}

#[test]
fn a_field_that_is_gone_asks_for_an_update() {
    paid!(now { number: String });
    Lock::of::<first::Paid>().takes::<now::Paid>(&["- cents: u64"]);
}

#[test]
fn a_renamed_field_needs_its_former_name() {
    paid!(without { invoice: String, cents: u64 });
    paid!(with {
        #[serde(alias = "number")]
        invoice: String,
        cents: u64
    });
    let lock = Lock::of::<first::Paid>();
    lock.refuses::<without::Paid>(&["missing field `invoice`"]);
    lock.takes::<with::Paid>(&["- number: text", "+ invoice: text"]);
    assert!(lock.text().contains(r#"{"invoice":"text","cents":0}"#), "{}", lock.text());
}

#[test]
fn a_narrower_number_is_refused() {
    paid!(now { number: String, cents: u32 });
    Lock::of::<first::Paid>().refuses::<now::Paid>(&["18446744073709551615", "expected u32"]);
    paid!(signed { number: String, cents: i64 });
    Lock::of::<first::Paid>().refuses::<signed::Paid>(&["expected i64"]);
    paid!(wider { number: String, cents: u128 });
    Lock::of::<first::Paid>().takes::<wider::Paid>(&["- cents: u64", "+ cents: u128"]);
}

#[test]
fn another_kind_is_refused() {
    paid!(now { number: u64, cents: u64 });
    Lock::of::<first::Paid>().refuses::<now::Paid>(&["invalid type: string \"text\", expected u64"]);
}

#[test]
fn what_may_be_null_stays_so() {
    paid!(before { note: Option<String> });
    paid!(now {
        #[serde(default)]
        note: String
    });
    Lock::of::<before::Paid>().refuses::<now::Paid>(&["{\"note\":null}", "null"]);
}

#[test]
fn a_variant_that_is_gone_is_refused() {
    paid!(now { method: FewerMethods });
    Lock::of::<with_method::Paid>().refuses::<now::Paid>(&["unknown variant `Cash`"]);
    paid!(before { method: FewerMethods });
    Lock::of::<before::Paid>().takes::<with_method::Paid>(&["+ method: \"Cash\" | {Card: {last4: text}}"]);
}

#[test]
fn a_change_of_a_nested_struct_is_seen() {
    paid!(now { lines: Vec<DearerLine> });
    Lock::of::<with_lines::Paid>()
        .refuses::<now::Paid>(&["missing field `tax`", r#"{"lines":[{"price":9223372036854775807}]}"#]);
}

#[test]
fn a_type_that_is_gone_is_refused_and_an_alias_of_another_keeps_it() {
    #[derive(Event)]
    #[event(crate = "crate")]
    struct Sent;
    #[derive(Event)]
    #[event(crate = "crate", name = "invoicing.Sent", alias = "Paid")]
    struct SentNow;
    let lock = Lock::of::<first::Paid>();
    lock.refuses::<Sent>(&["\"Paid\" is decoded by no type any more", "alias = \"Paid\""]);
    lock.takes::<SentNow>(&["\"invoicing.Sent\", form 1: new"]);
    assert!(lock.text().contains("\"Paid\": ["), "{}", lock.text());
}

#[test]
fn a_catch_all_does_not_hide_a_type_that_is_gone() {
    #[derive(Event)]
    #[event(crate = "crate")]
    enum Anything {
        Sent,
        #[event(catch_all)]
        Other(crate::RawEvent),
    }
    Lock::of::<first::Paid>().refuses::<Anything>(&["\"Paid\" is decoded by no type any more"]);
}

#[test]
fn two_types_that_share_an_alias_are_refused() {
    #[derive(Event)]
    #[event(crate = "crate", alias = "Paid")]
    struct Settled;
    let lock = Lock::of::<first::Paid>();
    let message = lock.with::<first::Paid>().events::<Settled>().run(true).unwrap_err();
    assert!(message.contains("\"Paid\" is a name of two events"), "{message}");
    assert!(message.contains("first::Paid") && message.contains("Settled"), "{message}");
}

#[test]
fn a_name_that_two_enums_split_is_refused() {
    #[derive(Event)]
    #[event(crate = "crate", upcast("Paid" = split))]
    enum Invoice {
        Closed,
    }
    #[derive(Event)]
    #[event(crate = "crate", upcast("Paid" = split))]
    enum Order {
        Shipped,
    }
    let lock = Lock::of::<Invoice>();
    let message = lock.with::<Invoice>().events::<Order>().run(true).unwrap_err();
    assert!(message.contains("\"Paid\" is a name of two events"), "{message}");
    assert!(message.contains("Invoice (split)") && message.contains("Order (split)"), "{message}");
}

#[test]
fn a_type_that_two_enums_gather_is_one() {
    #[derive(Event)]
    #[event(crate = "crate")]
    enum Invoice {
        Paid(first::Paid),
        Voided,
    }
    #[derive(Event)]
    #[event(crate = "crate")]
    enum Ledger {
        Paid(Box<first::Paid>),
        Invoice(OtherInvoice),
    }
    #[derive(Event)]
    #[event(crate = "crate", upcast("Ended" = split))]
    enum OtherInvoice {
        Closed,
    }
    let lock = Lock::of::<first::Paid>();
    lock.with::<Invoice>().events::<Ledger>().events::<OtherInvoice>().run(true).unwrap();
    lock.with::<Invoice>().events::<Ledger>().events::<OtherInvoice>().run(false).unwrap();
}

fn cents_to_euros(event: &mut StoredForm) -> Result<(), Source> {
    let cents: u64 = event.read("cents")?;
    event.write("euros", cents as f64 / 100.0)
}

fn broken_step(event: &mut StoredForm) -> Result<(), Source> {
    event.read::<String>("currency").map(drop)
}

#[test]
fn an_upcaster_mends_what_would_be_refused_and_has_to_stay() {
    paid!(now #[event(upcast(cents_to_euros))] { euros: f64 });
    paid!(without { euros: f64 });
    let lock = Lock::of::<first::Paid>();
    lock.refuses::<without::Paid>(&["missing field `euros`"]);
    lock.takes::<now::Paid>(&["\"Paid\", form 2"]);
    lock.refuses::<first::Paid>(&["\"Paid\" in form 2", "an upcaster was taken away"]);
    paid!(broken #[event(upcast(broken_step))] { euros: f64 });
    lock.refuses::<broken::Paid>(&["no field \"currency\"", "mend the upcaster"]);
}

fn split(_: &mut StoredForm) -> Result<Successor, Source> {
    Ok(Successor::of("Closed"))
}

#[test]
fn a_split_keeps_a_name_that_is_gone() {
    #[derive(Event)]
    #[event(crate = "crate", upcast("Paid" = split))]
    enum Invoice {
        Closed,
    }
    Lock::of::<first::Paid>().takes::<Invoice>(&["\"Closed\", form 1: new"]);
}

#[test]
fn a_split_keeps_the_steps_that_its_name_had() {
    paid!(before #[event(upcast(cents_to_euros))] { euros: f64 });
    #[derive(Event)]
    #[event(crate = "crate", upcast("Paid" = split))]
    enum WithoutSteps {
        Closed,
    }
    #[derive(Event)]
    #[event(crate = "crate", upcast("Paid" = (cents_to_euros, split)))]
    enum WithSteps {
        Closed,
    }
    let lock = Lock::of::<before::Paid>();
    lock.refuses::<WithoutSteps>(&["\"Paid\" in form 2", "an upcaster was taken away"]);
    lock.takes::<WithSteps>(&["\"Closed\", form 1: new"]);
}

#[test]
fn a_file_that_is_not_there_is_written_only_on_request() {
    let lock = Lock::missing();
    let message = lock.with::<first::Paid>().run(false).unwrap_err();
    assert!(
        message.contains("is not there yet") && message.contains("EVENT_SOURCERY_UPDATE_LOCK=1"),
        "{message}"
    );
    assert!(!lock.0.exists());
    lock.with::<first::Paid>().run(true).unwrap();
    assert!(lock.0.exists());
}

#[test]
fn a_file_that_is_no_lock_is_an_error_and_is_kept() {
    let lock = Lock::of::<first::Paid>();
    for text in ["", "{}", "<<<<<<< HEAD", r#"{"format": 2, "events": {}}"#] {
        std::fs::write(&lock.0, text).unwrap();
        let message = lock.with::<first::Paid>().run(true).unwrap_err();
        assert!(message.contains("cannot be used"), "{message}");
        assert_eq!(lock.text(), text);
    }
}

#[test]
fn the_file_is_the_same_each_time_and_reads_well() {
    let lock = Lock::of::<first::Paid>();
    assert_eq!(
        lock.text(),
        r#"{
  "format": 1,
  "events": {
    "Paid": [
      {
        "schema_version": 1,
        "fields": {
          "cents": "u64",
          "number": "text"
        },
        "samples": [
          {"number":"text","cents":18446744073709551615},
          {"number":"text","cents":0}
        ]
      }
    ]
  }
}
"#
    );
    assert_eq!(Lock::of::<first::Paid>().text(), lock.text());
}

#[test]
#[should_panic(expected = "\"Paid\" is decoded by no type any more")]
fn a_check_fails_the_test() {
    let lock = Lock::of::<first::Paid>();
    SchemaLock::new(&lock.0).check();
}

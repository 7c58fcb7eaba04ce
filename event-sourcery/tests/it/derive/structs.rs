//! Structs as events.

use std::collections::BTreeMap;

use event_sourcery::{DecodeError, Event, PayloadError};
use serde::{Deserialize, Serialize};

use super::{InvoicePaid, assert_stored_as, paid};

#[derive(Event, Debug, PartialEq)]
struct LedgerClosed;

#[derive(Event, Debug, PartialEq)]
struct LedgerOpened {}

#[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
#[event(name = "invoicing.Settled", alias = "InvoiceSettled")]
#[event(alias = "Abgerechnet ü", alias = "settled")]
struct Settled {
    number: String,
}

#[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
struct Measured {
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<f64>>,
}

fn measured(value: f64) -> Measured {
    Measured { value, history: None }
}

#[test]
fn a_struct_is_stored_under_its_name_as_the_object_of_its_fields() {
    assert_eq!(InvoicePaid::NAMES, ["InvoicePaid"]);
    const { assert!(!InvoicePaid::CATCH_ALL) };
    assert_stored_as(&paid(), "InvoicePaid", r#"{"number":"1003"}"#);
}

#[test]
fn a_struct_without_fields_is_stored_as_an_empty_object_and_needs_no_serde() {
    assert_stored_as(&LedgerClosed, "LedgerClosed", "{}");
    assert_stored_as(&LedgerOpened {}, "LedgerOpened", "{}");
}

#[test]
fn a_struct_without_fields_reads_any_object_and_nothing_else() {
    assert_eq!(LedgerClosed::decode("LedgerClosed", r#" {"by": ["ann", null]} "#).unwrap(), LedgerClosed);
    for not_an_object in ["[]", "null", "1", "\"{}\"", ""] {
        let decoded = LedgerClosed::decode("LedgerClosed", not_an_object);
        assert!(matches!(decoded, Err(DecodeError::NotAnObject)), "{not_an_object} was read");
    }
    for corrupt in ["{", "{}}", "{\"by\":NaN}", "{} {}"] {
        let decoded = LedgerClosed::decode("LedgerClosed", corrupt);
        assert!(matches!(decoded, Err(DecodeError::Invalid(_))), "{corrupt} was read");
    }
}

#[test]
fn name_and_aliases_are_the_names_that_are_read_and_the_name_is_what_is_stored() {
    assert_eq!(Settled::NAMES, ["invoicing.Settled", "InvoiceSettled", "Abgerechnet ü", "settled"]);
    let settled = Settled { number: "1003".into() };
    for name in Settled::NAMES {
        assert_eq!(Settled::decode(name, r#"{"number":"1003"}"#).unwrap(), settled);
    }
    assert_eq!(settled.event_name(), "invoicing.Settled");
}

#[test]
fn an_event_of_another_name_is_refused() {
    for name in ["Settled", "invoicing.settled", ""] {
        assert!(matches!(Settled::decode(name, r#"{"number":"1"}"#), Err(DecodeError::UnknownName)));
    }
}

#[test]
fn a_name_of_two_hundred_characters_of_several_bytes_each_is_allowed() {
    #[derive(Event)]
    #[event(
        name = "üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü\
                    üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü"
    )]
    struct LongName;
    assert_eq!(LongName.event_name().chars().count(), 200);
}

#[test]
fn a_raw_identifier_is_named_without_its_prefix() {
    #[derive(Event)]
    #[expect(non_camel_case_types, reason = "only a keyword can be a raw identifier")]
    struct r#match;
    assert_eq!(r#match::NAMES, ["match"]);
}

#[test]
fn a_field_added_with_a_default_reads_old_events_and_unknown_fields_are_ignored() {
    #[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
    #[event(name = "InvoicePaid")]
    struct Newer {
        number: String,
        #[serde(default)]
        cents: u64,
        note: Option<String>,
    }
    let decoded = Newer::decode("InvoicePaid", r#"{"till":{"id":7},"number":"1003"}"#).unwrap();
    assert_eq!(decoded, Newer { number: "1003".into(), cents: 0, note: None });
}

#[test]
fn serde_attributes_of_fields_work() {
    #[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
    #[serde(rename_all = "camelCase")]
    struct Imported {
        invoice_number: String,
        #[serde(rename = "n")]
        count: u8,
        #[serde(flatten)]
        rest: BTreeMap<String, u8>,
    }
    let imported =
        Imported { invoice_number: "1".into(), count: 2, rest: BTreeMap::from([("a".to_owned(), 3)]) };
    assert_stored_as(&imported, "Imported", r#"{"invoiceNumber":"1","n":2,"a":3}"#);
}

#[test]
fn numbers_read_back_exactly() {
    #[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
    struct Counted {
        least: i128,
        most: u64,
        zero: f64,
        shortest: f64,
        smallest: f64,
    }
    let counted = Counted {
        least: i128::MIN,
        most: u64::MAX,
        zero: -0.0,
        shortest: 0.1 + 0.2,
        smallest: f64::MIN_POSITIVE,
    };
    let decoded = Counted::decode("Counted", &counted.encode().unwrap()).unwrap();
    assert_eq!(decoded, counted);
    assert!(decoded.zero.is_sign_negative());
}

#[test]
fn numbers_that_json_cannot_hold_are_refused_and_an_absent_value_is_not() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(matches!(measured(value).encode(), Err(PayloadError::NotFinite)));
        let nested = Measured { value: 1.0, history: Some(vec![value]) };
        assert!(matches!(nested.encode(), Err(PayloadError::NotFinite)));
    }
    assert_stored_as(&measured(1.5), "Measured", r#"{"value":1.5}"#);
}

#[test]
fn a_struct_that_serialises_as_anything_but_an_object_is_refused() {
    #[derive(Event, Serialize, Deserialize)]
    #[serde(transparent)]
    struct Transparent {
        number: String,
    }
    assert!(matches!(Transparent { number: "1".into() }.encode(), Err(PayloadError::NotAnObject)));
}

#[test]
fn an_array_in_place_of_the_fields_is_refused() {
    assert!(matches!(InvoicePaid::decode("InvoicePaid", r#"["1003"]"#), Err(DecodeError::NotAnObject)));
}

#[test]
fn a_payload_that_does_not_fit_is_an_error_that_says_where() {
    let error = InvoicePaid::decode("InvoicePaid", r#"{"number":3}"#).unwrap_err();
    assert!(matches!(error, DecodeError::Invalid(_)));
    assert_eq!(error.to_string(), "invalid type: integer `3`, expected a string at line 1 column 11");
}

#[test]
fn the_library_is_found_where_the_type_says() {
    mod company {
        pub(crate) mod events {
            pub(crate) use event_sourcery::__private;
        }
    }
    #[derive(event_sourcery::Event)]
    #[event(crate = "company::events")]
    struct Moved;
    assert_eq!(Moved::NAMES, ["Moved"]);
}

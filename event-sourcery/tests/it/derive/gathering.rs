//! Enums that gather event structs, and catch-alls.

use event_sourcery::{DecodeError, Event, PayloadError, RawEvent};
use serde::{Deserialize, Serialize};

use super::{InvoicePaid, assert_stored_as, paid};

#[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
#[event(name = "invoicing.Issued", alias = "InvoiceIssued")]
struct InvoiceIssued {
    cents: f64,
}

#[derive(Event, Debug, PartialEq)]
struct InvoiceVoided;

#[derive(Event, Debug, PartialEq)]
enum InvoiceEvent {
    Issued(InvoiceIssued),
    Paid(InvoicePaid),
    Voided(InvoiceVoided),
}

#[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
enum LedgerEvent {
    #[serde(skip)]
    Invoice(InvoiceEvent),
    Opened {
        year: u16,
    },
    Closed,
    #[event(catch_all)]
    #[serde(skip)]
    Other(RawEvent),
    Balanced {
        cents: i64,
    },
}

#[test]
fn a_gathered_event_is_stored_as_its_own_type_is() {
    assert_stored_as(&InvoiceEvent::Paid(paid()), "InvoicePaid", r#"{"number":"1003"}"#);
    assert_stored_as(&InvoiceEvent::Voided(InvoiceVoided), "InvoiceVoided", "{}");
    assert_eq!(InvoiceEvent::Paid(paid()).encode().unwrap(), paid().encode().unwrap());
}

#[test]
fn names_and_aliases_are_those_of_the_gathered_types_in_order() {
    assert_eq!(InvoiceEvent::NAMES, ["invoicing.Issued", "InvoiceIssued", "InvoicePaid", "InvoiceVoided"]);
    const { assert!(!InvoiceEvent::CATCH_ALL) };
    let decoded = InvoiceEvent::decode("InvoiceIssued", r#"{"cents":2.5}"#).unwrap();
    assert_eq!(decoded, InvoiceEvent::Issued(InvoiceIssued { cents: 2.5 }));
    assert_eq!(decoded.event_name(), "invoicing.Issued");
}

#[test]
fn the_names_are_there_while_the_program_compiles() {
    const NAMES: &[&str] = LedgerEvent::NAMES;
    const { assert!(NAMES.len() == 7) };
}

#[test]
fn an_event_of_another_name_is_refused() {
    for name in ["Paid", "InvoiceEvent", ""] {
        assert!(matches!(InvoiceEvent::decode(name, "{}"), Err(DecodeError::UnknownName)));
    }
}

#[test]
fn the_errors_are_those_of_the_gathered_type() {
    let infinite = InvoiceEvent::Issued(InvoiceIssued { cents: f64::INFINITY });
    assert!(matches!(infinite.encode(), Err(PayloadError::NotFinite)));
    assert!(matches!(InvoiceEvent::decode("InvoicePaid", "[]"), Err(DecodeError::NotAnObject)));
    assert!(matches!(InvoiceEvent::decode("InvoicePaid", "{}"), Err(DecodeError::Invalid(_))));
}

#[test]
fn a_gathered_event_converts_into_the_enum() {
    let events: Vec<InvoiceEvent> = vec![paid().into(), InvoiceVoided.into()];
    assert_eq!(events, [InvoiceEvent::Paid(paid()), InvoiceEvent::Voided(InvoiceVoided)]);
    assert_eq!(
        LedgerEvent::from(InvoiceEvent::from(paid())),
        LedgerEvent::Invoice(InvoiceEvent::Paid(paid()))
    );
}

#[test]
fn enums_gather_enums_and_mix_every_kind_of_variant() {
    assert_eq!(
        LedgerEvent::NAMES,
        ["invoicing.Issued", "InvoiceIssued", "InvoicePaid", "InvoiceVoided", "Opened", "Closed", "Balanced"]
    );
    assert_stored_as(&LedgerEvent::Invoice(paid().into()), "InvoicePaid", r#"{"number":"1003"}"#);
    assert_stored_as(&LedgerEvent::Opened { year: 2026 }, "Opened", r#"{"year":2026}"#);
    assert_stored_as(&LedgerEvent::Closed, "Closed", "{}");
    assert_stored_as(&LedgerEvent::Balanced { cents: -1 }, "Balanced", r#"{"cents":-1}"#);
}

#[test]
fn a_catch_all_keeps_name_and_payload_of_every_other_event_unchanged() {
    const { assert!(LedgerEvent::CATCH_ALL) };
    let payload = r#"{ "b" : 1.00, "a":18446744073709551616, "c":"\u00fc" }"#;
    let other = LedgerEvent::decode("Invoice", payload).unwrap();
    let LedgerEvent::Other(raw) = &other else { panic!("{other:?} is not the catch-all") };
    assert_eq!((raw.name(), raw.data().get()), ("Invoice", payload));
    assert_eq!(other.event_name(), "Invoice");
    assert_eq!(other.encode().unwrap(), payload);
    // What others have stored can be read, and copied only where every backend would give it back.
    let twice = LedgerEvent::decode("Invoice", r#"{"b":1,"b":2}"#).unwrap();
    assert!(matches!(twice.encode(), Err(PayloadError::KeyTwice { .. })));
}

#[test]
fn a_catch_all_does_not_hide_an_event_that_is_known_and_does_not_fit() {
    assert!(matches!(LedgerEvent::decode("Balanced", "{}"), Err(DecodeError::Invalid(_))));
    assert!(matches!(LedgerEvent::decode("InvoicePaid", "{}"), Err(DecodeError::Invalid(_))));
}

#[test]
fn a_catch_all_refuses_what_is_not_an_object() {
    assert!(matches!(LedgerEvent::decode("Unknown", "[]"), Err(DecodeError::NotAnObject)));
    assert!(matches!(LedgerEvent::decode("Unknown", "{"), Err(DecodeError::Invalid(_))));
}

#[test]
fn a_catch_all_alone_reads_everything() {
    #[derive(Event)]
    enum Anything {
        #[event(catch_all)]
        Event(RawEvent),
    }
    assert!(Anything::NAMES.is_empty());
    assert_eq!(Anything::decode("Unknown", "{}").unwrap().event_name(), "Unknown");
}

#[test]
fn types_from_a_macro_can_be_gathered() {
    macro_rules! gather {
        ($event:ident: $($variant:ident($ty:ty)),*) => {
            #[derive(Event, Debug, PartialEq)]
            enum $event { $($variant($ty)),*, #[event(catch_all)] Other(RawEvent) }
        };
    }
    gather!(Gathered: Paid(InvoicePaid), Voided(InvoiceVoided));
    assert_stored_as(&Gathered::Paid(paid()), "InvoicePaid", r#"{"number":"1003"}"#);
    assert!(matches!(Gathered::decode("Unknown", "{}").unwrap(), Gathered::Other(_)));
}

#[test]
fn a_deprecated_variant_compiles_without_a_warning() {
    #[deny(deprecated, reason = "the test is that nothing warns")]
    mod deprecated {
        use super::{Event, InvoicePaid, InvoiceVoided};

        #[derive(Event)]
        pub(super) enum Old {
            #[deprecated]
            Gone,
            #[deprecated]
            Paid(InvoicePaid),
            Voided(InvoiceVoided),
        }
    }
    assert_eq!(deprecated::Old::NAMES, ["Gone", "InvoicePaid", "InvoiceVoided"]);
    assert_eq!(deprecated::Old::from(InvoiceVoided).event_name(), "InvoiceVoided");
}

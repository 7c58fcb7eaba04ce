//! Enums whose variants are events.

use std::collections::BTreeMap;

use event_sourcery::{DecodeError, Event, PayloadError};
use serde::{Deserialize, Serialize};

use super::assert_stored_as;

#[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
enum InvoiceEvent {
    Issued {
        number: String,
        #[serde(default)]
        cents: u64,
    },
    Voided,
    Reopened {},
    #[event(name = "invoicing.Measured", alias = "Weighed", alias = "Sized")]
    Measured {
        value: f64,
        history: Option<Vec<f64>>,
    },
}

/// Every way in which serde's derive treats one variant apart.
#[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
#[serde(rename_all = "snake_case", rename_all_fields = "camelCase")]
enum Dressed {
    #[serde(skip)]
    Skipped,
    Flattened {
        invoice_number: String,
        #[serde(flatten)]
        rest: BTreeMap<String, u8>,
    },
    #[serde(skip_deserializing)]
    OnlyWritten,
    #[serde(rename = "Flattened", alias = "Skipped")]
    Renamed {
        #[serde(rename = "n")]
        count: u8,
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        #[serde(with = "as_text")]
        cents: u64,
        #[serde(skip)]
        cached: u8,
    },
    #[serde(with = "boxed")]
    Boxed { number: String },
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

mod boxed {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &str, serializer: S) -> Result<S::Ok, S::Error> {
        BTreeMap::from([("box", number)]).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
        let mut fields = BTreeMap::<String, String>::deserialize(deserializer)?;
        fields.remove("box").ok_or_else(|| serde::de::Error::missing_field("box"))
    }
}

#[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
enum Strict {
    Issued { number: String },
}

fn issued() -> InvoiceEvent {
    InvoiceEvent::Issued { number: "1003".into(), cents: 250 }
}

fn measured(value: f64) -> InvoiceEvent {
    InvoiceEvent::Measured { value: 1.0, history: Some(vec![value]) }
}

#[test]
fn a_variant_is_stored_under_its_name_as_the_object_of_its_fields_without_a_tag() {
    assert_stored_as(&issued(), "Issued", r#"{"number":"1003","cents":250}"#);
    assert_stored_as(&measured(2.5), "invoicing.Measured", r#"{"value":1.0,"history":[2.5]}"#);
}

#[test]
fn a_variant_without_fields_is_stored_as_an_empty_object_and_reads_any_object() {
    assert_stored_as(&InvoiceEvent::Voided, "Voided", "{}");
    assert_stored_as(&InvoiceEvent::Reopened {}, "Reopened", "{}");
    assert_eq!(InvoiceEvent::decode("Voided", r#"{"by":"ann"}"#).unwrap(), InvoiceEvent::Voided);
    assert!(matches!(InvoiceEvent::decode("Voided", "[]"), Err(DecodeError::NotAnObject)));
}

#[test]
fn an_enum_of_variants_without_fields_needs_no_serde() {
    #[derive(Event, Debug, PartialEq)]
    enum LightEvent {
        TurnedOn,
        TurnedOff {},
    }
    assert_stored_as(&LightEvent::TurnedOn, "TurnedOn", "{}");
    assert_stored_as(&LightEvent::TurnedOff {}, "TurnedOff", "{}");
}

#[test]
fn the_names_are_those_of_all_variants_in_order_each_followed_by_its_aliases() {
    assert_eq!(
        InvoiceEvent::NAMES,
        ["Issued", "Voided", "Reopened", "invoicing.Measured", "Weighed", "Sized"]
    );
    for alias in ["Weighed", "Sized"] {
        let decoded = InvoiceEvent::decode(alias, r#"{"value":1.0,"history":[2.5]}"#).unwrap();
        assert_eq!(decoded, measured(2.5));
    }
}

#[test]
fn an_event_of_another_name_is_refused() {
    for name in ["Measured", "issued", "InvoiceEvent", ""] {
        assert!(matches!(InvoiceEvent::decode(name, "{}"), Err(DecodeError::UnknownName)));
    }
}

#[test]
fn a_field_added_with_a_default_reads_old_events_and_unknown_fields_are_ignored() {
    let decoded = InvoiceEvent::decode("Issued", r#"{"till":[7],"number":"1003"}"#).unwrap();
    assert_eq!(decoded, InvoiceEvent::Issued { number: "1003".into(), cents: 0 });
}

#[test]
fn a_variant_reads_what_a_struct_of_that_name_wrote() {
    #[derive(Event, Serialize, Deserialize)]
    struct Issued {
        number: String,
        cents: u64,
    }
    let written = Issued { number: "1003".into(), cents: 250 }.encode().unwrap();
    assert_eq!(InvoiceEvent::decode("Issued", &written).unwrap(), issued());
}

#[test]
fn a_flattened_field_stands_beside_the_others() {
    let event = Dressed::Flattened { invoice_number: "1".into(), rest: BTreeMap::from([("a".into(), 2)]) };
    assert_stored_as(&event, "Flattened", r#"{"invoiceNumber":"1","a":2}"#);
}

#[test]
fn serde_attributes_of_fields_work() {
    let event = Dressed::Renamed { count: 1, note: None, cents: 250, cached: 0 };
    assert_stored_as(&event, "Renamed", r#"{"n":1,"cents":"250"}"#);
}

#[test]
fn a_variant_written_and_read_by_functions_of_its_own_works() {
    assert_stored_as(&Dressed::Boxed { number: "1".into() }, "Boxed", r#"{"box":"1"}"#);
}

#[test]
fn names_that_serde_gives_to_variants_and_variants_that_it_skips_play_no_part() {
    assert_eq!(Dressed::NAMES, ["Skipped", "Flattened", "OnlyWritten", "Renamed", "Boxed"]);
    assert_stored_as(&Dressed::Skipped, "Skipped", "{}");
    assert_stored_as(&Dressed::OnlyWritten, "OnlyWritten", "{}");
}

#[test]
fn unknown_fields_are_refused_where_the_enum_says_so() {
    assert!(Strict::decode("Issued", r#"{"number":"1"}"#).is_ok());
    let refused = Strict::decode("Issued", r#"{"number":"1","till":7}"#);
    assert!(matches!(refused, Err(DecodeError::Invalid(error)) if error.to_string().contains("till")));
}

#[test]
fn numbers_read_back_exactly() {
    #[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
    enum Counting {
        Counted { least: i128, most: u64, sum: f64 },
    }
    let counted = Counting::Counted { least: i128::MIN, most: u64::MAX, sum: 0.1 + 0.2 };
    assert_eq!(Counting::decode("Counted", &counted.encode().unwrap()).unwrap(), counted);
}

#[test]
fn numbers_that_json_cannot_hold_are_refused_and_an_absent_value_is_not() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(matches!(measured(value).encode(), Err(PayloadError::NotFinite)));
    }
    let absent = InvoiceEvent::Measured { value: 1.0, history: None };
    assert_stored_as(&absent, "invoicing.Measured", r#"{"value":1.0,"history":null}"#);
}

#[test]
fn what_is_nested_too_deeply_to_be_read_back_is_refused() {
    #[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
    enum Nesting {
        Nested { value: serde_json::Value },
    }
    let nested = |levels| Nesting::Nested {
        value: (0..levels).fold(serde_json::Value::Null, |value, _| serde_json::Value::Array(vec![value])),
    };
    let deepest = nested(126);
    assert_eq!(Nesting::decode("Nested", &deepest.encode().unwrap()).unwrap(), deepest);
    assert!(matches!(nested(127).encode(), Err(PayloadError::TooDeep { .. })));
}

#[test]
fn an_array_in_place_of_the_fields_is_refused() {
    assert!(matches!(InvoiceEvent::decode("Issued", r#"["1003", 1]"#), Err(DecodeError::NotAnObject)));
}

#[test]
fn a_corrupt_payload_is_an_error_that_says_where() {
    for corrupt in
        [r#"{"number":"1003""#, r#"{"number":"1003"}}"#, r#"{"number":"1003"} x"#, r#"{"number":1}"#, "{}"]
    {
        let decoded = InvoiceEvent::decode("Issued", corrupt);
        assert!(
            matches!(decoded, Err(DecodeError::Invalid(error)) if error.line() == 1),
            "{corrupt} was read"
        );
    }
}

#[test]
fn a_serialisation_by_hand_that_is_not_serde_s_own_form_is_refused_and_never_stored_wrong() {
    #[derive(Event, Deserialize)]
    enum ByHand {
        Issued { number: String },
    }
    impl Serialize for ByHand {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            BTreeMap::from([("kind", "issued")]).serialize(serializer)
        }
    }
    let refused = ByHand::Issued { number: "1".into() }.encode();
    assert!(
        matches!(refused, Err(PayloadError::Serialize(error)) if error.to_string().contains("derive `Serialize`"))
    );
}

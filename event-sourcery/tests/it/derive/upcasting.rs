//! Older stored forms, and the steps that turn them into the current one.

use event_sourcery::{DecodeError, Event, RawEvent, Source, StoredForm, Successor};
use serde::{Deserialize, Serialize};

use super::InvoicePaid;

#[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
#[event(alias = "Settled", upcast(euros_to_cents, steps::with_currency))]
struct Paid {
    cents: u64,
    currency: String,
}

fn euros_to_cents(event: &mut StoredForm) -> Result<(), Source> {
    assert_eq!(event.schema_version(), 1);
    let euros: u64 = event.read("euros")?;
    event.fields_mut().remove("euros");
    event.write("cents", euros * 100)
}

mod steps {
    use super::{Source, StoredForm};

    pub(super) fn with_currency(event: &mut StoredForm) -> Result<(), Source> {
        assert_eq!(event.schema_version(), 2);
        event.write("currency", if event.name() == "Settled" { "CHF" } else { "EUR" })
    }
}

#[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
#[event(upcast("Ended" = split_ended, "Closed" = (euros_in_full, Self::with_who, split_closed,)))]
enum InvoiceEvent {
    Issued {
        number: String,
    },
    #[event(upcast(by_nobody))]
    Voided {
        by: String,
    },
    #[event(upcast(nothing, nothing))]
    Archived,
    #[serde(skip)]
    Paid(Paid),
    #[event(catch_all)]
    #[serde(skip)]
    Other(RawEvent),
}

impl InvoiceEvent {
    fn with_who(event: &mut StoredForm) -> Result<(), Source> {
        assert_eq!((event.name(), event.schema_version()), ("Closed", 2));
        event.write("who", "nobody")
    }
}

fn euros_in_full(event: &mut StoredForm) -> Result<(), Source> {
    assert_eq!((event.name(), event.schema_version()), ("Closed", 1));
    if let Some(euros) = event.fields_mut().remove("eur") {
        event.write("euros", euros)?;
    }
    Ok(())
}

fn by_nobody(event: &mut StoredForm) -> Result<(), Source> {
    event.write("by", "nobody")
}

fn nothing(_: &mut StoredForm) -> Result<(), Source> {
    Ok(())
}

fn split_ended(event: &mut StoredForm) -> Result<Successor, Source> {
    let how: String = event.read("how")?;
    Ok(match &*how {
        "archived" => Successor::of("Archived").in_form(3),
        "closed" => Successor::of("Closed"),
        "closed by" => Successor::of("Closed").in_form(3),
        "closed in future" => Successor::of("Closed").in_form(4),
        "ended" => Successor::of("Ended"),
        _ => Successor::of("Gone"),
    })
}

fn split_closed(event: &mut StoredForm) -> Result<Successor, Source> {
    assert_eq!(event.schema_version(), 3);
    let who: String = event.read("who")?;
    if event.fields().contains_key("euros") {
        return Ok(Successor::of("Paid"));
    }
    event.write("by", &who)?;
    Ok(if who == "nobody" { Successor::of("Voided") } else { Successor::of("Voided").in_form(2) })
}

fn paid(cents: u64, currency: &str) -> Paid {
    Paid { cents, currency: currency.to_owned() }
}

fn voided(by: &str) -> InvoiceEvent {
    InvoiceEvent::Voided { by: by.to_owned() }
}

#[track_caller]
fn assert_upcast_failed<E: Event + std::fmt::Debug>(
    decoded: Result<E, DecodeError>,
    version: u32,
    says: &str,
) {
    match decoded {
        Err(DecodeError::UpcastFailed { from, problem }) => {
            assert_eq!(from, version);
            assert!(problem.to_string().contains(says), "{problem}");
        }
        other => panic!("no step failed: {other:?}"),
    }
}

#[test]
fn each_form_takes_the_steps_from_its_version_on() {
    assert_eq!(Paid::decode_stored("Paid", 1, r#"{"euros":7}"#).unwrap(), paid(700, "EUR"));
    assert_eq!(Paid::decode_stored("Paid", 2, r#"{"cents":700}"#).unwrap(), paid(700, "EUR"));
    let current = r#"{"cents":700,"currency":"USD"}"#;
    assert_eq!(Paid::decode_stored("Paid", 3, current).unwrap(), paid(700, "USD"));
    assert_eq!(Paid::decode("Paid", current).unwrap(), paid(700, "USD"));
}

#[test]
fn the_version_is_one_more_than_there_are_steps() {
    assert_eq!(paid(1, "EUR").schema_version(), 3);
    assert_eq!(InvoicePaid { number: "1".into() }.schema_version(), 1);
    assert_eq!(Box::new(paid(1, "EUR")).schema_version(), 3);
    let versions = [
        InvoiceEvent::Issued { number: "1".into() },
        voided("ann"),
        InvoiceEvent::Archived,
        InvoiceEvent::Paid(paid(1, "EUR")),
        InvoiceEvent::Other(RawEvent::new("Sent", "{}").unwrap().with_schema_version(9)),
    ]
    .map(|event| event.schema_version());
    assert_eq!(versions, [1, 2, 3, 3, 9]);
}

#[test]
fn a_step_sees_the_name_that_an_event_was_stored_under() {
    assert_eq!(Paid::decode_stored("Settled", 1, r#"{"euros":7}"#).unwrap(), paid(700, "CHF"));
}

#[test]
fn a_version_of_zero_counts_as_the_first() {
    assert_eq!(Paid::decode_stored("Paid", 0, r#"{"euros":7}"#).unwrap(), paid(700, "EUR"));
    assert_eq!(InvoicePaid::decode_stored("InvoicePaid", 0, r#"{"number":"1"}"#).unwrap().number, "1");
}

#[test]
fn a_newer_form_is_refused_and_another_name_is_unknown_whatever_its_version() {
    let newer = Paid::decode_stored("Paid", 4, r#"{"cents":700,"currency":"USD"}"#);
    assert!(matches!(newer, Err(DecodeError::NewerForm { found: 4, known: 3 })));
    let newer = InvoicePaid::decode_stored("InvoicePaid", u32::MAX, r#"{"number":"1"}"#);
    assert!(matches!(newer, Err(DecodeError::NewerForm { found: u32::MAX, known: 1 })));
    for version in [1, 4] {
        assert!(matches!(Paid::decode_stored("Issued", version, "{}"), Err(DecodeError::UnknownName)));
        assert!(matches!(InvoicePaid::decode_stored("Issued", version, "{}"), Err(DecodeError::UnknownName)));
    }
    assert!(matches!(
        InvoiceEvent::decode_stored("Paid", 4, "{}"),
        Err(DecodeError::NewerForm { found: 4, known: 3 })
    ));
    assert!(matches!(
        InvoiceEvent::decode_stored("Issued", 2, "{}"),
        Err(DecodeError::NewerForm { found: 2, known: 1 })
    ));
}

#[test]
fn a_step_that_fails_is_an_error_with_its_version_and_the_problem() {
    assert_upcast_failed(Paid::decode_stored("Paid", 1, "{}"), 1, r#"no field "euros""#);
    assert_upcast_failed(Paid::decode_stored("Paid", 1, r#"{"euros":"7"}"#), 1, r#""euros""#);
    assert_upcast_failed(InvoiceEvent::decode_stored("Paid", 1, "{}"), 1, r#"no field "euros""#);
}

#[test]
fn what_is_not_an_object_reaches_no_step() {
    assert!(matches!(Paid::decode_stored("Paid", 1, "[]"), Err(DecodeError::NotAnObject)));
    assert!(matches!(Paid::decode_stored("Paid", 1, "{"), Err(DecodeError::Invalid(_))));
    assert!(matches!(InvoiceEvent::decode_stored("Closed", 1, "[]"), Err(DecodeError::NotAnObject)));
}

#[test]
fn a_variant_has_steps_of_its_own() {
    assert_eq!(InvoiceEvent::decode_stored("Voided", 1, "{}").unwrap(), voided("nobody"));
    assert_eq!(InvoiceEvent::decode_stored("Voided", 2, r#"{"by":"ann"}"#).unwrap(), voided("ann"));
    for version in 1..=3 {
        assert_eq!(InvoiceEvent::decode_stored("Archived", version, "{}").unwrap(), InvoiceEvent::Archived);
    }
}

#[test]
fn a_gathered_event_takes_the_steps_of_its_type() {
    let decoded = InvoiceEvent::decode_stored("Settled", 1, r#"{"euros":7}"#).unwrap();
    assert_eq!(decoded, InvoiceEvent::Paid(paid(700, "CHF")));
    let boxed = Box::<InvoiceEvent>::decode_stored("Settled", 1, r#"{"euros":7}"#).unwrap();
    assert_eq!(*boxed, decoded);
}

#[test]
fn a_name_that_was_split_reads_as_what_it_has_become() {
    let read = |name, data| InvoiceEvent::decode_stored(name, 1, data).unwrap();
    assert_eq!(read("Closed", r#"{"eur":7}"#), InvoiceEvent::Paid(paid(700, "EUR")));
    assert_eq!(read("Closed", "{}"), voided("nobody"));
    assert_eq!(read("Ended", r#"{"how":"archived"}"#), InvoiceEvent::Archived);
    // Split by one function, and then by the next.
    assert_eq!(read("Ended", r#"{"how":"closed","eur":7}"#), InvoiceEvent::Paid(paid(700, "EUR")));
    assert_eq!(read("Ended", r#"{"how":"closed by","who":"Ada"}"#), voided("Ada"));
}

#[test]
fn a_name_that_was_split_keeps_the_steps_that_it_had() {
    for (version, data) in
        [(0, r#"{"eur":7}"#), (1, r#"{"eur":7}"#), (2, r#"{"euros":7}"#), (3, r#"{"euros":7,"who":"Ada"}"#)]
    {
        let decoded = InvoiceEvent::decode_stored("Closed", version, data).unwrap();
        assert_eq!(decoded, InvoiceEvent::Paid(paid(700, "EUR")), "{version}");
    }
    assert_eq!(InvoiceEvent::decode_stored("Closed", 3, r#"{"who":"Ada"}"#).unwrap(), voided("Ada"));
    assert_upcast_failed(InvoiceEvent::decode_stored("Closed", 3, "{}"), 3, r#"no field "who""#);
}

#[test]
fn a_newer_form_of_a_name_that_was_split_is_an_error() {
    let refused = |name, version, data| match InvoiceEvent::decode_stored(name, version, data) {
        Err(DecodeError::NewerForm { found, known }) => (found, known),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused("Closed", 4, "{}"), (4, 3));
    assert_eq!(refused("Closed", u32::MAX, "{}"), (u32::MAX, 3));
    assert_eq!(refused("Ended", 2, r#"{"how":"archived"}"#), (2, 1));
    assert_eq!(refused("Ended", 1, r#"{"how":"closed in future"}"#), (4, 3));
}

#[test]
fn names_that_were_split_are_among_the_names_and_are_no_catch_alls() {
    assert_eq!(InvoiceEvent::NAMES, ["Issued", "Voided", "Archived", "Paid", "Settled", "Ended", "Closed"]);
    assert!(matches!(InvoiceEvent::decode("Closed", "{}"), Err(DecodeError::UnknownName)));
}

#[test]
fn a_split_into_no_event_or_back_into_itself_is_an_error() {
    for how in ["gone", "ended"] {
        let decoded = InvoiceEvent::decode_stored("Ended", 1, &format!(r#"{{"how":"{how}"}}"#));
        assert_upcast_failed(decoded, 1, "which is no event of this type");
    }
    assert_upcast_failed(InvoiceEvent::decode_stored("Ended", 1, "{}"), 1, r#"no field "how""#);
}

#[test]
fn a_catch_all_keeps_the_version_of_every_form() {
    let InvoiceEvent::Other(raw) = InvoiceEvent::decode_stored("Sent", 7, "{}").unwrap() else { panic!() };
    assert_eq!((raw.name(), raw.schema_version()), ("Sent", 7));
    assert_ne!(raw, RawEvent::new("Sent", "{}").unwrap());
    assert_eq!(raw, RawEvent::new("Sent", "{}").unwrap().with_schema_version(7));
}

#[test]
fn numbers_of_64_bits_survive_a_step() {
    #[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
    #[event(upcast(nothing))]
    struct Counted {
        least: i64,
        most: u64,
        sum: f64,
    }
    let counted = Counted { least: i64::MIN, most: u64::MAX, sum: 0.1 + 0.2 };
    assert_eq!(Counted::decode_stored("Counted", 1, &counted.encode().unwrap()).unwrap(), counted);
}

#[test]
fn an_event_written_by_hand_has_one_form() {
    #[derive(Debug)]
    struct ByHand;
    impl Event for ByHand {
        const NAMES: &'static [&'static str] = &["ByHand"];

        fn event_name(&self) -> std::borrow::Cow<'static, str> {
            "ByHand".into()
        }

        fn encode(&self) -> Result<String, event_sourcery::PayloadError> {
            Ok("{}".to_owned())
        }

        fn decode(name: &str, _: &str) -> Result<Self, DecodeError> {
            if name == "ByHand" { Ok(Self) } else { Err(DecodeError::UnknownName) }
        }
    }
    assert_eq!(ByHand.schema_version(), 1);
    assert!(ByHand::decode_stored("ByHand", 1, "{}").is_ok());
    assert!(matches!(
        ByHand::decode_stored("ByHand", 2, "{}"),
        Err(DecodeError::NewerForm { found: 2, known: 1 })
    ));
    assert!(matches!(ByHand::decode_stored("Other", 2, "{}"), Err(DecodeError::UnknownName)));
}

/// A step may be an associated function, as serde's attributes may name one.
#[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
#[event(upcast(Self::to_cents))]
struct Refunded {
    cents: u64,
}

impl Refunded {
    fn to_cents(event: &mut StoredForm) -> Result<(), Source> {
        euros_to_cents(event)
    }
}

#[test]
fn a_step_may_be_an_associated_function() {
    let old = Refunded::decode_stored("Refunded", 1, r#"{"euros":3}"#).unwrap();
    assert_eq!(old, Refunded { cents: 300 });
}

/// `Issued` had one step before the two became one, `Printed` had two.
#[test]
fn names_that_were_merged_take_the_steps_that_each_had() {
    #[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
    #[event(name = "Issued", alias = "Printed", upcast(Self::first, Self::second, Self::merge))]
    struct Issued {
        steps: String,
    }
    impl Issued {
        fn note(event: &mut StoredForm, step: &str) -> Result<(), Source> {
            let before: Option<String> = event.read("steps")?;
            event.write("steps", before.unwrap_or_default() + step)
        }

        fn first(event: &mut StoredForm) -> Result<(), Source> {
            Self::note(event, if event.name() == "Printed" { "p1 " } else { "i1 " })
        }

        fn second(event: &mut StoredForm) -> Result<(), Source> {
            if event.name() == "Printed" { Self::note(event, "p2 ") } else { Ok(()) }
        }

        fn merge(event: &mut StoredForm) -> Result<(), Source> {
            Self::note(event, "merged")
        }
    }
    for (name, version, steps) in [
        ("Issued", 1, "i1 merged"),
        ("Issued", 2, "merged"),
        ("Printed", 1, "p1 p2 merged"),
        ("Printed", 2, "p2 merged"),
        ("Printed", 3, "merged"),
    ] {
        let read = Issued::decode_stored(name, version, "{}").unwrap();
        assert_eq!(read.steps, steps, "{name} {version}");
    }
}

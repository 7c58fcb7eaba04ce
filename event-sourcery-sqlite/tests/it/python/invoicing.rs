//! The event types of the tests in Rust, under the names that `tests/reference/invoicing.py` gives them in Python.

use event_sourcery::{ContextComponent, Event, Position, Version, WrappedEvent};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

#[derive(Event, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[event(name = "invoicing.Issued")]
pub(super) struct Issued {
    pub(super) number: String,
    /// A `Decimal` in Python.
    pub(super) amount: String,
    pub(super) due: Date,
    pub(super) customer: Uuid,
    pub(super) lines: Vec<Line>,
    pub(super) note: Option<String>,
}

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) quantity: i64,
}

#[derive(Event, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[event(name = "invoicing.Paid")]
pub(super) struct Paid {
    pub(super) number: String,
}

#[derive(Event, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[event(name = "invoicing.Measured")]
pub(super) struct Measured {
    pub(super) weight: f64,
}

/// Taken as a snapshot.
#[derive(Event, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[event(name = "invoicing.Summary")]
pub(super) struct Summary {
    pub(super) payments: u32,
}

/// In Python its name is left to be that of module and class.
#[derive(Event, Debug, Clone, PartialEq)]
#[event(name = "invoicing.Voided")]
pub(super) struct Voided;

/// What happens to an invoice.
#[derive(Event, Debug, Clone, PartialEq)]
pub(super) enum Invoice {
    Issued(Issued),
    Paid(Paid),
    Voided(Voided),
}

/// What happens to an invoice, by a reader that knows its snapshots.
#[derive(Event, Debug, Clone, PartialEq)]
pub(super) enum Summarised {
    Paid(Paid),
    Summary(Summary),
}

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(super) struct Request {
    pub(super) id: String,
    pub(super) retries: u32,
}

impl ContextComponent for Request {
    const NAME: &'static str = "request";
}

/// An event as the reference loads it.
#[derive(Deserialize, Debug, Clone, PartialEq)]
pub(super) struct Loaded {
    /// The class.
    #[serde(rename = "type")]
    pub(super) class: String,
    pub(super) fields: Value,
    pub(super) version: Option<Version>,
    pub(super) uuid: Uuid,
    pub(super) created_at: String,
    pub(super) context: Value,
}

/// An event as the reference's subscription or outbox hands it out.
#[derive(Deserialize, Debug, Clone, PartialEq)]
pub(super) struct Published {
    #[serde(flatten)]
    pub(super) event: Loaded,
    pub(super) stream: Uuid,
    pub(super) name: Option<String>,
    pub(super) category: Option<String>,
    pub(super) tenant: String,
    pub(super) position: Position,
}

pub(super) fn paid(number: impl Into<String>) -> Paid {
    Paid { number: number.into() }
}

/// An invoice with something of everything that JSON has no type for.
pub(super) fn issued() -> Issued {
    Issued {
        number: "2025/1003".to_owned(),
        amount: "1234567890.10".to_owned(),
        due: jiff::civil::date(2025, 3, 31),
        customer: Uuid::from_u128(0x5ca1ab1e_0000_4000_8000_00000000cafe),
        lines: vec![line("Käse – 3 × 🧀", 3), line("\"quoted\"\n\t\\", -1)],
        note: None,
    }
}

fn line(text: &str, quantity: i64) -> Line {
    Line { text: text.to_owned(), quantity }
}

/// The numbers and versions of payments, as Rust has loaded them.
pub(super) fn payments(events: &[WrappedEvent<Paid>]) -> Vec<(String, Option<Version>)> {
    events.iter().map(|event| (event.event.number.clone(), event.version)).collect()
}

/// The numbers and versions of payments, as Python has loaded them.
pub(super) fn payments_in_python(events: &[Loaded]) -> Vec<(String, Option<Version>)> {
    let number = |event: &Loaded| event.fields["number"].as_str().unwrap_or_default().to_owned();
    events.iter().map(|event| (number(event), event.version)).collect()
}

/// Payments that are numbered like their versions.
pub(super) fn numbered(versions: impl IntoIterator<Item = Version>) -> Vec<(String, Option<Version>)> {
    versions.into_iter().map(|version| (version.to_string(), Some(version))).collect()
}

//! The event types of the tests in Rust, under the names that `python/invoicing.py` gives them in Python.

use event_sourcery::{ContextComponent, Event, Version, WrappedEvent};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Event, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[event(name = "invoicing.Issued")]
pub(crate) struct Issued {
    pub(crate) number: String,
    /// A `Decimal` in Python.
    pub(crate) amount: String,
    pub(crate) due: Date,
    pub(crate) customer: Uuid,
    pub(crate) lines: Vec<Line>,
    pub(crate) note: Option<String>,
}

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) quantity: i64,
}

/// An invoice was paid.
#[derive(Event, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[event(name = "invoicing.Paid")]
pub struct Paid {
    /// Tells one payment from the other.
    pub number: String,
}

/// Holds a number that may be none.
#[derive(Event, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[event(name = "invoicing.Measured")]
pub struct Measured {
    /// In Python also NaN and the infinities.
    pub weight: f64,
}

/// Taken as a snapshot.
#[derive(Event, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[event(name = "invoicing.Summary")]
pub struct Summary {
    /// How many there were.
    pub payments: u32,
}

/// In Python its name is left to be that of module and class.
#[derive(Event, Debug, Clone, PartialEq)]
#[event(name = "invoicing.Voided")]
pub(crate) struct Voided;

/// What happens to an invoice.
#[derive(Event, Debug, Clone, PartialEq)]
pub(crate) enum Invoice {
    Issued(Issued),
    Paid(Paid),
    Voided(Voided),
}

/// What happens to an invoice, by a reader that knows its snapshots.
#[derive(Event, Debug, Clone, PartialEq)]
pub enum Summarised {
    /// What happened.
    Paid(Paid),
    /// A snapshot.
    Summary(Summary),
}

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(crate) struct Request {
    pub(crate) id: String,
    pub(crate) retries: u32,
}

impl ContextComponent for Request {
    const NAME: &'static str = "request";
}

/// A payment of this number.
pub fn paid(number: impl Into<String>) -> Paid {
    Paid { number: number.into() }
}

/// An invoice with something of everything that JSON has no type for.
pub(crate) fn issued() -> Issued {
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
pub fn payments(events: &[WrappedEvent<Paid>]) -> Vec<(String, Option<Version>)> {
    events.iter().map(|event| (event.event.number.clone(), event.version)).collect()
}

/// Payments that are numbered like their versions.
pub fn numbered(versions: impl IntoIterator<Item = Version>) -> Vec<(String, Option<Version>)> {
    versions.into_iter().map(|version| (version.to_string(), Some(version))).collect()
}

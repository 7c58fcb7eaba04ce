//! The events that are stored: those of an invoice, as an application would declare them.

use event_sourcery::{Event, StreamId};
use serde::{Deserialize, Serialize};

use crate::Result;

#[derive(Event, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct InvoiceIssued {
    pub invoice_number: String,
    pub customer: String,
    pub currency: String,
    pub total_cents: i64,
}

#[derive(Event, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct InvoicePaid {
    pub invoice_number: String,
    pub method: String,
    pub amount_cents: i64,
    pub in_full: bool,
}

#[derive(Event, Debug, Clone, PartialEq)]
pub enum InvoiceEvent {
    Issued(InvoiceIssued),
    Paid(InvoicePaid),
}

impl InvoiceEvent {
    /// The n-th event of an invoice: issued first, then paid in instalments.
    pub fn nth(number: u64) -> Self {
        let invoice_number = format!("2025-{number:08}");
        let amount_cents = i64::from(u32::try_from(number % 100_000).unwrap_or(0)) + 995;
        if number.is_multiple_of(4) {
            Self::Issued(InvoiceIssued {
                invoice_number,
                customer: "Kowalski & Daughters".into(),
                currency: "EUR".into(),
                total_cents: amount_cents,
            })
        } else {
            Self::Paid(InvoicePaid {
                invoice_number,
                method: "transfer".into(),
                amount_cents,
                in_full: false,
            })
        }
    }

    pub fn several(count: u64) -> Vec<Self> {
        (0..count).map(Self::nth).collect()
    }
}

/// The streams of these names: `{prefix}/0`, `{prefix}/1`, ..
pub fn streams(prefix: &str, count: usize) -> Result<Vec<StreamId>> {
    (0..count).map(|number| Ok(StreamId::from_name(format!("{prefix}/{number}"))?)).collect()
}

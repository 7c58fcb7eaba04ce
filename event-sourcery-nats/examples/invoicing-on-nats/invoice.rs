//! An invoice, and what can happen to it: a stream for each, in the category `invoices`.

use event_sourcery::{Event, Result, StreamId, Version, WrappedEvent};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize, Debug, Clone)]
pub(crate) struct InvoiceIssued {
    pub(crate) customer: String,
    pub(crate) total_cents: i64,
}

#[derive(Event, Serialize, Deserialize, Debug, Clone)]
pub(crate) struct PaymentReceived {
    pub(crate) amount_cents: i64,
}

#[derive(Event, Debug, Clone)]
pub(crate) enum InvoiceEvent {
    Issued(InvoiceIssued),
    Paid(PaymentReceived),
}

#[derive(Serialize, Debug)]
pub(crate) struct Invoice {
    pub(crate) number: String,
    pub(crate) customer: String,
    pub(crate) total_cents: i64,
    pub(crate) paid_cents: i64,
    pub(crate) version: Version,
}

pub(crate) fn stream_of(number: &str) -> Result<StreamId> {
    StreamId::from_name(number)?.in_category("invoices")
}

impl Invoice {
    /// What has become of it; `None` where it was never issued.
    pub(crate) fn of(number: String, events: &[WrappedEvent<InvoiceEvent>]) -> Option<Self> {
        let (first, payments) = events.split_first()?;
        let InvoiceEvent::Issued(InvoiceIssued { customer, total_cents }) = &first.event else { return None };
        let paid = payments.iter().map(|payment| match &payment.event {
            InvoiceEvent::Paid(PaymentReceived { amount_cents }) => *amount_cents,
            InvoiceEvent::Issued(_) => 0,
        });
        let version = events.last().and_then(|last| last.version).unwrap_or_default();
        Some(Self {
            number,
            customer: customer.clone(),
            total_cents: *total_cents,
            paid_cents: paid.sum(),
            version,
        })
    }

    pub(crate) const fn open_cents(&self) -> i64 {
        self.total_cents - self.paid_cents
    }
}

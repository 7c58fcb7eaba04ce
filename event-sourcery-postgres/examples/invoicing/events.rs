//! What can happen to an invoice, and where it is kept: a stream for each, in the category `invoices`.

use event_sourcery::{Event, Result, StreamId};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize, Debug)]
pub(crate) struct InvoiceIssued {
    pub(crate) customer: String,
    pub(crate) total_cents: i64,
}

#[derive(Event, Serialize, Deserialize, Debug)]
pub(crate) struct PaymentReceived {
    pub(crate) amount_cents: i64,
}

pub(crate) fn stream_of(number: &str) -> Result<StreamId> {
    StreamId::from_name(number)?.in_category("invoices")
}

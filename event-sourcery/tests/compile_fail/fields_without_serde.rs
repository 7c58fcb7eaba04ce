use event_sourcery::Event;
use serde::Serialize;

#[derive(Event)]
struct InvoicePaid {
    number: String,
}

#[derive(Event, Serialize)]
enum InvoiceEvent {
    Issued { number: String },
    Voided { number: String },
}

fn main() {}

use event_sourcery::Event;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
struct InvoicePaid {
    #[event(name = "number")]
    number: String,
}

#[derive(Event)]
enum InvoiceEvent {
    Paid(#[event(encrypted)] InvoicePaid),
}

fn main() {}

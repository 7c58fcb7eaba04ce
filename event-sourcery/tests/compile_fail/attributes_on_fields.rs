use event_sourcery::Event;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
struct InvoicePaid {
    #[event(encrypted)]
    number: String,
}

#[derive(Event, Serialize, Deserialize)]
enum InvoiceEvent {
    Paid(#[event(name = "invoicing.Paid")] InvoicePaid),
    Issued {
        #[event(encrypted)]
        number: String,
    },
}

fn main() {}

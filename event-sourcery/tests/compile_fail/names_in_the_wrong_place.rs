use event_sourcery::{Event, RawEvent};

#[derive(Event)]
struct InvoicePaid;

#[derive(Event)]
#[event(name = "InvoiceEvent")]
#[event(alias = "Invoices")]
enum InvoiceEvent {
    Voided,
}

#[derive(Event)]
enum LedgerEvent {
    #[event(name = "invoicing.Paid", alias = "Settled")]
    Paid(InvoicePaid),
    #[event(catch_all, name = "Other")]
    Other(RawEvent),
}

fn main() {}

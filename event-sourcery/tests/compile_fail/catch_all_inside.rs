use event_sourcery::{Event, RawEvent};

#[derive(Event)]
enum InvoiceEvent {
    Paid,
    #[event(catch_all)]
    Other(RawEvent),
}

#[derive(Event)]
enum LedgerEvent {
    Closed,
    Invoice(InvoiceEvent),
}

#[derive(Event)]
enum Unmarked {
    Paid,
    Other(RawEvent),
}

fn main() {}

use event_sourcery::Event;

#[derive(Event)]
struct InvoicePaid;

#[derive(Event)]
enum InvoiceEvent {
    Voided,
    #[event(catch_all)]
    Other(InvoicePaid),
}

fn main() {}

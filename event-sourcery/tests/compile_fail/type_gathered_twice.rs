use event_sourcery::Event;

#[derive(Event)]
struct InvoicePaid;

#[derive(Event)]
enum InvoiceEvent {
    Paid(InvoicePaid),
    Settled(InvoicePaid),
}

fn main() {}

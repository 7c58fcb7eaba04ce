use event_sourcery::Event;

struct InvoicePaid;

#[derive(Event)]
enum InvoiceEvent {
    Paid(InvoicePaid),
    Voided,
}

fn main() {}

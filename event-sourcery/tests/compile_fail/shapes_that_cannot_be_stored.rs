use event_sourcery::Event;

#[derive(Event)]
struct InvoicePaid(String, u64);

#[derive(Event)]
struct InvoiceVoided();

#[derive(Event)]
enum InvoiceEvent {
    Paid(String, u64),
    Voided(),
}

#[derive(Event)]
enum Empty {}

#[derive(Event)]
union Either {
    paid: u8,
    voided: u8,
}

fn main() {}

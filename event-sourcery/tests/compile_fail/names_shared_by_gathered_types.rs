use event_sourcery::Event;

#[derive(Event)]
#[event(name = "invoicing.Paid", alias = "InvoicePaid")]
struct InvoicePaid;

#[derive(Event)]
#[event(name = "InvoicePaid")]
struct LegacyInvoicePaid;

#[derive(Event)]
enum TwoGathered {
    Paid(InvoicePaid),
    Legacy(LegacyInvoicePaid),
}

#[derive(Event)]
enum GatheredAndDeclared {
    #[event(alias = "invoicing.Paid")]
    Settled,
    Paid(InvoicePaid),
}

#[derive(Event)]
enum InvoiceEvent {
    Voided,
    Paid(InvoicePaid),
}

#[derive(Event)]
enum Nested {
    Legacy(LegacyInvoicePaid),
    Invoice(InvoiceEvent),
}

fn main() {}

use event_sourcery::{Event, Source, StoredForm, Successor};

fn split(_: &mut StoredForm) -> Result<Successor, Source> {
    Ok(Successor::of("Voided"))
}

#[derive(Event)]
#[event(alias = "InvoiceClosed")]
struct InvoicePaid;

#[derive(Event)]
#[event(upcast("InvoiceClosed" = split))]
enum InvoiceEvent {
    Paid(InvoicePaid),
    Voided,
}

fn main() {}

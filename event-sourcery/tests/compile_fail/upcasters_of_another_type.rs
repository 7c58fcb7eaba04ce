use event_sourcery::{Event, Source, StoredForm, Successor};

fn split(_: &mut StoredForm) -> Result<Successor, Source> {
    Ok(Successor::of("Voided"))
}

#[derive(Event)]
#[event(upcast(split))]
struct InvoicePaid;

#[derive(Event)]
#[event(upcast(not_there))]
struct InvoiceSent;

#[derive(Event)]
#[event(upcast("Closed" = (split, step)))]
enum InvoiceEvent {
    Voided,
}

fn step(_: &mut StoredForm) -> Result<(), Source> {
    Ok(())
}

fn main() {}

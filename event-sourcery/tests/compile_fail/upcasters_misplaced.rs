use event_sourcery::{Event, RawEvent, Source, StoredForm, Successor};

fn step(_: &mut StoredForm) -> Result<(), Source> {
    Ok(())
}

fn split(_: &mut StoredForm) -> Result<Successor, Source> {
    Ok(Successor::of("Voided"))
}

#[derive(Event)]
#[event(upcast("Paid" = split))]
struct InvoicePaid;

#[derive(Event)]
#[event(upcast(step))]
#[event(upcast(step))]
struct InvoiceSent;

#[derive(Event)]
#[event(upcast = step)]
struct InvoiceRead;

#[derive(Event)]
#[event(upcast())]
struct InvoiceLost;

#[derive(Event)]
#[event(upcast(|event| Ok(())))]
struct InvoiceFound;

#[derive(Event)]
#[event(upcast(step))]
enum LedgerEvent {
    Voided,
}

#[derive(Event)]
#[event(upcast("Voided" = split, "Former" = split, "Closed" = split, "Closed" = split, "" = split))]
enum InvoiceEvent {
    #[event(alias = "Former")]
    Voided,
    #[event(upcast(step))]
    Lost(InvoiceLost),
    #[event(catch_all, upcast(step))]
    Other(RawEvent),
}

#[derive(Event)]
#[event(upcast("Closed" = ()))]
enum WithoutAFunction {
    Sent,
}

#[derive(Event)]
#[event(upcast("Closed" = (step, |event| Ok(Successor::of("Sent")))))]
enum WithAClosure {
    Sent,
}

#[derive(Event)]
#[event(upcast("Closed" = (step, ("Ended" = split))))]
enum WithASplitWithin {
    Sent,
}

#[derive(Event)]
#[event(upcast("Closed" = "split"))]
enum WithAText {
    Sent,
}

fn main() {}

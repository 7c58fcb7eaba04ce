use event_sourcery::Event;

#[derive(Event)]
#[event(names = "InvoicePaid")]
#[event(catch_all)]
#[event]
struct InvoicePaid;

#[derive(Event)]
#[event(rename_all = "snake_case")]
enum InvoiceEvent {
    #[event(rename = "InvoiceVoided")]
    Voided,
    #[event(name = "a", name = "b")]
    Reopened,
    #[event(name = Issued)]
    Issued,
}

#[derive(Event)]
#[event(crate = "not a path")]
struct Misplaced;

fn main() {}

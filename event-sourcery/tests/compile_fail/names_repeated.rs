use event_sourcery::Event;

#[derive(Event)]
enum TwoVariants {
    Paid,
    #[event(name = "Paid")]
    Settled,
}

#[derive(Event)]
enum NameAndAlias {
    #[event(alias = "InvoicePaid")]
    Paid,
    #[event(alias = "invoicing.Paid", alias = "InvoicePaid")]
    Settled,
    InvoicePaid,
}

#[derive(Event)]
enum AliasOfItself {
    #[event(alias = "Paid")]
    Paid,
}

#[derive(Event)]
#[event(alias = "InvoicePaid", alias = "Settled")]
#[event(alias = "Settled")]
struct InvoicePaid;

fn main() {}

use event_sourcery::{Event, RawEvent};

#[derive(Event)]
enum Two {
    #[event(catch_all)]
    Other(RawEvent),
    #[event(catch_all)]
    Rest(RawEvent),
}

#[derive(Event)]
enum Misshapen {
    #[event(catch_all)]
    Named { event: RawEvent },
}

#[derive(Event)]
enum Empty {
    #[event(catch_all)]
    Unit,
}

#[derive(Event)]
enum Pair {
    #[event(catch_all)]
    Pair(RawEvent, String),
}

fn main() {}

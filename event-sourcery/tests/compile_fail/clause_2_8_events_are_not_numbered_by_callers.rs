use event_sourcery::{EventStore, NewEvent, RawEvent, StreamId};

fn number_an_event(paid: NewEvent<RawEvent>) {
    paid.with_version(7);
}

fn number_an_append(store: &EventStore, stream: &StreamId, paid: RawEvent) {
    drop(store.append(stream, paid).as_version(7));
}

fn main() {}

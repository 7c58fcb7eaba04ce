use event_sourcery::{Appended, EventStore, Position, RawEvent};

fn read_after_an_append(store: &EventStore, appended: Appended) {
    drop(store.read_all::<RawEvent>().after(appended.position));
}

fn turn_one_into_the_other(appended: Appended) -> Position {
    appended.position.into()
}

fn compare_them(appended: Appended, position: Position) -> bool {
    appended.position <= position
}

fn calculate(position: Position) -> Position {
    position + 1
}

fn main() {}

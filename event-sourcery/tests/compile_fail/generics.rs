use event_sourcery::Event;

#[derive(Event)]
struct Lifetime<'a> {
    number: &'a str,
}

#[derive(Event)]
enum Type<T> {
    Paid(T),
}

#[derive(Event)]
struct Const<const N: usize> {
    numbers: [u8; N],
}

fn main() {}

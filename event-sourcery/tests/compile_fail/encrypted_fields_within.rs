use event_sourcery::Event;
use event_sourcery::privacy::Personal;
use serde::{Deserialize, Serialize};

#[derive(Personal, Serialize, Deserialize)]
struct Address {
    #[event(encrypted)]
    street: String,
}

#[derive(Event, Serialize, Deserialize)]
struct InATuple {
    #[event(subject)]
    customer: u64,
    lives: (Address, u8),
}

#[derive(Personal, Serialize, Deserialize)]
struct InAListOfTuples {
    id: u64,
    name: u64,
    lived: Vec<(u8, Address)>,
}

#[derive(Event, Serialize, Deserialize)]
struct Moved {
    #[event(subject)]
    customer: u64,
    #[event(encrypted)]
    street: String,
}

#[derive(Event, Serialize, Deserialize)]
enum AnEventInAnother {
    Corrected {
        customer: u64,
        instead_of: Option<Moved>,
    },
}

#[derive(Event, Serialize, Deserialize)]
struct OfNobody {
    city: u64,
    country: u64,
    lives: Address,
}

fn main() {}

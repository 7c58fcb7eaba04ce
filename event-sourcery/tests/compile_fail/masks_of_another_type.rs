use event_sourcery::Event;
use serde::{Deserialize, Serialize};

#[derive(Default, Serialize, Deserialize)]
struct Address {
    city: String,
}

#[derive(Serialize, Deserialize)]
enum Plan {
    Free,
    Paid,
}

#[derive(Event, Serialize, Deserialize)]
#[event(stream_is_subject)]
struct CustomerRegistered {
    #[event(encrypted, mask = 7)]
    email: String,
    #[event(encrypted, mask = "nowhere")]
    address: Address,
    #[event(encrypted, mask = None)]
    name: String,
    #[event(encrypted)]
    plan: Plan,
}

fn main() {}

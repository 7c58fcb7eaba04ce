use std::collections::BTreeMap;

use event_sourcery::Event;
use event_sourcery::privacy::Personal;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
struct OfNobody {
    #[event(encrypted)]
    email: String,
}

#[derive(Event, Serialize, Deserialize)]
struct OfTwo {
    #[event(subject)]
    buyer: u64,
    #[event(subject)]
    seller: u64,
    #[event(encrypted)]
    email: String,
}

#[derive(Event, Serialize, Deserialize)]
struct OfWhomNobodyCanTell {
    #[event(encrypted, subject)]
    customer: String,
    #[event(encrypted, subject = "custmer")]
    email: String,
    #[event(encrypted, subject = "customer")]
    name: String,
    #[event(mask = "forgotten")]
    city: String,
}

#[derive(Event, Serialize, Deserialize)]
#[event(stream_is_subject)]
struct NotAlwaysThere {
    #[event(encrypted)]
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[event(encrypted)]
    #[serde(flatten)]
    rest: BTreeMap<String, String>,
}

#[derive(Personal)]
enum Contact {
    Email(String),
}

fn main() {}

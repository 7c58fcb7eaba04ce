use event_sourcery::Event;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(tags(curse))]
struct Misspelt {
    course: String,
}

#[derive(Event, Serialize, Deserialize)]
#[event(tags(course = "co:urse"))]
struct WithColon {
    course: String,
}

#[derive(Event, Serialize, Deserialize)]
#[event(tags(customer, email))]
struct InTheClear {
    #[event(subject)]
    customer: u64,
    #[event(encrypted)]
    email: String,
}

#[derive(Event, Serialize, Deserialize)]
#[event(tags(course))]
struct NotStored {
    #[serde(skip)]
    course: String,
}

#[derive(Event, Serialize, Deserialize)]
enum OfNothing {
    #[event(tags)]
    Opened { course: String },
    #[event(tags(course))]
    Closed,
}

fn main() {}

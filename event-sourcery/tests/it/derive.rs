//! What `#[derive(Event)]` promises.

use std::fmt::Debug;

use event_sourcery::Event;
use serde::{Deserialize, Serialize};

mod gathering;
mod structs;
mod tagging;
mod upcasting;
mod variants;

#[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
struct InvoicePaid {
    number: String,
}

fn paid() -> InvoicePaid {
    InvoicePaid { number: "1003".into() }
}

#[track_caller]
fn assert_stored_as<E: Event + Debug + PartialEq>(event: &E, name: &str, payload: &str) {
    assert_eq!(event.event_name(), name);
    assert_eq!(event.encode().unwrap(), payload);
    assert_eq!(&E::decode(name, payload).unwrap(), event);
}

use event_sourcery::{Event, RawEvent};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
enum Skipped {
    #[serde(skip)]
    Both { number: String },
    #[serde(rename = "read", skip_serializing)]
    Read { number: String },
    #[serde(alias = "written")]
    #[serde(skip_deserializing)]
    Written { number: String },
}

#[derive(Event, Serialize, Deserialize)]
enum UntaggedVariant {
    Paid { number: String },
    #[serde(untagged)]
    Voided,
}

#[derive(Event, Serialize, Deserialize)]
#[serde(tag = "type")]
enum OtherVariant {
    Voided,
    #[serde(other)]
    Rest,
}

#[derive(Event)]
enum CatchAll {
    Paid { number: String },
    #[event(catch_all)]
    Other(RawEvent),
}

fn main() {}

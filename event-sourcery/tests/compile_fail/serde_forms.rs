use event_sourcery::Event;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[serde(tag = "type")]
enum Tag {
    Paid { number: String },
}

#[derive(Event, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
enum Content {
    Paid { number: String },
}

#[derive(Event, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Paid { number: String },
}

#[derive(Event, Clone, Serialize, Deserialize)]
#[serde(from = "Untagged", into = "String")]
enum Converted {
    Paid { number: String },
}

impl From<Untagged> for Converted {
    fn from(Untagged::Paid { number }: Untagged) -> Self {
        Self::Paid { number }
    }
}

impl From<Converted> for String {
    fn from(Converted::Paid { number }: Converted) -> Self {
        number
    }
}

fn main() {}

//! What the reference answers.

use event_sourcery::{Position, Version};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

/// What the reference answered a refused command with.
#[derive(Debug, PartialEq)]
pub struct Refusal {
    /// The exception's class.
    pub error: String,
    /// The exception's text.
    pub message: String,
}

/// An event as the reference loads it.
#[derive(Deserialize, Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The class.
    #[serde(rename = "type")]
    pub class: String,
    /// The payload, as pydantic dumps it.
    pub fields: Value,
    /// `None` in a stream without versions.
    pub version: Option<Version>,
    /// The event's id.
    pub uuid: Uuid,
    /// The wall clock, to the microsecond: `2025-03-16 10:03:02.138667`.
    pub created_at: String,
    /// With the keys that older writers put at the root.
    pub context: Value,
}

/// An event as the reference's subscription or outbox hands it out.
#[derive(Deserialize, Debug, Clone, PartialEq)]
pub struct Published {
    #[serde(flatten)]
    /// The event itself.
    pub event: Loaded,
    /// The stream's UUID.
    pub stream: Uuid,
    /// The stream's name, where the reference knows it.
    pub name: Option<String>,
    /// The stream's category, where the reference knows it.
    pub category: Option<String>,
    /// Empty for the default tenant.
    pub tenant: String,
    /// The place in the store.
    pub position: Position,
}

/// The numbers and versions of payments, as Python has loaded them.
pub fn payments_in_python(events: &[Loaded]) -> Vec<(String, Option<Version>)> {
    let number = |event: &Loaded| event.fields["number"].as_str().unwrap_or_default().to_owned();
    events.iter().map(|event| (number(event), event.version)).collect()
}

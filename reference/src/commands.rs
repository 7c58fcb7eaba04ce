//! What the reference is told: commands, and the events and streams in them.

use event_sourcery::{Event, StreamId, Version};
use serde_json::{Value, json};

/// What the reference expects of a stream that it appends to.
#[derive(Debug, Clone, Copy)]
pub enum Expected {
    /// Its last version; 0 where it must not exist yet.
    Version(Version),
    /// Nothing: the stream has no versions.
    NoVersioning,
}

/// The command to append.
pub fn append(stream: &StreamId, expected: Expected, events: &[Value]) -> Value {
    let expected = match expected {
        Expected::Version(version) => json!(version),
        Expected::NoVersioning => json!("no_versioning"),
    };
    json!({"do": "append", "stream": place(stream), "expected_version": expected, "events": events})
}

/// A command, with one more word in it.
pub fn with(mut command: Value, word: &str, value: impl Into<Value>) -> Value {
    command[word] = value.into();
    command
}

/// A stream as the reference is told of it: by its name where there is one, so that it finds the UUID itself.
pub fn place(stream: &StreamId) -> Value {
    let mut place = match stream.name() {
        Some(name) => json!({"name": name}),
        None => json!({"uuid": stream.uuid()}),
    };
    if let Some(category) = stream.category() {
        place["category"] = category.as_str().into();
    }
    place
}

/// An event of ours as the reference is told to write it.
pub fn event<E: Event>(event: &E) -> Value {
    let name = event.event_name();
    let class = name.rsplit('.').next().unwrap_or_default();
    let fields: Value = serde_json::from_str(&event.encode().expect("the event encodes")).expect("JSON");
    json!({"type": class, "fields": fields})
}

//! A CloudEvent: its attributes, and its payload.

use std::fmt;
use std::fmt::Write as _;

use serde_json::Value;
use serde_json::value::RawValue;

/// What the payload is.
pub const DATA_CONTENT_TYPE: &str = "application/json";

/// What a message in the structured form is.
pub const STRUCTURED_CONTENT_TYPE: &str = "application/cloudevents+json";

/// An event as a CloudEvent 1.0. `Debug` shows no payload, but how long it is.
#[derive(Clone)]
pub struct CloudEvent<'r> {
    /// Never empty.
    attributes: Vec<(&'static str, String)>,
    data: &'r RawValue,
}

impl<'r> CloudEvent<'r> {
    pub(crate) const fn new(attributes: Vec<(&'static str, String)>, data: &'r RawValue) -> Self {
        Self { attributes, data }
    }

    /// The attributes, the required ones first.
    pub fn attributes(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.attributes.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// The attribute of this name, if it is there.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// The payload: the text of a JSON object, as it stands in the store.
    #[must_use]
    pub fn data(&self) -> &'r str {
        self.data.get()
    }

    /// The structured form: one text of JSON, of the type [`STRUCTURED_CONTENT_TYPE`].
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut json = String::with_capacity(self.data().len() + 1_024);
        json.push('{');
        for (name, value) in self.attributes() {
            // No name holds what JSON escapes. Writing to a string does not fail.
            let _ = write!(json, "\"{name}\":{},", Value::from(value));
        }
        json.push_str("\"data\":");
        json.push_str(self.data());
        json.push('}');
        json
    }
}

/// Without the payload.
impl fmt::Debug for CloudEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.data().len();
        f.debug_struct("CloudEvent")
            .field("attributes", &self.attributes)
            .field("data_bytes", &bytes)
            .finish()
    }
}

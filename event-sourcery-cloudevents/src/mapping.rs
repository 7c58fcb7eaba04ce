//! From a record to a CloudEvent: whose it is, and what it says.

use event_sourcery::telemetry::TraceCarrier;
use event_sourcery::{RawEvent, Recorded};

use crate::event::CloudEvent;

/// How much of a refused value an error shows.
const SHOWN_CHARACTERS: usize = 40;

/// Makes CloudEvents of records: it knows the source that they are said to come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudEvents {
    source: String,
}

/// Why there is no CloudEvent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MappingError {
    /// A source that is no reference to a URI.
    #[error(
        "the source {source_given:?} is refused: give a reference to a URI, such as `/shop` or `https://shop.example`"
    )]
    InvalidSource {
        /// What was given, cut to 40 characters.
        source_given: String,
    },

    /// A value that no attribute of a CloudEvent can hold.
    #[error(
        "the attribute {attribute} cannot hold {value:?}: it is empty, or has a control character in it. Publish this event in \
         another way, or skip it"
    )]
    Unsayable {
        /// The attribute.
        attribute: &'static str,
        /// The value, cut to 40 characters.
        value: String,
    },
}

impl CloudEvents {
    /// CloudEvents of this source: together with an event's id, it tells the event from all others. It is a reference to a URI,
    /// such as `/shop` or `https://shop.example/orders`.
    ///
    /// # Errors
    ///
    /// [`MappingError::InvalidSource`] for an empty one, and one with characters that no URI has.
    pub fn from_source(source: impl Into<String>) -> Result<Self, MappingError> {
        let source = source.into();
        if source.is_empty() || !source.chars().all(is_of_a_uri) {
            return Err(MappingError::InvalidSource { source_given: shown(&source) });
        }
        Ok(Self { source })
    }

    /// The source.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The CloudEvent of a record. The same record gives the same one, always.
    ///
    /// # Errors
    ///
    /// [`MappingError::Unsayable`] where a name holds what no attribute can.
    pub fn event<'r>(&self, recorded: &'r Recorded<RawEvent>) -> Result<CloudEvent<'r>, MappingError> {
        let (event, stream) = (&recorded.wrapped_event, &recorded.stream_id);
        let subject = stream.name().map_or_else(|| stream.uuid().to_string(), str::to_owned);
        let trace = TraceCarrier::of(&event.context);
        let tenant = Some(recorded.tenant_id.as_str()).filter(|tenant| !tenant.is_empty());
        let attributes = [
            ("specversion", Some("1.0".to_owned())),
            ("id", Some(event.uuid.to_string())),
            ("source", Some(self.source.clone())),
            ("type", Some(event.event.name().to_owned())),
            ("subject", Some(subject)),
            ("time", Some(event.created_at.to_string())),
            ("datacontenttype", Some(crate::DATA_CONTENT_TYPE.to_owned())),
            ("streamid", Some(stream.uuid().to_string())),
            ("streamname", stream.name().map(str::to_owned)),
            ("streamcategory", stream.category().map(|category| category.as_str().to_owned())),
            ("streamversion", event.version.map(|version| version.to_string())),
            ("position", Some(recorded.position.to_string())),
            ("schemaversion", Some(event.event.schema_version().to_string())),
            ("tenantid", tenant.map(str::to_owned)),
            ("correlationid", event.context.correlation_id().map(|id| id.to_string())),
            ("causationid", event.context.causation_id().map(|id| id.to_string())),
            ("traceparent", trace.as_ref().and_then(TraceCarrier::trace_parent).map(str::to_owned)),
            ("tracestate", trace.as_ref().and_then(TraceCarrier::trace_state).map(str::to_owned)),
        ];
        let attributes: Vec<(&'static str, String)> =
            attributes.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        for &(attribute, ref value) in &attributes {
            if value.is_empty() || value.chars().any(is_unsayable) {
                return Err(MappingError::Unsayable { attribute, value: shown(value) });
            }
        }
        Ok(CloudEvent::new(attributes, event.event.data()))
    }
}

/// RFC 3986: the characters of a URI, escapes included.
fn is_of_a_uri(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c)
}

/// What the type String of the specification leaves out: controls, and code points that are no characters.
fn is_unsayable(c: char) -> bool {
    let code = u32::from(c);
    c.is_control() || (0xFDD0..=0xFDEF).contains(&code) || code & 0xFFFE == 0xFFFE
}

fn shown(value: &str) -> String {
    value.chars().take(SHOWN_CHARACTERS).collect()
}

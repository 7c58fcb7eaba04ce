//! A CloudEvent as a message: the form, and the headers that a protocol's binding gives it.

use crate::event::{CloudEvent, DATA_CONTENT_TYPE, STRUCTURED_CONTENT_TYPE};
use crate::names::percent_encoded;

/// How a CloudEvent becomes a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// All of it is the body: one text of JSON.
    #[default]
    Structured,
    /// The payload is the body, and the attributes are headers.
    Binary,
}

/// For which protocol headers are spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Binding {
    /// `ce-id`, percent-encoded; what the payload is stands in `Content-Type`, which is not among them.
    Http,
    /// `ce-id`, percent-encoded, with `ce-datacontenttype`: the draft of the binding 1.0.3.
    Nats,
    /// `cloudEvents_id`, as it is; what the payload is stands in the property `content-type`, which is not among them. RabbitMQ
    /// hands its headers on to clients of AMQP 1.0 as the application properties that the binding speaks of.
    Amqp,
}

/// A CloudEvent, ready to be sent.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// What the body is.
    pub content_type: &'static str,
    /// In the binary form, the attributes; none in the structured form.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// Without the payload.
impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("content_type", &self.content_type)
            .field("headers", &self.headers)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

impl CloudEvent<'_> {
    /// The attributes as the headers of the binary form.
    #[must_use]
    pub fn headers(&self, binding: Binding) -> Vec<(String, String)> {
        let in_its_own_place =
            |name: &str| name == "datacontenttype" && matches!(binding, Binding::Http | Binding::Amqp);
        let header = |(name, value): (&str, &str)| match binding {
            Binding::Http | Binding::Nats => (format!("ce-{name}"), percent_encoded(value, is_plain)),
            Binding::Amqp => (format!("cloudEvents_{name}"), value.to_owned()),
        };
        self.attributes().filter(|(name, _)| !in_its_own_place(name)).map(header).collect()
    }

    /// The message in this form.
    #[must_use]
    pub fn message(&self, form: Form, binding: Binding) -> Message {
        match form {
            Form::Structured => {
                Message { content_type: STRUCTURED_CONTENT_TYPE, headers: Vec::new(), body: self.to_json() }
            }
            Form::Binary => Message {
                content_type: DATA_CONTENT_TYPE,
                headers: self.headers(binding),
                body: self.data().to_owned(),
            },
        }
    }
}

/// What the bindings of HTTP and NATS leave as it is: visible ASCII, but for the quote and the sign of the encoding itself.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'"' && byte != b'%'
}

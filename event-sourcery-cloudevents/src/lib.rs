//! Events of [Event Sourcery](event_sourcery) as [CloudEvents](https://cloudevents.io) 1.0.
//!
//! ```
//! use event_sourcery::{Position, RawEvent, Recorded, StreamId, WrappedEvent};
//! use event_sourcery_cloudevents::{Binding, CloudEvents};
//!
//! let paid = WrappedEvent::new(RawEvent::new("InvoicePaid", r#"{"number":"1003"}"#)?).with_version(2);
//! let recorded = Recorded::new(paid, StreamId::from_name("invoices/1003")?, Position::from_i64(17));
//!
//! let events = CloudEvents::from_source("/shop")?;
//! let event = events.event(&recorded)?;
//! assert_eq!(event.attribute("subject"), Some("invoices/1003"));
//! assert!(event.headers(Binding::Http).contains(&("ce-position".to_owned(), "17".to_owned())));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which attribute says what
//!
//! | attribute | holds | there |
//! |---|---|---|
//! | `specversion` | `1.0` | always |
//! | `id` | the event's id: the same however often it is published | always |
//! | `source` | what [`CloudEvents::from_source`] was given | always |
//! | `type` | the event's stored name | always |
//! | `subject` | the stream's name, or its UUID where it has none | always |
//! | `time` | when it happened, in UTC, to the microsecond (RFC 3339) | always |
//! | `datacontenttype` | `application/json` | always |
//! | `streamid` | the stream's UUID | always |
//! | `streamname` | the stream's name | where it has one |
//! | `streamcategory` | the stream's category | where it has one |
//! | `streamversion` | the event's number in the stream, from 1 | in streams with versions |
//! | `position` | where it stands in the whole store | always |
//! | `schemaversion` | the version of the form that the payload is in | always |
//! | `tenantid` | whose stream it is | but for the default tenant |
//! | `correlationid`, `causationid` | those of its context | where they are set |
//! | `traceparent`, `tracestate` | the trace that it was appended in, as W3C's *Trace Context* writes it | where it carries one |
//!
//! Those from `streamid` on are extensions; the last two are that for *distributed tracing*. What is no such trace is left out. All values are strings, numbers too: libraries for JavaScript change integers above
//! 2^53. Other components of the context are not sent. The payload is `data`, as it stands in the store.
//!
//! A CloudEvent holds no control characters and no text that is no character. An event that would need one, such as one of a stream
//! with a line break in its name, is an error here ([`MappingError::Unsayable`]), not something else.
//!
//! # Which form
//!
//! The structured form, one text of JSON, is read alike by the CloudEvents libraries that we tried; it is what the publishers send unless
//! told otherwise. In the binary form the payload is the body and the attributes are headers. Their values are percent-encoded for
//! HTTP and NATS, as the bindings say; several libraries do not decode them, which shows where a name is not plain ASCII.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod event;
mod headers;
mod mapping;
mod names;

pub use event::{CloudEvent, DATA_CONTENT_TYPE, STRUCTURED_CONTENT_TYPE};
pub use headers::{Binding, Form, Message};
pub use mapping::{CloudEvents, MappingError};
pub use names::token;

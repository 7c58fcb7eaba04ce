//! A message as AMQP has it, within the limits of its types.

use event_sourcery::outbox::{OutboxEntry, PublishError};
use event_sourcery::{RawEvent, Recorded};
use event_sourcery_cloudevents::{Binding, CloudEvents, Form, token};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, FrameSize, LongString, ShortString};

/// What AMQP's short strings hold. The client panics on more.
const LONGEST_KEY: usize = 255;

/// Written to disk, by queues that write.
const PERSISTENT: u8 = 2;

/// What a header takes beside its name and its value; more than AMQP's own five bytes.
const AROUND_A_HEADER: usize = 8;

/// What is in the frame of the headers beside them: the other properties.
const AROUND_THE_HEADERS: usize = 512;

/// The smallest frame that AMQP allows.
const SMALLEST_FRAME: usize = 4_096;

/// A message that AMQP cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnfitMessage {
    /// The routing key is too long.
    #[error(
        "the routing key {shown:?} has {bytes} bytes, and AMQP holds 255: give the publisher shorter ones (with_routing_key)"
    )]
    RoutingKey {
        /// Its beginning.
        shown: String,
        /// How long it is.
        bytes: usize,
    },
    /// The attributes are too long to be headers.
    #[error(
        "the headers have {bytes} bytes, and a frame of this connection holds {most}: send the structured form, or larger frames"
    )]
    Headers {
        /// How long they are.
        bytes: usize,
        /// How long they may be.
        most: usize,
    },
}

/// What it is routed by.
pub(crate) type RoutingKey = Box<dyn Fn(&Recorded<RawEvent>) -> String + Send + Sync>;

/// What a publisher makes of an entry.
pub(crate) struct Messages {
    pub(crate) events: CloudEvents,
    pub(crate) form: Form,
    pub(crate) routing_key: RoutingKey,
}

/// What is sent.
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) routing_key: ShortString,
    pub(crate) properties: BasicProperties,
    pub(crate) body: String,
}

/// The routing key where nothing else is said: `category.type`, with `-` where there is no category.
pub(crate) fn usual(recorded: &Recorded<RawEvent>) -> String {
    let category = recorded.stream_id.category().map_or_else(|| "-".to_owned(), |it| token(it.as_str()));
    format!("{category}.{}", token(recorded.event().name()))
}

impl Messages {
    /// The message of an entry, for a connection with frames of this size.
    pub(crate) fn of(&self, entry: &OutboxEntry, frame: FrameSize) -> Result<Message, PublishError> {
        let recorded = entry.recorded();
        let event = self.events.event(recorded).map_err(PublishError::refused)?;
        let message = event.message(self.form, Binding::Amqp);
        check_headers(&message.headers, frame).map_err(PublishError::refused)?;
        let routing_key = checked_key((self.routing_key)(recorded)).map_err(PublishError::refused)?;
        let id = recorded.wrapped_event.uuid.to_string();
        let mut headers = FieldTable::default();
        for (name, value) in message.headers {
            headers.insert(name.into(), AMQPValue::LongString(LongString::from(value)));
        }
        let properties = BasicProperties::default()
            .with_message_id(id.as_str().into())
            .with_content_type(message.content_type.into())
            .with_delivery_mode(PERSISTENT)
            .with_headers(headers);
        Ok(Message { id, routing_key, properties, body: message.body })
    }
}

fn checked_key(key: String) -> Result<ShortString, UnfitMessage> {
    if key.len() <= LONGEST_KEY {
        return Ok(key.into());
    }
    Err(UnfitMessage::RoutingKey { bytes: key.len(), shown: key.chars().take(40).collect() })
}

/// They share a frame, and a broker ends the whole connection for one that is larger.
fn check_headers(headers: &[(String, String)], frame: FrameSize) -> Result<(), UnfitMessage> {
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len() + AROUND_A_HEADER).sum();
    // None agreed on is any size.
    let frame = if frame == 0 { usize::MAX } else { usize::try_from(frame).unwrap_or(usize::MAX) };
    let most = frame.max(SMALLEST_FRAME) - AROUND_THE_HEADERS;
    if bytes <= most { Ok(()) } else { Err(UnfitMessage::Headers { bytes, most }) }
}

#[cfg(test)]
mod tests {
    use event_sourcery::{Position, StreamId, WrappedEvent};
    use event_sourcery_conformance::publisher::entry;

    use super::*;

    fn messages(form: Form) -> Messages {
        Messages { events: CloudEvents::from_source("/shop").unwrap(), form, routing_key: Box::new(usual) }
    }

    fn recorded(name: String, category: String) -> Recorded<RawEvent> {
        let event = WrappedEvent::new(RawEvent::new(name, "{}").unwrap());
        let stream = StreamId::random().in_category(category).unwrap();
        Recorded::new(event, stream, Position::from_i64(1))
    }

    #[test]
    fn a_message_is_persistent_and_has_the_events_id() {
        let entry = entry(&StreamId::random(), 1);
        let message = messages(Form::Structured).of(&entry, 0).unwrap();
        let id = entry.recorded().wrapped_event.uuid.to_string();
        assert_eq!(message.properties.message_id().as_ref().unwrap().as_str(), id);
        assert_eq!(message.properties.delivery_mode(), &Some(2));
        assert_eq!(message.routing_key.as_str(), "-.Numbered");
    }

    #[test]
    fn the_longest_names_are_refused_as_a_key_and_not_handed_to_the_client() {
        let of = |name: usize, category: usize| {
            let recorded = recorded("x".repeat(name), "y".repeat(category));
            messages(Form::Structured).of(&OutboxEntry::new(recorded, 1), 0)
        };
        assert_eq!(of(100, 154).unwrap().routing_key.as_str().len(), 255);
        assert!(of(100, 155).err().unwrap().is_refused());
    }

    #[test]
    fn headers_that_do_not_fit_into_a_frame_are_refused() {
        let recorded = recorded("€".repeat(200), "€".repeat(250));
        let entry = OutboxEntry::new(recorded, 1);
        let mut binary = messages(Form::Binary);
        binary.routing_key = Box::new(|_| "short".to_owned());
        assert!(binary.of(&entry, 131_072).is_ok());
        assert!(check_headers(&[("a".to_owned(), "x".repeat(4_000))], 4_096).is_err());
        assert!(check_headers(&[("a".to_owned(), "x".repeat(3_500))], 4_096).is_ok());
        assert!(check_headers(&[("a".to_owned(), "x".repeat(1_000_000))], 0).is_ok());
    }
}

//! The form of a message: a line that says what it is, and its events.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use event_sourcery::backend::{
    Names, NewRecord, StoredEvent, StoredRecord, quoted, stored_stream_id, stored_tenant_id,
};
use event_sourcery::{Error, Position, StreamId, TenantId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::NAME;
use crate::numbers;

/// The form that this version writes, and the highest that it reads.
const FORM: u32 = 1;

/// What a message of a stream says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// It holds events.
    #[default]
    Events,
    /// The stream is deleted; what was before has still to be removed.
    Ending,
    /// The stream is deleted, and may live anew.
    Ended,
    /// Whose the name is that stands for the stream's UUID. It neither begins nor ends a life.
    Named,
}

/// The first line of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) form: u32,
    pub(crate) kind: Kind,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) tenant: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) category: String,
    #[serde(default)]
    pub(crate) stream: Uuid,
    /// The stream's name, as far as it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// The sequence of the mark that the stream began behind, or 0.
    #[serde(default)]
    pub(crate) life: u64,
    /// When the stream's first event happened, in microseconds.
    #[serde(default)]
    pub(crate) born: i64,
    /// The number of the first event in its stream, from 1.
    #[serde(default)]
    pub(crate) first: u64,
    /// Whether these numbers are versions.
    #[serde(default)]
    pub(crate) versioned: bool,
    /// How many messages of the same append follow in the stream.
    #[serde(default)]
    pub(crate) follow: u64,
    /// Whose the name is that stands for the stream's UUID, if it is not the stream's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) holder: Option<Uuid>,
}

/// What stands before an event.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    id: Uuid,
    #[serde(borrow)]
    name: Cow<'a, str>,
    at: i64,
    schema: u32,
    data: usize,
    context: usize,
}

/// How long an event is, for who cannot read more of its line.
#[derive(Deserialize)]
struct Lengths {
    data: usize,
    context: usize,
}

/// A message as it was read.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) head: Head,
    pub(crate) events: Vec<StoredEvent>,
}

impl Head {
    /// A mark, which says no more than what it is.
    pub(crate) fn mark(kind: Kind) -> Self {
        Self { form: FORM, kind, ..Self::default() }
    }

    /// Of a stream, without anything else.
    pub(crate) fn of(kind: Kind, tenant: &TenantId, stream: &StreamId) -> Self {
        Self {
            form: FORM,
            kind,
            tenant: tenant.as_str().to_owned(),
            category: stream.stored_category().to_owned(),
            stream: stream.uuid(),
            ..Self::default()
        }
    }

    /// The message of this head and these events.
    pub(crate) fn message(&self, events: &[NewRecord]) -> Result<Bytes, Error> {
        let mut message = text(self)?;
        for event in events {
            let (data, context) = (event.data.as_str(), event.context.as_str());
            let (name, at) = (Cow::Borrowed(&*event.name), event.created_at.as_microsecond());
            let (id, schema) = (event.id, event.schema_version);
            message.push(b'\n');
            message.extend(text(&Line { id, name, at, schema, data: data.len(), context: context.len() })?);
            message.push(b'\n');
            message.extend_from_slice(data.as_bytes());
            message.extend_from_slice(context.as_bytes());
        }
        Ok(message.into())
    }

    /// Its stream, with the name that it knows.
    pub(crate) fn stream_id(&self) -> StreamId {
        stored_stream_id(self.stream, self.name.as_deref(), &self.category)
    }

    /// An event of it with its place.
    pub(crate) fn record(&self, event: StoredEvent) -> StoredRecord {
        StoredRecord::new(self.stream_id(), stored_tenant_id(&self.tenant), event)
    }
}

impl Chunk {
    /// Reads a message; where it cannot be read, says why. An event of which no more can be told than where it ends is
    /// [what cannot be read](StoredEvent::unreadable), and those beside it are there.
    pub(crate) fn read(sequence: u64, message: &[u8], names: &mut Names) -> Result<Self, String> {
        let (line, mut rest) = line_of(message);
        let head: Head = parsed(line)?;
        if head.form > FORM {
            let form = head.form;
            return Err(format!("it has the form {form}, which a later version of this library writes"));
        }
        let mut events = Vec::new();
        while let Some(more) = rest {
            if events.len() >= numbers::MOST_EVENTS {
                return Err(format!(
                    "it has more than {} events, which is as many as it has positions for",
                    numbers::MOST_EVENTS
                ));
            }
            let (text, behind) = line_of(more);
            let line = parsed::<Line<'_>>(text);
            let lengths = match &line {
                Ok(line) => Lengths { data: line.data, context: line.context },
                Err(problem) => parsed(text).map_err(|_| problem.clone())?,
            };
            let behind = behind.ok_or("it ends within an event")?;
            let (data, behind) = split(behind, lengths.data)?;
            let (context, behind) = split(behind, lengths.context)?;
            let number = head.first.saturating_add(events.len() as u64);
            let version = head.versioned.then_some(number);
            events.push(match line {
                Ok(line) => stored(&line, data, context, version, names),
                Err(problem) => damaged(Uuid::nil(), "".into(), version, problem),
            });
            rest = match behind {
                [] => None,
                [b'\n', more @ ..] => Some(more),
                _ => return Err("an event is longer than it says".to_owned()),
            };
        }
        let count = events.len();
        for (number, event) in events.iter_mut().enumerate() {
            event.position = numbers::position(sequence, count - 1 - number);
        }
        Ok(Self { head, events })
    }

    /// The same, for who cannot go on without it.
    pub(crate) fn need(sequence: u64, message: &[u8], names: &mut Names) -> Result<Self, Error> {
        let told = |problem: String| format!("the message {sequence} cannot be read: {problem}");
        Self::read(sequence, message, names).map_err(|problem| Error::backend(NAME, told(problem)))
    }

    /// The number of its last event.
    pub(crate) fn last_number(&self) -> u64 {
        self.head.first.saturating_add(self.events.len() as u64).saturating_sub(1)
    }
}

/// What stands for the events of a message that cannot be read.
pub(crate) fn unreadable(sequence: u64, problem: String) -> StoredEvent {
    let mut event = damaged(Uuid::nil(), "".into(), None, problem);
    event.position = numbers::last_of(sequence);
    event
}

/// What can be told of an event that cannot be read.
fn damaged(id: Uuid, name: Arc<str>, version: Option<u64>, problem: String) -> StoredEvent {
    let event = StoredEvent::new(Position::START, version, id, name, Box::from(""), Timestamp::UNIX_EPOCH);
    event.with_unreadable(problem)
}

/// A value of ours as JSON.
pub(crate) fn text(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|problem| Error::backend(NAME, problem))
}

fn stored(
    line: &Line<'_>,
    data: &[u8],
    context: &[u8],
    version: Option<u64>,
    names: &mut Names,
) -> StoredEvent {
    let name = names.copy_of(&line.name);
    let parts = || {
        let at = time(line.at).map_err(|problem| format!("its time: {problem}"))?;
        Ok::<_, String>((at, utf8("payload", data)?, utf8("context", context)?))
    };
    let (at, data, context) = match parts() {
        Ok(parts) => parts,
        Err(problem) => return damaged(line.id, name, version, problem),
    };
    let event = StoredEvent::new(Position::START, version, line.id, name, data.into(), at);
    let event = if context == "{}" { event } else { event.with_context(context.to_owned()) };
    event.with_schema_version(line.schema)
}

fn utf8<'t>(what: &str, text: &'t [u8]) -> Result<&'t str, String> {
    str::from_utf8(text).map_err(|problem| format!("its {what}: {problem}"))
}

/// By parts: `Timestamp::from_microsecond` refuses the fractions of the last second that a `Timestamp` can be in.
fn time(microseconds: i64) -> Result<Timestamp, jiff::Error> {
    const SECOND: i64 = 1_000_000;
    let nanoseconds = microseconds.rem_euclid(SECOND) * 1_000;
    Timestamp::new(microseconds.div_euclid(SECOND), i32::try_from(nanoseconds).unwrap_or_default())
}

/// The first line, and what stands behind it.
fn line_of(message: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut parts = message.splitn(2, |byte| *byte == b'\n');
    (parts.next().unwrap_or_default(), parts.next())
}

fn parsed<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(line).map_err(|problem| told(&problem, line))
}

/// What is wrong with a line. serde quotes a value however long it is: of its words, and of the line, the beginning is told.
pub(crate) fn told(problem: &serde_json::Error, line: &[u8]) -> String {
    let (words, column) = (quoted(&problem.to_string()), problem.column());
    // More of it than is quoted need not be looked at.
    let line = line.get(..1_024).unwrap_or(line);
    format!("{words} at column {column} of {}", quoted(&String::from_utf8_lossy(line)))
}

fn split(bytes: &[u8], length: usize) -> Result<(&[u8], &[u8]), String> {
    Ok(bytes.split_at_checked(length).ok_or("an event is shorter than it says")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        let stream = StreamId::from_name("a\n\"1\"").unwrap().in_category("c\r").unwrap();
        let head = Head::of(Kind::Events, &TenantId::new("t\n").unwrap(), &stream);
        Head { name: stream.name().map(str::to_owned), first: 5, versioned: true, life: 3, ..head }
    }

    fn event(number: u128, data: &str) -> NewRecord {
        let at = Timestamp::from_microsecond(number as i64).unwrap();
        NewRecord::new(Uuid::from_u128(number), "paid\n", data.to_owned(), at)
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let context = r#"{"a":"\n"}"#;
        let events = [
            event(1, "{\n}\n").with_context(context.to_owned()),
            event(2, "").with_schema_version(7),
            event(3, "{\"b\":\"ß\"}"),
        ];
        let message = head().message(&events).unwrap();
        let chunk = Chunk::read(9, &message, &mut Names::default()).unwrap();
        assert_eq!((&chunk.head, chunk.last_number()), (&head(), 7));
        for (number, (read, written)) in chunk.events.iter().zip(&events).enumerate() {
            assert_eq!((read.id, &*read.name), (written.id, &*written.name));
            assert_eq!(&*read.data, written.data.as_str());
            assert_eq!((&*read.context, read.created_at), (written.context.as_str(), written.created_at));
            assert_eq!(read.schema_version, written.schema_version);
            assert_eq!(read.version, Some(5 + number as u64));
            assert_eq!(read.position, numbers::position(9, 2 - number));
        }
        let record = chunk.head.record(chunk.events[0].clone());
        assert_eq!((record.stream.name(), record.tenant.as_str()), (Some("a\n\"1\""), "t\n"));
    }

    #[test]
    fn a_message_that_is_cut_off_anywhere_is_an_error_or_has_fewer_events() {
        let message = head().message(&[event(1, "{\"number\":1}"), event(2, "{}")]).unwrap();
        for length in 0..message.len() {
            if let Ok(chunk) = Chunk::read(1, &message[..length], &mut Names::default()) {
                assert!(chunk.events.len() < 2, "{length}");
            }
        }
    }

    #[test]
    fn of_a_value_that_is_none_the_beginning_is_told() {
        for spoiled in ["form", "kind", "stream"] {
            let message = format!("{{\"{spoiled}\":\"{}\"}}", "4111".repeat(100_000));
            let problem = Chunk::read(1, message.as_bytes(), &mut Names::default()).unwrap_err();
            assert!(problem.len() < 200, "{} bytes", problem.len());
        }
    }

    #[test]
    fn a_later_form_is_an_error_that_says_so() {
        let message = Head { form: 2, ..head() }.message(&[]).unwrap();
        let problem = Chunk::read(1, &message, &mut Names::default()).unwrap_err();
        assert!(problem.contains("later version"), "{problem}");
    }

    #[test]
    fn of_the_events_of_a_message_one_that_cannot_be_read_is_so_alone() {
        let events = [event(1, "{\"n\":1}"), event(2, "{\"n\":2}"), event(3, "{\"n\":3}")];
        let message = head().message(&events).unwrap();
        let at = |words: &[u8]| message.windows(words.len()).position(|found| found == words).unwrap();
        let (payload, time) = (at(b"\"n\":2"), at(b"\"at\":2"));
        let id = at(Uuid::from_u128(2).to_string().as_bytes());
        for (place, byte, says) in
            [(payload, 0xff, "its payload"), (time + 5, b'x', ""), (id, b'x', "at column")]
        {
            let mut spoiled = message.to_vec();
            spoiled[place] = byte;
            let Ok(chunk) = Chunk::read(9, &spoiled, &mut Names::default()) else {
                // A line that is no JSON does not tell where its event ends.
                assert_eq!(place, time + 5);
                continue;
            };
            let told: Vec<_> = chunk.events.iter().map(|event| event.unreadable.as_deref()).collect();
            assert!(matches!(told[..], [None, Some(problem), None] if problem.contains(says)), "{told:?}");
            let versions: Vec<_> = chunk.events.iter().map(|event| event.version).collect();
            assert_eq!(versions, [Some(5), Some(6), Some(7)]);
            assert_eq!(chunk.events[1].position, numbers::position(9, 1));
        }
    }

    #[test]
    fn more_events_than_there_are_positions_for_are_no_message() {
        let events: Vec<_> = (0..=numbers::MOST_EVENTS as u128).map(|number| event(number, "{}")).collect();
        let message = head().message(&events).unwrap();
        let problem = Chunk::read(1, &message, &mut Names::default()).unwrap_err();
        assert!(problem.contains("more than 1024"), "{problem}");
    }
}

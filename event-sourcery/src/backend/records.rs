//! Events and snapshots as they are stored.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use crate::error::{Error, QUOTED, Result, shortened};
use crate::hidden::Hidden;
use crate::position::Position;
use crate::privacy::marks::{KeptMarks, Mark};
use crate::privacy::{Opening, is_sealed, may_be_sealed};
use crate::stream_id::{StreamId, TenantId};
use crate::tag::Tag;
use crate::version::Version;

/// An event, or a snapshot, to be stored. `Debug` shows neither payload nor context.
#[derive(Clone)]
#[non_exhaustive]
pub struct NewRecord {
    /// Unique in the whole store.
    pub id: Uuid,
    /// The stored name of its type.
    pub name: Cow<'static, str>,
    /// The text of a JSON object.
    pub data: String,
    /// The text of a JSON object.
    pub context: String,
    /// In whole microseconds, years 1 to 9999.
    pub created_at: Timestamp,
    /// The version of the payload's form, from 1; for a snapshot, of its format.
    pub schema_version: u32,
    /// Its tags, each once. A snapshot has none.
    pub tags: Vec<Tag>,
    /// What of its payload is to be encrypted before a backend is given it.
    pub(crate) marks: Vec<Mark>,
}

impl NewRecord {
    /// An event with an empty context, in the first version of its form.
    #[must_use]
    pub fn new(id: Uuid, name: impl Into<Cow<'static, str>>, data: String, created_at: Timestamp) -> Self {
        let (context, tags, marks) = ("{}".to_owned(), Vec::new(), Vec::new());
        Self { id, name: name.into(), data, context, created_at, schema_version: 1, tags, marks }
    }

    /// The same with a context: the text of a JSON object.
    #[must_use]
    pub fn with_context(self, context: String) -> Self {
        Self { context, ..self }
    }

    /// The same in another version of its form, at least 1.
    #[must_use]
    pub fn with_schema_version(self, schema_version: u32) -> Self {
        Self { schema_version, ..self }
    }

    /// The same with these tags, each once.
    #[must_use]
    pub fn with_tags(self, tags: Vec<Tag>) -> Self {
        Self { tags, ..self }
    }
}

/// An event of a stream, or a snapshot, as it is stored. `Debug` shows neither payload nor context.
#[derive(Clone)]
#[non_exhaustive]
pub struct StoredEvent {
    /// Its position. A snapshot has none of its own: [`Position::START`].
    pub position: Position,
    /// Its version, if the stream has versions.
    pub version: Option<Version>,
    /// Its id.
    pub id: Uuid,
    /// The stored name of its type.
    pub name: Arc<str>,
    /// Its payload: text that should be a JSON object.
    pub data: Box<str>,
    /// Its context: text that should be a JSON object.
    pub context: Cow<'static, str>,
    /// When it happened.
    pub created_at: Timestamp,
    /// The version of the payload's form, from 1.
    pub schema_version: u32,
    /// Its tags, in any order.
    pub tags: Vec<Tag>,
    /// What of its row cannot be read, in a few words that quote at most 40 characters of a value. Its position is told all the
    /// same, and the rest as far as it can be. Whoever reads it gets an error of this event alone.
    pub unreadable: Option<Box<str>>,
    /// What became of what was encrypted in it; `None`: nothing was, or nobody has tried.
    pub(crate) opening: Option<Box<Opening>>,
}

impl StoredEvent {
    /// An event with an empty context, in the first version of its form.
    #[must_use]
    pub const fn new(
        position: Position,
        version: Option<Version>,
        id: Uuid,
        name: Arc<str>,
        data: Box<str>,
        created_at: Timestamp,
    ) -> Self {
        Self {
            position,
            version,
            id,
            name,
            data,
            context: Cow::Borrowed("{}"),
            created_at,
            schema_version: 1,
            tags: Vec::new(),
            unreadable: None,
            opening: None,
        }
    }

    /// The same with a context.
    #[must_use]
    pub fn with_context(self, context: impl Into<Cow<'static, str>>) -> Self {
        Self { context: context.into(), ..self }
    }

    /// The same in another version of its form.
    #[must_use]
    pub fn with_schema_version(self, schema_version: u32) -> Self {
        Self { schema_version, ..self }
    }

    /// The same with these tags.
    #[must_use]
    pub fn with_tags(self, tags: Vec<Tag>) -> Self {
        Self { tags, ..self }
    }

    /// The same, of whose row this cannot be read; see [`unreadable`](Self::unreadable).
    #[must_use]
    pub fn with_unreadable(self, problem: impl Into<Box<str>>) -> Self {
        Self { unreadable: Some(problem.into()), ..self }
    }

    /// Whether its row cannot be read, and not even the name of its type. Then it comes to whoever asks for events by their names: nobody can
    /// tell that it is none of those, and it would be passed over in silence.
    #[must_use]
    pub fn has_lost_its_name(&self) -> bool {
        self.unreadable.is_some() && self.name.is_empty()
    }

    /// An error where its row could not be read: then nothing else in it counts.
    pub(crate) fn check(&self, stream: &StreamId) -> Result<()> {
        self.unreadable.as_ref().map_or(Ok(()), |problem| Err(self.invalid(stream, problem.to_string())))
    }

    pub(crate) fn invalid(&self, stream: &StreamId, problem: String) -> Error {
        Error::InvalidEvent {
            name: self.name.to_string(),
            stream: stream.clone(),
            version: self.version,
            position: self.position,
            problem: problem.into(),
        }
    }

    /// Whether it has to be looked at whether [it is sealed](Self::is_sealed).
    #[inline]
    pub(crate) fn may_be_sealed(&self) -> bool {
        may_be_sealed(&self.context) && self.unreadable.is_none()
    }

    /// Whether something in it is encrypted, and not opened yet.
    #[inline]
    pub(crate) fn is_sealed(&self) -> bool {
        is_sealed(&self.context) && self.unreadable.is_none()
    }

    /// Whether something in it was encrypted, and was opened, or was to be.
    pub(crate) const fn was_sealed(&self) -> bool {
        self.opening.is_some()
    }

    /// An error where something in it is encrypted that was not opened.
    pub(crate) fn check_opening(&self, stream: &StreamId) -> Result<()> {
        match &self.opening {
            Some(opening) => opening.check(stream, self),
            None if is_sealed(&self.context) => {
                Err(Error::EncryptionMissing { name: self.name.to_string(), stream: stream.clone() })
            }
            None => Ok(()),
        }
    }

    /// What was encrypted in it, and stands open there.
    pub(crate) fn kept_marks(&self) -> Option<&KeptMarks> {
        match self.opening.as_deref() {
            Some(Opening::Opened(kept)) if !kept.0.is_empty() => Some(kept),
            _ => None,
        }
    }

    /// How many bytes its payload and its context have.
    pub(crate) fn size(&self) -> usize {
        self.data.len() + self.context.len()
    }
}

impl fmt::Debug for NewRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name, data, context, created_at, schema_version, tags, .. } = self;
        f.debug_struct("NewRecord")
            .field("id", id)
            .field("name", name)
            .field("data", &Hidden(data))
            .field("context", &Hidden(context))
            .field("created_at", created_at)
            .field("schema_version", schema_version)
            .field("tags", tags)
            .finish()
    }
}

impl fmt::Debug for StoredEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, version, id, name, data, context, created_at, schema_version, tags, .. } = self;
        f.debug_struct("StoredEvent")
            .field("position", position)
            .field("version", version)
            .field("id", id)
            .field("name", name)
            .field("data", &Hidden(data))
            .field("context", &Hidden(context))
            .field("created_at", created_at)
            .field("schema_version", schema_version)
            .field("tags", tags)
            .field("unreadable", &self.unreadable)
            .finish_non_exhaustive()
    }
}

/// A stored event with its place.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StoredRecord {
    /// Its stream.
    pub stream: StreamId,
    /// Whose stream.
    pub tenant: TenantId,
    /// The event.
    pub event: StoredEvent,
}

impl StoredRecord {
    /// An event of this tenant's stream.
    #[must_use]
    pub const fn new(stream: StreamId, tenant: TenantId, event: StoredEvent) -> Self {
        Self { stream, tenant, event }
    }
}

/// A stream's id as a backend found it: nothing is checked, because what is stored is there to be read. An empty category
/// is none.
#[must_use]
pub fn stored_stream_id(uuid: Uuid, name: Option<&str>, category: &str) -> StreamId {
    StreamId::stored(uuid, name, category)
}

/// What an error says of a stored value: its first 40 characters, quoted.
#[must_use]
pub fn quoted(value: &str) -> String {
    format!("{:?}", shortened(value, QUOTED))
}

/// A tenant as a backend found it: nothing is checked, and the empty string is the default tenant.
#[must_use]
pub fn stored_tenant_id(name: &str) -> TenantId {
    TenantId::stored(name)
}

/// A tag as a backend found it: nothing is checked.
#[must_use]
pub fn stored_tag(tag: &str) -> Tag {
    Tag::stored(tag)
}

/// What stands for the id of a stream whose row is missing or cannot be read: one for each of its events, of which nobody
/// can tell that they belong together. It is in the first [segment](super::Segments).
#[must_use]
pub fn lost_stream_id(event: Position) -> StreamId {
    let number = (LOST << 96) | (u128::from(event.to_i64().cast_unsigned()) << 32);
    StreamId::from_uuid(Uuid::from_u128(number))
}

pub(crate) fn is_lost_stream_id(stream: &StreamId) -> bool {
    stream.uuid().as_u128() >> 96 == LOST
}

/// How those ids begin, which no kind of UUID does.
const LOST: u128 = 0xffff_ff00;

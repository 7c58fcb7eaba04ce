//! An event of another store as one of ours.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use event_sourcery::backend::{NewRecord, StoredEvent, StoredRecord};
use event_sourcery::jiff::Timestamp;
use event_sourcery::uuid::Uuid;
use event_sourcery::{RawEvent, StreamId, TenantId, Version};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::error::Cause;
use crate::ids;
use crate::mapping::{CategoryRule, Holes, Mapping, PayloadRule, StreamRule, TenantRule, TimeRule, TypeRule};
use crate::source::{ForeignEvent, ForeignStream, ForeignTime};

/// Makes plain JSON of a payload.
pub(crate) type Decode = Arc<dyn Fn(&[u8]) -> Result<Vec<u8>, Cause> + Send + Sync>;

/// 0001-01-01T00:00:00Z, the first time that a store holds.
const FIRST_TIME: Timestamp = Timestamp::constant(-62_135_596_800, 0);

/// A stream of ours, and whose it is.
pub(crate) type Place = (TenantId, StreamId);

/// An event as it is to be stored.
#[derive(Debug, Clone)]
pub(crate) struct Mapped {
    pub(crate) place: Place,
    pub(crate) foreign: ForeignStream,
    /// Counted from 1, holes and all.
    pub(crate) version: i64,
    pub(crate) position: Option<i64>,
    /// With its own id, or the derived one if it has none.
    pub(crate) record: NewRecord,
    /// The same under the derived id, without the payload, where its own one may belong to another event.
    pub(crate) otherwise: Option<NewRecord>,
    /// Whether its time is the mapping's, because it has none.
    pub(crate) has_given_time: bool,
}

/// What stands under `imported` in the context of each event.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) from: String,
    pub(crate) version: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<i64>,
    /// Its own id, where that is no UUID or belongs to another event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// The name around the payload, where that is not the type's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    /// The version of its form at the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    form: Option<String>,
}

#[derive(Serialize)]
struct Context<'c> {
    imported: &'c Origin,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causation_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'c RawValue>,
}

#[derive(Deserialize)]
struct Imported {
    imported: Origin,
}

/// Where a stored event comes from, if it was imported.
pub(crate) fn origin(event: &StoredEvent) -> Option<Origin> {
    serde_json::from_str::<Imported>(&event.context).ok().map(|context| context.imported)
}

/// Makes ours of theirs, by the mapping. Nothing is made up: what is missing is an error, in words.
#[derive(Clone)]
pub(crate) struct Mapper {
    pub(crate) mapping: Arc<Mapping>,
    pub(crate) tenant: TenantId,
    pub(crate) decode: Option<Decode>,
}

impl Mapper {
    /// The stream that a foreign one becomes.
    pub(crate) fn place(&self, foreign: &ForeignStream) -> Result<Place, String> {
        let category = match &self.mapping.category {
            CategoryRule::Source => foreign.category.as_deref().unwrap_or_default(),
            CategoryRule::Fixed(category) => category.as_str(),
            CategoryRule::None => "",
        };
        let own = foreign.category.as_deref().map(|category| format!("{category}-"));
        let name = match (self.mapping.stream, own) {
            (StreamRule::WithoutCategory, Some(own)) => {
                foreign.id.strip_prefix(own.as_str()).unwrap_or(foreign.id.as_str())
            }
            _ => foreign.id.as_str(),
        };
        let stream = match uuid_in(name) {
            Some(uuid) => Ok(StreamId::from_uuid(uuid)),
            None => StreamId::from_name(name),
        };
        let stream = stream.and_then(|stream| stream.in_category(category)).map_err(in_full)?;
        Ok((self.tenant_of(foreign)?, stream))
    }

    fn tenant_of(&self, foreign: &ForeignStream) -> Result<TenantId, String> {
        match (&self.mapping.tenant, &foreign.partition) {
            (TenantRule::Partition, Some(partition)) => TenantId::new(partition).map_err(in_full),
            (TenantRule::Partition, None) => Ok(TenantId::DEFAULT),
            (TenantRule::Handle, _) => Ok(self.tenant.clone()),
        }
    }

    /// The event as ours.
    pub(crate) fn event(&self, event: &ForeignEvent) -> Result<Mapped, String> {
        let place = self.place(&event.stream)?;
        let event_type = event
            .event_type
            .as_deref()
            .ok_or("it has no type that is text, or its stream has no name that is")?;
        let version = event.version.saturating_sub(self.mapping.first_version).saturating_add(1);
        if version < 1 {
            let (found, first) = (event.version, self.mapping.first_version);
            return Err(format!("its version is {found}, and the first one of a stream is {first}"));
        }
        let (data, tag) = self.payload(event, event_type)?;
        let metadata = metadata(event)?;
        let fields = metadata.map(|metadata| fields_of(metadata.get())).unwrap_or_default();
        let raw = RawEvent::new(self.name(event_type), data).map_err(in_full)?;
        let found = self.time(event, raw.data().get(), &fields);
        let created_at = kept_time(found.or(self.mapping.time_otherwise).ok_or(NO_TIME)?)?;
        let derived = ids::of_event(&self.mapping.from, &event.stream, event.version);
        let own = event.id.as_deref().and_then(|id| Uuid::parse_str(id).ok());
        let context = |kept: Option<&String>| -> Result<String, String> {
            let imported = Origin {
                from: self.mapping.from.clone(),
                version,
                position: event.position,
                id: kept.cloned(),
                tag: tag.clone(),
                form: event.form.clone(),
            };
            let context = Context {
                imported: &imported,
                correlation_id: id_in(&fields, self.mapping.correlation.as_ref()),
                causation_id: id_in(&fields, self.mapping.causation.as_ref()),
                metadata,
            };
            checked(&context)
        };
        let record = |id: Uuid, kept: Option<&String>, data: String| -> Result<NewRecord, String> {
            let record = NewRecord::new(id, raw.name().to_owned(), data, created_at);
            Ok(record.with_context(context(kept)?))
        };
        let data = raw.data().get().to_owned();
        let (record, otherwise) = match own {
            Some(own) => {
                let otherwise = record(derived, event.id.as_ref(), String::new())?;
                (record(own, None, data)?, Some(otherwise))
            }
            None => (record(derived, event.id.as_ref(), data)?, None),
        };
        let (foreign, position) = (event.stream.clone(), event.position);
        let has_given_time = found.is_none();
        Ok(Mapped { place, foreign, version, position, record, otherwise, has_given_time })
    }

    fn name(&self, event_type: &str) -> String {
        if let Some(name) = self.mapping.types.get(event_type) {
            return name.clone();
        }
        match self.mapping.type_names {
            TypeRule::Whole => event_type.to_owned(),
            TypeRule::LastPart => event_type.rsplit([':', '.']).next().unwrap_or(event_type).to_owned(),
        }
    }

    /// The text of an object, and the name around it, if it is another one.
    fn payload(&self, event: &ForeignEvent, event_type: &str) -> Result<(String, Option<String>), String> {
        let bytes = event.payload.as_deref().ok_or("it has no payload")?;
        let decoded = match &self.decode {
            Some(decode) => {
                Cow::Owned(decode(bytes).map_err(|error| format!("its payload was not decoded: {error}"))?)
            }
            None => Cow::Borrowed(bytes),
        };
        let text = std::str::from_utf8(&decoded).map_err(|_| NOT_JSON)?;
        let value: &RawValue = serde_json::from_str(text).map_err(|_| NOT_JSON)?;
        let (text, tag) = match self.mapping.payload {
            PayloadRule::Whole => (value.get(), None),
            PayloadRule::Tagged => untagged(value)?,
        };
        let tag = tag.filter(|tag| tag != event_type);
        if text.starts_with('{') {
            return Ok((text.to_owned(), tag));
        }
        let Some(key) = &self.mapping.wrap else {
            return Err(NO_OBJECT.to_owned());
        };
        let key = serde_json::to_string(key).map_err(|error| error.to_string())?;
        Ok((format!("{{{key}:{text}}}"), tag))
    }

    /// Its time, if it has one that can be read.
    fn time(&self, event: &ForeignEvent, payload: &str, metadata: &Fields<'_>) -> Option<Timestamp> {
        match (&self.mapping.time, event.time) {
            (TimeRule::Metadata(key), _) => time_in(metadata, key),
            (TimeRule::Payload(key), _) => time_in(&fields_of(payload), key),
            (TimeRule::Source, ForeignTime::At(time)) => Some(time),
            (TimeRule::Source, ForeignTime::InPayload(key)) => time_in(&fields_of(payload), key),
            (TimeRule::Source, ForeignTime::Unknown) => None,
        }
    }
}

/// As a store keeps it: in microseconds.
fn kept_time(time: Timestamp) -> Result<Timestamp, String> {
    let cut = Timestamp::new(time.as_second(), time.subsec_nanosecond() / 1_000 * 1_000);
    cut.ok().filter(|time| *time >= FIRST_TIME).ok_or_else(|| "its time is before the year 1".to_owned())
}

/// The fields of an object, as they are written.
type Fields<'f> = HashMap<String, &'f RawValue>;

const NOT_JSON: &str = "its payload is no JSON: if it is compressed or encrypted, say how to decode it";
const NO_OBJECT: &str = "its payload is no JSON object: say in the mapping under which key to `wrap` it";
const NO_TIME: &str = "it has no time that can be read: say in the mapping where the `time` is, or which one to take `time_otherwise`";

impl Mapped {
    /// What stands between its version at the source and that of a store without the holes before it.
    pub(crate) fn expected(&self, behind: i64) -> Version {
        Version::try_from(self.version.saturating_sub(1).saturating_sub(behind)).unwrap_or(0)
    }

    /// Whether its version at the destination is what the mapping says. What moves up has its own one in the context alone.
    pub(crate) fn has_version(&self, version: Option<Version>, holes: Holes) -> bool {
        let version = version.and_then(|version| i64::try_from(version).ok());
        holes != Holes::Keep || version == Some(self.version)
    }

    /// Whether a stored event is this one: its place, and everything in it.
    pub(crate) fn is_stored_as(&self, there: &StoredRecord) -> bool {
        let is_here = there.tenant == self.place.0 && there.stream == self.place.1;
        is_here && self.is_equal(&there.event)
    }

    /// Whether a stored event stands for this one, whatever is in it.
    pub(crate) fn is_in_place_of(&self, there: &StoredRecord, from: &str) -> bool {
        let is_here = there.tenant == self.place.0 && there.stream == self.place.1;
        let is_its = |origin: Origin| origin.from == from && origin.version == self.version;
        is_here && origin(&there.event).is_some_and(is_its)
    }

    /// Whether a stored event of its stream has everything that is in this one.
    pub(crate) fn is_equal(&self, event: &StoredEvent) -> bool {
        let equals =
            |record: &NewRecord| record.id == event.id && equal_contexts(&record.context, &event.context);
        *self.record.name == *event.name
            && self.record.created_at == event.created_at
            && (equals(&self.record) || self.otherwise.as_ref().is_some_and(equals))
            && equal_json(&self.record.data, &event.data)
    }

    /// The same under the derived id, whole.
    pub(crate) fn otherwise(&self) -> Option<NewRecord> {
        let mut record = self.otherwise.clone()?;
        record.data.clone_from(&self.record.data);
        Some(record)
    }
}

/// Equal as JSON: databases order keys, and write numbers anew.
fn equal_json(one: &str, other: &str) -> bool {
    let raw = |text: &str| RawEvent::new("compared", text).ok();
    one == other || raw(one).is_some_and(|one| raw(other).is_some_and(|other| one == other))
}

/// Equal contexts, whatever the positions at the source: rows of a file may be numbered anew.
fn equal_contexts(one: &str, other: &str) -> bool {
    let without = || Some((without_position(one)?, without_position(other)?));
    equal_json(one, other) || without().is_some_and(|(one, other)| equal_json(&one, &other))
}

fn without_position(context: &str) -> Option<String> {
    let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(context).ok()?;
    let mut imported: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(fields.get("imported")?.get()).ok()?;
    imported.remove("position")?;
    fields.insert("imported".to_owned(), to_raw_value(&imported).ok()?);
    serde_json::to_string(&fields).ok()
}

/// The text of a context, looked through as a payload is.
fn checked(context: &Context<'_>) -> Result<String, String> {
    let text = serde_json::to_string(context).map_err(|error| error.to_string())?;
    let raw = RawEvent::new("metadata", text).map_err(in_full)?;
    Ok(raw.data().get().to_owned())
}

fn metadata(event: &ForeignEvent) -> Result<Option<&RawValue>, String> {
    let Some(text) = &event.metadata else { return Ok(None) };
    let value: &RawValue = serde_json::from_str(text).map_err(|_| "its metadata is no JSON")?;
    Ok(Some(value).filter(|value| value.get() != "null"))
}

/// What stands in a tagged payload, and the tag.
fn untagged(value: &RawValue) -> Result<(&str, Option<String>), String> {
    const NO_TAG: &str = "its payload is no object with one key, which the mapping says is a name";
    if let Ok(tag) = serde_json::from_str::<String>(value.get()) {
        return Ok(("{}", Some(tag)));
    }
    let fields: Fields<'_> = serde_json::from_str(value.get()).map_err(|_| NO_TAG)?;
    // One that stands there twice is one among the fields.
    RawEvent::new("payload", value.get()).map_err(in_full)?;
    let mut fields = fields.into_iter();
    match (fields.next(), fields.next()) {
        (Some((tag, inner)), None) => Ok((inner.get(), Some(tag))),
        _ => Err(NO_TAG.to_owned()),
    }
}

/// A UUID, spelled as databases spell them: another spelling would be another name.
fn uuid_in(text: &str) -> Option<Uuid> {
    let uuid = Uuid::parse_str(text).ok()?;
    let is_spelled = uuid.hyphenated().to_string() == text || uuid.simple().to_string() == text;
    is_spelled.then_some(uuid)
}

/// None, for what is no object.
fn fields_of(text: &str) -> Fields<'_> {
    serde_json::from_str(text).unwrap_or_default()
}

fn text_in(fields: &Fields<'_>, key: &str) -> Option<String> {
    fields.get(key).and_then(|value| serde_json::from_str(value.get()).ok())
}

/// A time as text; or in `{"_type_": "datetime_iso", "_data_": text}`, as `eventsourcing` for Python writes it.
fn time_in(fields: &Fields<'_>, key: &str) -> Option<Timestamp> {
    let tagged = || fields.get(key).and_then(|value| text_in(&fields_of(value.get()), "_data_"));
    text_in(fields, key).or_else(tagged).and_then(|text| text.parse().ok())
}

fn id_in(fields: &Fields<'_>, key: Option<&String>) -> Option<Uuid> {
    key.and_then(|key| text_in(fields, key)).and_then(|text| Uuid::parse_str(&text).ok())
}

fn in_full(error: event_sourcery::Error) -> String {
    error.in_full()
}

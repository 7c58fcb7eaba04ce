//! The lines of a file of events: see [`export`](super::export).

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::backend::{StoredEvent, StoredRecord, stored_stream_id, stored_tenant_id};
use crate::error::{Error, Result, without_values};
use crate::position::Position;
use crate::stream_id::StreamId;
use crate::tag::{Tag, Tags};
use crate::version::Version;

/// What the first line calls the format.
const FORMAT: &str = "event-sourcery events";

/// The version of the format that is written.
const VERSION: u32 = 1;

/// The first line.
#[derive(Serialize, Deserialize)]
struct First<'l> {
    #[serde(borrow)]
    format: Cow<'l, str>,
    version: u32,
}

/// The last line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    end: bool,
    events: u64,
}

/// A line between them: an event.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Between<'l> {
    position: Position,
    tenant: Option<String>,
    category: Option<String>,
    stream: Uuid,
    stream_name: Option<String>,
    version: Option<Version>,
    id: Uuid,
    name: String,
    schema_version: u32,
    created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    context: Option<&'l RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    context_text: Option<String>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    data: Option<&'l RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data_text: Option<String>,
}

/// What a line behind the first one is.
pub(super) enum Line {
    Event(Box<StoredRecord>),
    /// The end, behind so many events.
    End(u64),
}

/// The first line.
pub(super) fn first() -> Result<Vec<u8>> {
    written(&First { format: Cow::Borrowed(FORMAT), version: VERSION })
}

/// The last line.
pub(super) fn last(events: u64) -> Result<Vec<u8>> {
    written(&Last { end: true, events })
}

/// The line of an event.
pub(super) fn of_event(record: &StoredRecord) -> Result<Vec<u8>> {
    let StoredRecord { stream, tenant, event } = record;
    let (context, context_text) = as_it_stands(&event.context);
    let (data, data_text) = as_it_stands(&event.data);
    written(&Between {
        position: event.position,
        tenant: (!tenant.is_default()).then(|| tenant.as_str().to_owned()),
        category: stream.category().map(|category| category.as_str().to_owned()),
        stream: stream.uuid(),
        stream_name: stream.name().map(str::to_owned),
        version: event.version,
        id: event.id,
        name: event.name.to_string(),
        schema_version: event.schema_version,
        created_at: event.created_at,
        tags: event.tags.iter().map(ToString::to_string).collect(),
        context,
        context_text,
        data,
        data_text,
    })
}

fn written(line: &impl Serialize) -> Result<Vec<u8>> {
    let mut written = serde_json::to_vec(line).map_err(|_| Error::bug("a line cannot be written as JSON"))?;
    written.push(b'\n');
    Ok(written)
}

/// A stored text as a value within the line, if that gives back every character of it; else as a text.
fn as_it_stands(text: &str) -> (Option<&RawValue>, Option<String>) {
    let value = serde_json::from_str::<&RawValue>(text).ok();
    // `null` would be read as a field that is not there.
    let is_whole =
        |value: &&RawValue| value.get() == text && value.get() != "null" && !text.contains(['\n', '\r']);
    match value.filter(is_whole) {
        Some(value) => (Some(value), None),
        None => (None, Some(text.to_owned())),
    }
}

/// Checks the first line.
pub(super) fn check_first(line: &[u8]) -> Result<(), String> {
    let First { format, version } = serde_json::from_slice(line).map_err(|error| {
        format!("it is to begin with a line of format and version ({})", without_values(error))
    })?;
    if format != FORMAT {
        return Err(format!("the format is to be {FORMAT:?}"));
    }
    if version != VERSION {
        return Err(format!("the format has version {version}, and this library reads {VERSION}: update it"));
    }
    Ok(())
}

/// Reads another line.
pub(super) fn read(line: &[u8]) -> Result<Line, String> {
    let read = match serde_json::from_slice::<Between<'_>>(line) {
        Ok(between) => between,
        Err(error) => {
            return match serde_json::from_slice(line) {
                Ok(Last { end: true, events }) => Ok(Line::End(events)),
                _ => Err(without_values(error).to_string()),
            };
        }
    };
    let context = one_of("context", read.context, read.context_text)?;
    let data = one_of("data", read.data, read.data_text)?;
    let category = read.category.as_deref().unwrap_or_default();
    let stream = stored_stream_id(read.stream, read.stream_name.as_deref(), category);
    if let Some(name) = stream.name()
        && let Err(error @ Error::IncompatibleUuidAndName { .. }) =
            StreamId::from_uuid_and_name(stream.uuid(), name)
    {
        return Err(error.to_string());
    }
    let tenant = stored_tenant_id(read.tenant.as_deref().unwrap_or_default());
    let event = StoredEvent::new(
        read.position,
        read.version,
        read.id,
        read.name.into(),
        data.into(),
        read.created_at,
    );
    let event = event.with_context(context).with_schema_version(read.schema_version);
    let event = event.with_tags(tags_of(&read.tags)?);
    Ok(Line::Event(Box::new(StoredRecord::new(stream, tenant, event))))
}

/// Tags, each within its limits, and no more than an event has.
fn tags_of(texts: &[String]) -> Result<Vec<Tag>, String> {
    let mut tags = Tags::default();
    for text in texts {
        let Some((name, value)) = text.split_once(':') else {
            return Err("a tag of it is to have a colon between name and value".to_owned());
        };
        tags.push(Tag::new(name, value).map_err(|problem| problem.to_string())?);
    }
    tags.into_tags().map_err(|problem| problem.to_string())
}

/// What is given as a value, or as a text.
fn one_of(field: &str, value: Option<&RawValue>, text: Option<String>) -> Result<String, String> {
    match (value, text) {
        (Some(value), None) => Ok(value.get().to_owned()),
        (None, Some(text)) => Ok(text),
        _ => Err(format!("it is to have `{field}`, or in its place `{field}_text`")),
    }
}

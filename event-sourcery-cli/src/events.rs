//! Events as they are printed. What is encrypted shows as its mask, as it does to everybody who looks.

use event_sourcery::jiff::Timestamp;
use event_sourcery::look::Seen;
use event_sourcery::uuid::Uuid;
use event_sourcery::{StreamId, Tag, TenantId};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::output::shortened;
use crate::streams::name_of;
use crate::table::{Column, left, right};

/// How much of a payload a table shows.
const OF_A_PAYLOAD: usize = 80;

/// How much of its tags.
const OF_TAGS: usize = 60;

/// An event as a program gets it. The names of its fields stay.
#[derive(Serialize)]
pub(crate) struct EventJson<'a> {
    position: i64,
    tenant: &'a TenantId,
    stream: &'a StreamId,
    version: Option<u64>,
    id: Uuid,
    name: &'a str,
    created_at: Timestamp,
    schema_version: u32,
    tags: Vec<&'a str>,
    /// The payload as it is stored, `null` where it is no JSON.
    data: Option<Box<RawValue>>,
    /// Then it is here.
    #[serde(skip_serializing_if = "Option::is_none")]
    data_text: Option<&'a str>,
    context: Option<Value>,
    /// What of it cannot be read.
    unreadable: Option<&'a str>,
}

impl<'a> EventJson<'a> {
    pub(crate) fn of(seen: &'a Seen) -> Self {
        let data = RawValue::from_string(seen.data().to_owned()).ok();
        Self {
            position: seen.position().to_i64(),
            tenant: seen.tenant_id(),
            stream: seen.stream_id(),
            version: seen.version(),
            id: seen.uuid(),
            name: seen.name(),
            created_at: seen.created_at(),
            schema_version: seen.schema_version(),
            tags: seen.tags().iter().map(Tag::as_str).collect(),
            data_text: data.is_none().then(|| seen.data()),
            data,
            context: context(seen),
            unreadable: seen.unreadable(),
        }
    }
}

/// The context, where it can be read, without what is encrypted of the event: that stands there under the empty key.
pub(crate) fn context(seen: &Seen) -> Option<Value> {
    let mut context = serde_json::to_value(seen.context().ok()?).ok()?;
    if let Value::Object(keys) = &mut context {
        keys.remove("");
    }
    Some(context)
}

/// What has caused an event, as far as it tells.
pub(crate) fn cause_of(seen: &Seen) -> Option<Uuid> {
    seen.context().ok().and_then(|context| context.causation_id())
}

/// Events of one stream.
pub(crate) const OF_A_STREAM: &[Column] = &[
    right("Version"),
    right("Position"),
    left("Time"),
    left("Event"),
    left("Id"),
    left("Tags"),
    left("Data"),
];

pub(crate) fn cells_of_a_stream(seen: &Seen) -> Vec<String> {
    vec![
        version(seen),
        seen.position().to_i64().to_string(),
        time(seen.created_at()),
        seen.name().to_owned(),
        seen.uuid().to_string(),
        shortened(&tags(seen), OF_TAGS),
        data(seen),
    ]
}

/// Events of all streams.
pub(crate) const OF_ALL: &[Column] = &[
    right("Position"),
    left("Time"),
    left("Tenant"),
    left("Category"),
    left("Stream"),
    right("Version"),
    left("Event"),
    left("Id"),
    left("Tags"),
    left("Data"),
];

pub(crate) fn cells_of_all(seen: &Seen) -> Vec<String> {
    vec![
        seen.position().to_i64().to_string(),
        time(seen.created_at()),
        seen.tenant_id().as_str().to_owned(),
        seen.stream_id().stored_category().to_owned(),
        name_of(seen.stream_id()),
        version(seen),
        seen.name().to_owned(),
        seen.uuid().to_string(),
        shortened(&tags(seen), OF_TAGS),
        data(seen),
    ]
}

/// An event in one line, as a tree shows it.
pub(crate) fn in_a_line(seen: &Seen) -> String {
    let tenant = match seen.tenant_id() {
        tenant if tenant.is_default() => String::new(),
        tenant => format!("  tenant {tenant}"),
    };
    let version = seen.version().map(|version| format!("  version {version}")).unwrap_or_default();
    let (name, stream, position) = (seen.name(), seen.stream_id(), seen.position().to_i64());
    let (at, id) = (time(seen.created_at()), seen.uuid());
    format!("{name}  {stream}{version}{tenant}  position {position}  {at}  {id}")
}

/// A time as tables show it: to the millisecond, in UTC.
pub(crate) fn time(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// The tags, one behind the other.
pub(crate) fn tags(seen: &Seen) -> String {
    seen.tags().iter().map(Tag::as_str).collect::<Vec<_>>().join(" ")
}

/// A payload in a table; what cannot be read of the row, where something cannot.
fn data(seen: &Seen) -> String {
    match seen.unreadable() {
        Some(problem) => format!("cannot be read: {}", shortened(problem, OF_A_PAYLOAD)),
        None => shortened(seen.data(), OF_A_PAYLOAD),
    }
}

fn version(seen: &Seen) -> String {
    seen.version().map(|version| version.to_string()).unwrap_or_default()
}

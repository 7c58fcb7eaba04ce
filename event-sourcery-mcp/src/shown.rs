//! What a tool answers, as JSON.

use event_sourcery::backend::Holder;
use event_sourcery::jiff::Timestamp;
use event_sourcery::look::{Counted, Mark, Page, Seen, StreamSummary, SubscriptionSummary};
use event_sourcery::uuid::Uuid;
use event_sourcery::{BlockedStream, Position, Status, StreamId, TenantId};
use serde::Serialize;
use serde_json::Value;

use crate::failure::Failure;

/// How much of a payload is shown in a listing, and how much of an event that is asked for.
pub(crate) const IN_A_LISTING: usize = 2_000;
pub(crate) const BY_ITSELF: usize = 65_536;

/// How much of an error is shown.
const OF_AN_ERROR: usize = 2_000;

/// An answer.
pub(crate) fn told(answer: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(answer).map_err(|problem| Failure::Answer { problem })
}

/// A page of a listing.
#[derive(Serialize)]
pub(crate) struct Listed<T> {
    items: Vec<T>,
    /// Where it goes on; `null`: that was all.
    next: Option<String>,
}

impl<T> Listed<T> {
    pub(crate) fn of<S>(page: &Page<S>, shown: impl FnMut(&S) -> T) -> Self {
        Self::new(page.items.iter().map(shown).collect(), page.next.as_ref())
    }

    pub(crate) fn new(items: Vec<T>, next: Option<&Mark>) -> Self {
        Self { items, next: next.map(Mark::to_string) }
    }
}

/// An event.
#[derive(Serialize)]
pub(crate) struct Event {
    position: i64,
    tenant: TenantId,
    stream: StreamId,
    version: Option<u64>,
    id: Uuid,
    name: String,
    created_at: Timestamp,
    schema_version: u32,
    /// The text of the payload as it is stored.
    data: String,
    data_is_cut: bool,
    /// Text where it is cut.
    context: Option<Value>,
    context_is_cut: bool,
    unreadable: Option<String>,
}

impl Event {
    pub(crate) fn of(seen: &Seen, most: usize) -> Self {
        let (data, data_is_cut) = cut(seen.data(), most);
        let (context, context_is_cut) = context(seen, most);
        Self {
            position: seen.position().to_i64(),
            tenant: seen.tenant_id().clone(),
            stream: seen.stream_id().clone(),
            version: seen.version(),
            id: seen.uuid(),
            name: seen.name().to_owned(),
            created_at: seen.created_at(),
            schema_version: seen.schema_version(),
            data,
            data_is_cut,
            context,
            context_is_cut,
            unreadable: seen.unreadable().map(str::to_owned),
        }
    }

    pub(crate) fn listed(seen: &Seen) -> Self {
        Self::of(seen, IN_A_LISTING)
    }
}

/// The first characters of a text, and whether there are more.
fn cut(text: &str, most: usize) -> (String, bool) {
    match text.char_indices().nth(most) {
        Some((at, _)) => (text.get(..at).unwrap_or_default().to_owned(), true),
        None => (text.to_owned(), false),
    }
}

/// The context, where it can be read, without what is encrypted of the event: that stands there under the empty key. And whether it is
/// cut, as a payload is.
fn context(seen: &Seen, most: usize) -> (Option<Value>, bool) {
    let context = seen.context().ok().and_then(|context| serde_json::to_value(context).ok());
    let Some(mut context) = context else { return (None, false) };
    if let Value::Object(keys) = &mut context {
        keys.remove("");
    }
    match cut(&context.to_string(), most) {
        (text, true) => (Some(Value::String(text)), true),
        (_, false) => (Some(context), false),
    }
}

/// A stream with its last event.
#[derive(Serialize)]
pub(crate) struct Stream {
    tenant: TenantId,
    stream: StreamId,
    version: Option<u64>,
    position: i64,
    event_name: String,
    created_at: Timestamp,
    unreadable: Option<String>,
}

impl Stream {
    pub(crate) fn of(summary: &StreamSummary) -> Self {
        Self {
            tenant: summary.tenant.clone(),
            stream: summary.stream.clone(),
            version: summary.version,
            position: summary.position.to_i64(),
            event_name: summary.event_name.to_string(),
            created_at: summary.created_at,
            unreadable: summary.unreadable.as_deref().map(str::to_owned),
        }
    }
}

/// A count.
#[derive(Serialize)]
pub(crate) struct Count {
    /// Empty for the default tenant, and for streams in no category.
    name: String,
    count: u64,
    is_exact: bool,
}

impl Count {
    pub(crate) fn of(counted: &Counted) -> Self {
        Self { name: counted.name.to_string(), count: counted.count, is_exact: counted.is_exact }
    }
}

/// A subscription.
#[derive(Serialize)]
pub(crate) struct Subscription {
    tenant: TenantId,
    /// Empty where it is what publishes the outbox.
    name: String,
    is_outbox: bool,
    /// The checkpoint that is furthest behind.
    position: Option<i64>,
    segments: usize,
    members: usize,
    events_behind: u64,
    /// Whether there may be more than were counted.
    has_more: bool,
    behind_seconds: f64,
    unreadable: Option<String>,
}

impl Subscription {
    pub(crate) fn of(summary: &SubscriptionSummary, status: Option<&Status>) -> Self {
        Self {
            tenant: summary.id.tenant.clone(),
            name: summary.id.name.to_string(),
            is_outbox: summary.id.is_outbox(),
            position: summary.position().map(Position::to_i64),
            segments: summary.record.as_ref().map_or(0, |record| record.segments.len()),
            members: status.map_or(0, |status| status.members),
            events_behind: status.map_or(0, |status| status.events_behind),
            has_more: status.is_some_and(|status| status.has_more),
            behind_seconds: status.map_or(0.0, |status| status.behind.as_secs_f64()),
            unreadable: summary.unreadable.as_deref().map(str::to_owned),
        }
    }
}

/// A stream that waits for a failed event.
#[derive(Serialize)]
pub(crate) struct Waiting {
    tenant: TenantId,
    stream: StreamId,
    position: i64,
    event_id: Option<Uuid>,
    event_name: Option<String>,
    attempts: u32,
    error: String,
    since: Timestamp,
    /// When it is tried again; `null`: it is parked, until somebody replays or skips it.
    retry_at: Option<Timestamp>,
}

impl Waiting {
    pub(crate) fn of(blocked: &BlockedStream) -> Self {
        Self {
            tenant: blocked.tenant.clone(),
            stream: blocked.stream.clone(),
            position: blocked.position.to_i64(),
            event_id: blocked.event_id,
            event_name: blocked.event_name.as_deref().map(str::to_owned),
            attempts: blocked.attempts,
            error: cut(&blocked.error, OF_AN_ERROR).0,
            since: blocked.since,
            retry_at: blocked.retry_at,
        }
    }
}

/// An open transaction that holds readers up.
#[derive(Serialize)]
pub(crate) struct Held {
    pid: Option<i32>,
    prepared: Option<String>,
    application_name: Option<String>,
    client_address: Option<String>,
    open_seconds: Option<f64>,
    state: Option<String>,
}

impl Held {
    pub(crate) fn of(holder: &Holder) -> Self {
        Self {
            pid: holder.pid,
            prepared: holder.prepared.clone(),
            application_name: holder.application_name.clone(),
            client_address: holder.client_address.clone(),
            open_seconds: holder.open_for.map(|open_for| open_for.as_secs_f64()),
            state: holder.state.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_long_payload_is_cut_between_characters() {
        assert_eq!(cut("äöü", 2), ("äö".to_owned(), true));
        assert_eq!(cut("äöü", 3), ("äöü".to_owned(), false));
    }
}

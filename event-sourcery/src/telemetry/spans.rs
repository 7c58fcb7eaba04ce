//! The spans, and what is recorded in them: all names stand here. What they mean stands in the guide page *traces and metrics*.

use std::fmt::{self, Write};

use tracing::field::Empty;
use tracing::span::Id;
use tracing::{Span, info_span};
use uuid::Uuid;

use super::observer::Ended;
use crate::append::Appended;
use crate::backend::{AppendRequest, LoadRequest, StreamAppend, SubscriptionId};
use crate::error::{Error, Result};
use crate::outbox::OutboxEntry;
use crate::stream_id::TenantId;
use crate::wrapped_event::Recorded;

/// By what they are filtered.
const TARGET: &str = "event_sourcery::span";

/// What hands events over, in OpenTelemetry's words for messages.
const SYSTEM: &str = "event_sourcery";

/// The parent of what stands in no span.
const NOBODY: Option<Id> = None;

pub(super) fn append(request: &AppendRequest) -> Span {
    info_span!(
        target: TARGET,
        "append",
        otel.kind = "internal",
        otel.status_code = Empty,
        "error.type" = Empty,
        event_sourcery.tenant = tenant(&request.tenant),
        event_sourcery.stream = only(&request.streams).map(|part| display(&part.stream)),
        event_sourcery.streams = request.streams.len(),
        event_sourcery.events = events(request),
        event_sourcery.version = Empty,
        event_sourcery.position = Empty,
        event_sourcery.outcome = Empty,
    )
}

pub(super) fn appended(span: &Span, outcome: Ended, appended: &Result<Vec<Appended>>) {
    if span.is_disabled() {
        return;
    }
    ended(span, outcome);
    match appended {
        Ok(all) => {
            span.record("event_sourcery.version", only(all).and_then(|one| one.last_version));
            span.record("event_sourcery.position", all.iter().map(|one| one.position.to_i64()).max());
        }
        Err(error) => failed(span, error),
    }
}

pub(super) fn load(request: &LoadRequest) -> Span {
    info_span!(
        target: TARGET,
        "load",
        otel.kind = "internal",
        otel.status_code = Empty,
        "error.type" = Empty,
        event_sourcery.tenant = tenant(&request.tenant),
        event_sourcery.stream = %request.stream,
        event_sourcery.events = Empty,
        event_sourcery.outcome = Empty,
    )
}

pub(super) fn loaded(span: &Span, loaded: Result<usize, &Error>) {
    if span.is_disabled() {
        return;
    }
    ended(span, if loaded.is_ok() { Ended::Done } else { Ended::Failed });
    match loaded {
        Ok(events) => {
            span.record("event_sourcery.events", events);
        }
        Err(error) => failed(span, error),
    }
}

/// A run of a durable subscription.
pub(crate) fn subscribe(id: &SubscriptionId, member: Uuid) -> Span {
    info_span!(
        target: TARGET,
        parent: NOBODY,
        "subscribe",
        otel.kind = "internal",
        messaging.system = SYSTEM,
        messaging.consumer.group.name = id.told(),
        event_sourcery.tenant = tenant(&id.tenant),
        event_sourcery.member = %member,
    )
}

pub(super) fn handle<E>(id: &SubscriptionId, attempt: u32, events: &[Recorded<E>]) -> Span {
    info_span!(
        target: TARGET,
        parent: NOBODY,
        "handle",
        otel.kind = "consumer",
        otel.status_code = Empty,
        messaging.system = SYSTEM,
        "messaging.operation.type" = "process",
        messaging.consumer.group.name = id.told(),
        messaging.batch.message_count = events.len(),
        messaging.message.id = only(events).map(|event| display(event.wrapped_event.uuid)),
        event_sourcery.tenant = only(events).and_then(|event| tenant(&event.tenant_id)),
        event_sourcery.stream = only(events).map(|event| display(&event.stream_id)),
        event_sourcery.version = only(events).and_then(|event| event.wrapped_event.version),
        event_sourcery.position = only(events).map(|event| event.position.to_i64()),
        event_sourcery.attempt = attempt,
        event_sourcery.outcome = Empty,
    )
}

pub(super) fn publish(id: &SubscriptionId, entries: &[OutboxEntry]) -> Span {
    let event = || only(entries).map(OutboxEntry::recorded);
    info_span!(
        target: TARGET,
        parent: NOBODY,
        "publish",
        otel.kind = "producer",
        otel.status_code = Empty,
        messaging.system = SYSTEM,
        "messaging.operation.type" = "send",
        messaging.consumer.group.name = id.told(),
        messaging.batch.message_count = entries.len(),
        messaging.message.id = event().map(|event| display(event.wrapped_event.uuid)),
        event_sourcery.tenant = event().and_then(|event| tenant(&event.tenant_id)),
        event_sourcery.stream = event().map(|event| display(&event.stream_id)),
        event_sourcery.version = event().and_then(|event| event.wrapped_event.version),
        event_sourcery.position = event().map(|event| event.position.to_i64()),
        event_sourcery.attempt = entries.first().map(OutboxEntry::attempt),
        event_sourcery.published = Empty,
        event_sourcery.outcome = Empty,
    )
}

pub(super) fn published(span: &Span, entries: usize, published: usize) {
    if !span.is_disabled() {
        span.record("event_sourcery.published", published);
        ended(span, if published == entries { Ended::Done } else { Ended::Failed });
    }
}

pub(super) fn ended(span: &Span, ended: Ended) {
    if span.is_disabled() {
        return;
    }
    span.record("event_sourcery.outcome", ended.as_str());
    if ended == Ended::Failed {
        span.record("otel.status_code", "error");
    }
}

/// By its kind: what it says may quote a value.
fn failed(span: &Span, error: &Error) {
    let mut kind = Kind(String::new());
    // It ends where the name of the variant does.
    let _ = write!(kind, "{error:?}");
    span.record("error.type", kind.0);
}

/// The first word of what is written.
struct Kind(String);

impl Write for Kind {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let word = text.split(|each: char| !each.is_alphanumeric()).next().unwrap_or_default();
        self.0.push_str(word);
        if word.len() == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

/// How many events an append has.
pub(super) fn events(request: &AppendRequest) -> usize {
    request.streams.iter().map(|StreamAppend { events, .. }| events.len()).sum()
}

/// Whose it is; `None` for the default tenant.
fn tenant(tenant: &TenantId) -> Option<&str> {
    (!tenant.is_default()).then(|| tenant.as_str())
}

/// The one there is; `None` where there are several.
fn only<T>(all: &[T]) -> Option<&T> {
    if let [one] = all { Some(one) } else { None }
}

//! What is under way: its span, and since when, where somebody wants to know.

use tokio::time::Instant;
use tracing::Span;

use super::observer::{Ended, Observed, Observing};
use super::spans;
use crate::append::Appended;
use crate::backend::{AppendRequest, SubscriptionId};
use crate::error::{Error, Result};
use crate::outbox::OutboxEntry;
use crate::wrapped_event::Recorded;

/// An append that is under way.
pub(crate) struct Appending<'r> {
    observing: &'r Observing,
    request: &'r AppendRequest,
    span: Span,
    since: Option<Instant>,
}

impl<'r> Appending<'r> {
    pub(crate) fn begin(observing: &'r Observing, request: &'r AppendRequest) -> Self {
        Self { observing, request, span: spans::append(request), since: observing.begin() }
    }

    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    pub(crate) fn ended(&self, appended: &Result<Vec<Appended>>) {
        let ended = match appended {
            Ok(all) if all.iter().any(|one| one.repeated) => Ended::Repeated,
            Ok(_) => Ended::Done,
            Err(Error::Conflict { .. }) => Ended::Conflict,
            Err(_) => Ended::Failed,
        };
        spans::appended(&self.span, ended, appended);
        if let Some(since) = self.since {
            let (tenant, events) = (&self.request.tenant, spans::events(self.request));
            self.observing.tell(&Observed::Append { tenant, events, ended, took: since.elapsed() });
        }
    }
}

/// Events in the hands of a handler.
pub(crate) struct Handling<'h> {
    observing: &'h Observing,
    subscription: &'h SubscriptionId,
    events: usize,
    span: Span,
    since: Option<Instant>,
}

impl<'h> Handling<'h> {
    pub(crate) fn begin<E>(
        observing: &'h Observing,
        subscription: &'h SubscriptionId,
        attempt: u32,
        events: &[Recorded<E>],
    ) -> Self {
        let span = spans::handle(subscription, attempt, events);
        observing.take_up(&span, events.iter().map(|event| &event.wrapped_event.context));
        Self { observing, subscription, events: events.len(), span, since: observing.begin() }
    }

    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    pub(crate) fn ended(&self, went_well: bool) {
        let ended = if went_well { Ended::Done } else { Ended::Failed };
        spans::ended(&self.span, ended);
        if let Some(since) = self.since {
            let (subscription, events, took) = (self.subscription, self.events, since.elapsed());
            self.observing.tell(&Observed::Handle { subscription, events, ended, took });
        }
    }
}

/// Entries in the hands of a publisher.
pub(crate) struct Sending<'s> {
    observing: &'s Observing,
    subscription: &'s SubscriptionId,
    entries: usize,
    span: Span,
    since: Option<Instant>,
}

impl<'s> Sending<'s> {
    pub(crate) fn begin(
        observing: &'s Observing,
        subscription: &'s SubscriptionId,
        entries: &[OutboxEntry],
    ) -> Self {
        let span = spans::publish(subscription, entries);
        observing.take_up(&span, entries.iter().map(|entry| &entry.recorded().wrapped_event.context));
        Self { observing, subscription, entries: entries.len(), span, since: observing.begin() }
    }

    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    /// So many of them are published.
    pub(crate) fn ended(&self, published: usize) {
        spans::published(&self.span, self.entries, published);
        if let Some(since) = self.since {
            let (subscription, entries, took) = (self.subscription, self.entries, since.elapsed());
            self.observing.tell(&Observed::Publish { subscription, entries, published, took });
        }
    }
}

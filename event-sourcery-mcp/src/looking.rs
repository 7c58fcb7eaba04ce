//! The questions, and their answers.

use std::sync::Arc;

use event_sourcery::EventStore;
use event_sourcery::look::{EventsRequest, ListRequest, Mark, Seen, StreamsRequest};
use event_sourcery::uuid::Uuid;
use serde::Serialize;
use serde_json::Value;

use crate::asked;
use crate::failure::Failure;
use crate::shown::{BY_ITSELF, Count, Event, Held, Listed, Stream, Subscription, Waiting, told};

/// How many causes of causes are looked for.
const CAUSES: usize = 32;

pub(crate) async fn streams(store: &EventStore, asked: asked::Streams) -> Result<Value, Failure> {
    let limit = asked::limit(asked.limit);
    let mut request = match asked.prefix {
        Some(prefix) => StreamsRequest::named(prefix, limit),
        None => StreamsRequest::newest(limit),
    };
    request.tenant = asked::tenant(store, asked.tenant.as_deref())?;
    request.category = asked::category(asked.category.as_deref())?;
    let page = store.look().streams(request.with_from(asked::from(asked.from.as_deref())?)).await?;
    told(&Listed::of(&page, Stream::of))
}

pub(crate) async fn stream(store: &EventStore, asked: asked::Stream) -> Result<Value, Failure> {
    let store = asked::store_of(store, asked.tenant.as_deref())?;
    let (from, limit) = (asked::from(asked.from.as_deref())?, asked::limit(asked.limit));
    for stream in asked::streams(&asked.stream, asked.category.as_deref())? {
        let page = store.look().backwards(&stream, from.clone(), limit).await?;
        if !page.items.is_empty() {
            return told(&Listed::of(&page, Event::listed));
        }
    }
    let to_do = "See `streams`: one of a category needs `category`, one of a tenant `tenant`.";
    Err(Failure::NotFound { what: "stream, or nothing stands in it there", to_do })
}

pub(crate) async fn event(store: &EventStore, asked: asked::Event) -> Result<Value, Failure> {
    let seen = store.look().event(asked.id).await?;
    let seen = seen.ok_or_else(no_event)?;
    told(&Event::of(&seen, BY_ITSELF))
}

fn no_event() -> Failure {
    let to_do = "If the id is that of a command or of a request, `correlation` may find what it has caused.";
    Failure::NotFound { what: "event", to_do }
}

/// Why an event happened, and what it has caused.
#[derive(Serialize)]
struct Causes {
    event: Event,
    /// The nearest first.
    caused_by: Vec<Event>,
    /// The cause of the last of those, where that is no event here, or was not looked for.
    caused_further_by: Option<Uuid>,
    has_caused: Vec<Event>,
    /// Whether the store was looked through to its end, and all that was found is told.
    is_whole: bool,
}

pub(crate) async fn causes(store: &EventStore, asked: asked::Event) -> Result<Value, Failure> {
    let causes = store.look().caused_by(asked.id).await?;
    let causes = causes.ok_or_else(no_event)?;
    let (mut before, mut next): (Vec<Seen>, _) = (Vec::new(), cause_of(causes.root()));
    while let Some(cause) = next.filter(|_| before.len() < CAUSES) {
        // Whoever writes contexts by hand may make a circle of them.
        let is_known = cause == asked.id || before.iter().any(|seen| seen.uuid() == cause);
        let found = if is_known { None } else { store.look().event(cause).await? };
        let Some(seen) = found else { break };
        next = cause_of(&seen);
        before.push(seen);
    }
    told(&Causes {
        event: Event::of(causes.root(), BY_ITSELF),
        caused_by: before.iter().map(Event::listed).collect(),
        caused_further_by: next,
        has_caused: causes.all().iter().take(asked::MOST).map(Event::listed).collect(),
        is_whole: causes.is_whole() && causes.all().len() <= asked::MOST,
    })
}

fn cause_of(seen: &Seen) -> Option<Uuid> {
    seen.context().ok().and_then(|context| context.causation_id())
}

pub(crate) async fn correlation(store: &EventStore, asked: asked::Correlation) -> Result<Value, Failure> {
    let mut page = store.look().correlated(asked.id, asked::from(asked.from.as_deref())?).await?;
    if page.items.len() > asked::MOST {
        page.items.truncate(asked::MOST);
        page.next = page.items.last().map(|last| Mark::at(last.position().to_i64()));
    }
    told(&Listed::of(&page, Event::listed))
}

pub(crate) async fn search(store: &EventStore, asked: asked::Search) -> Result<Value, Failure> {
    let mut request = EventsRequest::newest(asked::limit(asked.limit));
    request.names = asked.event_type.map(|name| Arc::from([Arc::<str>::from(name)]));
    request.category = asked::category(asked.category.as_deref())?;
    request.tenant = asked::tenant(store, asked.tenant.as_deref())?;
    let page = store.look().events(request.with_from(asked::from(asked.from.as_deref())?)).await?;
    told(&Listed::of(&page, Event::listed))
}

pub(crate) async fn counts(store: &EventStore, asked: asked::Counts) -> Result<Value, Failure> {
    let from = asked::from(asked.from.as_deref())?;
    let request = ListRequest::new(asked::limit(asked.limit)).with_from(from.clone());
    let page = match asked.of {
        asked::Counted::Tenants => store.look().tenants(request).await?,
        asked::Counted::Categories => store.look().categories(request).await?,
        asked::Counted::Events => store.look().event_names(EventsRequest::newest(1).with_from(from)).await?,
    };
    told(&Listed::of(&page, Count::of))
}

pub(crate) async fn subscriptions(store: &EventStore, asked: asked::Subscriptions) -> Result<Value, Failure> {
    let from = asked::from(asked.from.as_deref())?;
    let mut request = ListRequest::new(asked::limit(asked.limit)).with_from(from);
    request.tenant = asked::tenant(store, asked.tenant.as_deref())?;
    let page = store.look().subscriptions(request).await?;
    let mut found = Vec::new();
    for summary in &page.items {
        let is_readable = summary.record.is_some();
        let status = if is_readable { store.look().status(&summary.id).await? } else { None };
        found.push(Subscription::of(summary, status.as_ref()));
    }
    told(&Listed::new(found, page.next.as_ref()))
}

/// A subscription, and what waits in it.
#[derive(Serialize)]
struct WithWaiting {
    subscription: Subscription,
    waiting: Listed<Waiting>,
}

pub(crate) async fn subscription(store: &EventStore, asked: asked::Subscription) -> Result<Value, Failure> {
    let id = asked::subscription(store, asked.name.as_deref(), asked.tenant.as_deref())?;
    let to_do = "See `subscriptions`: one of a tenant needs `tenant`; or it has never run.";
    let found = store.look().subscription(&id).await?;
    let summary = found.ok_or(Failure::NotFound { what: "subscription", to_do })?;
    let status = if summary.record.is_some() { store.look().status(&id).await? } else { None };
    let (from, limit) = (asked::from(asked.from.as_deref())?, asked::limit(asked.limit));
    let blocked = store.look().blocked(&id, from, limit).await?;
    told(&WithWaiting {
        subscription: Subscription::of(&summary, status.as_ref()),
        waiting: Listed::of(&blocked, Waiting::of),
    })
}

pub(crate) async fn outbox(store: &EventStore, asked: asked::Outbox) -> Result<Value, Failure> {
    let (from, limit) = (asked::from(asked.from.as_deref())?, asked::limit(asked.limit));
    told(&Listed::of(&store.look().outbox(from, limit).await?, Event::listed))
}

/// How far readers come.
#[derive(Serialize)]
struct Settled {
    position: i64,
    /// Where the newest event stands.
    newest: Option<i64>,
    /// `null` where one tenant alone is shown: they are nobody's.
    holders: Option<Vec<Held>>,
}

pub(crate) async fn holders(store: &EventStore, _: asked::Nothing) -> Result<Value, Failure> {
    let settled = store.look().settled().await?;
    let newest = store.look().events(EventsRequest::newest(1)).await?;
    told(&Settled {
        position: settled.position.to_i64(),
        newest: newest.items.first().map(|newest| newest.position().to_i64()),
        holders: settled.holders.map(|holders| holders.iter().map(Held::of).collect()),
    })
}

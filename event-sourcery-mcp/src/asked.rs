//! What a tool is called with.

use event_sourcery::look::{Mark, SubscriptionId};
use event_sourcery::uuid::Uuid;
use event_sourcery::{Category, EventStore, StreamId, TenantId};
use rmcp::model::JsonObject;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failure::Failure;

/// The most items of an answer.
pub(crate) const MOST: usize = 100;

/// How many there are where nobody says.
const UNLESS_SAID: usize = 20;

/// Reads the arguments of a call.
pub(crate) fn read<A: DeserializeOwned>(arguments: JsonObject) -> Result<A, Failure> {
    serde_json::from_value(Value::Object(arguments)).map_err(|problem| Failure::Arguments { problem })
}

/// Nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// A page of streams.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Streams {
    pub(crate) prefix: Option<String>,
    pub(crate) category: Option<String>,
    pub(crate) tenant: Option<String>,
    pub(crate) from: Option<String>,
    pub(crate) limit: Option<usize>,
}

/// A page of a stream.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stream {
    pub(crate) stream: String,
    pub(crate) category: Option<String>,
    pub(crate) tenant: Option<String>,
    pub(crate) from: Option<String>,
    pub(crate) limit: Option<usize>,
}

/// An event.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Event {
    pub(crate) id: Uuid,
}

/// A page of a correlation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Correlation {
    pub(crate) id: Uuid,
    pub(crate) from: Option<String>,
}

/// A page of events that were searched for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Search {
    #[serde(rename = "type")]
    pub(crate) event_type: Option<String>,
    pub(crate) category: Option<String>,
    pub(crate) tenant: Option<String>,
    pub(crate) from: Option<String>,
    pub(crate) limit: Option<usize>,
}

/// A page of counts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Counts {
    pub(crate) of: Counted,
    pub(crate) from: Option<String>,
    pub(crate) limit: Option<usize>,
}

/// What is counted.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Counted {
    Tenants,
    Categories,
    Events,
}

/// A page of subscriptions.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Subscriptions {
    pub(crate) tenant: Option<String>,
    pub(crate) from: Option<String>,
    pub(crate) limit: Option<usize>,
}

/// A page of what waits in a subscription.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Subscription {
    pub(crate) name: Option<String>,
    pub(crate) tenant: Option<String>,
    pub(crate) from: Option<String>,
    pub(crate) limit: Option<usize>,
}

/// A page of the outbox.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Outbox {
    pub(crate) from: Option<String>,
    pub(crate) limit: Option<usize>,
}

/// A failed event.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Failed {
    pub(crate) name: Option<String>,
    pub(crate) tenant: Option<String>,
    pub(crate) position: i64,
    pub(crate) stream: Option<Uuid>,
}

pub(crate) fn limit(asked: Option<usize>) -> usize {
    asked.unwrap_or(UNLESS_SAID).clamp(1, MOST)
}

pub(crate) fn from(asked: Option<&str>) -> Result<Option<Mark>, Failure> {
    Ok(asked.map(str::parse).transpose()?)
}

pub(crate) fn category(asked: Option<&str>) -> Result<Option<Category>, Failure> {
    Ok(asked.map(Category::new).transpose()?)
}

/// The tenant of this name, if the store's handle sees it; `None`: whatever it sees.
pub(crate) fn tenant(store: &EventStore, asked: Option<&str>) -> Result<Option<TenantId>, Failure> {
    let Some(tenant) = asked.filter(|name| !name.is_empty()).map(TenantId::new).transpose()? else {
        return Ok(None);
    };
    let is_seen = store.tenant_id().is_default() || tenant == *store.tenant_id();
    let to_do = "Leave `tenant` out: this store shows one tenant alone.";
    if is_seen { Ok(Some(tenant)) } else { Err(Failure::NotFound { what: "tenant", to_do }) }
}

/// The handle of the tenant that is asked for, or the store's own.
pub(crate) fn store_of(store: &EventStore, asked: Option<&str>) -> Result<EventStore, Failure> {
    Ok(match tenant(store, asked)? {
        Some(tenant) => store.for_tenant(tenant),
        None => store.clone(),
    })
}

/// Which streams may be meant: a UUID may also be a name.
pub(crate) fn streams(named: &str, of: Option<&str>) -> Result<Vec<StreamId>, Failure> {
    let by_uuid = named.parse::<Uuid>().ok().map(StreamId::from_uuid);
    let by_name = StreamId::from_name(named)?;
    let category = category(of)?;
    let in_category = |stream: StreamId| match &category {
        Some(category) => stream.with_category(category.clone()),
        None => stream,
    };
    Ok(by_uuid.into_iter().chain([by_name]).map(in_category).collect())
}

/// The subscription of this name; without one, what publishes the outbox.
pub(crate) fn subscription(
    store: &EventStore,
    name: Option<&str>,
    whose: Option<&str>,
) -> Result<SubscriptionId, Failure> {
    let tenant = store_of(store, whose)?.tenant_id().clone();
    Ok(SubscriptionId::new(tenant, name.unwrap_or_default()))
}

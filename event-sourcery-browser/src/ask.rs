//! What a page is asked for with.

use axum::extract::OriginalUri;
use axum::http::request::Parts;
use event_sourcery::look::{Mark, SubscriptionId};
use event_sourcery::uuid::Uuid;
use event_sourcery::{EventStore, StreamId, TenantId};

use crate::access::Granted;
use crate::browser::Shared;
use crate::failure::Failure;
use crate::fields::{Fields, query};

/// How far below the others a page stands at most: what is deeper is no page, and its answer no longer than others.
const DEEPEST: usize = 16;

/// Where a request stands, below the path that the router is mounted at.
pub(crate) struct Place {
    /// What leads from the page to those beside it.
    pub(crate) base: String,
    /// The name of the page.
    pub(crate) page: String,
}

impl Place {
    pub(crate) fn of(request: &Parts) -> Self {
        let page = request.uri.path().trim_start_matches('/');
        let original = request.extensions.get::<OriginalUri>();
        let original = original.map_or(request.uri.path(), |OriginalUri(uri)| uri.path());
        let base = match (page.matches('/').count(), original.rsplit_once('/')) {
            // What is mounted at `/admin/events` is asked for there, and its pages stand below.
            (0, Some((_, last))) if page.is_empty() && !last.is_empty() => format!("./{last}/"),
            (0, _) => "./".to_owned(),
            (below, _) => "../".repeat(below.min(DEEPEST)),
        };
        let page = if page.is_empty() { "store" } else { page };
        Self { base, page: page.to_owned() }
    }
}

/// Who asks for which page, with what.
pub(crate) struct Ask<'s> {
    pub(crate) shared: &'s Shared,
    /// What the request sees, and nothing else.
    pub(crate) store: EventStore,
    pub(crate) may_act: bool,
    pub(crate) fields: Fields,
    place: &'s Place,
}

impl<'s> Ask<'s> {
    pub(crate) fn new(shared: &'s Shared, granted: Granted, place: &'s Place, fields: Fields) -> Self {
        let store = match granted.tenant {
            Some(tenant) => shared.store.for_tenant(tenant),
            None => shared.store.clone(),
        };
        Self { shared, store, may_act: granted.may_act, fields, place }
    }

    /// Whether it sees every tenant.
    pub(crate) fn sees_all(&self) -> bool {
        self.store.tenant_id().is_default()
    }

    /// The address of a page. Fields that are empty are left out.
    pub(crate) fn link(&self, page: &str, fields: &[(&str, &str)]) -> String {
        self.address(page, &query(fields.iter().copied()))
    }

    /// The address of this page, with other fields of this name. What was just done is not told there again.
    pub(crate) fn again(&self, name: &str, values: &[&str]) -> String {
        let others = self.fields.without(name).filter(|(field, _)| !matches!(*field, "done" | "count"));
        self.address(&self.place.page, &query(others.chain(values.iter().map(|value| (name, *value)))))
    }

    fn address(&self, page: &str, query: &str) -> String {
        let base = &self.place.base;
        if query.is_empty() { format!("{base}{page}") } else { format!("{base}{page}?{query}") }
    }

    /// Where the listing goes on.
    pub(crate) fn from(&self) -> Result<Option<Mark>, Failure> {
        Ok(self.fields.get("from").map(str::parse).transpose()?)
    }

    /// Whose a listing is to be; `None`: of all that this request sees.
    pub(crate) fn whose(&self) -> Result<Option<TenantId>, Failure> {
        self.fields.get("tenant").map(|name| self.seen(name)).transpose()
    }

    /// The handle that sees the streams of this tenant; of the request's own where none is told.
    pub(crate) fn store_of(&self, tenant: Option<&str>) -> Result<EventStore, Failure> {
        match tenant.filter(|name| !name.is_empty()) {
            Some(name) => Ok(self.store.for_tenant(self.seen(name)?)),
            None => Ok(self.store.clone()),
        }
    }

    /// The tenant of this name, if this request sees it.
    fn seen(&self, name: &str) -> Result<TenantId, Failure> {
        let tenant = TenantId::new(name)?;
        let is_seen = self.sees_all() || tenant == *self.store.tenant_id();
        is_seen.then_some(tenant).ok_or(Failure::NotFound("tenant"))
    }

    /// The id in a field.
    pub(crate) fn id(&self, field: &'static str) -> Result<Uuid, Failure> {
        let text = self.fields.get(field).ok_or_else(|| Failure::field(field, "it is missing"))?;
        text.trim().parse().map_err(|_| Failure::field(field, "it is no UUID"))
    }

    /// The stream that the fields name, by its UUID or its name.
    pub(crate) fn stream(&self) -> Result<StreamId, Failure> {
        let uuid = if self.fields.get("id").is_some() { Some(self.id("id")?) } else { None };
        let stream = match (uuid, self.fields.get("name")) {
            // Other writers may have given a name to any UUID.
            (Some(uuid), Some(name)) => {
                StreamId::from_uuid_and_name(uuid, name).unwrap_or_else(|_| StreamId::from_uuid(uuid))
            }
            (Some(uuid), None) => StreamId::from_uuid(uuid),
            (None, Some(name)) => StreamId::from_name(name)?,
            (None, None) => return Err(Failure::field("id", "it is missing")),
        };
        Ok(stream.in_category(self.fields.get("category").unwrap_or_default())?)
    }

    /// The subscription that the fields name; without a name, what publishes the outbox.
    pub(crate) fn subscription(&self) -> Result<SubscriptionId, Failure> {
        let tenant = self.store_of(self.fields.get("tenant"))?.tenant_id().clone();
        Ok(SubscriptionId::new(tenant, self.fields.get("name").unwrap_or_default()))
    }
}

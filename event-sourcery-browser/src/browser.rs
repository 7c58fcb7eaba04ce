//! The browser, before it is a router.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::http::request::Parts;
use axum::routing::any;
use event_sourcery::EventStore;

use crate::access::Access;
use crate::dispatch::answer;
use crate::forgery::Secret;
use crate::samples::Samples;

type Hook = Arc<dyn Fn(&Parts) -> Access + Send + Sync>;

/// A browser for a store: see the [crate](crate).
pub struct Browser {
    store: EventStore,
    hook: Hook,
}

/// What all requests to a router share.
pub(crate) struct Shared {
    pub(crate) store: EventStore,
    pub(crate) hook: Hook,
    pub(crate) secret: Secret,
    pub(crate) samples: Samples,
}

impl Browser {
    /// A browser for what this handle sees. Until told otherwise, it answers to this machine alone, and lets nobody act.
    #[must_use]
    pub fn new(store: EventStore) -> Self {
        Self { store, hook: Arc::new(Access::of_this_machine) }
    }

    /// This decides for each request what it may see and do, in the place of the rule that only this machine may look. It is handed
    /// the head of the request, with the extensions that layers of the service have left there: what has to be waited for, such as a
    /// session, belongs into such a layer.
    #[must_use]
    pub fn allow<F>(self, decide: F) -> Self
    where
        F: Fn(&Parts) -> Access + Send + Sync + 'static,
    {
        Self { hook: Arc::new(decide), ..self }
    }

    /// The router, to be nested or served by itself. All links are relative, so that it may stand behind a proxy that takes a prefix
    /// away, if that leaves the last slash. [`Router::nest_service`] answers its path with a slash at the end too; [`Router::nest`]
    /// does not.
    ///
    /// ```
    /// use axum::Router;
    /// use event_sourcery::{EventStore, MemoryBackend};
    /// use event_sourcery_browser::Browser;
    ///
    /// let store = EventStore::new(MemoryBackend::new());
    /// let service: Router = Router::new().nest("/admin/events", Browser::new(store.erased()).router());
    /// ```
    pub fn router(self) -> Router {
        let Self { store, hook } = self;
        let shared = Shared { store, hook, secret: Secret::new(), samples: Samples::default() };
        // No fallback: a service's `route_layer`, such as its authentication, would not stand before that, and it is lost
        // where the router that this one is nested in is nested itself.
        let pages = Router::new().route("/", any(answer)).route("/{*event_sourcery_page}", any(answer));
        pages.with_state(Arc::new(shared))
    }
}

impl fmt::Debug for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Browser").finish_non_exhaustive()
    }
}

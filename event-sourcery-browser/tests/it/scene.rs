//! A store with something of everything in it, and a visitor of its browser.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use event_sourcery::backend::Backend;
use event_sourcery::uuid::Uuid;
use event_sourcery::{Context, Event as _, EventStore, MemoryBackend, RawEvent, StreamId, Tag, TenantId};
use event_sourcery_browser::{Access, Browser};
use tower::ServiceExt as _;

/// What nobody should be able to run on a page.
pub(crate) const HOSTILE: &str = "<script>alert('1')</script>\"><img src=x onerror=alert(1)>&amp;{{7}}";

/// How many orders the tenant acme has: more than a page holds. Others have a few.
pub(crate) const ORDERS: usize = 55;

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

pub(crate) fn raw(name: &str, data: &serde_json::Value) -> RawEvent {
    RawEvent::new(name.to_owned(), data.to_string()).unwrap()
}

/// A stream of a tenant's: its name and its category tell whose it is.
pub(crate) fn order(whose: &str, number: usize) -> StreamId {
    StreamId::from_name(format!("{whose}-orders/{number}"))
        .unwrap()
        .in_category(format!("{whose}-orders"))
        .unwrap()
}

/// A store in memory, filled.
pub(crate) async fn in_memory() -> EventStore {
    filled(MemoryBackend::new()).await
}

/// A store over this backend, with the orders of two tenants and of the default one: some events have caused others, some are to be
/// published, and a handler has failed on one of each.
pub(crate) async fn filled<B: Backend>(backend: B) -> EventStore {
    let store =
        EventStore::new(backend).with_outbox(|event| event.event_name.ends_with("Paid")).unwrap().erased();
    for whose in ["", "acme", "rival"] {
        let of = if whose.is_empty() { store.clone() } else { store.for_tenant(tenant(whose)) };
        fill(&of, whose).await;
    }
    store
}

async fn fill(store: &EventStore, whose: &str) {
    let orders = if whose == "acme" { ORDERS } else { 3 };
    for number in 0..orders {
        let placed = raw(&format!("{whose}Placed"), &serde_json::json!({"of": whose, "number": number}));
        let request = Context::new().with_correlation_id(Uuid::from_u128(number as u128 + 1));
        store.with_context(request).append(&order(whose, number), placed).await.unwrap();
    }
    let placed = &store.load_stream::<RawEvent>(&order(whose, 0)).await.unwrap()[0];
    let invoice = StreamId::from_name(format!("{whose}-invoices/0")).unwrap();
    let paid = raw(
        &format!("{whose}Paid"),
        &serde_json::json!({"of": whose, "lines": [{"cents": 1_200}, {"cents": 80}]}),
    );
    store.caused_by(placed).append(&invoice, paid).await.unwrap();
    let paid = &store.load_stream::<RawEvent>(&invoice).await.unwrap()[0];
    let letter = StreamId::from_name(format!("{whose}-letters/0")).unwrap();
    store
        .caused_by(paid)
        .append(&letter, raw(&format!("{whose}Sent"), &serde_json::json!({})))
        .await
        .unwrap();

    let hostile = StreamId::from_name(format!("{whose}{HOSTILE}"))
        .unwrap()
        .in_category(format!("{whose}{HOSTILE}"))
        .unwrap();
    let data = serde_json::json!({(HOSTILE): [HOSTILE, {"of": whose}]});
    let tag = Tag::new("of", format!("{whose}{HOSTILE}")).unwrap();
    let event = raw(&format!("{whose}{HOSTILE}"), &data).with_context(Context::new());
    store.append(&hostile, event.with_tags([tag])).await.unwrap();
    fail(store, &format!("{whose}{HOSTILE}"), orders).await;
}

/// A handler of this name fails with its name on all that there is: on the events of so many streams at least.
pub(crate) async fn fail(store: &EventStore, name: &str, streams: usize) {
    let durable = || store.subscribe::<RawEvent>().durable(name.to_owned()).attempts(1);
    let watched = durable();
    let has_failed = async move {
        while watched.parked().await.map_or(0, |parked| parked.len()) < streams {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let error = name.to_owned();
    durable().until(has_failed).run(async move |_, _| Err(error.clone().into())).await.unwrap();
}

/// Whoever may do everything.
pub(crate) fn operated(store: &EventStore) -> Visitor {
    Visitor::of(Browser::new(store.clone()).allow(|_| Access::look().and_act()).router())
}

pub(crate) struct Visitor(Router);

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Visitor {
    pub(crate) fn of(router: Router) -> Self {
        Self(router)
    }

    pub(crate) async fn get(&self, address: &str) -> Answer {
        self.send(Request::get(address).body(Body::empty()).unwrap()).await
    }

    /// The body of a page that is there.
    pub(crate) async fn page(&self, address: &str) -> String {
        let answer = self.get(address).await;
        assert_eq!(answer.status, StatusCode::OK, "{address}: {}", answer.body);
        answer.body
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.0.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Answer { status: head.status, headers: head.headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    /// Sends a form as a web browser does from a page of this origin.
    pub(crate) async fn submit(&self, form: &Form) -> Answer {
        self.send(form.request().header("sec-fetch-site", "same-origin").body(form.body()).unwrap()).await
    }
}

/// A form that a page has for acting.
#[derive(Clone)]
pub(crate) struct Form(pub(crate) Vec<(String, String)>);

impl Form {
    /// All of a page.
    pub(crate) fn all(page: &str) -> Vec<Self> {
        let forms =
            page.split("<form method=\"post\"").skip(1).map(|form| form.split("</form>").next().unwrap());
        forms.map(|form| Self(form.split("name=\"").skip(1).map(field).collect())).collect()
    }

    /// That of a page for this action.
    pub(crate) fn to(verb: &str, page: &str) -> Self {
        Self::all(page).into_iter().find(|form| form.get("verb") == verb).unwrap()
    }

    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.0.iter_mut().filter(|(field, _)| field == name).for_each(|(_, old)| *old = value.to_owned());
        self
    }

    pub(crate) fn request(&self) -> axum::http::request::Builder {
        Request::post("/act").header("content-type", "application/x-www-form-urlencoded")
    }

    pub(crate) fn body(&self) -> Body {
        Body::from(form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish())
    }
}

fn field(text: &str) -> (String, String) {
    let (name, rest) = text.split_once('"').unwrap();
    let value = rest.split("value=\"").nth(1).and_then(|value| value.split('"').next()).unwrap();
    (name.to_owned(), text_of(value))
}

/// What escaped text says.
pub(crate) fn text_of(escaped: &str) -> String {
    escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

/// The links of a page, and the addresses of its forms for looking.
pub(crate) fn links(page: &str) -> Vec<String> {
    let all = ["href=\"", "src=\"", "<form action=\""]
        .into_iter()
        .flat_map(|attribute| page.split(attribute).skip(1));
    all.map(|rest| text_of(rest.split('"').next().unwrap())).filter(|link| !link.starts_with('#')).collect()
}

//! A receiver, which answers as it is told to, and what it has got.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use event_sourcery::outbox::BoxFuture;
use event_sourcery::uuid::Uuid;
use event_sourcery_cloudevents::CloudEvents;
use event_sourcery_conformance::publisher::Receiver;
use event_sourcery_publish_webhook::{Secret, WebhookPublisher};
use tokio::net::TcpListener;

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A request, and how it was answered.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    pub(crate) is_accepted: bool,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("{name} is missing")).to_str().unwrap()
    }
}

/// How a request is answered.
pub(crate) enum Reply {
    Status(u16),
    /// With a header.
    With(u16, &'static str, &'static str),
    Never,
}

pub(crate) struct Books {
    pub(crate) address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Books {
    pub(crate) async fn open() -> Self {
        Self::answering(|_| Reply::Status(204)).await
    }

    /// Answers by what stands in the body.
    pub(crate) async fn answering(reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (got, reply) = (Arc::<Mutex<Vec<Got>>>::default(), Arc::new(reply));
        let handler = {
            let got = Arc::clone(&got);
            move |method: Method, headers: HeaderMap, body: String| {
                let (got, reply) = (Arc::clone(&got), Arc::clone(&reply));
                async move { answered(&got, Got { method, headers, body, is_accepted: false }, &*reply).await }
            }
        };
        let router = Router::new().fallback(handler);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, got }
    }

    pub(crate) fn publisher(&self) -> WebhookPublisher {
        let events = CloudEvents::from_source("/shop").unwrap();
        let address = format!("http://{}/events", self.address);
        WebhookPublisher::in_own_network(&address, Secret::from_text(SECRET).unwrap(), events).unwrap()
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        locked(&self.got).clone()
    }
}

async fn answered(
    all: &Mutex<Vec<Got>>,
    mut got: Got,
    reply: &(impl Fn(&str) -> Reply + ?Sized),
) -> (StatusCode, HeaderMap) {
    let (status, headers) = match reply(&got.body) {
        Reply::Status(status) => (status, HeaderMap::new()),
        Reply::With(status, name, value) => {
            let header = (HeaderName::from_static(name), HeaderValue::from_static(value));
            (status, HeaderMap::from_iter([header]))
        }
        Reply::Never => std::future::pending().await,
    };
    got.is_accepted = (200..300).contains(&status);
    locked(all).push(got);
    (StatusCode::from_u16(status).unwrap(), headers)
}

fn locked(got: &Mutex<Vec<Got>>) -> MutexGuard<'_, Vec<Got>> {
    got.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Receiver for Books {
    fn arrived(&self) -> BoxFuture<'_, Vec<Uuid>> {
        let got = self.got();
        let accepted = got.iter().filter(|got| got.is_accepted);
        let ids = accepted.map(|got| got.header("webhook-id").parse().unwrap()).collect();
        Box::pin(std::future::ready(ids))
    }
}

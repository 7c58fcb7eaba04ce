//! A server with a transit key, and what is asked of it.

use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use broker_cluster::OpenBao as Server;
use event_sourcery::privacy::{DataKey, SubjectOf};
use event_sourcery::{Error, TenantId};
use event_sourcery_openbao::{OpenBao, OpenBaoError, Token, TransitKey};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What a token needs.
pub(crate) const POLICY: &str = r#"
    path "transit/keys/customers"    { capabilities = ["read"] }
    path "transit/config/keys"       { capabilities = ["read"] }
    path "transit/encrypt/customers" { capabilities = ["update"] }
    path "transit/decrypt/customers" { capabilities = ["update"] }
"#;

pub(crate) type Wrapped = Vec<(SubjectOf, Vec<u8>)>;

/// A server with the transit key `customers`.
pub(crate) fn server() -> Server {
    let server = Server::start();
    make(&server, "customers", &json!({}));
    server
}

pub(crate) fn make(server: &Server, key: &str, settings: &Value) {
    server.done("POST", &format!("transit/keys/{key}"), settings);
}

/// Erases a transit key, which has to be allowed before.
pub(crate) fn erase(server: &Server, key: &str) {
    server.done("POST", &format!("transit/keys/{key}/config"), &json!({ "deletion_allowed": true }));
    server.done("DELETE", &format!("transit/keys/{key}"), &json!({}));
}

/// The server, for whoever has such a token as is needed.
pub(crate) fn bao(server: &Server) -> OpenBao {
    OpenBao::at(&server.url(), Token::from_text(server.token(POLICY))).unwrap()
}

/// The server, for whoever may do everything.
pub(crate) fn bao_as_root(server: &Server) -> OpenBao {
    OpenBao::at(&server.url(), Token::from_text(server.root_token())).unwrap()
}

pub(crate) async fn open(server: &Server) -> TransitKey {
    bao(server).open("customers").await.unwrap()
}

pub(crate) fn of(subject: &str) -> SubjectOf {
    SubjectOf { tenant: TenantId::DEFAULT, subject: Arc::from(subject) }
}

/// A key for each of so many subjects.
pub(crate) fn keys(count: usize) -> Vec<(SubjectOf, DataKey)> {
    (0..count).map(|number| (of(&format!("customer-{number}")), DataKey::random().unwrap())).collect()
}

/// What was wrapped, for the subjects that it is of.
pub(crate) fn beside(keys: &[(SubjectOf, DataKey)], wrapped: Vec<Vec<u8>>) -> Wrapped {
    keys.iter().map(|(of, _)| of.clone()).zip(wrapped).collect()
}

/// What OpenBao says in an error; and it can be tried again, or not.
#[track_caller]
pub(crate) fn said(error: &Error, is_retryable: bool) -> &OpenBaoError {
    assert_eq!(error.is_retryable(), is_retryable, "{}", error.in_full());
    error.source().and_then(|source| source.downcast_ref()).unwrap_or_else(|| panic!("{error:?}"))
}

/// What was asked: a path, and a body.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) body: String,
}

/// Somebody between us and the server, who sees what is asked.
pub(crate) struct Onlooker {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Asked>>>,
}

impl Onlooker {
    pub(crate) async fn before(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::<Mutex<Vec<Asked>>>::default();
        let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
        let (server, noted) = (server.url(), Arc::clone(&seen));
        let handler = move |request: Request| {
            let (client, server, noted) = (client.clone(), server.clone(), Arc::clone(&noted));
            async move {
                let (mut parts, body) = request.into_parts();
                let body = to_bytes(body, usize::MAX).await.unwrap();
                let path = parts.uri.path().to_owned();
                parts.uri = format!("{server}{path}").parse().unwrap();
                let text = String::from_utf8(body.to_vec()).unwrap();
                noted.lock().unwrap_or_else(PoisonError::into_inner).push(Asked { path, body: text });
                let request = Request::from_parts(parts, Body::from(body));
                client.request(request).await.unwrap().map(Body::new)
            }
        };
        let router = Router::new().fallback(handler);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, seen }
    }

    /// What was asked by a path that ends so, since this was asked last.
    pub(crate) fn take(&self, end: &str) -> Vec<Asked> {
        let mut seen = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        seen.retain(|asked| asked.path.ends_with(end));
        seen
    }
}

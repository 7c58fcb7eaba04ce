//! The HTTP client: one that follows nothing, and asks no proxy.

use std::io;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

use crate::error::OpenBaoError;

/// The largest answer that is read. One for a whole batch has a tenth of it.
const MOST: usize = 1 << 20;

pub(crate) type Client = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client, which trusts whom the machine trusts, where it needs to trust somebody.
pub(crate) fn client(needs_tls: bool) -> io::Result<Client> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    let tls = HttpsConnectorBuilder::new();
    let tls = if needs_tls {
        tls.with_provider_and_native_roots(ring::default_provider())?
    } else {
        tls.with_tls_config(trusting_nobody().map_err(io::Error::other)?)
    };
    let connector = tls.https_or_http().enable_http1().wrap_connector(http);
    Ok(legacy::Client::builder(TokioExecutor::new()).build(connector))
}

fn trusting_nobody() -> Result<ClientConfig, rustls::Error> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// What is asked, but for the token.
pub(crate) struct Question {
    pub(crate) method: Method,
    pub(crate) uri: String,
    pub(crate) body: Bytes,
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// Asks, once.
pub(crate) async fn ask(
    client: &Client,
    question: &Question,
    token: &HeaderValue,
) -> Result<Answer, OpenBaoError> {
    let request = Request::builder()
        .method(question.method.clone())
        .uri(&question.uri)
        .header(CONTENT_TYPE, "application/json")
        .header("x-vault-token", token)
        // An agent may want to see that no browser was made to ask.
        .header("x-vault-request", "true")
        .body(Full::new(question.body.clone()))
        .map_err(|problem| OpenBaoError::Unreachable { source: Box::new(problem) })?;
    let response = client.request(request).await;
    let response = response.map_err(|problem| OpenBaoError::Unreachable { source: Box::new(problem) })?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MOST).collect().await;
    let body = body.map_err(|source| OpenBaoError::Unreachable { source })?.to_bytes();
    Ok(Answer { status, body })
}

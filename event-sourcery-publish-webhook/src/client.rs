//! The HTTP client: one that follows nothing, asks no proxy, and connects to what is allowed.

use std::io;
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

use crate::addresses::Resolver;

pub(crate) type Client = legacy::Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>;

/// A client for addresses of the internet, or for any; which trusts whom the machine trusts, where it needs to trust somebody.
pub(crate) fn client(any_address: bool, needs_tls: bool) -> io::Result<Client> {
    let mut http = HttpConnector::new_with_resolver(Resolver { any: any_address });
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

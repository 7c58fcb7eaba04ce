//! A server, and how it is asked.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use event_sourcery::Error;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use hyper::{Method, StatusCode, Uri};
use tokio::sync::Mutex;

use crate::client::{Answer, Client, Question, ask, client};
use crate::error::OpenBaoError;
use crate::token::Token;
use crate::transit_key::TransitKey;

/// Where the transit engine is mounted, unless it is said otherwise.
const MOUNT: &str = "transit";

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server of OpenBao, or of Vault. Clones share their connections and their token.
///
/// It asks no proxy, follows no redirects, and trusts the certificates that the machine trusts; the variables of the environment
/// `SSL_CERT_FILE` and `SSL_CERT_DIR` name others.
#[derive(Clone)]
pub struct OpenBao {
    address: Arc<str>,
    mount: Arc<str>,
    patience: Duration,
    client: Client,
    token: Token,
    /// The token as it was given last.
    held: Arc<Mutex<Option<HeaderValue>>>,
}

/// Why nothing is asked at an address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidAddress {
    /// It is no address of a server.
    #[error(
        "this is no address of OpenBao: give one such as https://bao.example:8200, without a path, a user or a password"
    )]
    NotAnAddress,
    /// It is not encrypted.
    #[error(
        "OpenBao is reached by https, but for an address of this machine, such as http://127.0.0.1:8100 of an agent: anybody on the \
         way could read the keys"
    )]
    NotEncrypted,
    /// The certificates that the machine trusts cannot be read.
    #[error("the certificates that this machine trusts cannot be read: install them (ca-certificates)")]
    NoCertificates(#[source] std::io::Error),
}

impl OpenBao {
    /// The server at this address, by https; by http only on this machine, where an agent may listen. It connects when it has
    /// something to ask.
    ///
    /// # Errors
    ///
    /// [`InvalidAddress`], by variant.
    pub fn at(address: &str, token: Token) -> Result<Self, InvalidAddress> {
        let (address, is_https) = parsed(address)?;
        let client = client(is_https).map_err(InvalidAddress::NoCertificates)?;
        let (address, mount, held) = (address.into(), MOUNT.into(), Arc::default());
        Ok(Self { address, mount, patience: PATIENCE, client, token, held })
    }

    /// The same, with its transit engine mounted at this path; `transit` unless told otherwise. A namespace is part of it.
    #[must_use]
    pub fn with_mount(self, mount: &str) -> Self {
        Self { mount: mount.trim_matches('/').into(), ..self }
    }

    /// The same with so much time for an answer, connecting and the token included; 10 seconds unless told otherwise.
    #[must_use]
    pub fn with_timeout(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Opens a transit key, which has to be there, and looks at its settings: see [`TransitKey`]. Three round trips.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] for no name of a key or a mount; [`Error::Unavailable`] and [`Error::Backend`] with an
    /// [`OpenBaoError`] otherwise.
    pub async fn open(&self, key: &str) -> event_sourcery::Result<TransitKey> {
        check("key", key, is_name(key))?;
        check("mount", &self.mount, self.mount.split('/').all(is_name))?;
        Ok(TransitKey::open(self.clone(), key).await?)
    }

    pub(crate) fn mount(&self) -> &str {
        &self.mount
    }

    /// What it answers at a path. Where it does not take the token at hand, it is asked again with another one, if there is another.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, OpenBaoError> {
        let question = Question { method, uri: format!("{}/v1/{path}", self.address), body };
        let answer = tokio::time::timeout(self.patience, self.answer(&question)).await;
        answer.unwrap_or(Err(OpenBaoError::TimedOut { waited: self.patience }))
    }

    async fn answer(&self, question: &Question) -> Result<Answer, OpenBaoError> {
        let token = self.token(None).await?;
        let answer = ask(&self.client, question, &token).await?;
        if answer.status != StatusCode::FORBIDDEN {
            return Ok(answer);
        }
        let another = self.token(Some(&token)).await?;
        if another == token { Ok(answer) } else { ask(&self.client, question, &another).await }
    }

    /// The token at hand, unless it is the one that was refused. Of several calls that were refused together, one asks for another.
    async fn token(&self, refused: Option<&HeaderValue>) -> Result<HeaderValue, OpenBaoError> {
        let mut held = self.held.lock().await;
        match &*held {
            Some(token) if Some(token) != refused => Ok(token.clone()),
            _ => Ok(held.insert(self.token.ask().await?).clone()),
        }
    }
}

/// Its address and whether it is encrypted; in full, and without a password, which others would be shown.
fn parsed(address: &str) -> Result<(String, bool), InvalidAddress> {
    let uri: Uri = address.parse().map_err(|_| InvalidAddress::NotAnAddress)?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(InvalidAddress::NotAnAddress);
    };
    let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
    if !is_bare || authority.host().is_empty() || authority.as_str().contains('@') {
        return Err(InvalidAddress::NotAnAddress);
    }
    match scheme {
        "https" => Ok((format!("https://{authority}"), true)),
        "http" if is_this_machine(authority.host()) => Ok((format!("http://{authority}"), false)),
        "http" => Err(InvalidAddress::NotEncrypted),
        _ => Err(InvalidAddress::NotAnAddress),
    }
}

fn is_this_machine(host: &str) -> bool {
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || literal.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What OpenBao routes as a name, and what needs no escaping in a path.
fn is_name(name: &str) -> bool {
    let is_inner = |each: char| each.is_ascii_alphanumeric() || matches!(each, '_' | '-' | '.');
    let is_outer = |each: char| each.is_ascii_alphanumeric() || each == '_';
    name.starts_with(is_outer) && name.ends_with(is_outer) && name.chars().all(is_inner)
}

fn check(option: &'static str, given: &str, is_valid: bool) -> event_sourcery::Result<()> {
    if is_valid && given.len() <= 100 {
        return Ok(());
    }
    let problem = "its parts have letters of ASCII, digits and `_`, and `-` and `.` between them, and it has 100 characters at most";
    Err(Error::InvalidOption { option, problem: problem.to_owned() })
}

/// Nothing of the token.
impl fmt::Debug for OpenBao {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenBao")
            .field("address", &self.address)
            .field("mount", &self.mount)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_in_the_clear_stays_on_this_machine() {
        for address in [
            "https://bao.example:8200",
            "https://bao.example/",
            "http://127.0.0.1:8100",
            "http://[::1]:8100",
            "http://localhost",
        ] {
            assert!(parsed(address).is_ok(), "{address}");
        }
        for address in ["http://bao.example:8200", "http://10.0.0.1:8200", "http://localhost.example/"] {
            assert!(matches!(parsed(address), Err(InvalidAddress::NotEncrypted)), "{address}");
        }
        for address in [
            "",
            "bao",
            "/v1",
            "ftp://bao.example",
            "https://a:b@bao.example",
            "https://bao.example/v1",
            "https://bao.example/?a",
        ] {
            assert!(matches!(parsed(address), Err(InvalidAddress::NotAnAddress)), "{address}");
        }
    }

    #[test]
    fn names_that_are_not_routed_or_lead_elsewhere_are_none() {
        for name in ["customers", "a", "_a", "a-b.c_d", "2026"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "a/b", "..", "a b", "a?b", "a%2fb", "-a", "a.", "ä"] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}

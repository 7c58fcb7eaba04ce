//! What keeps other sites from acting through the browser of somebody who may.

use axum::http::{HeaderMap, Uri, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use event_sourcery::uuid::Uuid;
use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;

/// What only this router knows.
pub(crate) struct Secret([u8; 64]);

impl Secret {
    /// Four random UUIDs, which are of a generator for secrets: 488 bits that nobody can guess.
    pub(crate) fn new() -> Self {
        let mut bytes = [0; 64];
        for part in bytes.chunks_exact_mut(16) {
            part.copy_from_slice(Uuid::new_v4().as_bytes());
        }
        Self(bytes)
    }

    /// What shows that this router has offered to do this.
    pub(crate) fn token(&self, what: &[&str]) -> String {
        URL_SAFE_NO_PAD.encode(self.sign(what).finalize().into_bytes())
    }

    pub(crate) fn has_offered(&self, what: &[&str], token: &str) -> bool {
        let token = URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
        self.sign(what).verify_slice(&token).is_ok()
    }

    fn sign(&self, what: &[&str]) -> Hmac<Sha256> {
        let mut mac = <Hmac<Sha256> as KeyInit>::new(&self.0.into());
        for part in what {
            // With the length, so that no two lists are signed alike.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac
    }
}

/// Whether a web browser tells that the request comes from a page of this origin. Where it tells nothing, it is refused.
pub(crate) fn is_of_this_origin(headers: &HeaderMap, uri: &Uri) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site.as_bytes() == b"same-origin";
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).or_else(|| uri.authority().map(|authority| authority.as_str()));
    let origin = text(header::ORIGIN).and_then(|origin| origin.split_once("://"));
    match (origin, host) {
        (Some((_, origin)), Some(host)) => origin.eq_ignore_ascii_case(host),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_what_it_was_made_for_and_for_its_router() {
        let secret = Secret::new();
        let token = secret.token(&["replay", "letters", "7"]);
        assert!(secret.has_offered(&["replay", "letters", "7"], &token));
        for other in [&["skip", "letters", "7"][..], &["replay", "letter", "s7"], &["replay", "letters"]] {
            assert!(!secret.has_offered(other, &token), "{other:?}");
        }
        assert!(!Secret::new().has_offered(&["replay", "letters", "7"], &token));
        assert!(!secret.has_offered(&["replay", "letters", "7"], ""));
    }

    #[test]
    fn only_what_comes_from_this_origin_is_let_in() {
        let told = |headers: &[(&'static str, &str)]| {
            let pairs = headers
                .iter()
                .map(|&(name, value)| (axum::http::HeaderName::from_static(name), value.parse().unwrap()));
            is_of_this_origin(&pairs.collect(), &Uri::from_static("/replay"))
        };
        let (host, null) = (("host", "store.example:8443"), ("origin", "null"));
        assert!(told(&[host, null, ("sec-fetch-site", "same-origin")]));
        assert!(told(&[host, ("origin", "https://store.example:8443")]));
        for site in ["cross-site", "same-site", "none"] {
            assert!(
                !told(&[host, ("origin", "https://store.example:8443"), ("sec-fetch-site", site)]),
                "{site}"
            );
        }
        assert!(!told(&[host, ("origin", "https://evil.example")]));
        assert!(!told(&[host, ("origin", "https://store.example")]));
        assert!(!told(&[host, null]));
        assert!(!told(&[host]));
        assert!(!told(&[null]));
    }
}

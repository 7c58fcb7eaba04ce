//! A stream's version in HTTP: `ETag` says which one was seen, `If-Match` which one a change is meant for.

use axum::http::header::{ETAG, HeaderMap, HeaderName, IF_MATCH};
use event_sourcery::Version;

use crate::error::ApiError;

pub(crate) fn etag(version: Option<Version>) -> [(HeaderName, String); 1] {
    [(ETAG, format!("\"{}\"", version.unwrap_or_default()))]
}

/// The version that the client has seen, from `If-Match` or from the body.
pub(crate) fn expected_version(headers: &HeaderMap, in_body: Option<Version>) -> Result<Version, ApiError> {
    let invalid = |problem: &str| ApiError::Invalid(problem.to_owned());
    let in_header = match headers.get(IF_MATCH) {
        None => None,
        Some(value) => {
            let quoted = value.to_str().ok().and_then(|tag| tag.strip_prefix('"')?.strip_suffix('"'));
            let version = quoted.and_then(|version| version.parse().ok());
            Some(version.ok_or_else(|| invalid("If-Match: give one version in quotes, such as \"3\""))?)
        }
    };
    match (in_header, in_body) {
        (Some(header), Some(body)) if header != body => {
            Err(invalid("If-Match and expected_version differ: give one of them"))
        }
        (None, None) => Err(invalid("give the version you have seen, as If-Match or as expected_version")),
        (header, body) => Ok(header.or(body).unwrap_or_default()),
    }
}

//! How large an append may be.

use crate::backend::{AppendRequest, NewRecord};
use crate::error::{Error, PayloadError, Result};

/// The most bytes of the payloads and contexts of one append: it is one message to PostgreSQL, which takes 1 GB.
pub(super) const MOST_BYTES: usize = 512 * 1_024 * 1_024;

/// Refuses an append that no backend could be sure to take in one piece.
pub(super) fn refuse_too_much(request: &AppendRequest, most: usize) -> Result<()> {
    let size = |event: &NewRecord| event.data.len() + event.context.len();
    let events = || request.streams.iter().flat_map(|part| &part.events);
    let bytes: usize = events().map(size).sum();
    if bytes <= most {
        return Ok(());
    }
    let largest = events().max_by_key(|event| size(event));
    let name = largest.map_or_else(String::new, |event| event.name.to_string());
    Err(Error::InvalidPayload { name, problem: PayloadError::TooLarge { bytes, most } })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::backend::{Expectation, StreamAppend};
    use crate::stream_id::{StreamId, TenantId};

    #[test]
    fn an_append_that_is_too_large_is_refused_and_its_largest_event_is_named() {
        let event = |name: &'static str, data: &str| NewRecord {
            id: Uuid::now_v7(),
            name: name.into(),
            data: data.to_owned(),
            context: "{}".to_owned(),
            created_at: Timestamp::UNIX_EPOCH,
            schema_version: 1,
            tags: Vec::new(),
            marks: Vec::new(),
        };
        let part = |events| StreamAppend::new(StreamId::random(), Expectation::Version(0), events);
        let parts = vec![part(vec![event("small", "{}")]), part(vec![event("large", r#"{"a":1}"#)])];
        let request = AppendRequest::new(TenantId::DEFAULT, parts);
        assert!(refuse_too_much(&request, 13).is_ok());
        assert!(matches!(
            refuse_too_much(&request, 12),
            Err(Error::InvalidPayload { name, problem: PayloadError::TooLarge { bytes: 13, most: 12 } }) if name == "large"
        ));
    }
}

//! Ids that the source does not have: UUIDs of version 5, so that each run derives the same ones.

use event_sourcery::uuid::Uuid;
use serde_json::json;

use crate::source::{ForeignEvent, ForeignStream};

/// The namespace of the ids that this crate derives: the version 5 UUID of `event-sourcery-import` in the namespace of domain names.
const NAMESPACE: Uuid = Uuid::from_u128(0x21a5_02e3_90fe_5d10_86f6_7ba0_16d1_7f4a);

/// The id of an event that has none, or whose own one belongs to another event: that of the JSON text
/// `[from, category, stream, partition, version]`.
pub(crate) fn of_event(from: &str, stream: &ForeignStream, version: i64) -> Uuid {
    let ForeignStream { category, id, partition } = stream;
    let text = json!([from, category, id, partition, version]).to_string();
    Uuid::new_v5(&NAMESPACE, text.as_bytes())
}

/// What an event is, in short: two of the same digest are taken for the same.
pub(crate) fn digest(event: &ForeignEvent) -> Uuid {
    let ForeignEvent { stream, version, id, event_type, payload, metadata, .. } = event;
    let ForeignStream { category, id: stream, partition } = stream;
    let text = json!([category, stream, partition, version, id, event_type, metadata]).to_string();
    let mut text = text.into_bytes();
    text.extend_from_slice(payload.as_deref().unwrap_or_default());
    Uuid::new_v5(&NAMESPACE, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(category: Option<&str>, id: &str) -> ForeignStream {
        ForeignStream { category: category.map(str::to_owned), id: id.to_owned(), partition: None }
    }

    #[test]
    fn an_id_is_the_same_in_each_run_and_another_for_each_place() {
        let first = of_event("bank", &stream(None, "a"), 1);
        assert_eq!(first, of_event("bank", &stream(None, "a"), 1));
        let others = [
            of_event("shop", &stream(None, "a"), 1),
            of_event("bank", &stream(None, "a"), 2),
            of_event("bank", &stream(Some("a"), "a"), 1),
            of_event("bank", &stream(None, "a\",1"), 1),
        ];
        assert!(!others.contains(&first));
    }
}

//! The streams of an append, as statements are given them.

use event_sourcery::backend::{AppendRequest, Requirement};
use uuid::Uuid;

/// What the request writes to and depends on, column by column. A required stream is not given a name.
pub(super) struct Keys<'r> {
    pub(super) uuids: Vec<Uuid>,
    pub(super) categories: Vec<&'r str>,
    pub(super) names: Vec<Option<&'r str>>,
}

impl<'r> Keys<'r> {
    pub(super) fn of(request: &'r AppendRequest) -> Self {
        let written = request.streams.iter().map(|part| (&part.stream, part.stream.name()));
        let required = request.requirements.iter().filter_map(|requirement| match requirement {
            Requirement::Stream(required) => Some((&required.stream, None)),
            _ => None,
        });
        let mut keys = Self { uuids: Vec::new(), categories: Vec::new(), names: Vec::new() };
        for (stream, name) in written.chain(required) {
            keys.uuids.push(stream.uuid());
            keys.categories.push(stream.stored_category());
            keys.names.push(name);
        }
        keys
    }
}

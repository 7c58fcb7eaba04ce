//! The events that a decision emits.

use super::key::Key;
use crate::error::Result;
use crate::new_event::{Encoded, IntoEvents};

/// The events that a decision emits; see [`EventStore::decide`](crate::EventStore::decide). Dropped, they have not happened.
#[derive(Debug)]
pub struct NewEvents {
    encoded: Result<Encoded>,
    /// What their ids are derived from.
    key: Option<Key>,
}

impl NewEvents {
    pub(super) fn new(key: Option<Key>) -> Self {
        Self { encoded: Ok(Encoded::default()), key }
    }

    /// Adds an event, or several, of any types. Each may have a context, a time or tags of its own; with a
    /// [key](super::Decide::idempotency_key), its id follows from that.
    ///
    /// What cannot be stored is told once the decision is made: then nothing is written.
    pub fn emit(&mut self, events: impl IntoEvents) {
        let Ok(encoded) = &mut self.encoded else { return };
        let before = encoded.0.len();
        if let Err(problem) = events.encode_into(encoded) {
            self.encoded = Err(problem);
            return;
        }
        let Some(key) = self.key else { return };
        for (number, pending) in encoded.0.iter_mut().enumerate().skip(before) {
            pending.record.id = key.id(number);
        }
    }

    pub(super) fn into_encoded(self) -> Result<Encoded> {
        self.encoded
    }
}

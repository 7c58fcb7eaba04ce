//! How to take back what a transaction did.

use std::sync::Arc;

use uuid::Uuid;

use super::outbox;
use super::state::{State, Stream};
use super::stream_key::StreamKey;
use super::tags::LastDeletions;
use crate::backend::{BlockedStream, Cursor, CursorId, SubjectKey, SubscriptionId, SubscriptionRecord};
use crate::position::Position;
use crate::stream_id::TenantId;

/// What was done, in order.
#[derive(Default)]
pub(super) struct Journal(Vec<Done>);

/// One thing that was done, with what is needed to take it back.
pub(super) enum Done {
    /// Events were appended to the end of a stream.
    Appended { stream: Arc<StreamKey>, count: usize },
    /// A stream was created.
    Created { stream: Arc<StreamKey> },
    /// A stream got its name.
    Named { stream: Arc<StreamKey> },
    /// A stream was deleted. Its events are where they were.
    Deleted { stream: Stream },
    /// A deletion became the last one of a tenant's.
    DeletionCounted { tenant: TenantId, before: LastDeletions },
    /// An event got the id that the event at a position had, of a stream that was deleted.
    GivenUp { id: Uuid, position: Position },
    /// A snapshot was added to a stream.
    Snapshot { stream: Arc<StreamKey> },
    /// A subscription was put or removed.
    Subscription { id: SubscriptionId, before: Option<SubscriptionRecord> },
    /// A stream was blocked, blocked otherwise, or freed.
    Blocked { id: SubscriptionId, stream: StreamKey, before: Option<BlockedStream> },
    /// A cursor was put or taken away.
    Cursor { id: CursorId, before: Option<Cursor> },
    /// An entry was put into the outbox, was published, or is gone.
    Entry { position: Position, before: Option<outbox::Entry> },
    /// A subject was given a key, or its key was shredded.
    Key { tenant: TenantId, subject: Arc<str>, before: Option<SubjectKey> },
}

impl Journal {
    pub(super) fn note(&mut self, done: Done) {
        self.0.push(done);
    }

    /// The streams that were deleted.
    pub(super) fn deleted(self) -> impl Iterator<Item = Stream> {
        self.0.into_iter().filter_map(|done| match done {
            Done::Deleted { stream } => Some(stream),
            _ => None,
        })
    }

    /// The present moment, to go back to.
    pub(super) fn mark(&self) -> usize {
        self.0.len()
    }

    /// Takes back what was done since a mark, the last thing first.
    pub(super) fn undo_to(&mut self, mark: usize, state: &mut State) {
        for done in self.0.drain(mark.min(self.0.len())..).rev() {
            state.undo(done);
        }
    }
}

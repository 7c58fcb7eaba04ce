//! Where a durable subscription starts, and what it does about what it has passed.

use crate::backend::{Backend, Filter, Present, ScanRequest};
use crate::error::Result;
use crate::position::Position;

/// Where a durable subscription starts when it runs for the first time, or is reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the first event of the store.
    Beginning,
    /// With what is appended from now on: nothing that was committed before the call, and all that is committed after it.
    Now,
    /// Behind a position that a subscription, or [`EventStore::position`](crate::EventStore::position), has handed out.
    After(Position),
}

impl Start {
    /// The position, by what is there now, and what above it is not meant.
    pub(in crate::subscription) async fn begin(self, backend: &dyn Backend) -> Result<Present> {
        let after = |position| Present { position, above: Vec::new() };
        match self {
            Self::Beginning => Ok(after(Position::START)),
            Self::Now => backend.present().await,
            Self::After(position) => {
                refuse_beyond_end(backend, position).await?;
                Ok(after(position))
            }
        }
    }
}

/// A position that the store has never given is another store's: the backend tells, if it is read from there.
pub(super) async fn refuse_beyond_end(backend: &dyn Backend, position: Position) -> Result<()> {
    if position <= Position::START || position <= backend.position().await? {
        return Ok(());
    }
    let request = ScanRequest { after: position, up_to: None, filter: Filter::default(), limit: 1 };
    backend.scan(request).await.map(drop)
}

/// What becomes of events that a durable subscription has passed, because it was not run for them until now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// They are handed over, before it goes on where it was: those of a stream in their order, and each once, like all others.
    HandOver,
    /// It goes on without them.
    LeaveOut,
}

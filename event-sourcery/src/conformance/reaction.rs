//! What a handler does that writes through the subscription's transaction, as plain data, so that each backend does it by its
//! own means.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::RawEvent;
use crate::backend::{JoinableBackend, TransactionalBackend};
use crate::error::{Result, Source};
use crate::new_event::NewEvent;
use crate::stream_id::StreamId;
use crate::subscription::Durable;
use crate::wrapped_event::Recorded;

/// What the handler of a durable subscription does with an event, as the conformance kit tells it.
#[derive(Clone)]
pub struct Reaction(Arc<Decide>);

type Decide = dyn Fn(&Recorded<RawEvent>) -> Deed + Send + Sync;

impl fmt::Debug for Reaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reaction")
    }
}

/// What is done about one event.
pub(super) struct Deed {
    /// Appended through the transaction, without versions.
    pub(super) appends: Vec<(StreamId, NewEvent<RawEvent>)>,
    pub(super) end: End,
}

/// How the handler ends, once it has appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Done,
    Fails,
    Panics,
    /// A while later.
    Takes(Duration),
}

impl End {
    fn reach(self) -> Result<(), Source> {
        match self {
            Self::Done | Self::Takes(_) => Ok(()),
            Self::Fails => Err("the handler fails, as it was told to".into()),
            Self::Panics => panic!("the handler panics, as it was told to"),
        }
    }
}

impl Reaction {
    pub(super) fn new(decide: impl Fn(&Recorded<RawEvent>) -> Deed + Send + Sync + 'static) -> Self {
        Self(Arc::new(decide))
    }
}

/// [`Fixture::run_exactly_once`](super::Fixture::run_exactly_once) for a backend whose transactions are handed to a closure.
///
/// # Errors
///
/// Those of the run.
pub async fn run_in_transaction<B: TransactionalBackend>(
    durable: Durable<B, RawEvent>,
    reaction: Reaction,
) -> Result<()> {
    let handle = durable.run_in_transaction(move |recorded, tx| {
        let Deed { appends, end } = (reaction.0)(&recorded);
        for (stream, event) in appends {
            tx.append(&stream, event).no_versioning().run()?;
        }
        if let End::Takes(time) = end {
            std::thread::sleep(time);
        }
        end.reach()
    });
    handle.await
}

/// [`Fixture::run_exactly_once`](super::Fixture::run_exactly_once) for a backend whose transactions the caller holds.
///
/// # Errors
///
/// Those of the run.
pub fn run_within<B: JoinableBackend>(
    durable: Durable<B, RawEvent>,
    reaction: Reaction,
) -> impl Future<Output = Result<()>> + Send {
    durable.run_within(async move |recorded, transaction| {
        let Deed { appends, end } = (reaction.0)(&recorded);
        for (stream, event) in appends {
            transaction.store().append(&stream, event).no_versioning().await?;
        }
        if let End::Takes(time) = end {
            tokio::time::sleep(time).await;
        }
        end.reach()
    })
}

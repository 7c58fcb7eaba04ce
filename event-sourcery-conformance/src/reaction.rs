//! What a handler does that writes through the subscription's transaction, as plain data, so that each backend does it by its
//! own means.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use event_sourcery::backend::{BackendTransaction, JoinableBackend, TransactionalBackend};
use event_sourcery::{Durable, NewEvent, RawEvent, Recorded, Result, Source, StreamId, Within};

use super::subject::BoxFuture;

/// What the handler of a durable subscription does with an event, as the conformance kit tells it.
#[derive(Clone)]
pub struct Reaction {
    decide: Arc<Decide>,
    /// What sees each batch first, where the handler takes batches.
    batches: Option<Arc<See>>,
}

type Decide = dyn Fn(&Recorded<RawEvent>) -> Deed + Send + Sync;
type See = dyn Fn(&[Recorded<RawEvent>]) + Send + Sync;

impl fmt::Debug for Reaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reaction")
    }
}

/// What is done about one event.
pub(super) struct Deed {
    /// Deleted through the transaction, before anything is appended.
    pub(super) deletes: Vec<StreamId>,
    /// Shredded through the transaction, behind that.
    pub(super) shreds: Vec<&'static str>,
    /// Appended through the transaction, without versions.
    pub(super) appends: Vec<(StreamId, NewEvent<RawEvent>)>,
    pub(super) end: End,
}

/// How the handler ends, once it has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Done,
    Fails,
    Panics,
    /// A while later.
    Takes(Duration),
}

impl End {
    pub(super) fn reach(self) -> Result<(), Source> {
        match self {
            Self::Done | Self::Takes(_) => Ok(()),
            Self::Fails => Err("the handler fails, as it was told to".into()),
            Self::Panics => panic!("the handler panics, as it was told to"),
        }
    }

    pub(super) async fn reach_in_time(self) -> Result<(), Source> {
        if let Self::Takes(time) = self {
            tokio::time::sleep(time).await;
        }
        self.reach()
    }
}

impl Reaction {
    pub(super) fn new(decide: impl Fn(&Recorded<RawEvent>) -> Deed + Send + Sync + 'static) -> Self {
        Self { decide: Arc::new(decide), batches: None }
    }

    /// The same of a handler that takes batches.
    pub(super) fn in_batches(self, see: impl Fn(&[Recorded<RawEvent>]) + Send + Sync + 'static) -> Self {
        Self { batches: Some(Arc::new(see)), ..self }
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
    let Reaction { decide, batches } = reaction;
    let Some(see) = batches else {
        let run = durable.run_in_transaction(move |recorded, tx| act(decide(&recorded), tx));
        return run.await;
    };
    let run = durable.run_batches_in_transaction(move |batch, tx| {
        see(&batch);
        batch.iter().try_for_each(|recorded| act(decide(recorded), &mut tx.reacting_to(recorded)))
    });
    run.await
}

pub(super) fn act<T: BackendTransaction>(deed: Deed, tx: &mut Within<'_, T>) -> Result<(), Source> {
    let Deed { deletes, shreds, appends, end } = deed;
    for stream in deletes {
        tx.delete_stream(&stream).run()?;
    }
    for subject in shreds {
        tx.shred(subject)?;
    }
    for (stream, event) in appends {
        tx.append(&stream, event).no_versioning().run()?;
    }
    if let End::Takes(time) = end {
        std::thread::sleep(time);
    }
    end.reach()
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
    let Reaction { decide, batches } = reaction;
    let run: BoxFuture<'static, Result<()>> = match batches {
        None => Box::pin(durable.run_within(async move |recorded, transaction| {
            let Deed { deletes, shreds, appends, end } = decide(&recorded);
            for stream in deletes {
                transaction.store().delete_stream(&stream).await?;
            }
            for subject in shreds {
                transaction.store().shred(subject).await?;
            }
            for (stream, event) in appends {
                transaction.store().append(&stream, event).no_versioning().await?;
            }
            end.reach_in_time().await
        })),
        Some(see) => Box::pin(durable.run_batches_within(async move |batch, transaction| {
            see(&batch);
            for recorded in &batch {
                let Deed { deletes, shreds, appends, end } = decide(recorded);
                for stream in deletes {
                    transaction.reacting_to(recorded).delete_stream(&stream).await?;
                }
                for subject in shreds {
                    transaction.reacting_to(recorded).shred(subject).await?;
                }
                for (stream, event) in appends {
                    transaction.reacting_to(recorded).append(&stream, event).no_versioning().await?;
                }
                end.reach_in_time().await?;
            }
            Ok(())
        })),
    };
    run
}

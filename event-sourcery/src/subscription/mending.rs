//! What becomes of streams that wait for a failed event, by somebody from outside: it is tried again, or left out.

use std::time::Duration;

use crate::backend::{
    Backend, BlockedRequest, BlockedStream, OutboxProgress, ProgressRequest, StreamProgress, SubscriptionId,
};
use crate::error::{Error, Result};
use crate::subscription::blocked;

/// How many streams are replayed or skipped in one commit.
const TOGETHER: usize = 256;

/// What became of everything that was parked; see [`Durable::replay_all`](crate::Durable::replay_all) and
/// [`Durable::skip_all`](crate::Durable::skip_all).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Mended {
    /// How many streams go on.
    pub streams: usize,
    /// How many others were listed as parked, and were not any more when it was their turn: somebody else has replayed or skipped
    /// them, or deleted the stream.
    pub changed_meanwhile: usize,
}

/// Whoever looks after the streams of a subscription, or of the outbox.
pub(crate) struct Mending<'b> {
    backend: &'b dyn Backend,
    id: SubscriptionId,
    /// For how long an entry of the outbox is kept that is left out.
    keep: Option<Duration>,
}

/// What is to become of a stream.
#[derive(Clone, Copy)]
enum Becomes {
    /// Its failed event is tried again.
    Replayed,
    /// Its failed event is left out. It goes on with what follows, whether all before it was handled up to here or further.
    Skipped,
}

impl Becomes {
    fn of(self, failed: &BlockedStream) -> BlockedStream {
        let again = BlockedStream { attempts: 0, retry_at: Some(failed.since), ..failed.clone() };
        match self {
            Self::Replayed => again,
            Self::Skipped => {
                let (after, position) = (failed.after.max(failed.position), failed.position.next());
                BlockedStream { after, position, ..again }
            }
        }
    }
}

impl<'b> Mending<'b> {
    pub(crate) const fn new(backend: &'b dyn Backend, id: SubscriptionId) -> Self {
        Self { backend, id, keep: None }
    }

    /// What is left out of the outbox is kept for so long.
    pub(crate) const fn keeping(mut self, keep: Option<Duration>) -> Self {
        self.keep = keep;
        self
    }

    /// The streams that are not tried again by themselves.
    pub(crate) async fn parked(&self) -> Result<Vec<BlockedStream>> {
        let mut blocked = blocked::all(self.backend, BlockedRequest::new(self.id.clone())).await?;
        blocked.retain(|stream| stream.retry_at.is_none());
        Ok(blocked)
    }

    pub(crate) async fn replay(&self, failed: &BlockedStream) -> Result<()> {
        self.change(failed, Becomes::Replayed).await
    }

    pub(crate) async fn skip(&self, failed: &BlockedStream) -> Result<()> {
        self.change(failed, Becomes::Skipped).await
    }

    pub(crate) async fn replay_all(&self) -> Result<Mended> {
        self.change_all(Becomes::Replayed).await
    }

    pub(crate) async fn skip_all(&self) -> Result<Mended> {
        self.change_all(Becomes::Skipped).await
    }

    async fn change_all(&self, to: Becomes) -> Result<Mended> {
        let (parked, mut mended) = (self.parked().await?, Mended::default());
        let mut parts: Vec<&[BlockedStream]> = parked.chunks(TOGETHER).rev().collect();
        while let Some(part) = parts.pop() {
            match self.progress(part, to).await {
                Ok(()) => mended.streams += part.len(),
                // One of them is not as it was, and nothing is written.
                Err(Error::LeaseLost { .. }) => match part.split_at(part.len() / 2) {
                    ([], _) => mended.changed_meanwhile += 1,
                    (first, second) => parts.extend([second, first]),
                },
                Err(error) => return Err(error),
            }
        }
        Ok(mended)
    }

    async fn change(&self, failed: &BlockedStream, to: Becomes) -> Result<()> {
        match self.progress(std::slice::from_ref(failed), to).await {
            Err(Error::LeaseLost { .. }) => Err(Error::NotBlocked {
                subscription: self.id.told().to_owned(),
                stream: failed.stream.clone(),
                position: failed.position,
            }),
            changed => changed,
        }
    }

    /// Writes what becomes of these streams, all or nothing. An entry of the outbox that is left out is taken out of it.
    async fn progress(&self, failed: &[BlockedStream], to: Becomes) -> Result<()> {
        let streams = failed.iter().map(|failed| StreamProgress::Change(failed.at(), to.of(failed)));
        let mut request = ProgressRequest::new(self.id.clone()).with_streams(streams.collect());
        if self.id.is_outbox() && matches!(to, Becomes::Skipped) {
            let done = failed.iter().map(|failed| failed.position).collect();
            request.outbox = Some(OutboxProgress::new(done).keeping(self.keep));
        }
        self.backend.progress(request).await
    }
}

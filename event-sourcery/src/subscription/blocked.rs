//! The streams of a subscription that wait for a failed event.

use crate::backend::{Backend, BlockedRequest, BlockedStream, Segments, SubscriptionId};
use crate::error::Result;
use crate::position::Position;

/// How many are listed at once.
const PAGE: usize = 256;

/// All of them, in the order of those events; only those in these segments.
pub(super) async fn all(
    backend: &dyn Backend,
    subscription: SubscriptionId,
    segments: Option<Segments>,
) -> Result<Vec<BlockedStream>> {
    let (due, after, limit) = (false, Position::START, PAGE);
    let mut request = BlockedRequest { subscription, segments, due, after, limit };
    let mut all = Vec::new();
    loop {
        let page = backend.blocked_streams(request.clone()).await?;
        let last = page.last().filter(|_| page.len() == PAGE).map(|last| last.position);
        all.extend(page);
        match last {
            Some(last) => request.after = last,
            None => return Ok(all),
        }
    }
}

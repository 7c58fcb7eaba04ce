//! The streams of a subscription that wait for a failed event.

use std::collections::HashSet;

use crate::backend::{Backend, BlockedRequest, BlockedStream};
use crate::error::Result;

/// All that are asked for, in the order of those events, page by page. Behind an event that was left out, a stream may stand at the
/// position of another one: so each page begins with the position that the last one has ended with.
pub(super) async fn all(backend: &dyn Backend, mut request: BlockedRequest) -> Result<Vec<BlockedStream>> {
    let (mut all, mut listed) = (Vec::new(), HashSet::new());
    loop {
        let page = backend.blocked_streams(request.clone()).await?;
        let last = page.last().filter(|_| page.len() >= request.limit).map(|last| last.position);
        let before = all.len();
        all.extend(page.into_iter().filter(|one| listed.insert((one.tenant.clone(), one.stream.clone()))));
        let Some(last) = last else { return Ok(all) };
        if all.len() == before {
            request.limit = request.limit.saturating_mul(2);
        }
        request.after = request.after.max(last.previous());
    }
}

//! Blocked streams whose errors the server cannot give: a long text stands apart from its row, and may be lost.

use event_sourcery::Result;
use event_sourcery::backend::{BlockedRequest, BlockedStream};

use crate::database::{Database, call};
use crate::failure::met_damage;

impl Database {
    /// Where the server cannot give all of them, each is asked for by itself. Of one whose error is lost the rest is told.
    pub(crate) async fn blocked_streams(&self, request: &BlockedRequest) -> Result<Vec<BlockedStream>> {
        let read = call!(*self, operations => operations.blocked_streams(request));
        if !request.errors || !read.as_ref().is_err_and(met_damage) {
            return read;
        }
        let without = request.clone().without_errors();
        let mut found = call!(*self, operations => operations.blocked_streams(&without))?;
        for blocked in &mut found {
            let alone = request.clone().with_stream(blocked.tenant.clone(), blocked.stream.clone());
            match call!(*self, operations => operations.blocked_streams(&alone)) {
                Ok(whole) => {
                    if let Some(whole) = whole.into_iter().next() {
                        *blocked = whole;
                    }
                }
                Err(error) if met_damage(&error) => {
                    blocked.error = format!("the server cannot give the error: {}", error.in_full());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }
}

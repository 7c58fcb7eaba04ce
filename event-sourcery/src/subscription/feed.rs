//! Where a subscription reads: first by itself, until it has caught up; then with the others at the tail.

use std::fmt;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::tail::Tail;
use crate::backend::{Backend, Filter, ScanPage, ScanRequest, StoredRecord};
use crate::error::{Error, Result};
use crate::position::Position;

/// A reader across streams, from a position on.
pub(super) struct Feed {
    backend: Arc<dyn Backend>,
    tail: Arc<Tail>,
    filter: Filter,
    cursor: Position,
    /// The next page, read while this one is decoded and handled.
    ahead: Option<Ahead>,
}

/// A page that is being read before it is asked for.
struct Ahead {
    after: Position,
    limit: usize,
    page: JoinHandle<Result<ScanPage>>,
}

/// Some events, in position order.
pub(super) struct Page {
    pub(super) records: Vec<Arc<StoredRecord>>,
    /// Everything up to here was read.
    pub(super) next: Position,
    /// Whether there was nothing more.
    pub(super) at_end: bool,
}

impl Feed {
    pub(super) fn new(backend: Arc<dyn Backend>, tail: Arc<Tail>, filter: Filter, after: Position) -> Self {
        Self { backend, tail, filter, cursor: after, ahead: None }
    }

    /// Everything up to here was read.
    pub(super) const fn cursor(&self) -> Position {
        self.cursor
    }

    /// The next events, at most `limit`: what is there, without waiting.
    pub(super) async fn read(&mut self, limit: usize) -> Result<Page> {
        let page = match self.tail.page(self.cursor, &self.filter, limit) {
            Some(page) => page,
            None => self.scan(limit).await?,
        };
        self.cursor = page.next;
        Ok(page)
    }

    /// Waits until there is something to read, which may turn out to be for others.
    pub(super) async fn wait(&self) {
        self.tail.wait_beyond(&self.backend, self.cursor).await;
    }

    async fn scan(&mut self, limit: usize) -> Result<Page> {
        let mut is_old = false;
        let page = match &mut self.ahead {
            Some(ahead) if ahead.after == self.cursor && ahead.limit == limit => {
                let read = (&mut ahead.page).await;
                is_old = true;
                self.ahead = None;
                read.map_err(|_| Error::Closed)??
            }
            _ => self.backend.scan(self.request(self.cursor, limit)).await?,
        };
        self.ahead = None;
        if page.has_more
            && let Ok(runtime) = Handle::try_current()
        {
            let (backend, request) = (Arc::clone(&self.backend), self.request(page.next, limit));
            let page_ahead = runtime.spawn(async move { backend.scan(request).await });
            self.ahead = Some(Ahead { after: page.next, limit, page: page_ahead });
        }
        // What was read ahead tells what was the end then.
        let at_end = !page.has_more
            && (!is_old || self.backend.scan(self.request(page.next, 1)).await?.records.is_empty());
        let records = page.records.into_iter().map(Arc::new).collect();
        Ok(Page { records, next: page.next, at_end })
    }

    fn request(&self, after: Position, limit: usize) -> ScanRequest {
        ScanRequest { after, up_to: None, filter: self.filter.clone(), limit }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.page.abort();
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("filter", &self.filter).field("cursor", &self.cursor).finish()
    }
}

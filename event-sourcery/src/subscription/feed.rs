//! Where a subscription reads: first by itself, until it has caught up; then with the others at the tail.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use tokio::runtime::{self, Handle};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use super::deletions::{AsOf, Deletions};
use super::tail::Tail;
use crate::backend::{Backend, Filter, PageRoom, ScanPage, ScanRequest, StoredRecord};
use crate::error::Result;
use crate::position::Position;

/// A reader across streams, from a position on.
pub(super) struct Feed {
    backend: Arc<dyn Backend>,
    tail: Arc<Tail>,
    filter: Filter,
    cursor: Position,
    /// What comes next, read while this page is decoded and handled.
    ahead: Option<Ahead>,
}

/// How many bytes are held at once: by what is read ahead, and by the page in hand. Only what ends a page that was begun within
/// these may have more.
const MOST_BYTES: usize = 3 * PageRoom::BYTES;

/// Pages that are read before they are asked for: one is waiting, and one is on its way. The reader does not wait for whoever
/// takes them, as long as they are small: to wake each other for every page would cost as much as to read it.
struct Ahead {
    /// Everything up to here was taken.
    after: Position,
    limit: usize,
    /// Where it is read: nobody may drive another runtime than that of whoever takes it.
    runtime: runtime::Id,
    pages: Receiver<(AsOf, Result<(ScanPage, Room)>)>,
    /// The page that was taken last.
    in_hand: Option<Room>,
    reader: JoinHandle<()>,
}

/// What a page holds of [`MOST_BYTES`], until it was handed over.
type Room = OwnedSemaphorePermit;

/// Some events, in position order.
pub(super) struct Page {
    pub(super) records: Vec<Arc<StoredRecord>>,
    /// Everything up to here was read.
    pub(super) next: Position,
    /// Whether there was nothing more.
    pub(super) at_end: bool,
    /// When it was read.
    pub(super) as_of: AsOf,
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
            Some(page) => {
                self.ahead = None;
                page
            }
            None => self.scan(limit).await?,
        };
        self.cursor = page.next;
        Ok(page)
    }

    /// Whether a stream may have been deleted of which something is pending, read as of then. Then all of it is let go, and read
    /// again: nothing but the store tells what is gone, and what was made anew.
    pub(super) fn is_outdated(
        &mut self,
        pending: &mut VecDeque<Arc<StoredRecord>>,
        as_of: &mut AsOf,
    ) -> bool {
        let deletions = self.tail.deletions();
        let now = deletions.now();
        let since = std::mem::replace(as_of, now);
        if now == since || !deletions.concern(pending.iter().map(|record| &record.stream), since) {
            return false;
        }
        if let Some(first) = pending.front() {
            self.cursor = Position::from_i64(first.event.position.to_i64() - 1);
        }
        pending.clear();
        self.ahead = None;
        true
    }

    /// Waits until there is something to read, which may turn out to be for others.
    pub(super) async fn wait(&self) {
        self.tail.wait_beyond(&self.backend, self.cursor).await;
    }

    async fn scan(&mut self, limit: usize) -> Result<Page> {
        let cursor = self.cursor;
        let ahead = self.ahead.as_mut().filter(|ahead| ahead.is_here(cursor, limit));
        let is_old = ahead.is_some();
        let deletions = Arc::clone(self.tail.deletions());
        let read = match ahead {
            Some(ahead) => ahead.next().await,
            None => None,
        };
        let (as_of, read) = match read {
            Some(read) => read,
            None => (deletions.now(), self.backend.scan(request(cursor, &self.filter, limit)).await),
        };
        let mut page = match read {
            Ok(page) if page.has_more => {
                if !is_old {
                    let backend = Arc::clone(&self.backend);
                    self.ahead = Ahead::start(backend, deletions, self.filter.clone(), &page, limit);
                }
                page
            }
            last => {
                self.ahead = None;
                last?
            }
        };
        let mut at_end = !page.has_more;
        if at_end && is_old {
            // What was read ahead tells what was the end then. What has come since belongs to it.
            let room = limit.saturating_sub(page.records.len());
            let behind = self.backend.scan(request(page.next, &self.filter, room.max(1))).await?;
            at_end = !behind.has_more && (room > 0 || behind.records.is_empty());
            if room > 0 {
                page.records.extend(behind.records);
                page.next = behind.next;
            }
        }
        let records = page.records.into_iter().map(Arc::new).collect();
        Ok(Page { records, next: page.next, at_end, as_of })
    }
}

impl Ahead {
    /// Reads on behind a page, page after page. Without a runtime nothing is read ahead.
    fn start(
        backend: Arc<dyn Backend>,
        deletions: Arc<Deletions>,
        filter: Filter,
        first: &ScanPage,
        limit: usize,
    ) -> Option<Self> {
        let ((read, pages), room, after) = (channel(1), Arc::new(Semaphore::new(MOST_BYTES)), first.next);
        let in_hand = Arc::clone(&room).try_acquire_many_owned(permits(first.size())).ok();
        let mut next = request(after, &filter, limit);
        let reading = async move {
            loop {
                let Ok(held) = Arc::clone(&room).acquire_many_owned(permits(PageRoom::BYTES)).await else {
                    return;
                };
                let as_of = deletions.now();
                let page = backend.scan(next.clone()).await;
                let has_more = page.as_ref().is_ok_and(|page| page.has_more);
                next.after = page.as_ref().map_or(next.after, |page| page.next);
                let page = match page {
                    Ok(page) => {
                        let held = held_by(&page, held).await;
                        Ok((page, held))
                    }
                    Err(error) => Err(error),
                };
                if read.send((as_of, page)).await.is_err() || !has_more {
                    return;
                }
            }
        };
        let here = Handle::try_current().ok()?;
        let reader = here.spawn(reading);
        Some(Self { after, limit, runtime: here.id(), pages, in_hand, reader })
    }

    /// Whether these are the pages behind that position, and read on this runtime.
    fn is_here(&self, after: Position, limit: usize) -> bool {
        let is_here = Handle::try_current().is_ok_and(|here| here.id() == self.runtime);
        self.after == after && self.limit == limit && is_here
    }

    /// Nothing, where the runtime that was to read it has ended. Dropping the future loses nothing.
    async fn next(&mut self) -> Option<(AsOf, Result<ScanPage>)> {
        self.in_hand = None;
        let (as_of, read) = self.pages.recv().await?;
        let page = read.map(|(page, held)| {
            (self.after, self.in_hand) = (page.next, Some(held));
            page
        });
        Some((as_of, page))
    }
}

/// What a page holds that was read in the room for one that is full.
async fn held_by(page: &ScanPage, mut held: Room) -> Room {
    let (full, size) = (permits(PageRoom::BYTES), permits(page.size()));
    if size < full {
        drop(held.split(usize::try_from(full - size).unwrap_or(0)));
    } else if let Ok(more) = Arc::clone(held.semaphore()).acquire_many_owned(size - full).await {
        held.merge(more);
    }
    held
}

/// So many bytes, as far as there is room for them at all.
fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes.min(MOST_BYTES)).unwrap_or(u32::MAX)
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

fn request(after: Position, filter: &Filter, limit: usize) -> ScanRequest {
    ScanRequest { after, up_to: None, filter: filter.clone(), limit }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("filter", &self.filter).field("cursor", &self.cursor).finish()
    }
}

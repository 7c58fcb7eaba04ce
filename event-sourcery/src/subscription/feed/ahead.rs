//! Pages that are read before they are asked for.

use std::sync::Arc;

use tokio::runtime::{self, Handle};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use super::request;
use crate::backend::{Backend, Filter, PageRoom, ScanPage};
use crate::error::Result;
use crate::position::Position;
use crate::subscription::deletions::{AsOf, Deletions};

/// How many bytes are held at once: by what is read ahead, and by the page in hand. Only what ends a page that was begun within
/// these may have more.
const MOST_BYTES: usize = 3 * PageRoom::BYTES;

/// Pages that are read before they are asked for: one is waiting, and one is on its way. The reader does not wait for whoever
/// takes them, as long as they are small: to wake each other for every page would cost as much as to read it.
pub(super) struct Ahead {
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

impl Ahead {
    /// Reads on behind a page, page after page. Without a runtime nothing is read ahead.
    pub(super) fn start(
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
    pub(super) fn is_here(&self, after: Position, limit: usize) -> bool {
        let is_here = Handle::try_current().is_ok_and(|here| here.id() == self.runtime);
        self.after == after && self.limit == limit && is_here
    }

    /// Nothing, where the runtime that was to read it has ended. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Option<(AsOf, Result<ScanPage>)> {
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

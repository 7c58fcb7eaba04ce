//! Where a subscription reads: first by itself, until it has caught up; then with the others at the tail.
//!
//! Of what was read, nothing is handed over once its stream's deletion has returned. The store counts its deletions (`Deletions`), and
//! each page carries the count from before it was read: from the first event on whose stream was deleted since, the page is let go and read
//! again. What stands before that stays, so that frequent deletions hold up nobody. Where nothing does, the first event is read by itself,
//! and its stream is watched (`Watch`): every deletion of that is known.
//!
//! Nobody leaves out single events by what he remembers: a stream that was made again has the same id, and only the store tells the two
//! apart. A handler on the backend's writer has waited for its turn behind the deletions of others: it asks for the event in its
//! transaction, beside which nobody deletes.

mod ahead;
mod scanning;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use self::ahead::Ahead;
use self::scanning::{Scanned, Scanning};
use super::deletions::{AsOf, Watch};
use super::tail::{News, Tail};
use crate::backend::{Backend, Filter, ScanPage, ScanRequest, StoredRecord};
use crate::error::Result;
use crate::position::Position;

/// A reader across streams, from a position on.
pub(super) struct Feed {
    backend: Arc<dyn Backend>,
    tail: Arc<Tail>,
    filter: Filter,
    cursor: Position,
    /// Where the first event stands of the page that was read last.
    begins_at: Option<Position>,
    /// The first event of a page of which nothing could be handed over. It is asked for by itself.
    let_go: Option<Arc<StoredRecord>>,
    /// Where one stands that was read again, and its stream, which is watched since before that.
    watched: Option<(Position, Watch)>,
    /// What comes next, read while this page is decoded and handled.
    ahead: Option<Ahead>,
    /// Where it has last waited.
    waited_at: Option<Position>,
    /// What is being read, and the page that it belongs to: whoever gives a call up goes on there.
    scanning: Scanning,
    begun: Option<BegunPage>,
}

/// A page that was read before, to which belongs what has come since.
struct BegunPage {
    /// Behind which position, and how many events of it.
    asked: (Position, usize),
    as_of: AsOf,
    page: ScanPage,
}

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
        let (begins_at, let_go, watched) = (None, None, None);
        let (ahead, waited_at, scanning, begun) = (None, None, Scanning::default(), None);
        let cursor = after;
        Self { backend, tail, filter, cursor, begins_at, let_go, watched, ahead, waited_at, scanning, begun }
    }

    /// Everything up to here was read.
    pub(super) const fn cursor(&self) -> Position {
        self.cursor
    }

    /// The next events, at most `limit`: what is there, without waiting.
    pub(super) async fn read(&mut self, limit: usize) -> Result<Page> {
        let mut page = match self.read_again().await? {
            Some(page) => page,
            None => match self.tail.page(self.cursor, &self.filter, limit) {
                Some(page) => {
                    (self.ahead, self.begun, self.scanning) = (None, None, Scanning::default());
                    page
                }
                None => self.scan(limit).await?,
            },
        };
        page.records.retain(|record| self.filter.finds_tags_on(&record.event));
        self.begins_at = page.records.first().map(|first| first.event.position);
        self.cursor = page.next;
        Ok(page)
    }

    /// The event that was let go, if it is still there: by itself, and its stream is watched. So it is handed over, however many
    /// other streams are deleted, and however long it takes to read.
    async fn read_again(&mut self) -> Result<Option<Page>> {
        let Some(let_go) = self.let_go.clone() else { return Ok(None) };
        let StoredRecord { tenant, stream, event } = &*let_go;
        let deletions = self.tail.deletions();
        let (as_of, watch) = (deletions.now(), deletions.watch(tenant, stream));
        let alone = request(event.position.previous(), &self.filter, 1);
        let read = self.backend.scan(ScanRequest { up_to: Some(event.position), ..alone }).await?;
        self.let_go = None;
        let is_meant = |record: &StoredRecord| record.tenant == *tenant && record.stream == *stream;
        let Some(record) = read.records.into_iter().find(is_meant) else { return Ok(None) };
        let next = record.event.position;
        self.watched = Some((next, watch));
        Ok(Some(Page { records: vec![Arc::new(record)], next, at_end: false, as_of }))
    }

    /// What tells whether the event that was read by itself is still there. Once it is not, it is of no use: the stream may be
    /// made anew.
    pub(super) fn watched(&self) -> Option<Watch> {
        let (_, watch) = self.watched.as_ref()?;
        (!watch.is_over()).then(|| watch.clone())
    }

    /// Whether an event was read by itself, and its stream was not deleted since.
    fn is_sure_of(&self, record: &StoredRecord) -> bool {
        self.watched.as_ref().is_some_and(|(position, watch)| {
            *position == record.event.position
                && watch.tells_of(&record.tenant, &record.stream) == Some(false)
        })
    }

    /// Whether a stream may have been deleted of which something is pending, read as of then. From there on all is let go, and
    /// read again: nothing but the store tells what is gone, and what was made anew. What stands before it stays, so that
    /// whoever deletes again and again does not hold up what comes before. Where that is nothing of a page, its first event is
    /// read by itself, so that he does not hold up what comes behind either.
    pub(super) fn is_outdated(
        &mut self,
        pending: &mut VecDeque<Arc<StoredRecord>>,
        as_of: &mut AsOf,
    ) -> bool {
        let deletions = self.tail.deletions();
        let now = deletions.now();
        let since = std::mem::replace(as_of, now);
        let sure = usize::from(pending.front().is_some_and(|first| self.is_sure_of(first)));
        let streams = pending.iter().skip(sure).map(|record| (&record.tenant, &record.stream));
        let Some(place) = deletions.first_of(streams, since).map(|place| place + sure) else { return false };
        if let Some(first) = pending.get(place) {
            let position = first.event.position;
            self.let_go = (place == 0 && self.begins_at == Some(position)).then(|| Arc::clone(first));
            self.cursor = position.previous();
        }
        pending.truncate(place);
        (self.ahead, self.begun) = (None, None);
        true
    }

    /// Waits until there may be something to read. What turned out to be for others meanwhile is passed.
    pub(super) async fn wait(&mut self) {
        self.wait_for_news(false).await;
    }

    /// The same, for one that keeps what it has passed: ends now and then with that alone. Whether there may be something to read.
    pub(super) async fn wait_or_pass(&mut self) -> bool {
        self.wait_for_news(true).await
    }

    async fn wait_for_news(&mut self, progress: bool) -> bool {
        let in_vain = self.waited_at.replace(self.cursor) == Some(self.cursor);
        let after = (self.cursor, in_vain);
        let News { passed, may_be_more } =
            self.tail.wait_beyond(&self.backend, after, &self.filter, progress).await;
        self.cursor = self.cursor.max(passed);
        may_be_more
    }

    async fn scan(&mut self, limit: usize) -> Result<Page> {
        let asked = (self.cursor, limit);
        let begun = match self.begun.take().filter(|begun| begun.asked == asked) {
            Some(begun) => begun,
            None => {
                let (page, as_of, is_old) = self.next_page(limit).await?;
                if page.has_more || !is_old {
                    return Ok(Page::of(page.records, page.next, !page.has_more, as_of));
                }
                BegunPage { asked, as_of, page }
            }
        };
        // What was read before this call tells what was the end then. What has come since belongs to it.
        let BegunPage { as_of, page, .. } = self.begun.insert(begun);
        let at_end = loop {
            let room = limit.saturating_sub(page.records.len());
            let behind = request(page.next, &self.filter, room.max(1));
            let Scanned { page: behind, is_old, .. } =
                self.scanning.read(&self.backend, self.tail.deletions(), behind).await;
            let behind = behind?;
            let at_end = !behind.has_more && (room > 0 || behind.records.is_empty());
            if room > 0 {
                page.records.extend(behind.records);
                page.next = behind.next;
            }
            // That there is nothing is told by a read of this call alone.
            if !(at_end && is_old && page.records.is_empty()) {
                break at_end && !is_old;
            }
        };
        let page = Page::of(std::mem::take(&mut page.records), page.next, at_end, *as_of);
        self.begun = None;
        Ok(page)
    }

    /// The next page, and whether it was read, or begun, before this call.
    async fn next_page(&mut self, limit: usize) -> Result<(ScanPage, AsOf, bool)> {
        let cursor = self.cursor;
        if let Some(ahead) = self.ahead.as_mut().filter(|ahead| ahead.is_here(cursor, limit))
            && let Some((as_of, page)) = ahead.next().await
        {
            if !page.as_ref().is_ok_and(|page| page.has_more) {
                self.ahead = None;
            }
            return Ok((page?, as_of, true));
        }
        let request = request(cursor, &self.filter, limit);
        let Scanned { page, as_of, is_old } =
            self.scanning.read(&self.backend, self.tail.deletions(), request).await;
        self.ahead = None;
        let page = page?;
        if page.has_more {
            let (backend, deletions) = (Arc::clone(&self.backend), Arc::clone(self.tail.deletions()));
            self.ahead = Ahead::start(backend, deletions, self.filter.clone(), &page, limit);
        }
        Ok((page, as_of, is_old))
    }
}

impl Page {
    fn of(records: Vec<StoredRecord>, next: Position, at_end: bool, as_of: AsOf) -> Self {
        Self { records: records.into_iter().map(Arc::new).collect(), next, at_end, as_of }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventStore, MemoryBackend, RawEvent, StreamId, TenantId};

    struct Scene {
        store: EventStore<MemoryBackend>,
        feed: Feed,
        pending: VecDeque<Arc<StoredRecord>>,
        as_of: AsOf,
    }

    impl Scene {
        /// Each of these streams has an event, in their order.
        async fn new(streams: &[StreamId]) -> Self {
            let backend = MemoryBackend::new();
            let store = EventStore::new(backend.clone());
            for stream in streams {
                store.append(stream, RawEvent::new("Happened", "{}").unwrap()).await.unwrap();
            }
            let tail = Arc::new(Tail::default());
            let feed = Feed::new(Arc::new(backend), tail, Filter::default(), Position::START);
            Self { store, feed, pending: VecDeque::new(), as_of: AsOf::default() }
        }

        async fn read(&mut self) {
            let page = self.feed.read(10).await.unwrap();
            (self.pending, self.as_of) = (page.records.into(), page.as_of);
        }

        /// More streams of the tenant are deleted than are known.
        fn delete_others(&self) {
            for _ in 0..2_000 {
                self.delete(&StreamId::random());
            }
        }

        fn delete(&self, stream: &StreamId) {
            self.feed.tail.deletions().note(&TenantId::DEFAULT, stream);
        }

        fn is_outdated(&mut self) -> bool {
            self.feed.is_outdated(&mut self.pending, &mut self.as_of)
        }

        fn pending(&self) -> Vec<StreamId> {
            self.pending.iter().map(|record| record.stream.clone()).collect()
        }
    }

    #[tokio::test]
    async fn each_event_is_handed_over_however_many_other_streams_are_deleted_while_it_is_read() {
        let streams = [(); 3].map(|()| StreamId::random());
        let mut scene = Scene::new(&streams).await;
        for stream in &streams {
            scene.read().await;
            scene.delete_others();
            assert!(scene.is_outdated() && scene.pending.is_empty());
            scene.read().await;
            scene.delete_others();
            assert!(!scene.is_outdated(), "it is asked for by itself");
            assert_eq!(scene.pending(), std::slice::from_ref(stream));
        }
        scene.read().await;
        assert!(scene.pending.is_empty());
    }

    #[tokio::test]
    async fn an_event_that_was_read_by_itself_is_let_go_once_its_stream_is_deleted() {
        let streams = [(); 3].map(|()| StreamId::random());
        let mut scene = Scene::new(&streams).await;
        scene.read().await;
        scene.delete_others();
        assert!(scene.is_outdated());
        scene.read().await;
        scene.store.delete_stream(&streams[0]).await.unwrap();
        scene.delete(&streams[0]);
        scene.delete_others();
        assert!(scene.is_outdated() && scene.pending.is_empty());
        // It is not there, and what stands behind it is read as ever.
        scene.read().await;
        assert!(!scene.is_outdated());
        assert_eq!(scene.pending(), streams[1..]);
    }
    /// As a batch does that may fill.
    #[tokio::test]
    async fn an_event_that_was_read_by_itself_stays_while_more_is_read() {
        let streams = [(); 2].map(|()| StreamId::random());
        let mut scene = Scene::new(&streams).await;
        scene.read().await;
        scene.delete_others();
        assert!(scene.is_outdated());
        scene.read().await;
        let first = scene.pending.clone();
        assert!(!scene.is_outdated());
        scene.delete_others();
        scene.read().await;
        scene.pending.extend(first);
        scene.pending.rotate_left(1);
        scene.as_of = AsOf::default();
        assert!(scene.is_outdated(), "what was read behind it is let go");
        assert_eq!(scene.pending(), streams[..1]);
    }
}

//! Waiting until a durable subscription has handled something: to read one's own writes, and to know a rebuilt read model
//! complete.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Durable;
use super::start::refuse_beyond_end;
use crate::backend::{
    Backend, BlockedRequest, BlockedStream, Filter, Kept, MOST_SEGMENTS, ScanRequest, Scope, Segments,
    StoredRecord, SubscriptionId, SubscriptionRecord,
};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::position::{AppendPosition, Position};
use crate::stream_id::{StreamId, TenantId};
use crate::subscription::{blocked, refuse};

/// The pause after the first look, and the longest one: each is twice as long as the one before.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(25));

/// How many events are looked at for tags at once.
const PAGE: usize = 256;

/// What was found at one look.
struct Look {
    /// The checkpoint that is furthest behind.
    checkpoint: Position,
    /// Whether there is, or may be, something behind a checkpoint that is not handled.
    is_behind: bool,
    /// What waits for a failed event. Not looked for where something is behind.
    blocked: Vec<BlockedStream>,
}

impl Look {
    /// Whether nothing is waited for any more. What a stream waits for counts where it alone is meant.
    fn is_over(&self, stream: Option<&StreamId>) -> bool {
        !self.is_behind && (stream.is_none() || self.blocked.is_empty())
    }
}

impl<B: Backend, E: Event> Durable<B, E> {
    /// Waits until what this subscription wants of a stream was handled up to a position that an append has returned, so that
    /// a read model shows what was just written.
    ///
    /// It looks immediately, and then after pauses of 1 to 25 ms. Only the stream's own segment counts, and events that the subscription
    /// does not want are not waited for: ask with the filter that it runs with. If you ask for events that it was not run for so far, it
    /// waits for them, because a program that handles them may start at any moment. So may the subscription itself, if it has never
    /// run. On the default handle the stream may be any tenant's; on a tenant's handle, it is that tenant's.
    ///
    /// Each look costs a read of the checkpoints, and where they are behind, one of the settled position and one for the events
    /// in between; at the end what the stream waits for is read, and the event at the position. How long it takes follows the
    /// subscription: its handler, and the batch that its events share.
    ///
    /// # Errors
    ///
    /// [`Error::NotHandledInTime`], also where the stream waits for an event that failed; [`Error::SubscriptionNotFound`] where
    /// the subscription has not run by then; [`Error::BeyondEnd`] where the position lies behind the end of the store by then;
    /// [`Error::InvalidOption`] where the event at the position is another stream's;
    /// [`Error::InvalidName`]; and the backend's.
    ///
    /// ```
    /// # use std::sync::{Arc, Mutex};
    /// # use std::time::Duration;
    /// # use event_sourcery::{Durable, EventStore, MemoryBackend, RawEvent, StreamId};
    /// fn totals(store: &EventStore<MemoryBackend>) -> Durable<MemoryBackend, RawEvent> {
    ///     store.subscribe::<RawEvent>().event_names(["Paid"]).durable("totals")
    /// }
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let store = EventStore::new(MemoryBackend::new());
    /// # let payments = Arc::new(Mutex::new(0));
    /// # let counted = payments.clone();
    /// # let handler = async move |_, _| { *counted.lock().unwrap() += 1; Ok(()) };
    /// # let running = tokio::spawn(totals(&store).run(handler));
    /// let stream = StreamId::from_name("invoices/1003")?;
    /// let appended = store.append(&stream, RawEvent::new("Paid", "{}")?).await?;
    ///
    /// totals(&store).wait_for(&stream, appended.position, Duration::from_secs(60)).await?;
    /// assert_eq!(*payments.lock().unwrap(), 1);
    /// # running.abort();
    /// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
    /// ```
    pub async fn wait_for(
        &self,
        stream: &StreamId,
        position: AppendPosition,
        at_most: Duration,
    ) -> Result<()> {
        self.wait(Some(stream), position, at_most).await.map(drop)
    }

    /// Waits until everything that this subscription wants up to a position was handled, or waits for a failed event; tells
    /// what waits, so that nothing means that all of it was handled. With no time to wait, it looks once.
    ///
    /// It is for a read model that is rebuilt: wait until it has come to [`EventStore::position`](crate::EventStore::position),
    /// then let it take the place of the old one. It looks at the times [`wait_for`](Self::wait_for) does, at all parts of the
    /// subscription.
    ///
    /// # Errors
    ///
    /// As for [`wait_for`](Self::wait_for), except that a blocked stream is no error.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use event_sourcery::{Error, EventStore, MemoryBackend, RawEvent, StreamId};
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let store = EventStore::new(MemoryBackend::new());
    /// # store.append(&StreamId::random(), RawEvent::new("Paid", "{}")?).await?;
    /// # let totals = || store.subscribe::<RawEvent>().durable("totals 2");
    /// # let running = tokio::spawn(totals().run(async |_, _| Ok(())));
    /// let waiting = totals().wait_for_everything(store.position().await?, Duration::from_secs(60)).await?;
    /// assert!(waiting.is_empty());
    /// # running.abort();
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    pub async fn wait_for_everything(
        &self,
        up_to: Position,
        at_most: Duration,
    ) -> Result<Vec<BlockedStream>> {
        self.wait(None, AppendPosition::from_i64(up_to.to_i64()), at_most).await
    }

    /// Looks until a stream, which then waits for nothing, or everything is handled; tells what waits.
    async fn wait(
        &self,
        stream: Option<&StreamId>,
        position: AppendPosition,
        at_most: Duration,
    ) -> Result<Vec<BlockedStream>> {
        refuse(&self.of.refused)?;
        let (id, since) = (self.id()?, Instant::now());
        let mut pause = PAUSES.0;
        loop {
            let look = self.look(&id, stream, position).await?;
            if let Some(look) = look.as_ref().filter(|look| look.is_over(stream)) {
                if let Some(stream) = stream {
                    self.check(stream, position).await?;
                }
                return Ok(look.blocked.clone());
            }
            let waited = since.elapsed();
            if waited >= at_most {
                refuse_beyond_end(self.of.store.backend(), Position::from_i64(position.to_i64())).await?;
                let subscription = id.name.to_string();
                let Some(look) = look else { return Err(Error::SubscriptionNotFound { subscription }) };
                let is_blocked = match stream {
                    Some(_) => !self.blocked_before(&id, stream, position).await?.is_empty(),
                    None => false,
                };
                return Err(Error::NotHandledInTime {
                    subscription,
                    stream: stream.cloned(),
                    position,
                    checkpoint: look.checkpoint,
                    is_blocked,
                    waited,
                });
            }
            sleep(pause.min(at_most - waited)).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Looks how far the part of a stream has come, or all parts. Checkpoints first, blocked streams after them: who passes an
    /// event that failed writes both at once. A reset takes back the one and frees the other: so the tokens are looked at again.
    /// `None` where there is no subscription yet.
    async fn look(
        &self,
        id: &SubscriptionId,
        stream: Option<&StreamId>,
        to: AppendPosition,
    ) -> Result<Option<Look>> {
        let Some(record) = self.record(id).await? else { return Ok(None) };
        let filter = self.run_for(&record);
        let of = u16::try_from(record.segments.len()).unwrap_or(MOST_SEGMENTS);
        let only = stream.map(|stream| Segments::number_of(stream.uuid(), of));
        let mut checkpoints: BTreeMap<Position, Vec<u16>> = BTreeMap::new();
        for (number, segment) in (0..).zip(&record.segments) {
            if only.is_none_or(|only| only == number) {
                checkpoints.entry(segment.position).or_default().push(number);
            }
        }
        let checkpoint = checkpoints.keys().next().copied().unwrap_or(Position::START);
        let mut is_behind = match &filter {
            Some(filter) => self.is_behind(&checkpoints, of, to, filter).await?,
            // It will be run for more: by whoever asks for it.
            None => true,
        };
        let mut blocked = Vec::new();
        if !is_behind {
            blocked = self.blocked_before(id, stream, to).await?;
            is_behind = self.record(id).await?.is_none_or(|now| tokens(&now).ne(tokens(&record)));
        }
        Ok(Some(Look { checkpoint, is_behind, blocked }))
    }

    async fn record(&self, id: &SubscriptionId) -> Result<Option<SubscriptionRecord>> {
        self.of.store.backend().subscription(id.clone()).await
    }

    /// Which events to look for. Who knows no names means those that the subscription is run for. `None` where it is not run
    /// for all that is meant.
    pub(super) fn run_for(&self, record: &SubscriptionRecord) -> Option<Filter> {
        let (filter, asked) = (self.of.filter.clone(), Scope::of(&self.of.filter));
        let Some(kept) = record.kept.as_ref().map(Kept::scope) else { return Some(filter) };
        if asked.names().is_none() && asked.covers(kept) {
            return Some(kept.filter());
        }
        kept.covers(&asked).then_some(filter)
    }

    /// Whether there is something to handle between a checkpoint and a position. The checkpoint of a part that has nothing to do
    /// is written only now and then: so the events in between decide.
    async fn is_behind(
        &self,
        checkpoints: &BTreeMap<Position, Vec<u16>>,
        of: u16,
        to: AppendPosition,
        filter: &Filter,
    ) -> Result<bool> {
        let behind = checkpoints.iter().filter(|(position, _)| !to.is_covered_by(**position));
        let behind: Vec<_> = behind.collect();
        let backend = self.of.store.backend();
        if behind.is_empty() {
            return Ok(false);
        }
        if !to.is_covered_by(backend.position().await?) {
            return Ok(true);
        }
        for (after, numbers) in behind {
            let segments = Segments::new(of, numbers.iter().copied());
            let segments = (!segments.are_all()).then_some(segments);
            let filter = Filter { segments, ..filter.clone() };
            let up_to = Some(Position::from_i64(to.to_i64()));
            // One is enough, unless others stand before it that have not the tags.
            let limit = if filter.tags.is_empty() { 1 } else { PAGE };
            let mut request = ScanRequest { after: *after, up_to, filter, limit };
            loop {
                let page = backend.scan(request.clone()).await?;
                if page.records.iter().any(|record| request.filter.finds_tags_on(&record.event)) {
                    return Ok(true);
                }
                if !page.has_more {
                    break;
                }
                request.after = page.next;
            }
        }
        Ok(false)
    }

    /// The streams, or this one, whose handling waits for an event up to a position.
    async fn blocked_before(
        &self,
        id: &SubscriptionId,
        stream: Option<&StreamId>,
        to: AppendPosition,
    ) -> Result<Vec<BlockedStream>> {
        let mut request = BlockedRequest::new(id.clone());
        if let Some(stream) = stream {
            // What was deleted is not waited for.
            let Some(tenant) = self.tenant_at(to).await? else { return Ok(Vec::new()) };
            request.stream = Some((tenant, stream.clone()));
            request.errors = false;
        }
        let mut all = blocked::all(self.of.store.backend(), request).await?;
        all.retain(|blocked| {
            let was_passed = blocked.position < blocked.after;
            blocked.position.to_i64() <= to.to_i64() && (was_passed || !to.is_covered_by(blocked.after))
        });
        Ok(all)
    }

    /// Whose event stands at a position: several tenants may have a stream of one id. `None` where it was deleted.
    async fn tenant_at(&self, position: AppendPosition) -> Result<Option<TenantId>> {
        match self.only_tenant() {
            None => Ok(self.record_at(position).await?.map(|record| record.tenant)),
            tenant => Ok(tenant.cloned()),
        }
    }

    /// Whose streams alone it is about.
    fn only_tenant(&self) -> Option<&TenantId> {
        let own = self.of.store.tenant_id();
        self.of.filter.tenant.as_ref().or((!own.is_default()).then_some(own))
    }

    /// Refuses a stream that has not got the event at a position, where another has: the position is that of an append to it.
    async fn check(&self, stream: &StreamId, position: AppendPosition) -> Result<()> {
        match self.record_at(position).await? {
            Some(StoredRecord { stream: of, .. }) if of != *stream => {
                let problem = format!(
                    "the event at {position} is of {of}, and not of {stream}: give the stream that was appended to; that of an \
                     aggregate is in the aggregate's category"
                );
                Err(Error::InvalidOption { option: "stream", problem })
            }
            _ => Ok(()),
        }
    }

    /// The event at a position, unless it is of a tenant that this is not about.
    async fn record_at(&self, position: AppendPosition) -> Result<Option<StoredRecord>> {
        let at = Position::from_i64(position.to_i64());
        let filter = Filter { tenant: self.only_tenant().cloned(), ..Filter::default() };
        let request = ScanRequest { after: at.previous(), up_to: Some(at), filter, limit: 1 };
        Ok(self.of.store.backend().scan(request).await?.records.into_iter().next())
    }
}

fn tokens(record: &SubscriptionRecord) -> impl Iterator<Item = i64> {
    record.segments.iter().map(|segment| segment.token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventStore, MemoryBackend, RawEvent};

    /// Positions come back from clients: whose event is there is nobody's concern.
    #[tokio::test]
    async fn a_tenant_is_told_nothing_of_anothers_stream() {
        let (store, stream) = (EventStore::new(MemoryBackend::new()), StreamId::random());
        let [acme, globex] = ["acme", "globex"].map(|name| store.for_tenant(TenantId::new(name).unwrap()));
        let totals = || acme.subscribe::<RawEvent>().durable("totals");
        totals().until(std::future::ready(())).run(async |_, _| Ok(())).await.unwrap();
        let paid = || RawEvent::new("Paid", "{}").unwrap();
        let secret = globex.append(&StreamId::random(), paid()).await.unwrap();
        totals().wait_for(&stream, secret.position, Duration::ZERO).await.unwrap();
    }

    /// More events that are not wanted lie before it than a backend looks at for one page.
    #[tokio::test]
    async fn a_page_without_events_is_not_the_end() {
        let (store, stream) = (EventStore::new(MemoryBackend::new()), StreamId::random());
        let totals = || store.subscribe::<RawEvent>().event_names(["Paid"]).durable("totals");
        totals().until(std::future::ready(())).run(async |_, _| Ok(())).await.unwrap();
        let unwanted = |_| RawEvent::new("Seen", "{}").unwrap();
        for _ in 0..70 {
            store.append(&StreamId::random(), (0..1_000).map(unwanted).collect::<Vec<_>>()).await.unwrap();
        }
        let paid = store.append(&stream, RawEvent::new("Paid", "{}").unwrap()).await.unwrap();
        let waited = totals().wait_for(&stream, paid.position, Duration::ZERO).await;
        assert!(matches!(waited, Err(Error::NotHandledInTime { .. })), "{waited:?}");
        let waited = totals().wait_for_everything(store.position().await.unwrap(), Duration::ZERO).await;
        assert!(matches!(waited, Err(Error::NotHandledInTime { .. })), "{waited:?}");
    }
}

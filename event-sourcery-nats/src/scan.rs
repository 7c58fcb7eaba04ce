//! Reads across streams, in the order of the log.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use event_sourcery::backend::{
    Backlog, BacklogRequest, Filter, Names, PageRoom, ScanPage, ScanRequest, StoredRecord, lost_stream_id,
    stored_stream_id, stored_tenant_id,
};
use event_sourcery::{Error, Position, Result, StreamId, TenantId};
use futures_util::future::try_join_all;

use crate::jet::Stored;
use crate::message::{Chunk, Kind, unreadable};
use crate::numbers;
use crate::store::Store;

/// How long a page that finds nothing may take, about.
const PATIENCE: Duration = Duration::from_millis(200);

/// How many messages are asked for at a time.
const PAGE: u64 = 256;

impl Store {
    pub(crate) async fn scan(&self, request: &ScanRequest) -> Result<ScanPage> {
        let began = Instant::now();
        let bound = match request.up_to {
            // Whoever names a position beyond both will be told where the end is.
            Some(up_to) if request.after <= up_to => up_to,
            _ => self.end_above(request).await?,
        };
        let (subjects, last) = (self.subjects.streams(&request.filter), numbers::of(bound));
        let (mut room, mut names, mut records) = (PageRoom::of(request.limit), Names::default(), Vec::new());
        let mut next = numbers::first_above(request.after);
        while next <= last {
            let most = if request.filter.names.is_some() { PAGE } else { PAGE.min(request.limit as u64) };
            let page = self.page(&subjects, next, most.min(last - next + 1)).await?;
            let Some(reached) = page.last().map(|message| message.sequence) else { break };
            for message in page.into_iter().filter(|message| message.sequence <= last) {
                for record in self.records(&message, &request.filter, &mut names).await? {
                    let position = record.event.position;
                    if position <= request.after || position > bound || !takes(&request.filter, &record) {
                        continue;
                    }
                    if !room.take(&record.event) {
                        return self.named(records, None).await;
                    }
                    records.push(record);
                }
            }
            next = reached + 1;
            if next <= last && began.elapsed() > PATIENCE {
                return self.named(records, Some((numbers::last_of(reached), true))).await;
            }
        }
        self.named(records, Some((bound.max(request.after), false))).await
    }

    /// The events of a message with their places.
    async fn records(
        &self,
        message: &Stored,
        filter: &Filter,
        names: &mut Names,
    ) -> Result<Vec<StoredRecord>> {
        match Chunk::read(message.sequence, &message.payload, names) {
            Ok(Chunk { head, events }) if head.kind == Kind::Events => {
                Ok(events.into_iter().map(|event| head.record(event)).collect())
            }
            Ok(_) => Ok(Vec::new()),
            Err(problem) => {
                let (tenant, stream) = self.whose(message, filter).await?;
                Ok(vec![StoredRecord::new(stream, tenant, unreadable(message.sequence, problem))])
            }
        }
    }

    /// Whose a message is that cannot be read: its subject tells, so that its stream waits for it, and no other one. Where a name was hashed
    /// for its length, another message of the stream tells.
    async fn whose(&self, message: &Stored, filter: &Filter) -> Result<(TenantId, StreamId)> {
        let whose = self.subjects.whose(&message.subject, filter);
        if let Some((uuid, Some(tenant), Some(category))) = &whose {
            return Ok((stored_tenant_id(tenant), stored_stream_id(*uuid, None, category)));
        }
        let others = match whose {
            Some(_) => self.newest_head(&message.subject, u64::MAX).await?,
            None => None,
        };
        Ok(others.map_or_else(
            || (TenantId::DEFAULT, lost_stream_id(numbers::last_of(message.sequence))),
            |head| (stored_tenant_id(&head.tenant), head.stream_id()),
        ))
    }

    /// The settled position, for who reads up to it; an error for who would begin beyond it.
    async fn end_above(&self, request: &ScanRequest) -> Result<Position> {
        let (position, end) = (request.after, self.settled().await?);
        let bound = request.up_to.unwrap_or(end);
        if position > end.max(bound) { Err(Error::BeyondEnd { position, end }) } else { Ok(bound) }
    }

    /// The next messages, of a replica that lacks nothing.
    async fn page(&self, subjects: &str, from: u64, most: u64) -> Result<Vec<Stored>> {
        if self.is_replicated {
            self.events.page_of_the_leader(subjects, from, most).await
        } else {
            self.events.page(subjects, from, most).await
        }
    }

    /// The page of these records, whose streams may have got their names later. Without an end it is full.
    async fn named(&self, mut records: Vec<StoredRecord>, end: Option<(Position, bool)>) -> Result<ScanPage> {
        let unnamed = records.iter().filter(|record| may_be_named_later(record));
        let unnamed: HashSet<_> =
            unnamed.map(|record| self.subject(&record.tenant, &record.stream)).collect();
        if !unnamed.is_empty() {
            let looks = unnamed.into_iter().map(|subject| async move {
                let last = self.events.last(&subject).await?;
                let last = last.map(|last| Chunk::read(last.sequence, &last.payload, &mut Names::default()));
                // Where it cannot be read, that is its stream's trouble. And who waits for the rest of a batch is no reader of all.
                Ok::<_, Error>((subject, last.and_then(Result::ok).map(|last| last.head)))
            });
            let found: HashMap<_, _> = try_join_all(looks).await?.into_iter().collect();
            for record in records.iter_mut().filter(|record| may_be_named_later(record)) {
                let head = found.get(&self.subject(&record.tenant, &record.stream));
                let name = head.and_then(Option::as_ref).and_then(|head| head.name.as_deref());
                let (uuid, category) = (record.stream.uuid(), record.stream.stored_category());
                record.stream = stored_stream_id(uuid, name, category);
            }
        }
        let last = records.last().map(|record| record.event.position);
        let (next, has_more) = end.unwrap_or((last.unwrap_or(Position::START), true));
        Ok(ScanPage::new(records, next, has_more))
    }

    pub(crate) async fn backlog(&self, request: &BacklogRequest) -> Result<Backlog> {
        let (began, end) = (Instant::now(), self.settled().await?);
        let up_to = request.up_to.map_or(end, |up_to| up_to.min(end));
        let (mut backlog, mut after) = (Backlog::default(), request.after);
        while after < up_to {
            let scan = ScanRequest::new(after, 1_000).with_up_to(up_to).with_filter(request.filter.clone());
            let page = self.scan(&scan).await?;
            for record in page.records {
                if request.most == Some(backlog.events) {
                    return Ok(backlog.with_cut_off(Some(after)));
                }
                after = record.event.position;
                backlog.events += 1;
                backlog.oldest = backlog.oldest.or(Some(record.event.created_at));
            }
            after = page.next;
            if page.has_more && request.most.is_some() && began.elapsed() > PATIENCE {
                return Ok(backlog.with_cut_off(Some(after)));
            }
            if !page.has_more {
                break;
            }
        }
        Ok(backlog)
    }
}

/// Whether a record passes. One whose stream is lost is nobody's, in no category.
fn takes(filter: &Filter, record: &StoredRecord) -> bool {
    let is_lost = record.stream == lost_stream_id(record.event.position);
    let asks_whose = filter.tenant.is_some() || filter.category.is_some();
    !(is_lost && asks_whose) && filter.passes_event(&record.tenant, &record.stream, &record.event)
}

/// A stream can get a name later that stands for its UUID: one that is not random, as those of streams without names are.
fn may_be_named_later(record: &StoredRecord) -> bool {
    record.stream.name().is_none() && record.stream.uuid().get_version_num() != 4
}

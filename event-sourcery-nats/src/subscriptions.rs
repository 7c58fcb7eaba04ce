//! Durable subscriptions: one value for each, whose sequence is the revision that every change expects.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use event_sourcery::backend::{
    BlockedRequest, BlockedStream, Lease, Names, ProgressRequest, StoredEvent, StreamProgress,
    SubscriptionChange, SubscriptionId, SubscriptionRecord, lost_stream_id,
};
use event_sourcery::{Error, Position, Result, StreamId, TenantId};
use futures_util::future::{try_join, try_join_all};
use tokio::time::sleep;

use crate::NAME;
use crate::answers::Refusal;
use crate::jet::{Outgoing, Stored};
use crate::message::{Chunk, text, told, unreadable};
use crate::numbers;
use crate::sheet::{Row, Sheet};
use crate::store::{Store, is_alive};
use crate::subjects::place;

/// How long a change goes on that loses every race, or that is put off.
const PATIENCE: Duration = Duration::from_secs(20);

/// A row as it was read, and as it is to be.
struct Place {
    sequence: u64,
    row: Option<Row>,
    is_changed: bool,
}

/// Rows by their subjects.
type Places = HashMap<String, Place>;

impl Store {
    pub(crate) async fn subscription(&self, id: &SubscriptionId) -> Result<Option<SubscriptionRecord>> {
        let ((_, sheet), (_, now)) = try_join(self.sheet(id), self.side.stand()).await?;
        Ok(sheet.record()?.map(|record| record.as_of(now)))
    }

    pub(crate) async fn change_subscription(
        &self,
        id: &SubscriptionId,
        change: &SubscriptionChange,
    ) -> Result<Option<SubscriptionRecord>> {
        let (subject, began) = (self.subjects.subscription(id), Instant::now());
        loop {
            let ((sequence, sheet), (_, now)) = try_join(self.sheet(id), self.side.stand()).await?;
            let was = sheet.record()?;
            let is_none = was.is_none();
            let record = change.apply(was, now);
            if is_none && record.is_none() {
                return Ok(None);
            }
            let round = sheet.round.saturating_add(u64::from(change.frees_streams()));
            let payload = text(&Sheet::of(round, record.as_ref())?)?.into();
            let expects = Some((subject.clone(), sequence));
            let message = Outgoing { subject: subject.clone(), payload, expects };
            match self.side.publish(vec![message]).await {
                Ok(revision) => {
                    if change.frees_streams() {
                        // They count no more; what is written from here on is of the next round.
                        self.side.purge(&self.subjects.rows(id), revision).await?;
                    }
                    return Ok(record);
                }
                Err(refusal) => again(refusal, began).await?,
            }
        }
    }

    pub(crate) async fn progress(&self, request: &ProgressRequest) -> Result<()> {
        let (id, began) = (&request.subscription, Instant::now());
        if request.outbox.is_some() {
            return Err(Error::unsupported(NAME, "an outbox"));
        }
        let subject = self.subjects.subscription(id);
        loop {
            let (sequence, sheet) = self.sheet(id).await?;
            let record = reached(request, sheet.record()?)?;
            let mut places = self.places(id, sheet.round, &request.streams).await?;
            self.carry_out(request, sheet.round, &mut places).await?;
            let mut freed = Vec::new();
            let mut messages = Vec::new();
            for (subject, place) in places.into_iter().filter(|(_, place)| place.is_changed) {
                let payload = match &place.row {
                    Some(row) => text(row)?.into(),
                    None => {
                        freed.push(subject.clone());
                        bytes::Bytes::new()
                    }
                };
                let expects = Some((subject.clone(), place.sequence));
                messages.push(Outgoing { subject, payload, expects });
            }
            let after = Sheet::of(sheet.round, record.as_ref())?;
            // Who takes a stream to be blocked, and is not told of its being freed, would pass over what is in it.
            if after != sheet || !freed.is_empty() || !request.leases.is_empty() && !messages.is_empty() {
                let (payload, expects) = (text(&after)?.into(), Some((subject.clone(), sequence)));
                messages.push(Outgoing { subject: subject.clone(), payload, expects });
            }
            if messages.is_empty() {
                return Ok(());
            }
            match self.side.publish(messages).await {
                Ok(revision) => {
                    let purges = freed.iter().map(|subject| self.side.purge(subject, revision));
                    try_join_all(purges).await?;
                    return Ok(());
                }
                Err(refusal) => again(refusal, began).await?,
            }
        }
    }

    pub(crate) async fn blocked_streams(&self, request: &BlockedRequest) -> Result<Vec<BlockedStream>> {
        let id = &request.subscription;
        let ((_, sheet), (_, now)) = try_join(self.sheet(id), self.side.stand()).await?;
        let rows = match &request.stream {
            Some((tenant, stream)) => {
                let subject = self.subjects.row(id, &place(tenant, stream));
                self.side.last(&subject).await?.into_iter().collect()
            }
            None => self.all_beside(&self.subjects.rows(id)).await?,
        };
        let mut found = Vec::new();
        for message in &rows {
            let Some(row) = row(message, sheet.round) else { continue };
            let blocked = row.blocked();
            let is_wanted = blocked.position > request.after
                && (!request.due || blocked.retry_at.is_some_and(|at| at <= now))
                && request.segments.is_none_or(|segments| segments.contains(blocked.segment));
            if is_wanted {
                found.push(blocked);
            }
        }
        found.sort_by_key(|blocked| (blocked.position, blocked.stream.uuid()));
        found.truncate(request.limit);
        if request.errors {
            return try_join_all(found.into_iter().map(|blocked| self.with_event(blocked))).await;
        }
        found.iter_mut().for_each(|blocked| blocked.error.clear());
        Ok(found)
    }

    async fn with_event(&self, blocked: BlockedStream) -> Result<BlockedStream> {
        let event = self.event_at(&blocked.tenant, &blocked.stream, blocked.position).await?;
        let event = event.filter(|event| event.unreadable.is_none());
        let (id, name) = event.map(|event| (event.id, event.name)).unzip();
        Ok(blocked.with_event(id, name))
    }

    /// The subscription, and its revision.
    async fn sheet(&self, id: &SubscriptionId) -> Result<(u64, Sheet)> {
        let Some(message) = self.side.last(&self.subjects.subscription(id)).await? else {
            return Ok((0, Sheet::default()));
        };
        // Nobody knows where to go on: it is an error, of this subscription alone.
        let sheet = serde_json::from_slice(&message.payload);
        let sheet = sheet.map_err(|problem| Error::backend(NAME, told(&problem, &message.payload)))?;
        Ok((message.sequence, sheet))
    }

    /// The rows of the streams that progress is about.
    async fn places(&self, id: &SubscriptionId, round: u64, streams: &[StreamProgress]) -> Result<Places> {
        let reads = streams.iter().map(|progress| {
            let (tenant, stream) = progress.stream();
            let subject = self.subjects.row(id, &place(tenant, stream));
            async move {
                let message = self.side.last(&subject).await?;
                let sequence = message.as_ref().map_or(0, |message| message.sequence);
                let row = message.as_ref().and_then(|message| row(message, round));
                Ok::<_, Error>((subject, Place { sequence, row, is_changed: false }))
            }
        });
        Ok(try_join_all(reads).await?.into_iter().collect())
    }

    /// What becomes of the rows; an error where one is not what it is taken to be.
    async fn carry_out(&self, request: &ProgressRequest, round: u64, places: &mut Places) -> Result<()> {
        let lost = || Error::lease_lost(&*request.subscription.name);
        let there = request.streams.iter().map(|progress| async move {
            match progress {
                StreamProgress::Block(blocked) => {
                    let event = self.event_at(&blocked.tenant, &blocked.stream, blocked.position).await?;
                    Ok::<_, Error>(event.is_some())
                }
                _ => Ok(true),
            }
        });
        let there = try_join_all(there).await?;
        for (progress, is_there) in request.streams.iter().zip(there) {
            let (tenant, stream) = progress.stream();
            let subject = self.subjects.row(&request.subscription, &place(tenant, stream));
            let place = places.get_mut(&subject).ok_or(Error::bug("a row that was read is not there"))?;
            let at = place.row.as_ref().map(Row::at);
            place.row = match progress {
                StreamProgress::Block(_) if !is_there => continue,
                StreamProgress::Block(blocked) if at.is_none() => Some(Row::of(round, blocked)),
                StreamProgress::Change(was, blocked) if at == Some(*was) => Some(Row::of(round, blocked)),
                StreamProgress::Free(was, ..) if at == Some(*was) => None,
                StreamProgress::Waits(..) if at.is_some() => continue,
                _ => return Err(lost()),
            };
            place.is_changed = true;
        }
        Ok(())
    }

    /// The event at a position, if it is one of this stream, and there.
    async fn event_at(
        &self,
        tenant: &TenantId,
        stream: &StreamId,
        position: Position,
    ) -> Result<Option<StoredEvent>> {
        let sequence = numbers::of(position);
        if *stream == lost_stream_id(position) {
            // Nobody knows whose it is: it is there as long as it cannot be read.
            let Some(message) = self.events.at(sequence).await? else { return Ok(None) };
            let read = Chunk::read(sequence, &message.payload, &mut Names::default());
            return Ok(read.err().map(|problem| unreadable(sequence, problem)));
        }
        let subject = self.subject(tenant, stream);
        let (message, last) = try_join(self.events.at(sequence), self.events.last(&subject)).await?;
        let (Some(message), Some(last)) = (message.filter(|message| message.subject == subject), last) else {
            return Ok(None);
        };
        let mut names = Names::default();
        let end = Chunk::read(last.sequence, &last.payload, &mut names);
        // Where the stream was deleted, what is not removed yet is gone all the same.
        let is_gone = end.is_ok_and(|end| !is_alive(&end) || end.head.life >= sequence);
        let chunk = Chunk::read(sequence, &message.payload, &mut names);
        Ok(match chunk {
            _ if is_gone => None,
            Ok(chunk) => chunk.events.into_iter().find(|event| event.position == position),
            Err(problem) => Some(unreadable(sequence, problem)),
        })
    }
}

/// The record with the checkpoints that it has reached; an error where a lease is lost.
fn reached(
    request: &ProgressRequest,
    record: Option<SubscriptionRecord>,
) -> Result<Option<SubscriptionRecord>> {
    if request.leases.is_empty() {
        return Ok(record);
    }
    let lost = || Error::lease_lost(&*request.subscription.name);
    let mut record = record.ok_or_else(lost)?;
    for Lease { segment, token, .. } in &request.leases {
        let segment = record.segments.get_mut(usize::from(*segment));
        let segment = segment.filter(|segment| segment.token == *token).ok_or_else(lost)?;
        segment.position = segment.position.max(request.position.unwrap_or(Position::START));
    }
    Ok(Some(record))
}

/// A row, unless it was freed. One that cannot be read is left out: it stops nothing but what it is about, as on the other backends.
fn row(message: &Stored, round: u64) -> Option<Row> {
    if message.payload.is_empty() {
        return None;
    }
    match serde_json::from_slice::<Row>(&message.payload) {
        Ok(row) => Some(row).filter(|row| row.round == round),
        Err(problem) => {
            let (subject, problem) = (&*message.subject, told(&problem, &message.payload));
            tracing::warn!(subject, problem, "a row of a blocked stream cannot be read, and is left out");
            None
        }
    }
}

/// Pauses before a change is tried again; an error where it is not to be.
async fn again(refusal: Refusal, began: Instant) -> Result<()> {
    if matches!(refusal, Refusal::Failed(_)) || began.elapsed() > PATIENCE {
        return Err(refusal.into_error());
    }
    sleep(Duration::from_millis(fastrand::u64(1..=20))).await;
    Ok(())
}

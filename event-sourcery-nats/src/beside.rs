//! What stands beside a stream: snapshots, and what aggregates were saved with.

use event_sourcery::backend::{Names, NewRecord, SnapshotRequest, StateRequest, StoredEvent, StreamState};
use event_sourcery::{Error, Position, Result, Version};

use crate::answers::Refusal;
use crate::jet::{Outgoing, Stored};
use crate::message::{Chunk, Head, Kind};
use crate::store::{Store, TRIES, changes_too_often, is_alive};
use crate::subjects::place;

/// How many messages are asked for at a time, at most.
const PAGE: u64 = 64;

impl Store {
    pub(crate) async fn save_snapshot(&self, request: &SnapshotRequest) -> Result<()> {
        let SnapshotRequest { tenant, stream, version, record, .. } = request;
        let place = place(tenant, stream);
        let subject = self.subjects.stream(&place);
        let all_of_the_id = self.subjects.snapshot_of_id(record.id);
        for _ in 0..TRIES {
            let last = self.last(&subject).await?;
            request.check(last.as_ref().map_or(StreamState::Missing, |(_, chunk)| state(chunk)))?;
            let life = last.map_or(0, |(_, chunk)| chunk.head.life);
            let head = Head::of(Kind::Events, tenant, stream);
            let head = Head { life, first: *version, versioned: true, ..head };
            let message = Outgoing {
                subject: self.subjects.snapshot(&place, *version, record.id),
                payload: head.message(std::slice::from_ref(record))?,
                expects: Some((all_of_the_id.clone(), 0)),
            };
            match self.side.publish(vec![message]).await {
                Ok(_) => return Ok(()),
                Err(Refusal::Failed(error)) => return Err(*error),
                Err(Refusal::Lost | Refusal::NotNow(_)) => {}
            }
            if self.side.last(&all_of_the_id).await?.is_some() {
                return Err(Error::duplicate_event(record.id, stream.clone()));
            }
        }
        Err(changes_too_often())
    }

    /// The newest snapshot of these names that is of this life, and no older than its first event.
    pub(crate) async fn snapshot(
        &self,
        place: &str,
        head: &Head,
        names: &[&str],
        up_to: Version,
    ) -> Result<Option<StoredEvent>> {
        if names.is_empty() {
            return Ok(None);
        }
        let is_wanted = |snapshot: &StoredEvent| {
            names.contains(&&*snapshot.name)
                && snapshot.version.is_some_and(|version| version <= up_to)
                && snapshot.created_at.as_microsecond() >= head.born
        };
        let (subjects, mut way) = (self.subjects.snapshots(place), Way::new());
        let mut newest: Option<StoredEvent> = None;
        // Page by page: a stream may have many, of a megabyte each.
        while let Some(page) = self.next_beside(&subjects, &mut way).await? {
            let snapshots = page.iter().filter_map(|message| beside(message, head)).filter(is_wanted);
            newest = newest.into_iter().chain(snapshots).max_by_key(|snapshot| snapshot.version);
        }
        Ok(newest)
    }

    pub(crate) async fn save_state(&self, request: &StateRequest) -> Result<()> {
        let StateRequest { tenant, stream, name, format, behind, made_of, .. } = request;
        let place = place(tenant, stream);
        let subject = self.subjects.stream(&place);
        let known = self.know(&subject, self.memory.take(&subject)).await?;
        let (life, counts) =
            (known.life, known.holds(*behind) && made_of.is_none_or(|event| known.holds(event)));
        if known.count() > 0 {
            self.memory.put(subject, known);
        }
        if !counts {
            return Ok(());
        }
        let subject = self.subjects.state(&place, name, *format);
        let before = self.side.last(&subject).await?;
        let of_this_life = Head { life, ..Head::default() };
        let kept = before.as_ref().and_then(|before| beside(before, &of_this_life));
        if kept.is_some_and(|kept| kept.version >= Some(behind.version)) {
            return Ok(());
        }
        let head =
            Head { life, first: behind.version, versioned: true, ..Head::of(Kind::Events, tenant, stream) };
        let record = NewRecord::new(behind.id, *name, request.data.clone(), request.created_at);
        let record = record.with_schema_version(u32::from(*format));
        let (payload, sequence) = (head.message(&[record])?, before.map_or(0, |before| before.sequence));
        let message = Outgoing { subject: subject.clone(), payload, expects: Some((subject, sequence)) };
        match self.side.publish(vec![message]).await {
            // Somebody else has just saved one: it only saves time.
            Ok(_) | Err(Refusal::Lost | Refusal::NotNow(_)) => Ok(()),
            Err(refusal) => Err(refusal.into_error()),
        }
    }

    /// What an aggregate was saved with, in this life.
    pub(crate) async fn state(
        &self,
        place: &str,
        head: &Head,
        name: &str,
        format: u16,
    ) -> Result<Option<StoredEvent>> {
        let kept = self.side.last(&self.subjects.state(place, name, format)).await?;
        Ok(kept.and_then(|kept| beside(&kept, head)))
    }

    /// All messages of these subjects of the side stream, of a replica that lacks nothing.
    pub(crate) async fn all_beside(&self, subjects: &str) -> Result<Vec<Stored>> {
        let (mut all, mut way) = (Vec::new(), Way::new());
        while let Some(page) = self.next_beside(subjects, &mut way).await? {
            all.extend(page);
        }
        Ok(all)
    }

    /// The next of them; `None` behind the last one.
    async fn next_beside(&self, subjects: &str, way: &mut Way) -> Result<Option<Vec<Stored>>> {
        let page = if self.is_replicated {
            self.side.page_of_the_leader(subjects, way.next, way.most).await?
        } else {
            self.side.page(subjects, way.next, PAGE).await?
        };
        let Some(last) = page.last() else { return Ok(None) };
        way.next = last.sequence.saturating_add(1);
        // What was written together stands together: then it is asked for together.
        let count = page.len() as u64;
        way.most = if count >= way.most { (2 * way.most).min(PAGE) } else { count };
        Ok(Some(page))
    }
}

/// How far messages of the side stream were read, and how many are asked for next.
struct Way {
    next: u64,
    most: u64,
}

impl Way {
    const fn new() -> Self {
        Self { next: 1, most: 1 }
    }
}

/// What a stream is by its last message.
fn state(last: &Chunk) -> StreamState {
    match last.last_number() {
        0 => StreamState::Missing,
        _ if !is_alive(last) => StreamState::Missing,
        version if last.head.versioned => StreamState::Versioned(version),
        _ => StreamState::Unversioned,
    }
}

/// What was kept of a stream of this life. What cannot be read is passed over.
fn beside(message: &Stored, head: &Head) -> Option<StoredEvent> {
    let chunk = Chunk::read(message.sequence, &message.payload, &mut Names::default()).ok()?;
    let mut kept = chunk.events.into_iter().next().filter(|_| chunk.head.life == head.life)?;
    kept.position = Position::START;
    Some(kept)
}

//! Tags, reading by a query, and whether a boundary has moved.
//!
//! There is one writer at a time, so positions are given in the order of the commits: what a read has not seen stands above the
//! position that it saw last, or was deleted since.
//!
//! - A deletion leaves no event to be found. So a tenant's last one has a mark of its own, and a boundary moves with it: also where
//!   nothing of its query was deleted. The mark is random, and so it is not another's where that was rolled back.
//! - Events that are stored and get tags later stand below what was seen: that counts as a deletion.
//! - A transaction that is rolled back, or a part of one, gives its positions back, and others get them, maybe with the same event ids. So
//!   whoever reads in one that has written remembers a fingerprint of the matching events that stand where it has written. They are
//!   read again: what is there by then is whole what was read, or the boundary has moved. Below, all is committed, and stays.
//! - Python knows of no tags: what it deletes leaves rows that no event has, and moves no boundary.

use std::collections::BTreeMap;
use std::ops::ControlFlow::{self, Break, Continue};

use event_sourcery::backend::{
    Boundary, EventTags, NewRecord, ReadRecords, ReadRequest, StoredEvent, StoredRecord, TagRequest,
    stored_tag,
};
use event_sourcery::{Error, QueryItem, Result, Tag, TenantId};
use rusqlite::Row;
use uuid::Uuid;

use super::{Operations, json_array};
use crate::rows::{EventReader, hex};
use crate::writer::Guard;

/// How many events of a tag are counted, to find the one that has the fewest: more of them while all have more, since it is their events
/// that are then looked at.
const COUNTED: [i64; 3] = [32, 512, 8_192];

/// How far was read.
struct Mark {
    position: i64,
    /// The tenant's last deletion; 0: there was none.
    deletion: i64,
    /// Within a transaction that has written events.
    own: Option<Own>,
}

/// What was read of what may be taken back.
struct Own {
    /// The first position that the transaction has written.
    first: i64,
    /// The fingerprint of what matched from there on.
    read: Uuid,
}

impl Operations<'_> {
    /// Everything that matches, and the boundary behind it. Runs in a transaction, so that all of it is of one moment.
    pub(crate) fn read(&self, request: &ReadRequest) -> Result<ReadRecords> {
        let ReadRequest { tenant, query, .. } = request;
        let (mut found, mut reader) = (BTreeMap::new(), EventReader::default());
        for item in query.items() {
            self.matching(tenant, item, 0, |row| {
                let record = reader.record(row);
                if is_of(tenant, &record) {
                    found.insert(record.event.position, record);
                }
                Continue(())
            })?;
        }
        let mut records: Vec<_> = found.into_values().collect();
        self.tag(&mut records, |record| &mut record.event)?;
        let own = self.guard.and_then(Guard::first_written).map(|first| {
            let own = records.iter().filter(|record| record.event.position.to_i64() >= first);
            Own { first, read: fingerprint(own) }
        });
        let mark = Mark { position: self.position()?.to_i64(), deletion: self.last_deletion(tenant)?, own };
        Ok(ReadRecords::new(records, Boundary::new(tenant.clone(), query.clone(), mark.text())))
    }

    /// Whether nothing has come, or gone, that matches.
    pub(super) fn check_boundary(&self, tenant: &TenantId, boundary: &Boundary) -> Result<()> {
        let Some(mark) = Mark::of(boundary) else {
            let problem = "it was read from another store: read it from this one".to_owned();
            return Err(Error::InvalidOption { option: "unless_moved", problem });
        };
        if self.has_moved(tenant, boundary, &mark)? {
            return Err(Error::boundary_moved(boundary.query().clone()));
        }
        Ok(())
    }

    fn has_moved(&self, tenant: &TenantId, boundary: &Boundary, mark: &Mark) -> Result<bool> {
        if mark.deletion != self.last_deletion(tenant)? {
            return Ok(true);
        }
        let after = match &mark.own {
            None if mark.position > self.position()?.to_i64() => return Ok(true),
            None => mark.position,
            Some(own) => own.first.saturating_sub(1),
        };
        let (mut found, mut reader) = (BTreeMap::new(), EventReader::default());
        for item in boundary.query().items() {
            let mut has_moved = false;
            self.matching(tenant, item, after, |row| {
                if row.get(0).unwrap_or(i64::MAX) > mark.position {
                    has_moved = true;
                    return Break(());
                }
                let record = reader.record(row);
                if is_of(tenant, &record) {
                    found.insert(record.event.position, record);
                }
                Continue(())
            })?;
            if has_moved {
                return Ok(true);
            }
        }
        let Some(own) = &mark.own else { return Ok(false) };
        let mut found: Vec<_> = found.into_values().collect();
        self.tag(&mut found, |record| &mut record.event)?;
        Ok(fingerprint(found.iter()) != own.read)
    }

    /// Hands over the events above a position that an item matches, in their order. Without tags, every event is looked at.
    fn matching(
        &self,
        tenant: &TenantId,
        item: &QueryItem,
        after: i64,
        mut take: impl FnMut(&Row<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let names = (!item.names().is_empty()).then(|| json_array(item.names().iter().map(|name| &**name)));
        let failed = |error| self.failed(error);
        let mut statement;
        let mut rows = if item.tags().is_empty() {
            statement = self.statement(&self.sql.tags.of_tenant)?;
            statement.query((after, names, tenant.as_str())).map_err(failed)?
        } else {
            let tags = self.rarest_first(tenant, item)?;
            let further = (tags.len() > 2).then(|| json_array(tags.iter().skip(2).copied()));
            statement = self.statement(&self.sql.tags.tagged)?;
            let values = (tags.first(), after, names, tags.get(1), tenant.as_str(), further);
            statement.query(values).map_err(failed)?
        };
        while let Some(row) = rows.next().map_err(failed)? {
            if take(row).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// An item's tags: that of the fewest events comes first.
    fn rarest_first<'i>(&self, tenant: &TenantId, item: &'i QueryItem) -> Result<Vec<&'i str>> {
        let mut tags: Vec<_> = item.tags().iter().map(Tag::as_str).collect();
        if tags.len() == 1 {
            return Ok(tags);
        }
        for most in COUNTED {
            let mut counted = Vec::with_capacity(tags.len());
            for tag in tags {
                let values = (tag, tenant.as_str(), most);
                let count = self.first(&self.sql.tags.count_events, values, |row| row.get(0))?;
                counted.push((count.unwrap_or(0_i64), tag));
            }
            counted.sort_unstable();
            let fewest = counted.first().map(|(count, _)| *count);
            tags = counted.into_iter().map(|(_, tag)| tag).collect();
            if fewest < Some(most) {
                break;
            }
        }
        Ok(tags)
    }

    /// Stores the tags of an event that was written at this position.
    pub(super) fn store_tags(&self, tenant: &TenantId, event: &NewRecord, position: i64) -> Result<()> {
        for tag in &event.tags {
            let values = (tag.as_str(), tenant.as_str(), position, &*event.name);
            self.execute(&self.sql.tags.tag_event, values)?;
        }
        Ok(())
    }

    /// Gives events that are stored tags that they have not; tells how many lacked some.
    pub(crate) fn tag_stored(&self, request: &TagRequest) -> Result<u64> {
        self.atomically(|| {
            let (tenant, mut tagged) = (&request.tenant, 0);
            for EventTags { position, id, tags, .. } in &request.events {
                let position = position.to_i64();
                let values = (position, hex(*id), tenant.as_str());
                let is_there = self.first(&self.sql.tags.is_there, values, |row| row.get(0))?;
                if is_there != Some(true) {
                    continue;
                }
                let mut new = 0;
                for tag in tags {
                    let values = (tag.as_str(), tenant.as_str(), position);
                    new += self.execute(&self.sql.tags.tag_stored, values)?;
                }
                tagged += u64::from(new > 0);
            }
            // It stands below what others have seen.
            if tagged > 0 {
                self.note_deletion(tenant)?;
            }
            Ok(tagged)
        })
    }

    /// Adds to events that were read the tags that they have.
    pub(super) fn tag<T>(&self, read: &mut [T], event: impl Fn(&mut T) -> &mut StoredEvent) -> Result<()> {
        let mut span: Option<(i64, i64)> = None;
        for one in &mut *read {
            let position = event(one).position.to_i64();
            let (first, last) = span.unwrap_or((position, position));
            span = Some((first.min(position), last.max(position)));
        }
        let Some((first, last)) = span else { return Ok(()) };
        // In a store without tags, and among events without them, that is all.
        let are_tagged = self.first(&self.sql.tags.are_tagged, [first, last], |row| row.get(0))?;
        if are_tagged != Some(true) {
            return Ok(());
        }
        let events = read.iter_mut().map(event).map(|event| (event.position.to_i64(), event));
        let mut events: BTreeMap<_, _> = events.collect();
        let positions = json_array(events.keys().copied());
        let tags = self.all_rows(&self.sql.tags.tags_of, [positions], |row| {
            let tag = row.get_ref(1).ok().and_then(|tag| tag.as_str().ok()).map(stored_tag);
            Ok((row.get::<_, i64>(0).map_err(|error| error.to_string())?, tag))
        })?;
        for (position, tag) in tags {
            let Some(event) = events.get_mut(&position) else { continue };
            match tag {
                Some(tag) => event.tags.push(tag),
                None => _ = event.unreadable.get_or_insert_with(|| "a tag of it is no text".into()),
            }
        }
        events.into_values().for_each(|event| event.tags.sort_unstable());
        Ok(())
    }

    /// Moves the tenant's boundaries that were read before: a stream of it is deleted, or events of it get tags.
    pub(super) fn note_deletion(&self, tenant: &TenantId) -> Result<()> {
        self.execute(&self.sql.tags.note_deletion, [tenant.as_str()]).map(drop)
    }

    fn last_deletion(&self, tenant: &TenantId) -> Result<i64> {
        let last = self.first(&self.sql.tags.last_deletion, [tenant.as_str()], |row| row.get(0))?;
        Ok(last.unwrap_or(0))
    }
}

/// Whether an event is the tenant's. Where its stream cannot be told, it was found by the tenant's tags.
fn is_of(tenant: &TenantId, record: &StoredRecord) -> bool {
    record.tenant == *tenant || record.event.unreadable.is_some()
}

/// What tells these events from all others: the whole of them, because position and id may be those of others later. A stream's name is
/// no part of it, which it may get later.
fn fingerprint<'r>(records: impl Iterator<Item = &'r StoredRecord>) -> Uuid {
    records.fold(Uuid::nil(), |so_far, StoredRecord { stream, event, .. }| {
        let StoredEvent { position, version, id, name, data, context, created_at, schema_version, .. } =
            event;
        let place = (position.to_i64(), stream.uuid(), stream.stored_category(), version);
        let form = (id, name, schema_version, created_at, &event.tags, &event.unreadable);
        let whole = format!("{place:?} {form:?} {data:?} {context:?}");
        Uuid::new_v5(&so_far, whole.as_bytes())
    })
}

impl Mark {
    fn text(&self) -> String {
        let Self { position, deletion, own } = self;
        match own {
            Some(Own { first, read }) => format!("{position}/{deletion}/{first}/{read}"),
            None => format!("{position}/{deletion}"),
        }
    }

    fn of(boundary: &Boundary) -> Option<Self> {
        let mut parts = boundary.mark().split('/');
        let (position, deletion) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let own = match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => None,
            (Some(first), Some(read), None) => {
                Some(Own { first: first.parse().ok()?, read: read.parse().ok()? })
            }
            _ => return None,
        };
        Some(Self { position, deletion, own })
    }
}

//! The events, the streams, and the indexes over them.

mod boundaries;
mod looking;
mod reads;
mod undoing;

use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use super::journal::{Done, Journal};
use super::keys::Keys;
use super::log::{self, Log};
use super::outbox::Outbox;
use super::places::Places;
use super::removals::Removals;
use super::sharded::Sharded;
use super::stream_key::{StreamKey, key};
use super::subscriptions::Subscriptions;
use super::tags::TagIndex;
use crate::backend::{
    AppendRequest, Cursor, DeleteRequest, EventAt, NewRecord, PresentEvent, Requirement, SnapshotRequest,
    StateRequest, StoredEvent, StoredRecord, StreamAppend, StreamState, Written,
};
use crate::error::{Error, Result};
use crate::position::{AppendPosition, Position};
use crate::stream_id::{Category, StreamId, TenantId};
use crate::version::Version;

/// A stream's name, in a tenant and a category.
type Name = (TenantId, Option<Category>, Arc<str>);

/// What is known about a stream that has events.
pub(super) struct Stream {
    key: Arc<StreamKey>,
    /// With its name, once the store knows it.
    id: StreamId,
    versioned: bool,
    /// Where its events stand in the log. In a versioned stream, version `n` is number `n - 1`.
    positions: Vec<Position>,
    snapshots: Vec<StoredEvent>,
    /// What aggregates were saved with, one for each name and format.
    states: Vec<StateRequest>,
    /// Whether one of its events has tags.
    is_tagged: bool,
}

/// The whole store.
#[derive(Default)]
pub(super) struct State {
    log: Log,
    /// Where each event id stands. New ids are the highest, so that this grows at one end, where it is warm.
    ids: BTreeMap<Uuid, Position>,
    streams: Sharded<Arc<StreamKey>, Stream>,
    /// The UUID that has a name, by tenant, category and name, in that order.
    names: BTreeMap<Name, Uuid>,
    places: Places,
    snapshot_ids: Sharded<Uuid, ()>,
    /// One copy of each event name.
    event_names: HashSet<Arc<str>>,
    pub(super) subscriptions: Subscriptions,
    pub(super) cursors: Sharded<StreamKey, HashMap<Arc<str>, Cursor>>,
    pub(super) removals: Removals,
    pub(super) outbox: Outbox,
    pub(super) keys: Keys,
    tags: TagIndex,
}

impl State {
    /// Whether the event at a position is there, in this stream.
    pub(super) fn has_event(&self, key: &StreamKey, position: Position) -> bool {
        self.log.get(position).is_some_and(|entry| *entry.stream == *key)
    }

    pub(super) fn position(&self) -> Position {
        self.log.last()
    }

    /// Appends all or nothing. What a refused append has done is left for the journal to take back.
    pub(super) fn append(&mut self, request: &AppendRequest, journal: &mut Journal) -> Result<Vec<Written>> {
        for requirement in &request.requirements {
            match requirement {
                Requirement::Stream(required) => {
                    required.check(self.state_of(&request.tenant, &required.stream))?;
                }
                Requirement::Key(required) => self.check_key(&request.tenant, required)?,
                Requirement::Boundary(boundary) => self.check_boundary(&request.tenant, boundary)?,
            }
        }
        let written = request.streams.iter().map(|part| self.append_to(request, part, journal));
        let written = written.collect::<Result<_>>()?;
        for subject in &request.shreds {
            self.shred(&request.tenant, subject, journal);
        }
        Ok(written)
    }

    /// Those of the request's events that are in the store already.
    pub(super) fn present_of(&self, request: &AppendRequest) -> Vec<PresentEvent> {
        request.event_ids().filter_map(|id| self.present(id)).collect()
    }

    pub(super) fn delete(&mut self, request: &DeleteRequest, journal: &mut Journal) {
        let key = key(&request.tenant, &request.stream);
        self.free_everywhere(&key, journal);
        if request.drop_outbox {
            self.drop_entries(&key, journal);
        }
        self.forget_cursors(&key, journal);
        let Some(stream) = self.streams.remove(&key) else { return };
        stream.key.set_deleted(true);
        let before = self.tags.note_deletion(&request.tenant, stream.is_tagged);
        journal.note(Done::DeletionCounted { tenant: request.tenant.clone(), before });
        self.places.leave(&stream.key);
        for snapshot in &stream.snapshots {
            self.snapshot_ids.remove(&snapshot.id);
        }
        if let Some(name) = stored_name(stream.key.tenant(), &stream.id) {
            self.names.remove(&name);
        }
        journal.note(Done::Deleted { stream });
    }

    /// What was done is not taken back any more: what was deleted can be removed.
    pub(super) fn keep(&mut self, journal: Journal) {
        for stream in journal.deleted() {
            self.removals.add(stream.positions);
        }
        self.remove_some();
    }

    /// Removes some events of deleted streams; tells whether there are more.
    pub(super) fn remove_some(&mut self) -> bool {
        self.removals.remove_some(&mut self.log, &mut self.ids, &mut self.tags)
    }

    pub(super) fn save_snapshot(&mut self, request: &SnapshotRequest, journal: &mut Journal) -> Result<()> {
        let SnapshotRequest { tenant, stream, version, record } = request;
        request.check(self.state_of(tenant, stream))?;
        if self.snapshot_ids.insert(record.id, ()).is_some() {
            return Err(Error::DuplicateEvent { event_id: record.id, stream: stream.clone() });
        }
        let snapshot = stored(&mut self.event_names, record, Position::START, Some(*version));
        if let Some(stream) = self.streams.get_mut(&key(tenant, stream)) {
            stream.snapshots.push(snapshot);
            journal.note(Done::Snapshot { stream: Arc::clone(&stream.key) });
        }
        Ok(())
    }

    pub(super) fn save_state(&mut self, request: StateRequest) {
        let Some(stream) = self.streams.get_mut(&key(&request.tenant, &request.stream)) else { return };
        let holds = |at: EventAt| {
            let place = usize::try_from(at.version).ok().and_then(|version| version.checked_sub(1));
            let position = place.and_then(|place| stream.positions.get(place));
            stream.versioned && position.is_some() && self.ids.get(&at.id) == position
        };
        if !holds(request.behind) || !request.made_of.is_none_or(holds) {
            return;
        }
        // Whatever is kept is about events that are there: a deleted stream takes its states with it.
        let same = |state: &&mut StateRequest| state.name == request.name && state.format == request.format;
        match stream.states.iter_mut().find(same) {
            Some(state) if state.behind.version >= request.behind.version => {}
            Some(state) => *state = request,
            None => stream.states.push(request),
        }
    }

    fn append_to(
        &mut self,
        request: &AppendRequest,
        part: &StreamAppend,
        journal: &mut Journal,
    ) -> Result<Written> {
        if part.first_version.is_some() {
            return Err(Error::unsupported("memory", "leaving versions out"));
        }
        let key = key(&request.tenant, &part.stream);
        let known = self.streams.get(&key);
        let first_version = part.check(known.map_or(StreamState::Missing, Stream::state))?;
        if known.is_none_or(|stream| stream.id.name().is_none() && part.stream.name().is_some()) {
            self.introduce(&key, &part.stream, first_version.is_some(), journal)?;
        }
        let Some(stream) = self.streams.get_mut(&key) else {
            return Err(Error::bug("a stream that was just made is not there"));
        };
        let before = stream.positions.len();
        let mut refused = None;
        for (number, new) in (0..).zip(&part.events) {
            let position = self.log.next();
            match self.ids.entry(new.id) {
                Entry::Vacant(place) => {
                    place.insert(position);
                }
                // A deleted stream's event has it, and gives it up.
                Entry::Occupied(mut place) if self.log.get(*place.get()).is_none() => {
                    let position = place.insert(position);
                    journal.note(Done::GivenUp { id: new.id, position });
                }
                Entry::Occupied(_) => {
                    refused = Some(Error::DuplicateEvent { event_id: new.id, stream: part.stream.clone() });
                    break;
                }
            }
            let event = stored(
                &mut self.event_names,
                new,
                position,
                first_version.map(|first| first.saturating_add(number)),
            );
            if request.outbox.contains(&new.id) {
                let (id, tenant) = (stream.id.clone(), request.tenant.clone());
                // As in the tables that are shared with Python, which hold none.
                let entered = event.clone().with_tags(Vec::new());
                self.outbox.enter(StoredRecord::new(id, tenant, entered), journal);
            }
            self.tags.enter(&request.tenant, &event.tags, position);
            stream.is_tagged |= !event.tags.is_empty();
            self.log.push(log::Entry { stream: Arc::clone(&stream.key), event });
            stream.positions.push(position);
        }
        let count = stream.positions.len() - before;
        journal.note(Done::Appended { stream: Arc::clone(&stream.key), count });
        let last_position = AppendPosition::from_i64(self.log.last().to_i64());
        refused.map_or(Ok(Written { first_version, last_position }), Err)
    }

    /// Creates the stream, if there is none, and learns its name.
    fn introduce(
        &mut self,
        key: &StreamKey,
        id: &StreamId,
        versioned: bool,
        journal: &mut Journal,
    ) -> Result<()> {
        let name = stored_name(key.tenant(), id);
        if let Some(name) = &name
            && let Some(holder) = self.names.get(name).filter(|holder| **holder != id.uuid())
        {
            return Err(Error::StreamNameTaken {
                stream: id.clone(),
                name: name.2.to_string(),
                holder: *holder,
            });
        }
        let key = match self.streams.get_mut(key) {
            Some(stream) => {
                stream.id = id.clone();
                Arc::clone(&stream.key)
            }
            None => {
                let key = Arc::new(self::key(key.tenant(), &id.without_name()));
                self.streams.insert(Arc::clone(&key), Stream::new(Arc::clone(&key), id.clone(), versioned));
                self.places.enter(&key);
                journal.note(Done::Created { stream: Arc::clone(&key) });
                key
            }
        };
        if let Some(name) = name {
            self.names.insert(name, id.uuid());
            journal.note(Done::Named { stream: key });
        }
        Ok(())
    }

    fn state_of(&self, tenant: &TenantId, stream: &StreamId) -> StreamState {
        self.streams.get(&key(tenant, stream)).map_or(StreamState::Missing, Stream::state)
    }

    fn present(&self, id: Uuid) -> Option<PresentEvent> {
        let position = *self.ids.get(&id)?;
        let entry = self.log.get(position)?;
        let positions = &self.streams.get(&entry.stream)?.positions;
        let before = positions.partition_point(|other| *other < position).checked_sub(1);
        let previous = before.and_then(|before| self.event(*positions.get(before)?)).map(|event| event.id);
        Some(PresentEvent { record: self.record(entry), previous })
    }

    /// Where the event of a version stands.
    pub(super) fn position_of(&self, stream: &StreamKey, version: Version) -> Option<Position> {
        let stream = self.streams.get(stream).filter(|stream| stream.versioned)?;
        stream.positions.get(usize::try_from(version.checked_sub(1)?).ok()?).copied()
    }

    /// The version of the stream's event at a position.
    pub(super) fn version_at(&self, stream: &StreamKey, position: Position) -> Option<Version> {
        self.log.get(position).filter(|entry| *entry.stream == *stream)?.event.version
    }

    pub(super) fn event(&self, position: Position) -> Option<&StoredEvent> {
        self.log.get(position).map(|entry| &entry.event)
    }

    fn record(&self, entry: &log::Entry) -> StoredRecord {
        let stream = self.streams.get(&entry.stream).map_or(entry.stream.stream(), |stream| &stream.id);
        StoredRecord {
            stream: stream.clone(),
            tenant: entry.stream.tenant().clone(),
            event: entry.event.clone(),
        }
    }
}

impl Stream {
    fn new(key: Arc<StreamKey>, id: StreamId, versioned: bool) -> Self {
        let (positions, snapshots, states) = (Vec::new(), Vec::new(), Vec::new());
        Self { key, id, versioned, positions, snapshots, states, is_tagged: false }
    }

    fn state_of(&self, name: &str, format: u16) -> Option<StoredEvent> {
        let is_meant = |state: &&StateRequest| state.name == name && state.format == format;
        self.states.iter().find(is_meant).map(|state| StoredEvent {
            position: Position::START,
            version: Some(state.behind.version),
            id: state.behind.id,
            name: state.name.into(),
            data: state.data.as_str().into(),
            context: Cow::Borrowed("{}"),
            created_at: state.created_at,
            schema_version: u32::from(state.format),
            tags: Vec::new(),
            unreadable: None,
            opening: None,
        })
    }

    fn state(&self) -> StreamState {
        if self.versioned {
            StreamState::Versioned(self.positions.len() as Version)
        } else {
            StreamState::Unversioned
        }
    }
}

fn stored(
    names: &mut HashSet<Arc<str>>,
    new: &NewRecord,
    position: Position,
    version: Option<Version>,
) -> StoredEvent {
    StoredEvent {
        position,
        version,
        id: new.id,
        name: one_copy(names, &new.name),
        data: new.data.as_str().into(),
        context: if new.context == "{}" { Cow::Borrowed("{}") } else { Cow::Owned(new.context.clone()) },
        created_at: new.created_at,
        schema_version: new.schema_version,
        tags: new.tags.clone(),
        unreadable: None,
        opening: None,
    }
}

fn one_copy(names: &mut HashSet<Arc<str>>, name: &str) -> Arc<str> {
    if let Some(known) = names.get(name) {
        return Arc::clone(known);
    }
    let name: Arc<str> = name.into();
    names.insert(Arc::clone(&name));
    name
}

fn stored_name(tenant: &TenantId, stream: &StreamId) -> Option<Name> {
    Some((tenant.clone(), stream.category().cloned(), stream.shared_name()?))
}

//! Writing: events in the order in which they were read, each stream in the order of its versions.
//!
//! Nothing is kept beside the events. Whether an event is there already tells its id, and how far a stream is tells the context of its
//! last event; so whoever is killed is run again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use event_sourcery::backend::{
    AppendOutcome, AppendRequest, Backend, Expectation, LoadRequest, NewRecord, PresentEvent, Span,
    StoredEvent, StoredRecord, StreamAppend,
};
use event_sourcery::{Error, Version};

use crate::error::Result;
use crate::mapped::{Mapped, Mapper, Place, origin};
use crate::mapping::Holes;
use crate::report::{Imported, OTHERWISE};
use crate::source::{ForeignEvent, Source};

/// How often an append is sent again that may succeed then; the pauses come to a minute.
const ATTEMPTS: u32 = 11;
const FIRST_PAUSE: Duration = Duration::from_millis(60);

/// How many bytes one append has, if it has more than one event.
const MOST_BYTES: usize = 8 * 1_024 * 1_024;

/// How many events of a stream are read at once to see what is missing at the destination.
const PAGE: usize = 256;

const MOVED_UP: &str = "its stream has moved up at the destination, by an earlier run with `renumber`: go on with that, or delete the stream there";

/// Writes into a store.
pub(crate) struct Writer {
    backend: Arc<dyn Backend>,
    mapper: Mapper,
    /// By how much a stream's versions are lower than at the source, where they are. Where holes are kept, of the next event alone.
    behind: HashMap<Place, i64>,
    /// The streams that end before something that was left out.
    stopped: HashSet<Place>,
}

/// What is in the way of an event.
enum InTheWay {
    /// Nothing: the stream is behind by so much.
    Behind(i64),
    /// Events that belong before it.
    Before(Vec<Mapped>),
    /// What cannot be helped.
    Refused(String),
}

impl Writer {
    pub(crate) fn new(backend: Arc<dyn Backend>, mapper: Mapper) -> Self {
        Self { backend, mapper, behind: HashMap::new(), stopped: HashSet::new() }
    }

    /// Writes what is not there yet. Each event is let go once it is mapped.
    pub(crate) async fn write(
        &mut self,
        source: &mut dyn Source,
        events: Vec<ForeignEvent>,
        imported: &mut Imported,
    ) -> Result<()> {
        let mut mapped = Vec::with_capacity(events.len());
        for event in events {
            match self.mapper.event(&event) {
                Ok(event) => mapped.push(event),
                Err(problem) => {
                    imported.left_out.add(&event, problem);
                    // What was read before it is written before its stream is ended.
                    self.write_all(source, &mapped, imported).await?;
                    mapped.clear();
                    if let Ok(place) = self.mapper.place(&event.stream) {
                        self.stop(place);
                    }
                }
            }
        }
        self.write_all(source, &mapped, imported).await
    }

    fn stop(&mut self, place: Place) {
        if self.mapper.mapping.holes == Holes::Stop {
            self.stopped.insert(place);
        }
    }

    async fn write_all(
        &mut self,
        source: &mut dyn Source,
        mut events: &[Mapped],
        imported: &mut Imported,
    ) -> Result<()> {
        while !events.is_empty() {
            let (batch, rest) = events.split_at(self.batch(events));
            if !self.write_batch(batch, imported).await? {
                for event in batch {
                    self.write_in_order(source, event.clone(), imported).await?;
                }
            }
            events = rest;
        }
        Ok(())
    }

    /// How many of these events, from the first on, one append takes so that their order stays: those of one tenant, the events of each
    /// stream next to each other and without a hole, and no id twice.
    fn batch(&self, events: &[Mapped]) -> usize {
        let several_streams = self.backend.capabilities().several_streams;
        let (mut streams, mut ids, mut bytes) = (HashSet::new(), HashSet::new(), 0);
        let mut before: Option<&Mapped> = None;
        for (number, event) in events.iter().enumerate() {
            let fits = match before {
                None => true,
                Some(_) if self.stopped.contains(&event.place) => false,
                Some(before) if before.place.0 != event.place.0 => false,
                Some(before) if before.place == event.place => {
                    before.version.saturating_add(1) == event.version
                }
                Some(_) => several_streams && !streams.contains(&event.place.1),
            };
            bytes += event.record.data.len() + event.record.context.len();
            let has_room = number == 0 || bytes <= MOST_BYTES;
            if !fits || !has_room || !ids.insert(event.record.id) {
                return number;
            }
            streams.insert(&event.place.1);
            before = Some(event);
        }
        events.len()
    }

    /// Writes a batch in one append, or sees that it is there; `false` where something is in the way.
    async fn write_batch(&self, batch: &[Mapped], imported: &mut Imported) -> Result<bool> {
        let Some(first) = batch.first().filter(|first| !self.stopped.contains(&first.place)) else {
            return Ok(false);
        };
        let mut parts: Vec<StreamAppend> = Vec::new();
        for event in batch {
            match parts.last_mut().filter(|part| part.stream == event.place.1) {
                Some(part) => part.events.push(event.record.clone()),
                None => parts.push(self.part(event, event.record.clone())),
            }
        }
        match self.append(AppendRequest::new(first.place.0.clone(), parts)).await {
            Ok(AppendOutcome::Written(_)) => {
                batch.iter().for_each(|event| self.wrote(event, imported));
                Ok(true)
            }
            Ok(AppendOutcome::Present(present)) => {
                let by_id: HashMap<_, _> =
                    present.iter().map(|present| (present.record.event.id, &present.record)).collect();
                let is_there = |event: &Mapped| {
                    by_id.get(&event.record.id).is_some_and(|there| self.is_stored_as(event, there))
                };
                let are_there = batch.iter().all(is_there);
                imported.present += if are_there { batch.len() as u64 } else { 0 };
                Ok(are_there)
            }
            Err(error) if error.is_refusal() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn behind_of(&self, event: &Mapped) -> i64 {
        self.behind.get(&event.place).copied().unwrap_or(0)
    }

    fn keeps_holes(&self) -> bool {
        self.mapper.mapping.holes == Holes::Keep
    }

    fn is_stored_as(&self, event: &Mapped, there: &StoredRecord) -> bool {
        event.is_stored_as(there) && event.has_version(there.event.version, self.mapper.mapping.holes)
    }

    /// The append of an event to its stream, behind the one before it.
    fn part(&self, event: &Mapped, record: NewRecord) -> StreamAppend {
        let behind = self.behind_of(event);
        let expectation = Expectation::Version(event.expected(behind));
        let part = StreamAppend::new(event.place.1.clone(), expectation, vec![record]);
        match Version::try_from(event.version) {
            Ok(own) if behind > 0 && self.keeps_holes() => part.with_first_version(own),
            _ => part,
        }
    }

    fn wrote(&self, event: &Mapped, imported: &mut Imported) {
        imported.written += 1;
        imported.moved_up += u64::from(self.behind_of(event) > 0 && !self.keeps_holes());
    }

    /// Writes an event, and before it what belongs there and was not read yet.
    async fn write_in_order(
        &mut self,
        source: &mut dyn Source,
        event: Mapped,
        imported: &mut Imported,
    ) -> Result<()> {
        // What was refused once is not looked for again.
        let mut tried = HashSet::new();
        let mut waiting = vec![event];
        while let Some(event) = waiting.pop() {
            if self.stopped.contains(&event.place) {
                let problem = "an event before it in its stream was left out, or is missing";
                left_out(&event, problem.to_owned(), imported);
                continue;
            }
            if self.is_done(&event, imported).await? {
                continue;
            }
            match self.in_the_way(source, &event, &tried).await? {
                InTheWay::Behind(behind) => {
                    self.behind.insert(event.place.clone(), behind);
                    let is_done = self.is_done(&event, imported).await?;
                    if self.keeps_holes() {
                        self.behind.remove(&event.place);
                    }
                    if !is_done {
                        let problem = "others append to its stream at the destination";
                        left_out(&event, problem.to_owned(), imported);
                        self.stop(event.place);
                    }
                }
                InTheWay::Before(before) => {
                    tried.extend(before.iter().map(|event| event.version));
                    waiting.push(event);
                    waiting.extend(before.into_iter().rev());
                }
                InTheWay::Refused(problem) => {
                    left_out(&event, problem, imported);
                    self.stop(event.place);
                }
            }
        }
        Ok(())
    }

    /// Writes an event if its stream is as it should be, or sees that it is there, or that it cannot be stored.
    async fn is_done(&mut self, event: &Mapped, imported: &mut Imported) -> Result<bool> {
        for is_otherwise in [false, true] {
            let record = if is_otherwise { event.otherwise() } else { Some(event.record.clone()) };
            let Some(record) = record else { continue };
            let part = self.part(event, record);
            match self.append(AppendRequest::new(event.place.0.clone(), vec![part])).await {
                Ok(AppendOutcome::Written(_)) => {
                    self.wrote(event, imported);
                    return Ok(true);
                }
                Ok(AppendOutcome::Present(present)) => {
                    if self.is_present(event, &present, imported) {
                        return Ok(true);
                    }
                    // Its id belongs to another event: ids need not be unique at the source.
                }
                Err(error) if is_about_the_stream(&error) => return Ok(false),
                Err(error) if error.is_refusal() => {
                    left_out(event, error.in_full(), imported);
                    self.stop(event.place.clone());
                    return Ok(true);
                }
                Err(error) => return Err(error.into()),
            }
        }
        let problem = "its id, and the one that is derived from its place, belong to other events";
        left_out(event, problem.to_owned(), imported);
        self.stop(event.place.clone());
        Ok(true)
    }

    fn is_present(&self, event: &Mapped, present: &[PresentEvent], imported: &mut Imported) -> bool {
        let Some(PresentEvent { record: there, .. }) = present.first() else { return false };
        if self.is_stored_as(event, there) {
            imported.present += 1;
            return true;
        }
        let is_its = event.is_in_place_of(there, &self.mapper.mapping.from);
        if is_its {
            imported.different.add_at(&event.foreign, event.version, event.position, OTHERWISE.to_owned());
        }
        is_its
    }

    /// Looks why a stream is not as expected.
    async fn in_the_way(
        &self,
        source: &mut dyn Source,
        event: &Mapped,
        tried: &HashSet<i64>,
    ) -> Result<InTheWay> {
        let refused = |problem: &str| Ok(InTheWay::Refused(problem.to_owned()));
        let (reached, numbered) = match self.last(&event.place).await? {
            None => (0, 0),
            Some(last) => {
                let origin = origin(&last).filter(|origin| origin.from == self.mapper.mapping.from);
                let version = last.version.and_then(|version| i64::try_from(version).ok());
                let (Some(origin), Some(version)) = (origin, version) else {
                    return refused("others have appended to its stream at the destination");
                };
                (origin.version, version)
            }
        };
        if reached >= event.version {
            return refused("its stream has later events at the destination, and not this one");
        }
        if numbered != reached && self.keeps_holes() {
            return refused(MOVED_UP);
        }
        let before = self.before(source, event, reached, tried).await?;
        if !before.is_empty() {
            return Ok(InTheWay::Before(before));
        }
        let is_hole = reached.saturating_add(1) < event.version;
        if is_hole && self.mapper.mapping.holes == Holes::Stop {
            let (first, last) = (reached.saturating_add(1), event.version.saturating_sub(1));
            return refused(&format!(
                "the versions {first} to {last} of its stream are missing, or were left out: `renumber` moves it up, `keep` keeps its own"
            ));
        }
        Ok(InTheWay::Behind(event.version.saturating_sub(1).saturating_sub(numbered)))
    }

    /// The next events of its stream between a version and an event, those that can be stored.
    async fn before(
        &self,
        source: &mut dyn Source,
        event: &Mapped,
        reached: i64,
        tried: &HashSet<i64>,
    ) -> Result<Vec<Mapped>> {
        let shift = self.mapper.mapping.first_version.saturating_sub(1);
        let mut after = reached;
        while after.saturating_add(1) < event.version {
            let page = source.events_of(&event.foreign, after.saturating_add(shift), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.version.saturating_sub(shift);
            let mapped = page.iter().filter_map(|found| self.mapper.event(found).ok());
            let is_before = |found: &Mapped| found.version < event.version && !tried.contains(&found.version);
            let before: Vec<_> = mapped.filter(is_before).collect();
            if !before.is_empty() {
                return Ok(before);
            }
        }
        Ok(Vec::new())
    }

    async fn last(&self, place: &Place) -> Result<Option<StoredEvent>> {
        let (tenant, stream) = place.clone();
        let loaded = self.backend.load(LoadRequest::new(tenant, stream, Span::Last)).await?;
        Ok(loaded.events.into_iter().next_back())
    }

    /// How far a stream is, by the versions of the source, from 1; 0 where it has nothing from there.
    pub(crate) async fn reached(&self, place: &Place) -> Result<i64> {
        let last = self.last(place).await?;
        let origin = last.as_ref().and_then(origin);
        Ok(origin.filter(|origin| origin.from == self.mapper.mapping.from).map_or(0, |origin| origin.version))
    }

    /// Appends, again where that may help: what was written with an answer that was lost is recognised by its ids.
    async fn append(&self, request: AppendRequest) -> Result<AppendOutcome, Error> {
        let request = Arc::new(request);
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            match self.backend.append(Arc::clone(&request)).await {
                Err(error) if error.is_retryable() || matches!(error, Error::OutcomeUnknown { .. }) => {}
                done => return done,
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2);
        }
        self.backend.append(request).await
    }
}

fn left_out(event: &Mapped, problem: String, imported: &mut Imported) {
    imported.left_out.add_at(&event.foreign, event.version, event.position, problem);
}

/// Whether an append was refused for what its stream is.
const fn is_about_the_stream(error: &Error) -> bool {
    matches!(
        error,
        Error::Conflict { .. }
            | Error::ExpectedVersionUsedOnVersionlessStream { .. }
            | Error::NoExpectedVersionGivenOnVersionedStream { .. }
    )
}

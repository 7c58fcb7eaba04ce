//! A writer: it reads by queries and appends, with what it read as a boundary or without, alone, to several streams, and in
//! transactions that may fail; and it deletes what it wrote.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use event_sourcery::backend::{
    AppendOutcome, AppendRequest, Boundary, Expectation, NewRecord, Requirement, StreamAppend,
};
use event_sourcery::{
    AppendPosition, Appended, Event as _, EventStore, NewEvent, Query, QueryItem, RawEvent, Recorded, Result,
    Selection, StreamId, Tag, TenantId,
};
use uuid::Uuid;

use super::fault::Fault;
use super::happened::{Attempt, Condition, Deletion, History, Outcome, Sent};
use crate::fuzz::Random;
use crate::ledger::record;
use crate::steps::{Answer, Ending, Step};
use crate::subject::Subject;

/// Few, so that writers meet.
const NAMES: [&str; 4] = ["opened", "moved", "renamed", "closed"];
const TAGS: usize = 8;
/// Streams without versions that all write to.
const SHARED: usize = 4;

pub(super) struct Writer {
    subject: Arc<Subject>,
    store: EventStore,
    clock: Arc<AtomicU64>,
    random: Random,
    fault: Option<Fault>,
    /// Nobody else writes there.
    own: StreamId,
    /// What stands there.
    standing: Vec<Uuid>,
    history: History,
}

/// An append that is about to be sent.
struct Plan {
    parts: Vec<(StreamId, Expectation, Vec<Sent>)>,
    conditions: Vec<Condition>,
    /// What is sent for them.
    boundaries: Vec<Boundary>,
}

impl Plan {
    fn events(&self) -> Vec<Sent> {
        self.parts.iter().flat_map(|(_, _, events)| events.clone()).collect()
    }
}

impl Writer {
    pub(super) fn new(
        subject: Arc<Subject>,
        store: EventStore,
        clock: Arc<AtomicU64>,
        random: Random,
        fault: Option<Fault>,
    ) -> Self {
        let (own, standing, history) = (StreamId::random(), Vec::new(), History::default());
        Self { subject, store, clock, random, fault, own, standing, history }
    }

    /// Does so many things, one after the other, and tells of them.
    pub(super) async fn write(mut self, things: usize) -> History {
        for _ in 0..things {
            match self.random.below(100) {
                0..=3 => self.delete().await,
                4..=11 if self.subject.capabilities().transactions => self.transact().await,
                _ => self.append().await,
            }
        }
        self.history
    }

    /// The present moment. No two are the same.
    fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    async fn append(&mut self) {
        let plan = self.plan().await;
        let began = self.now();
        let mut append = self.store.append_all();
        for (stream, expectation, events) in &plan.parts {
            let events: Vec<_> =
                events.iter().map(|event| self.new_event(event, plan.conditions.is_empty())).collect();
            append = append.and(stream, events);
            if *expectation == Expectation::NoVersioning {
                append = append.no_versioning();
            }
        }
        for boundary in &plan.boundaries {
            append = append.unless_moved(boundary);
        }
        let outcome = match append.await {
            Ok(appended) => Outcome::Written(last(&appended)),
            Err(error) => Outcome::of_failure(&error),
        };
        let ended = self.now();
        self.note(plan, (began, began, ended), outcome);
    }

    /// Two or three appends in one transaction, which may fail after all.
    async fn transact(&mut self) {
        let (mut plans, mut steps) = (Vec::new(), Vec::new());
        for _ in 0..self.random.below(2) + 2 {
            let plan = self.plan().await;
            steps.push(Step::Append(self.request(&plan)));
            plans.push(plan);
        }
        let told = if self.random.once_in(3) { Ending::Fail } else { Ending::Commit };
        let ending = if self.fault == Some(Fault::KeepsWhatWasRolledBack) { Ending::Commit } else { told };
        let began = self.now();
        let ended = self.subject.transaction(steps, ending).await;
        let moments = (began, began, self.now());
        match ended {
            Ok(answers) => {
                for (plan, answer) in plans.into_iter().zip(answers) {
                    self.note(plan, moments, became(answer, told));
                }
            }
            Err(error) => {
                for plan in plans {
                    self.note(plan, moments, Outcome::of_failure(&error));
                }
            }
        }
    }

    async fn delete(&mut self) {
        let began = self.now();
        let deleted = self.store.delete_stream(&self.own).await;
        let ended = self.now();
        match deleted {
            // What does not exist is not deleted, and moves nothing.
            Ok(()) if self.standing.is_empty() => {}
            Ok(()) => {
                let events = std::mem::take(&mut self.standing);
                self.history.deletions.push(Deletion { events, began, ended });
            }
            Err(error) => assert!(error.is_retryable(), "{}", error.in_full()),
        }
    }

    /// Takes down what became of an append: by its transaction's number, and the moments around it.
    fn note(&mut self, plan: Plan, (transaction, began, ended): (u64, u64, u64), outcome: Outcome) {
        let in_own = plan.parts.iter().filter(|(stream, ..)| *stream == self.own);
        let in_own: Vec<_> = in_own.flat_map(|(_, _, events)| events.iter().map(|event| event.id)).collect();
        match outcome {
            Outcome::Written(_) => self.standing.extend(in_own),
            // It may stand there: what is deleted then, nobody knows.
            Outcome::Unknown if !in_own.is_empty() => {
                (self.own, self.standing) = (StreamId::random(), Vec::new());
            }
            Outcome::Unknown | Outcome::Moved | Outcome::Nothing => {}
        }
        let (events, conditions) = (plan.events(), plan.conditions);
        self.history.attempts.push(Attempt { events, conditions, transaction, began, ended, outcome });
    }

    async fn plan(&mut self) -> Plan {
        let mut read = Vec::new();
        for _ in 0..[0, 1, 1, 2][self.random.below(4)] {
            read.extend(self.condition().await);
        }
        // Others get in between.
        for _ in 0..self.random.below(4) {
            tokio::task::yield_now().await;
        }
        let parts = self.parts();
        let own: Vec<_> = parts.iter().flat_map(|(_, _, events)| events.clone()).collect();
        let (mut conditions, mut boundaries) = (Vec::new(), Vec::new());
        for (condition, boundary) in read {
            boundaries.extend(self.sent_for(&condition, boundary, &own).await);
            conditions.push(condition);
        }
        Plan { parts, conditions, boundaries }
    }

    /// Reads by a query. `None`: it may be tried again.
    async fn condition(&mut self) -> Option<(Condition, Boundary)> {
        let query = self.query();
        let began = self.now();
        let selection = retryable(self.store.read::<RawEvent>(&query).await)?;
        let looked_at = self.fault.map_or_else(|| query.clone(), |fault| fault.asks_for(&query));
        let boundary = if looked_at == query {
            selection.boundary
        } else {
            retryable(self.store.read::<RawEvent>(&looked_at).await)?.boundary
        };
        let ended = self.now();
        let read = selection.events.iter().map(|record| record.wrapped_event.uuid).collect();
        Some((Condition { query, read, began, ended }, boundary))
    }

    /// The boundary that is sent with an append, which a store with the fault looks at.
    async fn sent_for(&self, condition: &Condition, boundary: Boundary, own: &[Sent]) -> Option<Boundary> {
        let Some(fault) = self.fault else { return Some(boundary) };
        if fault.ignores(&condition.query) {
            return None;
        }
        if fault.overlooks_some() {
            let Selection { events, boundary: now, .. } =
                retryable(self.store.read::<RawEvent>(&condition.query).await)?;
            let is_unread = |event: &&Recorded<RawEvent>| !condition.read.contains(&event.wrapped_event.uuid);
            if events.iter().filter(is_unread).all(|event| fault.overlooks(event, own)) {
                return Some(now);
            }
        }
        Some(boundary)
    }

    fn parts(&mut self) -> Vec<(StreamId, Expectation, Vec<Sent>)> {
        let shared = StreamId::from_name(format!("shared/{}", self.random.below(SHARED))).unwrap();
        let places = [
            (StreamId::random(), Expectation::Version(0)),
            (self.own.clone(), Expectation::NoVersioning),
            (shared, Expectation::NoVersioning),
        ];
        let several = self.subject.capabilities().several_streams && self.random.once_in(6);
        let (from, count) = (self.random.below(places.len()), if several { 2 } else { 1 });
        let places = places.into_iter().cycle().skip(from).take(count);
        places.map(|(stream, expectation)| (stream, expectation, self.events())).collect()
    }

    fn events(&mut self) -> Vec<Sent> {
        let count = [1, 1, 2][self.random.below(3)];
        (0..count)
            .map(|_| {
                let (name, tags) = (self.random.one_of(&NAMES), [0, 1, 1, 2, 3][self.random.below(5)]);
                let mut tags: Vec<_> = (0..tags).map(|_| self.tag()).collect();
                tags.sort_unstable();
                tags.dedup();
                Sent { id: Uuid::now_v7(), name, tags }
            })
            .collect()
    }

    fn tag(&mut self) -> Tag {
        Tag::new("course", self.random.below(TAGS)).unwrap()
    }

    fn query(&mut self) -> Query {
        match self.random.below(24) {
            0 => Query::all(),
            1 => QueryItem::new().named(self.random.one_of(&NAMES)).into(),
            // Here a mark that is one for the whole query shows.
            2..=7 => Query::new([QueryItem::new().tagged(self.tag()), QueryItem::new().tagged(self.tag())]),
            _ => {
                let items = self.random.below(3) + 1;
                Query::new((0..items).map(|_| self.item()).collect::<Vec<_>>())
            }
        }
    }

    fn item(&mut self) -> QueryItem {
        let mut item = QueryItem::new().tagged(self.tag());
        if self.random.once_in(3) {
            item = item.tagged(self.tag());
        }
        for _ in 0..self.random.below(3) {
            item = item.named(self.random.one_of(&NAMES));
        }
        item
    }

    fn new_event(&self, sent: &Sent, plain: bool) -> NewEvent<RawEvent> {
        let event = RawEvent::new(sent.name, data(plain)).unwrap();
        event.with_id(sent.id).with_tags(self.stored_tags(sent))
    }

    fn request(&self, plan: &Plan) -> AppendRequest {
        let created_at = record(0).created_at;
        let plain = plan.conditions.is_empty();
        let new = |sent: &Sent| {
            let record = NewRecord::new(sent.id, sent.name, data(plain).to_owned(), created_at);
            record.with_tags(self.stored_tags(sent))
        };
        let parts = plan.parts.iter().map(|(stream, expectation, events)| {
            StreamAppend::new(stream.clone(), *expectation, events.iter().map(new).collect())
        });
        let requirements = plan.boundaries.iter().cloned().map(Requirement::Boundary).collect();
        AppendRequest::new(TenantId::DEFAULT, parts.collect()).with_requirements(requirements)
    }

    fn stored_tags(&self, sent: &Sent) -> Vec<Tag> {
        let lost = usize::from(self.fault == Some(Fault::LosesATag));
        sent.tags.iter().take(sent.tags.len().saturating_sub(lost)).cloned().collect()
    }
}

const fn data(plain: bool) -> &'static str {
    if plain { r#"{"plain":true}"# } else { "{}" }
}

fn last(appended: &[Appended]) -> AppendPosition {
    appended.iter().map(|part| part.position).max().unwrap()
}

/// What became of an append in a transaction that was told to end so, and has.
fn became(answer: Result<Answer>, told: Ending) -> Outcome {
    match answer {
        Ok(Answer::Appended(AppendOutcome::Written(_))) if told != Ending::Commit => Outcome::Nothing,
        Ok(Answer::Appended(AppendOutcome::Written(written))) => {
            Outcome::Written(written.iter().map(|part| part.last_position).max().unwrap())
        }
        Ok(other) => panic!("an append was answered with {other:?}"),
        Err(error) => Outcome::of_failure(&error),
    }
}

/// What was read. `None`: it may be tried again.
fn retryable(read: Result<Selection<RawEvent>>) -> Option<Selection<RawEvent>> {
    match read {
        Ok(selection) => Some(selection),
        Err(error) => {
            assert!(error.is_retryable(), "{}", error.in_full());
            None
        }
    }
}

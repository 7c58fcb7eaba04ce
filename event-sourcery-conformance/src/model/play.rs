//! Plays a sequence on the store and in the books, and compares.

use event_sourcery::backend::{
    Backend as _, Expectation, Filter, LoadRequest, ScanRequest, Span, stored_stream_id,
};
use event_sourcery::{
    AppendPosition, Category, Error, Event as _, EventStore, Position, RawEvent, StreamId, TenantId,
};
use uuid::Uuid;

use super::super::ledger::{Ledger, Ledgers as _, Noted};
use super::super::subject::Subject;
use super::attempt::{Attempt, Sent, SentPart, time};
use super::books::{Answer, Books, Entry, Snapshot};
use super::compare::{Outcome, agree, one_of, same_event, same_events, same_numbers, versions, written};
use super::operations::{Expected, How, Kind, Operation, Part};

/// A sequence in progress.
struct Player<'s> {
    subject: &'s Subject,
    store: EventStore,
    books: Books,
    tenants: Vec<TenantId>,
    streams: Vec<StreamId>,
    /// Where the store stood before the sequence.
    start: Position,
    /// Where it stood when it was last asked.
    settled: Position,
    attempts: Vec<Attempt>,
    /// How many events and snapshots were made.
    made: i64,
}

/// Plays a sequence on streams that are named after its number.
pub(super) async fn play(subject: &Subject, number: u64, operations: &[Operation]) -> Outcome {
    let store = subject.store();
    let named = |name: &str| StreamId::from_name(format!("model {number}/{name}")).unwrap();
    let [one, two] = [named("one"), named("two")];
    let stranger = Uuid::from_u128(u128::from(number));
    let streams = vec![
        one.clone(),
        StreamId::from_uuid(one.uuid()),
        one.clone().in_category("red").unwrap(),
        stored_stream_id(stranger, one.name(), ""),
        StreamId::from_uuid(stranger),
        two,
    ];
    let tenants = vec![TenantId::DEFAULT, TenantId::new("acme").unwrap(), TenantId::new("zenith").unwrap()];
    let start = store.position().await.unwrap();
    let books = Books { last_position: start.to_i64(), ..Books::default() };
    let mut player = Player {
        subject,
        store,
        books,
        tenants,
        streams,
        start,
        settled: start,
        attempts: Vec::new(),
        made: 0,
    };
    for (step, operation) in operations.iter().enumerate() {
        player
            .step(operation)
            .await
            .map_err(|problem| format!("operation {step}, {operation:?}: {problem}"))?;
    }
    player.compare_everything().await.map_err(|problem| format!("at the end: {problem}"))
}

impl Player<'_> {
    fn key(&self, tenant: usize, stream: usize) -> (TenantId, StreamId) {
        (self.tenants[tenant].clone(), self.streams[stream].clone())
    }

    fn handle(&self, tenant: &TenantId) -> EventStore {
        self.store.for_tenant(tenant.clone())
    }

    fn next_number(&mut self) -> i64 {
        self.made += 1;
        self.made
    }

    async fn step(&mut self, operation: &Operation) -> Outcome {
        match operation {
            Operation::Append { tenant, parts, requires } => {
                let attempt = self.attempt(*tenant, parts, *requires);
                self.append(attempt).await
            }
            Operation::Again { which, twist } => {
                let Some(earlier) = self.attempts.get(which % self.attempts.len().max(1)).cloned() else {
                    return Ok(());
                };
                let number = self.next_number();
                self.append(earlier.twisted(*twist, &self.streams, &self.tenants, number)).await
            }
            Operation::Load { tenant, stream, how } => self.load(*tenant, *stream, *how).await,
            Operation::Delete { tenant, stream } => {
                let key = self.key(*tenant, *stream);
                self.handle(&key.0).delete_stream(&key.1).await.map_err(|error| error.to_string())?;
                self.books.delete(&key);
                Ok(())
            }
            Operation::Snapshot { tenant, stream, version, kind, known_id } => {
                self.snapshot(*tenant, *stream, *version, *kind, *known_id).await
            }
            Operation::Scan { after, limit, tenant, category, names } => {
                self.compare_log().await?;
                self.scan(*after, *limit, (*tenant, *category, *names)).await
            }
            Operation::Position => self.position().await,
        }
    }

    fn attempt(&mut self, tenant: usize, parts: &[Part], requires: Option<(usize, Expected)>) -> Attempt {
        let sent = parts.iter().map(|part| {
            let expectation = self.books.expectation(&self.key(tenant, part.stream), part.expected);
            let events = part.events.iter().map(|body| Sent::new(*body, self.next_number())).collect();
            SentPart { stream: self.streams[part.stream].clone(), expectation, events }
        });
        let parts: Vec<SentPart> = sent.collect::<Vec<_>>();
        // A requirement is about a stream that the append does not write to.
        let requires =
            requires.filter(|(stream, _)| parts.iter().all(|part| part.stream != self.streams[*stream]));
        let requires = requires.map(|(stream, expected)| {
            let version = match self.books.expectation(&self.key(tenant, stream), expected) {
                Expectation::Version(version) => version,
                Expectation::NoVersioning => 1,
            };
            (self.streams[stream].clone(), version)
        });
        Attempt { tenant: self.tenants[tenant].clone(), parts, requires }
    }

    async fn append(&mut self, attempt: Attempt) -> Outcome {
        // Twists can bring the required stream into the append.
        let written_to = |stream: &StreamId| attempt.parts.iter().any(|part| part.stream == *stream);
        let requires = attempt.requires.clone().filter(|(stream, _)| !written_to(stream));
        let attempt = Attempt { requires, ..attempt };
        let outcome = attempt.make(&self.store).await;
        match (self.books.answer(&attempt), outcome) {
            (Answer::Refused(refusals), Err(refused)) => one_of(&refusals, &refused)?,
            (Answer::Written(first_versions), Ok(appended)) => {
                let expected: Vec<_> = first_versions.into_iter().zip(&attempt.parts).map(written).collect();
                let answered: Vec<_> = appended.iter().map(versions).collect();
                agree("the versions written", &answered, &expected)?;
                let last = Some(self.books.last_position);
                if appended.iter().any(|appended| Some(appended.position.to_i64()) <= last) {
                    return Err(format!("positions go back: {appended:?} after {last:?}"));
                }
                self.books.write(&attempt, &appended);
            }
            (Answer::Repeated(expected), Ok(appended)) => {
                for (appended, (first, last, position)) in appended.iter().zip(expected) {
                    agree("the repeat", &versions(appended), &(first, last, true))?;
                    agree(
                        "its position",
                        &position.unwrap_or(appended.position.to_i64()),
                        &appended.position.to_i64(),
                    )?;
                }
            }
            (answer, outcome) => return Err(format!("the store answers {outcome:?}, the model {answer:?}")),
        }
        self.attempts.push(attempt);
        Ok(())
    }

    async fn load(&mut self, tenant: usize, stream: usize, how: How) -> Outcome {
        let key = self.key(tenant, stream);
        let (store, stream) = (self.handle(&key.0), &key.1);
        let all: Vec<&Entry> = self.books.entries(&key).collect();
        match how {
            How::Raw => same_events(store.load_stream::<RawEvent>(stream).await, &all),
            How::FullHistory => {
                same_numbers(store.load_stream::<Ledger>(stream).full_history().await, &all, None)
            }
            How::Unknowing => same_numbers(store.load_stream::<Noted>(stream).await, &all, None),
            How::Knowing => {
                let snapshot = self.books.newest_snapshot(&key);
                let rest =
                    |entry: &&&Entry| snapshot.is_none_or(|snapshot| entry.version > Some(snapshot.version));
                let rest: Vec<_> = all.iter().filter(rest).copied().collect();
                same_numbers(store.load_stream::<Ledger>(stream).await, &rest, snapshot)
            }
            How::Range(start, stop) => {
                let loaded = store.load_stream::<RawEvent>(stream).versions(start..stop).await;
                if all.last().is_some_and(|last| last.version.is_none()) {
                    let refusal = Error::VersionRangeOnVersionlessStream { stream: stream.clone() };
                    return loaded.map_or_else(
                        |error| one_of(&[refusal], &error),
                        |events| Err(format!("{events:?}")),
                    );
                }
                let within =
                    |entry: &&&Entry| entry.version.is_some_and(|version| (start..stop).contains(&version));
                same_events(loaded, &all.iter().filter(within).copied().collect::<Vec<_>>())
            }
            How::Paged(limit) => {
                let ids: Vec<_> = all.iter().map(|entry| entry.sent.id).collect();
                agree("the paged stream", &self.paged(&key, limit).await, &ids)
            }
        }
    }

    async fn paged(&self, (tenant, stream): &(TenantId, StreamId), limit: usize) -> Vec<Uuid> {
        let (mut span, mut ids) = (Span::Full, Vec::new());
        loop {
            let request = LoadRequest::new(tenant.clone(), stream.clone(), span).with_limit(limit);
            let page = self.subject.backend().load(request).await.unwrap();
            ids.extend(page.events.iter().map(|event| event.id));
            let Some(last) = page.events.last().filter(|_| page.has_more) else { return ids };
            span = Span::After(last.position);
        }
    }

    async fn snapshot(
        &mut self,
        tenant: usize,
        stream: usize,
        version: Expected,
        kind: Kind,
        known_id: bool,
    ) -> Outcome {
        let key = self.key(tenant, stream);
        let version = match self.books.expectation(&key, version) {
            Expectation::Version(version) => version,
            Expectation::NoVersioning => 1,
        };
        let taken = |snapshot: &Snapshot| snapshot.key == key && snapshot.version == version;
        if self.books.snapshots.iter().any(taken) {
            // Which of two snapshots of one version is read, nothing says.
            return Ok(());
        }
        let number = self.next_number();
        let known = self.books.snapshots.last().filter(|_| known_id).map(|snapshot| snapshot.id);
        let id = known.unwrap_or_else(Uuid::now_v7);
        let (name, data) = match kind {
            Kind::Summed | Kind::Leftover => ("summed", format!(r#"{{"sum":{version}}}"#)),
            Kind::Outdated => ("summed", r#"{"total":1}"#.to_owned()),
            Kind::Foreign => ("averaged", "{}".to_owned()),
        };
        let leftover = self.books.first_time(&key).filter(|_| kind == Kind::Leftover);
        // In the future, so that no time tells a snapshot of a deleted stream from one of the stream's own.
        let future = time(number) + jiff::SignedDuration::from_hours(1);
        let created_at = leftover.map_or(future, |first| first - jiff::SignedDuration::from_micros(1));
        let event = RawEvent::new(name, data).unwrap().with_id(id).with_created_at(created_at);
        let refusals = self.books.snapshot_refusals(&key, version, id);
        match self.handle(&key.0).save_snapshot(&key.1, version, event).await {
            Ok(()) if refusals.is_empty() => self.books.snapshots.push(Snapshot { key, id, version, kind }),
            Ok(()) => {
                return Err(format!("a snapshot was saved, and the model refuses it with {refusals:?}"));
            }
            Err(refused) => one_of(&refusals, &refused)?,
        }
        Ok(())
    }

    /// Compares all events across streams, and learns their positions.
    async fn compare_log(&mut self) -> Outcome {
        self.position().await?;
        let records = self.store.records_after(self.start).await;
        let ids: Vec<_> = records.iter().map(|record| record.wrapped_event.uuid).collect();
        agree("all events", &ids, &self.books.log.iter().map(|entry| entry.sent.id).collect())?;
        for (record, entry) in records.iter().zip(&mut self.books.log) {
            let name = self.books.names.get(&entry.key).map(String::as_str);
            let place = (record.tenant_id.clone(), record.stream_id.clone(), record.stream_id.name());
            agree("an event's place", &place, &(entry.key.0.clone(), entry.key.1.clone(), name))?;
            let position = record.position.to_i64();
            agree("an event's position", &position, &entry.position.unwrap_or(position))?;
            entry.position = Some(position);
            same_event(&record.wrapped_event, entry)?;
        }
        let positions: Vec<_> = records.iter().map(|record| record.position).collect();
        agree("positions grow", &positions.windows(2).all(|pair| pair[0] < pair[1]), &true)
    }

    /// Scans page by page from some event on, with a filter. The positions are known.
    async fn scan(
        &self,
        after: usize,
        limit: usize,
        filter: (Option<usize>, Option<bool>, Option<u8>),
    ) -> Outcome {
        let skipped = after % (self.books.log.len() + 1);
        let last_skipped = skipped.checked_sub(1).and_then(|last| self.books.log[last].position);
        let mut after = last_skipped.map_or(self.start, Position::from_i64);
        let tenant = filter.0.map(|tenant| self.tenants[tenant].clone());
        let category = filter.1.map(|red| if red { "red" } else { "blue" });
        let names: Option<&[&str]> = filter.2.map(|chosen| match chosen {
            0 => &[][..],
            1 => &["noted"],
            2 => &["erased"],
            _ => &["erased", "noted"],
        });
        let wanted = |entry: &&Entry| {
            tenant.as_ref().is_none_or(|tenant| *tenant == entry.key.0)
                && category.is_none_or(|category| entry.key.1.stored_category() == category)
                && names.is_none_or(|names| names.contains(&entry.sent.body.name()))
        };
        let expected: Vec<_> =
            self.books.log[skipped..].iter().filter(wanted).map(|entry| entry.sent.id).collect();
        let mut filter = Filter::new();
        filter.tenant = tenant.clone();
        filter.category = category.map(|category| Category::new(category).unwrap());
        filter.names = names.map(|names| names.iter().map(|name| std::sync::Arc::from(*name)).collect());
        let mut ids = Vec::new();
        loop {
            let request = ScanRequest::new(after, limit).with_filter(filter.clone());
            let page = self.subject.backend().scan(request).await.map_err(|error| error.to_string())?;
            agree("a page is within its limit", &(page.records.len() <= limit), &true)?;
            ids.extend(page.records.iter().map(|record| record.event.id));
            after = page.next;
            if !page.has_more {
                return agree("the events scanned", &ids, &expected);
            }
        }
    }

    /// The settled position never goes back, and comes to cover the last append.
    async fn position(&mut self) -> Outcome {
        let position = self.store.position().await.map_err(|error| error.to_string())?;
        agree("the settled position does not go back", &(position >= self.settled), &true)?;
        self.settled = position;
        self.store.settled(AppendPosition::from_i64(self.books.last_position)).await;
        Ok(())
    }

    /// Every stream that an append was sent to, accepted or refused.
    fn touched(&self) -> Vec<(usize, usize)> {
        let is_touched = |tenant: usize, stream: usize| {
            let parts = self.attempts.iter().filter(|attempt| attempt.tenant == self.tenants[tenant]);
            parts.flat_map(|attempt| &attempt.parts).any(|part| part.stream == self.streams[stream])
        };
        let all = (0..self.tenants.len())
            .flat_map(|tenant| (0..self.streams.len()).map(move |stream| (tenant, stream)));
        all.filter(|(tenant, stream)| is_touched(*tenant, *stream)).collect()
    }

    async fn compare_everything(&mut self) -> Outcome {
        self.compare_log().await?;
        for (tenant, stream) in self.touched() {
            self.load(tenant, stream, How::Raw).await?;
            self.load(tenant, stream, How::Knowing).await?;
        }
        Ok(())
    }
}

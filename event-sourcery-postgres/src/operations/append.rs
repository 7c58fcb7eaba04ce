//! Appending.

use std::collections::HashMap;

use event_sourcery::backend::{
    AppendOutcome, AppendRequest, Expectation, PresentEvent, Requirement, StreamAppend, StreamState,
    SubjectKey, Written,
};
use event_sourcery::{AppendPosition, Error, Result, Version};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::at_once::{append_at_once, bind_outbox};
use super::keys::sealed_with;
use super::stream_keys::Keys;
use super::tags::{fits_one_statement, has_boundaries, is_tagged};
use super::{Holder, Known, Operations};
use crate::at_work::answer;
use crate::failure::Failure;
use crate::numbering;
use crate::rows::{EventReader, value};
use crate::values::{EventColumns, stored_version};

/// Why an append that is not refused found nothing to append to.
enum Verdict {
    /// Some or all of its events are there already.
    Present(Vec<PresentEvent>),
    /// What it expects holds now: the stream was deleted, or created by somebody else, in between. The same statement will do.
    Again,
    /// What it expects holds, and the stream's row disagrees with its events, or an orphaned row has its name.
    Mend,
}

/// What one statement appended: nothing where the stream was not as expected.
type Appended = Result<Option<Written>, Failure>;

/// How often an append is tried whose expectation holds whenever it is looked at.
const ATTEMPTS: usize = 8;

impl Operations<'_> {
    /// Appends all or nothing. In the caller's transaction, a refusal leaves the transaction as it was.
    /// An append to one stream is one statement, sealed or not, with tags or without. If that finds nothing to append to, a second one
    /// finds out why; if by then everything is as expected, the append is tried again. Its positions are above `given`, or it is refused.
    pub(crate) async fn append(&mut self, request: &AppendRequest, given: i64) -> Result<AppendOutcome> {
        self.send(request.weight());
        self.given = given;
        self.refuse_boundaries(request).await?;
        let (mut at_once, tables) = (is_one_statement(request), self.sql.tables());
        let mut refused = None;
        for attempt in 1..=ATTEMPTS {
            refused = None;
            let written = if !request.streams.iter().all(StreamAppend::has_room) {
                Ok(None)
            } else if at_once {
                self.append_at_once(request).await.map(|written| written.map(|written| vec![written]))
            } else {
                self.append_under_locks(request).await
            };
            if let Err(failure) = &written
                && let Some((drawn, highest)) = failure.position_given_before()
            {
                return Err(self.sql.sequence.went_back(drawn, (highest, numbering::PASSED)));
            }
            match written {
                Ok(Some(written)) => return Ok(AppendOutcome::Written(written)),
                Ok(None) => {}
                Err(failure) if failure.is_unique_violation(tables) => refused = Some(failure),
                Err(failure) if failure.is_foreign_key_violation(tables) => {}
                Err(failure) if failure.is_lost_race() && !self.joined => {}
                Err(failure) => return Err(self.append_failed(request, failure).await),
            }
            let verdict = self.explain(request).await?;
            // A number that is taken, and nothing else that is: it was drawn a second time. Of a stream's, the statement only
            // tells that it has created none.
            if !matches!(verdict, Verdict::Present(_)) && (refused.is_some() || attempt == 2) {
                self.refuse_numbering().await?;
            }
            match verdict {
                Verdict::Present(present) => {
                    self.confirm().await?;
                    return Ok(AppendOutcome::Present(present));
                }
                Verdict::Again => at_once = is_one_statement(request),
                Verdict::Mend => at_once = false,
            }
        }
        // Nothing of ours is taken: a unique index that somebody has added to a table of ours.
        if let Some(failure) = refused {
            return Err(self.failed(failure));
        }
        if let Some(error) = self.not_creatable(request).await? {
            return Err(error);
        }
        let source = "others created, changed or deleted the stream each time it was tried";
        Err(Error::serialization_failure(source))
    }

    /// Appends to one stream in one statement. Nothing, and no position drawn, where the stream is not as expected.
    ///
    /// In the caller's transaction it runs under a savepoint, because a failed statement would end the transaction.
    async fn append_at_once(&mut self, request: &AppendRequest) -> Appended {
        let Some(part) = request.streams.first() else { return Ok(None) };
        if !self.joined {
            self.enter().await?;
            let written = append_at_once(self.connection, self.sql, request, part, self.given);
            let written = answer(self.at_work.as_ref(), written).await;
            return self.leave(written).await;
        }
        self.begin().await?;
        let written = append_at_once(self.connection, self.sql, request, part, self.given).await;
        self.end(written.map_err(Failure::from)).await
    }

    /// Appends to any number of streams in one transaction, under locks: checks every expectation and requirement, and
    /// mends rows on the way. Nothing where one of them does not hold.
    async fn append_under_locks(&mut self, request: &AppendRequest) -> Result<Option<Vec<Written>>, Failure> {
        let written = match self.begin_with_table(request).await? {
            Ok(()) => self.write_under_locks(request).await,
            Err(failure) => Err(failure),
        };
        self.end(written).await
    }

    /// Begins, and locks the table before anything else: see [`tags`](super::tags). In the caller's transaction that is a statement more,
    /// which an append without tags is spared. The inner failure leaves what was begun to be ended.
    async fn begin_with_table(&mut self, request: &AppendRequest) -> Result<Result<(), Failure>, Failure> {
        let lock = self.table_lock(request).clone();
        if self.joined {
            self.begin().await?;
            return Ok(if is_tagged(request) { self.execute(lock.query()).await.map(drop) } else { Ok(()) });
        }
        let begin = AssertSqlSafe(format!("{}; {}", self.begin, lock.text()));
        let begun = sqlx::raw_sql(begin).execute(&mut *self.connection);
        let begun = answer(self.at_work.as_ref(), begun).await;
        self.is_open = true;
        Ok(begun.map(drop).map_err(Failure::from))
    }

    /// Finds out why an append found nothing to append to, or why the database refused it: that it is refused is the
    /// error.
    async fn explain(&mut self, request: &AppendRequest) -> Result<Verdict> {
        let ids: Vec<_> = request.event_ids().collect();
        let known = self.states(request, &ids).await.map_err(|failure| self.failed(failure))?;
        if known.first().is_some_and(|known| known.any_present) {
            let present = self.present(&ids).await?;
            // None: their stream was deleted in between.
            return Ok(if present.is_empty() { Verdict::Mend } else { Verdict::Present(present) });
        }
        let keys = self.required_keys(request).await.map_err(|failure| self.failed(failure))?;
        check(request, &known, &keys)?;
        if let Some(query) = self.moved(request).await.map_err(|failure| self.failed(failure))? {
            return Err(Error::boundary_moved(query));
        }
        let [part] = request.streams.as_slice() else { return Ok(Verdict::Mend) };
        let agrees = known.first().is_some_and(|known| match known.row {
            Some(_) => {
                part.expectation != Expectation::Version(0)
                    && known.row_version == row_version(part.expectation)
                    && known.state != StreamState::Missing
            }
            None => known.holder.is_none(),
        });
        // What a boundary is guarded by was raised, and it holds all the same: that is found under locks alone.
        Ok(if agrees && !has_boundaries(request) { Verdict::Again } else { Verdict::Mend })
    }

    /// Makes sure that what is in the store stays there. Others see what was committed before it is confirmed where whoever waited
    /// for a standby was cut off.
    async fn confirm(&mut self) -> Result<()> {
        let confirmed = self.execute(self.sql.append.confirm.query()).await;
        confirmed.map(drop).map_err(|failure| self.failed_committing(failure))
    }

    async fn refuse_numbering(&mut self) -> Result<()> {
        let checked = numbering::check(self.connection, &self.sql.numbering);
        let checked = answer(self.at_work.as_ref(), checked).await;
        checked.map_err(|failure| self.failed(failure))?.map(drop)
    }

    /// The error for a failure of an append. One that is about a value names the event that holds it.
    async fn append_failed(&mut self, request: &AppendRequest, failure: Failure) -> Error {
        if failure.is_a_used_up_sequence()
            && let used_up = numbering::used_up(self.connection, &self.sql.numbering)
            && let Ok(Some(error)) = answer(self.at_work.as_ref(), used_up).await
        {
            return error;
        }
        let records = request.streams.iter().flat_map(|part| &part.events);
        if failure.is_about_a_value()
            && let Some(error) = self.not_storable(&records.collect::<Vec<_>>()).await
        {
            return error;
        }
        self.failed_committing(failure)
    }

    /// Those of the events that are in the store already.
    async fn present(&mut self, ids: &[Uuid]) -> Result<Vec<PresentEvent>> {
        let rows = self
            .rows(self.sql.append.present.query().bind(ids))
            .await
            .map_err(|failure| self.failed(failure))?;
        let mut reader = EventReader::default();
        let present = rows.iter().map(|row| {
            let previous = value(row, 12).map_err(|error| self.failed(error))?;
            Ok(PresentEvent::new(reader.record(row), previous))
        });
        present.collect()
    }

    /// What is known of the request's streams, and behind them of those that it requires something of.
    pub(super) async fn states(
        &mut self,
        request: &AppendRequest,
        ids: &[Uuid],
    ) -> Result<Vec<Known>, Failure> {
        let Keys { uuids, categories, names } = Keys::of(request);
        let query = self.sql.append.states.query();
        let query = query.bind(uuids).bind(categories).bind(request.tenant.as_str()).bind(names).bind(ids);
        let rows = self.rows(query).await?;
        Ok(rows.iter().map(Known::read).collect::<Result<Vec<_>, _>>()?)
    }

    async fn write_under_locks(&mut self, request: &AppendRequest) -> Result<Option<Vec<Written>>, Failure> {
        let keys = self.hold_keys(request).await?;
        self.hold_tags(request).await?;
        // In a statement of its own: it has to see what those wrote whose locks had to be waited for.
        if self.moved(request).await?.is_some() {
            return Ok(None);
        }
        let mut known = self.lock(request).await?;
        if check(request, &known, &keys).is_err() {
            return Ok(None);
        }
        let orphans: Vec<_> =
            known.iter().filter_map(|known| known.holder).map(|Holder { row, .. }| row).collect();
        if !orphans.is_empty() {
            for statement in [&self.sql.delete_snapshots, &self.sql.delete_states, &self.sql.delete_streams] {
                self.execute(statement.query().bind(&orphans)).await?;
            }
            known = self.lock(request).await?;
            if check(request, &known, &keys).is_err() {
                return Ok(None);
            }
        }
        // Without a row: somebody else has deleted it, or takes the name, at this moment.
        let rows: Option<Vec<i64>> = known.iter().map(|known| known.row).collect();
        let Some(rows) = rows else { return Ok(None) };
        let missing = known.iter().zip(&rows).filter(|(known, _)| known.state == StreamState::Missing);
        let empty: Vec<_> = missing.map(|(_, row)| *row).collect();
        if !empty.is_empty() {
            for statement in [&self.sql.delete_snapshots, &self.sql.delete_states] {
                self.execute(statement.query().bind(&empty)).await?;
            }
        }
        let (rows, required) = rows.split_at(request.streams.len().min(rows.len()));
        let written = self.write(request, rows).await?;
        self.shred(request).await?;
        // Rows that were made to keep others from creating a stream that must not exist.
        let placeholders: Vec<_> = required.iter().filter(|row| empty.contains(row)).copied().collect();
        if !placeholders.is_empty() {
            self.execute(self.sql.delete_streams.query().bind(&placeholders)).await?;
        }
        Ok(Some(written))
    }

    /// Locks the request's streams, and those that it requires something of, whether they exist or not: nobody else
    /// creates, changes or deletes them until the transaction ends. Tells what they are now.
    async fn lock(&mut self, request: &AppendRequest) -> Result<Vec<Known>, Failure> {
        let Keys { uuids, categories, names } = Keys::of(request);
        let tenant = request.tenant.as_str();
        let insert = self.sql.append.insert_streams.query();
        self.execute(insert.bind(uuids.clone()).bind(categories.clone()).bind(tenant).bind(names)).await?;
        let lock = self.sql.append.lock_streams.query();
        let locked = self.rows(lock.bind(uuids).bind(categories).bind(tenant)).await?;
        let locked: Vec<i64> = locked.iter().map(|row| value(row, 0)).collect::<Result<_, _>>()?;
        // In a statement of its own: it has to see what those wrote whose locks had to be waited for. A row that was made
        // after that is not locked, and counts for none.
        let mut known = self.states(request, &[]).await?;
        for known in &mut known {
            known.row = known.row.filter(|row| locked.contains(row));
        }
        Ok(known)
    }

    /// Writes rows and events of the streams, which are locked and as expected.
    async fn write(&mut self, request: &AppendRequest, rows: &[i64]) -> Result<Vec<Written>, Failure> {
        let (mut versions, mut names) = (Vec::new(), Vec::new());
        let (mut event_rows, mut event_versions) = (Vec::new(), Vec::new());
        for (part, row) in request.streams.iter().zip(rows) {
            let first = part.first();
            versions.push(last_version(part).map(stored_version));
            names.push(part.stream.name());
            for number in 0..part.events.len() as Version {
                event_rows.push(*row);
                event_versions.push(first.map(|first| stored_version(first.saturating_add(number))));
            }
        }
        let events = EventColumns::of(request.streams.iter().flat_map(|part| &part.events));
        let sql = &self.sql.append;
        let statement = if request.outbox.is_empty() { &sql.write } else { &sql.write_and_enter };
        let query = statement.query().bind(rows).bind(versions).bind(names);
        let query = events.bind(query.bind(event_rows).bind(event_versions)).bind(self.given);
        let query = bind_outbox(query, request);
        let answer = self.rows(query).await?;
        let positions: Vec<(i64, i64)> = answer
            .iter()
            .map(|row| Ok((value(row, 0)?, value(row, 1)?)))
            .collect::<Result<_, sqlx::Error>>()?;
        self.enter_tags(request).await?;
        let parts = request.streams.iter().zip(rows);
        Ok(parts
            .map(|(part, row)| {
                let own = positions.iter().filter(|(_, stream)| stream == row).map(|(position, _)| *position);
                written(part, own.max().unwrap_or(0))
            })
            .collect())
    }
}

/// Whether an append can share a statement with others: to one stream, and nothing else has to hold but its boundaries, or is done.
pub(crate) fn is_simple(request: &AppendRequest) -> bool {
    is_one_statement(request) && sealed_with(request).next().is_none()
}

/// Whether an append can be one statement: to one stream, without a hole in its versions, and nothing required but the keys that it is
/// sealed with, and boundaries of queries with tags.
fn is_one_statement(request: &AppendRequest) -> bool {
    let is_one = matches!(request.streams.as_slice(), [part] if part.first_version.is_none());
    let mut requirements = request.requirements.iter();
    let fits =
        requirements.all(|required| matches!(required, Requirement::Key(_) | Requirement::Boundary(_)));
    is_one && request.shreds.is_empty() && fits && fits_one_statement(request)
}

/// Checks everything that the request expects of its streams, and requires of others.
fn check(request: &AppendRequest, known: &[Known], keys: &[SubjectKey]) -> Result<()> {
    let mut known = known.iter();
    let keys: HashMap<_, _> = keys.iter().map(|key| (&key.subject, key)).collect();
    let mut claimed = HashMap::new();
    for (part, known) in request.streams.iter().zip(known.by_ref()) {
        let stream = &part.stream;
        part.check(known.state)?;
        known.check_name(stream)?;
        if let Some(name) = stream.name()
            && let Some(holder) = claimed.insert((stream.stored_category(), name), stream.uuid())
        {
            return Err(Error::stream_name_taken(stream.clone(), name, holder));
        }
    }
    for requirement in &request.requirements {
        match requirement {
            Requirement::Stream(requirement) => {
                requirement.check(known.next().map_or(StreamState::Missing, |known| known.state))?;
            }
            Requirement::Key(requirement) => {
                requirement.check(keys.get(&requirement.subject).copied())?;
            }
            // It is looked at where its tags are locked, and where nothing else tells why.
            Requirement::Boundary(_) => {}
            _ => return Err(Error::unsupported("postgres", "this requirement")),
        }
    }
    Ok(())
}

pub(super) fn written(part: &StreamAppend, last_position: i64) -> Written {
    Written::new(part.first(), AppendPosition::from_i64(last_position))
}

pub(super) fn last_version(part: &StreamAppend) -> Option<Version> {
    part.first().map(|first| part.last_version(first))
}

/// The version that a stream's row has if it is as expected.
pub(super) fn row_version(expectation: Expectation) -> Option<i64> {
    match expectation {
        Expectation::Version(version) => Some(stored_version(version)),
        Expectation::NoVersioning => None,
    }
}

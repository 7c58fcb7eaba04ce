//! Loading a stream.

mod parts;

use std::ops::ControlFlow::{Break, Continue};
use std::pin::pin;
use std::sync::atomic::Ordering;

use event_sourcery::backend::{LoadRequest, LoadedStream, PageRoom, Span, StoredEvent};
use event_sourcery::{Error, Position, Result, Version};
use futures_util::TryStreamExt as _;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres};

use super::Operations;
use crate::at_work::answer;
use crate::lease::Lease;
use crate::rows::{self, EventReader, value};
use crate::sql::Sql;
use crate::values::stored_version;

/// How many events are asked for first within a transaction of the caller's, where all rows have to be read.
const FIRST_IN_TRANSACTION: usize = 64;

/// A run of a stream's events, to be read in order. A stream has one kind of them, except where the reference let its
/// caller number some: then those without versions come first.
#[derive(Clone, Copy)]
enum Run {
    /// From this version, and below that one.
    Versions(i64, i64),
    /// Those without versions, above this position.
    Unversioned(i64),
    /// Whatever stands above this position: where the order of the versions is none.
    Any(i64),
}

impl Run {
    /// Whatever has a version. Ours begin at 1; the reference's callers number as they like.
    const ALL_VERSIONS: Self = Self::Versions(i64::MIN, i64::MAX);

    fn above(version: Version) -> Self {
        Self::Versions(stored_version(version).saturating_add(1), i64::MAX)
    }
}

/// What is known of a stream before a part of it is read.
struct Shape {
    first_position: Option<i64>,
    /// The event at the position asked about: its version, if it is there.
    at: Option<Option<i32>>,
    has_unversioned: bool,
    has_versioned: bool,
    /// Whether a version is below 0, and stands before all others: who reads in pages would pass its event.
    is_misnumbered: bool,
}

impl<'c> Operations<'c> {
    /// For a load that takes several statements, in a transaction of its own.
    pub(crate) fn of_one_moment(lease: &'c mut Lease, sql: &'c Sql, request: &LoadRequest) -> Self {
        let begin = lease.begin_snapshot_text(&sql.tables().put_into(tables_of(request)));
        Self { begin, ..Self::alone(lease, sql) }
    }
}

impl Operations<'_> {
    /// Loads what the request asks for, all of it as of one moment. Nothing is kept of the transaction.
    pub(crate) async fn load_of_one_moment(&mut self, request: &LoadRequest) -> Result<LoadedStream> {
        let loaded = match self.begin().await {
            Ok(()) => self.load(request).await,
            Err(failure) => Err(self.failed(failure)),
        };
        // Also where a lock was waited for in vain: the transaction is open, and has failed.
        if self.end::<()>(Ok(None)).await.is_err() {
            self.spent.store(true, Ordering::Relaxed);
        }
        loaded
    }

    /// Loads what the request asks for. What takes several statements has to run in one snapshot: see
    /// [`takes_one_statement`].
    pub(crate) async fn load(&mut self, request: &LoadRequest) -> Result<LoadedStream> {
        match request.span {
            Span::Last => self.load_last(request).await,
            Span::Event(id) => {
                let query = self.about_stream(request, |sql| &sql.load_event).bind(id);
                Ok(self.load_whole(query).await?.unwrap_or_default())
            }
            _ => match self.all_at_once(request) {
                Some(query) => match self.load_whole(query).await? {
                    Some(loaded) => Ok(loaded),
                    None => self.load_full(request).await,
                },
                None => self.load_in_order(request).await,
            },
        }
    }

    /// The one statement that reads all that is asked for, if there is one.
    fn all_at_once<'q>(&self, request: &'q LoadRequest) -> Option<Query<'q, Postgres, PgArguments>> {
        if request.limit.is_some() {
            return None;
        }
        match request.span {
            Span::Full => Some(self.about_stream(request, |sql| &sql.load_all)),
            Span::FromSnapshot { names, up_to } => {
                let query = self.about_stream(request, |sql| &sql.load_from_snapshot);
                Some(query.bind(names).bind(snapshot_version(up_to)))
            }
            Span::FromState { name, format } => {
                let query = self.about_stream(request, |sql| &sql.load_from_state);
                Some(query.bind(name).bind(i32::from(format)))
            }
            _ => None,
        }
    }

    fn about_stream<'q>(
        &self,
        request: &'q LoadRequest,
        statement: impl Fn(&crate::sql::Sql) -> &crate::sql::Statement,
    ) -> Query<'q, Postgres, PgArguments> {
        let statement = statement(self.sql);
        if self.spares_payloads {
            return Self::about(&statement.without_payloads(), &request.tenant, &request.stream);
        }
        Self::about(statement, &request.tenant, &request.stream)
    }

    /// What there is, where the snapshot cannot be read.
    async fn load_full(&mut self, request: &LoadRequest) -> Result<LoadedStream> {
        let query = self.about_stream(request, |sql| &sql.load_all);
        Ok(self.load_whole(query).await?.unwrap_or_default())
    }

    /// All that a statement finds; nothing where it starts at a snapshot that cannot be read. The order is made here: the rows
    /// mostly come in it, and a sort of ours costs nothing then.
    async fn load_whole(&mut self, query: Query<'_, Postgres, PgArguments>) -> Result<Option<LoadedStream>> {
        self.enter().await.map_err(|failure| self.failed(failure))?;
        let read = answer(self.at_work.as_ref(), read_whole(self.connection, query)).await;
        let read = self.leave(read).await.map_err(|failure| self.failed(failure))?;
        let Some(mut loaded) = read else { return Ok(None) };
        loaded.events.sort_by_key(|event| (event.version, event.position));
        Ok(Some(loaded))
    }

    async fn load_last(&mut self, request: &LoadRequest) -> Result<LoadedStream> {
        let query = self.about_stream(request, |sql| &sql.load_last);
        let mut loaded = self.load_whole(query).await?.unwrap_or_default();
        let last = loaded.events.pop();
        loaded.events = last.into_iter().collect();
        Ok(loaded)
    }

    /// A part of a stream, in order, perhaps with a limit.
    async fn load_in_order(&mut self, request: &LoadRequest) -> Result<LoadedStream> {
        let mut loaded = LoadedStream::default();
        let position = if let Span::After(position) = request.span { position.to_i64() } else { 0 };
        let Some(shape) = self.shape(request, position).await? else { return Ok(loaded) };
        if request.limit.is_some() {
            loaded.first_position = shape.first_position.map(Position::from_i64);
        }
        let limit = request.limit.map(|limit| self.asked(request, limit));
        let mut reader = EventReader::default();
        let mut runs = [Some(Run::Unversioned(0)), Some(Run::ALL_VERSIONS)];
        match request.span {
            Span::FromSnapshot { .. } | Span::FromState { .. } => {
                if let Some(snapshot) = self.snapshot(request, &mut reader).await? {
                    runs = [snapshot.version.map(Run::above), None];
                    loaded.snapshot = Some(snapshot);
                }
            }
            Span::Versions { .. } if shape.has_unversioned && !shape.has_versioned => {
                return Err(Error::VersionRangeOnVersionlessStream { stream: request.stream.clone() });
            }
            Span::Versions { start, stop } => {
                runs = [Some(Run::Versions(stored_version(start), stored_version(stop))), None];
            }
            Span::Full if shape.is_misnumbered => runs = [Some(Run::Any(0)), None],
            Span::After(position) if shape.is_misnumbered => {
                runs = [shape.at.map(|_| Run::Any(position.to_i64())), None];
            }
            Span::After(position) => {
                runs = match shape.at {
                    Some(Some(version)) => [None, Some(Run::Versions(i64::from(version) + 1, i64::MAX))],
                    Some(None) => [Some(Run::Unversioned(position.to_i64())), Some(Run::ALL_VERSIONS)],
                    None => [None, None],
                };
            }
            Span::Full | Span::Last | Span::Event(_) => {}
        }
        for run in runs.into_iter().flatten() {
            if loaded.has_more || matches!(run, Run::Unversioned(_)) && !shape.has_unversioned {
                continue;
            }
            self.load_run(request, limit, run, &mut loaded, &mut reader).await?;
        }
        if let (Some(wanted), Some(asked), true) = (request.limit, limit, loaded.has_more) {
            self.note(request, wanted, asked, &loaded.events);
        }
        Ok(loaded)
    }

    /// How many events to ask for, of so many that are wanted. In the caller's transaction what does not fit into the page is read in
    /// vain: so it begins with a few.
    fn asked(&self, request: &LoadRequest, wanted: usize) -> usize {
        let sizes = &self.sql.page_sizes;
        let fit = match request.span {
            Span::Versions { start, .. } => sizes.next(&(&request.stream, start)),
            Span::After(position) => sizes.next(&(&request.stream, position)),
            _ => None,
        };
        let most = if self.joined { FIRST_IN_TRANSACTION } else { wanted };
        fit.unwrap_or(most).min(wanted)
    }

    /// A page was cut off: what is known of the next.
    fn note(&self, request: &LoadRequest, wanted: usize, asked: usize, events: &[StoredEvent]) {
        let (sizes, Some(last)) = (&self.sql.page_sizes, events.last()) else { return };
        match (request.span, last.version) {
            (Span::Versions { .. }, Some(version)) => {
                sizes.note(&(&request.stream, version + 1), wanted, asked, events.iter());
            }
            _ => sizes.note(&(&request.stream, last.position), wanted, asked, events.iter()),
        }
    }

    /// What stands in for the first events.
    async fn snapshot(
        &mut self,
        request: &LoadRequest,
        reader: &mut EventReader,
    ) -> Result<Option<StoredEvent>> {
        let query = match request.span {
            Span::FromSnapshot { names, up_to } => {
                let query = self.about_stream(request, |sql| &sql.load_snapshot);
                query.bind(names).bind(snapshot_version(up_to))
            }
            Span::FromState { name, format } => {
                let query = self.about_stream(request, |sql| &sql.load_state);
                query.bind(name).bind(i32::from(format))
            }
            _ => return Ok(None),
        };
        let row = self.row(query).await.map_err(|failure| self.failed(failure))?;
        Ok(row.and_then(|row| readable(reader.event(&row))))
    }

    /// Reads a run behind what is loaded, up to the limit.
    async fn load_run(
        &mut self,
        request: &LoadRequest,
        limit: Option<usize>,
        run: Run,
        loaded: &mut LoadedStream,
        reader: &mut EventReader,
    ) -> Result<()> {
        let wanted = limit.map(|limit| limit.saturating_sub(loaded.events.len()));
        let one_more = wanted.map(|wanted| i64::try_from(wanted).unwrap_or(i64::MAX).saturating_add(1));
        let query = match run {
            Run::Versions(start, stop) => {
                let query = self.about_stream(request, |sql| &sql.load_versions);
                query.bind(start).bind(stop).bind(one_more)
            }
            Run::Unversioned(above) => {
                let query = self.about_stream(request, |sql| &sql.load_unversioned);
                query.bind(above).bind(one_more)
            }
            Run::Any(above) => self.about_stream(request, |sql| &sql.load_any).bind(above).bind(one_more),
        };
        let at_most = wanted.map_or(usize::MAX, |wanted| wanted.saturating_add(1));
        let (mut left, mut bytes) = (wanted.unwrap_or(usize::MAX), 0);
        let take = |row: PgRow| {
            loaded.has_more = left == 0;
            if loaded.has_more {
                return Break(());
            }
            left -= 1;
            bytes += rows::size(&row);
            loaded.events.push(reader.event(&row));
            // There may be more behind it.
            loaded.has_more = wanted.is_some() && bytes >= PageRoom::BYTES;
            if loaded.has_more { Break(()) } else { Continue(()) }
        };
        self.each_row(query, at_most, take).await.map_err(|failure| self.failed(failure))
    }

    async fn shape(&mut self, request: &LoadRequest, position: i64) -> Result<Option<Shape>> {
        let query = self.about_stream(request, |sql| &sql.shape).bind(position);
        let row = self.row(query).await.map_err(|failure| self.failed(failure))?;
        let read = |row: &PgRow| {
            Ok(Shape {
                first_position: value(row, 0)?,
                at: value::<bool>(row, 2)?.then_some(value(row, 1)?),
                has_unversioned: value(row, 3)?,
                has_versioned: value(row, 4)?,
                is_misnumbered: value(row, 5)?,
            })
        };
        row.as_ref().map(read).transpose().map_err(|error: sqlx::Error| self.failed(error))
    }
}

/// All that a statement finds, in any order; nothing where it starts at a snapshot that cannot be read.
async fn read_whole(
    connection: &mut PgConnection,
    query: Query<'_, Postgres, PgArguments>,
) -> Result<Option<LoadedStream>, sqlx::Error> {
    let (mut loaded, mut reader) = (LoadedStream::default(), EventReader::default());
    let mut rows = pin!(query.fetch(connection));
    while let Some(row) = rows.try_next().await? {
        let event = reader.event(&row);
        if !is_snapshot(&row) {
            loaded.events.push(event);
        } else if let Some(snapshot) = readable(event) {
            loaded.snapshot = Some(snapshot);
        } else {
            return Ok(None);
        }
    }
    Ok(Some(loaded))
}

/// Whether a load is one statement, and so of one moment by itself.
pub(crate) fn takes_one_statement(request: &LoadRequest) -> bool {
    match request.span {
        Span::Last | Span::Event(_) => true,
        Span::Full | Span::FromSnapshot { .. } | Span::FromState { .. } => request.limit.is_none(),
        Span::Versions { .. } | Span::After(_) => false,
    }
}

/// The tables that a load in several statements reads, in the order in which others lock them.
const fn tables_of(request: &LoadRequest) -> &'static str {
    match request.span {
        Span::FromSnapshot { .. } => "{streams}, {events}, {snapshots}",
        Span::FromState { .. } => "{streams}, {events}, {aggregate_snapshots}",
        _ => "{streams}, {events}",
    }
}

/// Whether a row is that of a snapshot, which has no position.
fn is_snapshot(row: &PgRow) -> bool {
    value::<Option<i64>>(row, 0).is_ok_and(|position| position.is_none())
}

/// A snapshot, unless it cannot be read: then history decides.
fn readable(snapshot: StoredEvent) -> Option<StoredEvent> {
    let Some(problem) = &snapshot.unreadable else { return Some(snapshot) };
    tracing::warn!(%problem, "a snapshot cannot be read and is passed over");
    None
}

/// The highest version of a snapshot; the column holds 32 bits.
fn snapshot_version(up_to: Version) -> i32 {
    i32::try_from(up_to).unwrap_or(i32::MAX)
}

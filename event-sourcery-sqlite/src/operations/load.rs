//! Loading a stream.

use event_sourcery::backend::{LoadRequest, LoadSink, LoadedStream, PageRoom, Span, StoredEvent};
use event_sourcery::{Error, Position, Result, Version};

use rusqlite::Row;
use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};

use super::Operations;
use crate::rows::{EventReader, hex};

/// How many events a part has, if they are small: at most about half a millisecond to read, less than it takes to decode them.
pub(crate) const PART: usize = 1_024;

/// How far a load has come: what was read, and which events are still wanted.
pub(crate) struct LoadProgress {
    loaded: LoadedStream,
    rest: Option<Rest>,
    reader: EventReader,
}

/// The events of a stream that are still to be read.
struct Rest {
    stream: i64,
    from: From,
    /// For how many of them there is room; `None`: for all.
    room: Option<PageRoom>,
}

enum From {
    /// Versions above the first, which may be anything that stands in their column, and below the second.
    Versions(RawVersion, Option<i64>),
    /// Events without versions above this position; then those that have one. A stream has one kind of them, except
    /// where the reference let its caller number some.
    Position(i64),
    /// Whatever stands above this position: where the order of the versions is none.
    Any(i64),
}

impl LoadProgress {
    /// What was loaded since this was last asked.
    pub(crate) fn part(&mut self) -> LoadedStream {
        std::mem::take(&mut self.loaded)
    }

    /// Whether nothing is left to be read.
    pub(crate) const fn is_finished(&self) -> bool {
        self.rest.is_none()
    }
}

impl Operations<'_> {
    /// Loads what the request asks for. Runs in a transaction, so that all of it is of one moment.
    pub(crate) fn load(&self, request: &LoadRequest) -> Result<LoadedStream> {
        let mut progress = self.load_on(self.start_load(request)?, None)?;
        self.tag(&mut progress.loaded.events, |event| event)?;
        Ok(progress.loaded)
    }

    /// The same, part by part.
    pub(crate) fn load_in_parts(&self, request: &LoadRequest, sink: &mut dyn LoadSink) -> Result<()> {
        let mut progress = self.load_part(self.start_load(request)?)?;
        sink.take(progress.part())?;
        while !progress.is_finished() {
            progress = self.load_part(progress)?;
            sink.take(progress.part())?;
        }
        Ok(())
    }

    /// Reads another part.
    pub(crate) fn load_part(&self, progress: LoadProgress) -> Result<LoadProgress> {
        let mut progress = self.load_on(progress, Some(PageRoom::of(PART)))?;
        self.tag(&mut progress.loaded.events, |event| event)?;
        Ok(progress)
    }

    /// Finds the stream and its snapshot; reads no events yet.
    pub(crate) fn start_load(&self, request: &LoadRequest) -> Result<LoadProgress> {
        let mut progress =
            LoadProgress { loaded: LoadedStream::default(), rest: None, reader: EventReader::default() };
        let Some(row) = self.find_stream(&request.tenant, &request.stream)? else { return Ok(progress) };
        let in_pages = request.limit.is_some();
        if in_pages {
            let first = self.first(&self.sql.first_event, [row.id], |row| row.get(0))?;
            progress.loaded.first_position = first.map(Position::from_i64);
        }
        let from = match request.span {
            Span::Full if in_pages && self.is_misnumbered(row.id)? => Some(From::Any(0)),
            Span::After(position) if self.is_misnumbered(row.id)? => {
                self.after(row.id, position)?.map(|_| From::Any(position.to_i64()))
            }
            Span::Full => self.all(row.id, request, &mut progress.loaded)?,
            Span::FromSnapshot { .. } | Span::FromState { .. } => {
                progress.loaded.snapshot = self.snapshot(row.id, request, &mut progress.reader)?;
                match progress.loaded.snapshot.as_ref().and_then(|snapshot| snapshot.version) {
                    Some(version) => Some(From::above(version)),
                    None => self.all(row.id, request, &mut progress.loaded)?,
                }
            }
            Span::Versions { start, stop } => {
                let last = self.first(&self.sql.last_version, [row.id], |row| RawVersion::of(row, 0))?;
                if last.is_some_and(|last| last.is_null()) {
                    return Err(Error::VersionRangeOnVersionlessStream { stream: request.stream.clone() });
                }
                let above = stored_version(start).saturating_sub(1);
                // What is no number stands behind all of them.
                let below = (stop != Version::MAX).then(|| stored_version(stop));
                Some(From::Versions(RawVersion::number(above), below))
            }
            Span::After(position) => self.after(row.id, position)?,
            Span::Last | Span::Event(_) => {
                progress.loaded.events.extend(self.one(row.id, request, &mut progress.reader)?);
                None
            }
        };
        progress.rest = from.map(|from| Rest { stream: row.id, from, room: request.limit.map(PageRoom::of) });
        Ok(progress)
    }

    /// Reads on, as far as there is room `now`.
    fn load_on(&self, mut progress: LoadProgress, mut now: Option<PageRoom>) -> Result<LoadProgress> {
        let Some(mut rest) = progress.rest.take() else { return Ok(progress) };
        let most = [rest.room, now].iter().flatten().map(PageRoom::events).min().unwrap_or(usize::MAX);
        let one_more = i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1);
        let mut statement;
        let mut rows = match &rest.from {
            From::Versions(above, None) => {
                statement = self.statement(&self.sql.events_above_version)?;
                statement.query((rest.stream, above, one_more))
            }
            From::Versions(above, Some(stop)) => {
                statement = self.statement(&self.sql.events_between_versions)?;
                statement.query((rest.stream, above, stop, one_more))
            }
            From::Position(above) => {
                statement = self.statement(&self.sql.unversioned_after_position)?;
                statement.query([rest.stream, *above, one_more])
            }
            From::Any(above) => {
                statement = self.statement(&self.sql.any_after_position)?;
                statement.query([rest.stream, *above, one_more])
            }
        }
        .map_err(|error| self.failed(error))?;
        let mut last = None;
        while let Some(row) = rows.next().map_err(|error| self.failed(error))? {
            let event = progress.reader.event(row);
            if rest.room.is_some_and(|room| !room.is_for(&event)) {
                progress.loaded.has_more = true;
                return Ok(progress);
            }
            if now.as_mut().is_some_and(|now| !now.take(&event)) {
                let from = match last {
                    Some((version, position)) => rest.from.behind(version, position),
                    None => rest.from,
                };
                progress.rest = Some(Rest { from, ..rest });
                return Ok(progress);
            }
            let _ = rest.room.as_mut().map(|room| room.take(&event));
            let version = RawVersion::of(row, 1).map_err(|error| self.failed(error))?;
            last = Some((version, event.position));
            progress.loaded.events.push(event);
        }
        if let From::Position(_) = rest.from {
            progress.rest = Some(Rest { from: From::START, ..rest });
            return self.load_on(progress, now);
        }
        Ok(progress)
    }

    /// All events of a stream. Makes room for as many as its last version tells.
    fn all(&self, stream: i64, request: &LoadRequest, loaded: &mut LoadedStream) -> Result<Option<From>> {
        let versions = self.first(&self.sql.versions, [stream], |row| {
            Ok((row.get::<_, Option<bool>>(0)?, row.get::<_, i64>(1).ok()))
        })?;
        let Some((Some(unversioned), last)) = versions else { return Ok(None) };
        let events = usize::try_from(last.unwrap_or(0)).unwrap_or(0);
        loaded.events.reserve_exact(events.min(request.limit.unwrap_or(PART)).min(PART));
        Ok(Some(if unversioned { From::Position(0) } else { From::START }))
    }

    /// Whether a version of the stream is none, and stands before or behind all others: who reads in pages would pass its event.
    fn is_misnumbered(&self, stream: i64) -> Result<bool> {
        Ok(self.first(&self.sql.is_misnumbered, [stream], |row| row.get(0))?.unwrap_or(false))
    }

    /// All events behind one of the stream's; nothing if it is there no more.
    fn after(&self, stream: i64, position: Position) -> Result<Option<From>> {
        let position = position.to_i64();
        let at = self.first(&self.sql.version_at, [position, stream], |row| RawVersion::of(row, 0))?;
        Ok(at.map(|version| match version.is_null() {
            true => From::Position(position),
            false => From::Versions(version, None),
        }))
    }

    /// One event: that of an id, or the last one, by version; without versions, by position.
    fn one(
        &self,
        stream: i64,
        request: &LoadRequest,
        reader: &mut EventReader,
    ) -> Result<Option<StoredEvent>> {
        let read = |row: &Row<'_>| Ok(reader.event(row));
        match request.span {
            Span::Event(id) => self.first(&self.sql.event_of_stream, (stream, hex(id)), read),
            _ => self.first(&self.sql.last_event, [stream], read),
        }
    }

    /// What stands in for the first events. What cannot be read is passed over.
    fn snapshot(
        &self,
        stream: i64,
        request: &LoadRequest,
        reader: &mut EventReader,
    ) -> Result<Option<StoredEvent>> {
        match request.span {
            Span::FromSnapshot { names, up_to } => self.newest_snapshot(stream, names, up_to, reader),
            Span::FromState { name, format } => {
                let read = |row: &Row<'_>| Ok(readable(reader.event(row)));
                Ok(self.first(&self.sql.state, (stream, name, format), read)?.flatten())
            }
            _ => Ok(None),
        }
    }

    /// The newest snapshot of these names that is not a leftover of a deleted stream.
    fn newest_snapshot(
        &self,
        stream: i64,
        names: &[&str],
        up_to: Version,
        reader: &mut EventReader,
    ) -> Result<Option<StoredEvent>> {
        let mut statement = self.statement(&self.sql.snapshots)?;
        let mut rows =
            statement.query((stream, stored_version(up_to))).map_err(|error| self.failed(error))?;
        while let Some(row) = rows.next().map_err(|error| self.failed(error))? {
            if row.get_ref(3).is_ok_and(|name| name.as_str().is_ok_and(|name| names.contains(&name)))
                && let Some(snapshot) = readable(reader.event(row))
            {
                return Ok(Some(snapshot));
            }
        }
        Ok(None)
    }
}

impl From {
    /// Whatever has a version. Ours begin at 1; the reference's callers number as they like.
    const START: Self = Self::Versions(RawVersion::NoText(Value::Real(f64::NEG_INFINITY)), None);

    fn above(version: Version) -> Self {
        Self::Versions(RawVersion::number(stored_version(version)), None)
    }

    fn behind(self, version: RawVersion, position: Position) -> Self {
        match self {
            Self::Versions(_, stop) => Self::Versions(version, stop),
            Self::Position(_) => Self::Position(position.to_i64()),
            Self::Any(_) => Self::Any(position.to_i64()),
        }
    }
}

/// A snapshot, unless it cannot be read: then history decides.
fn readable(snapshot: StoredEvent) -> Option<StoredEvent> {
    let Some(problem) = &snapshot.unreadable else { return Some(snapshot) };
    tracing::warn!(%problem, "a snapshot cannot be read and is passed over");
    None
}

/// What stands in a column of versions, whatever it is.
pub(super) enum RawVersion {
    NoText(Value),
    /// Which need not be UTF-8.
    Text(Vec<u8>),
}

impl RawVersion {
    fn number(version: i64) -> Self {
        Self::NoText(Value::Integer(version))
    }

    pub(super) fn of(row: &Row<'_>, index: usize) -> rusqlite::Result<Self> {
        Ok(match row.get_ref(index)? {
            ValueRef::Text(text) => Self::Text(text.to_owned()),
            other => Self::NoText(other.try_into()?),
        })
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::NoText(Value::Null))
    }
}

impl ToSql for RawVersion {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::NoText(version) => version.to_sql(),
            Self::Text(text) => Ok(ToSqlOutput::Borrowed(ValueRef::Text(text))),
        }
    }
}

/// A version as SQLite holds it; no stream is longer.
fn stored_version(version: Version) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::RawVersion;

    #[test]
    fn a_version_that_is_text_stands_where_it_stood_also_if_it_is_no_utf_8() {
        let connection = Connection::open_in_memory().unwrap();
        for text in ["''", "'two'", "CAST(x'8f' AS TEXT)", "CAST(x'90' AS TEXT)", "CAST(x'ff' AS TEXT)"] {
            let version =
                connection.query_row(&format!("SELECT {text}"), [], |row| RawVersion::of(row, 0)).unwrap();
            let stands = format!(
                "SELECT ?1 = {text} AND ?1 > 7 AND ?1 < {text} || 'a' AND ?1 < x'' AND typeof(?1) = 'text'"
            );
            assert!(connection.query_row(&stands, [version], |row| row.get::<_, bool>(0)).unwrap(), "{text}");
        }
    }
}

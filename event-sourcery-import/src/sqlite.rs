//! Stores of others in a SQLite file.

mod layouts;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use event_sourcery::jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row, Rows, params};

use self::layouts::Layout;
use crate::error::{Cause, ImportError, Result};
use crate::source::{ForeignEvent, ForeignStream, ForeignTime, Order, PAGE_BYTES, Source, StreamCount};

/// What stands for the id of a stream that has none that is text.
const NAMELESS: &str = "(its id is no text)";

/// How long a writer is waited for, where one keeps readers out.
const BUSY: Duration = Duration::from_secs(30);

/// A store of another program's in a SQLite file, which is opened for reading only.
///
/// # Why nothing is missed
///
/// A file has one writer at a time, and a row's number is given within its transaction, one above the highest that is there. So the rows
/// of a transaction stand above everything that was committed before it: whatever stands at or below the highest number that a reader
/// sees is complete. The exception are rows that are erased: SQLite gives the highest numbers again, and `VACUUM` may number anew. A
/// [mark](crate::Mark) finds that out where the event that it names has changed, and the [last step](crate::Import::compare) in any case.
#[derive(Debug)]
pub struct SqliteSource {
    name: String,
    layout: Layout,
    connection: Arc<Mutex<Connection>>,
}

impl SqliteSource {
    /// An application of `eventsourcing` for Python: the table `stored_events`, which all applications of one file share.
    ///
    /// An event has no id, no metadata and no category; its time is its own, and stands in its state under `timestamp`.
    ///
    /// # Errors
    ///
    /// [`ImportError::Source`] where the file cannot be opened, [`ImportError::Layout`] where it has no such table.
    pub async fn eventsourcing(path: impl AsRef<Path>) -> Result<Self> {
        Self::open(path.as_ref(), layouts::EVENTSOURCING).await
    }

    /// Emmett: the table `emt_messages`, with what is archived. The partition is that of the stream; `emt:default` is none.
    ///
    /// Times are whole seconds. What Emmett adds to the metadata (`streamName`, `messageId`, `streamPosition`) is left out. Versions may
    /// have [holes](crate::Holes): a refused append raises the stream's version.
    ///
    /// # Errors
    ///
    /// As for [`eventsourcing`](Self::eventsourcing).
    pub async fn emmett(path: impl AsRef<Path>) -> Result<Self> {
        Self::open(path.as_ref(), layouts::EMMETT).await
    }

    /// cqrs-es: the table `events`. The type of an aggregate is the category.
    ///
    /// An event has neither id nor time nor a place in an order across streams: see [`TimeRule`](crate::TimeRule), and
    /// [`PayloadRule::Tagged`](crate::PayloadRule::Tagged) for the payload.
    ///
    /// # Errors
    ///
    /// As for [`eventsourcing`](Self::eventsourcing).
    pub async fn cqrs_es(path: impl AsRef<Path>) -> Result<Self> {
        Self::open(path.as_ref(), layouts::CQRS_ES).await
    }

    /// The same, where the table of events has another name: the one that `with_tables` of cqrs-es was given, which is SQL.
    ///
    /// # Errors
    ///
    /// As for [`eventsourcing`](Self::eventsourcing).
    pub async fn cqrs_es_in(path: impl AsRef<Path>, table: impl Into<String>) -> Result<Self> {
        Self::open(path.as_ref(), layouts::CQRS_ES.in_table(table.into())).await
    }

    /// mire: the table `es_events`. The time is when the event was written, in microseconds; an event has no id. The category is that of
    /// the stream, which its first append has named; another one that a later append has named is left out.
    ///
    /// # Errors
    ///
    /// As for [`eventsourcing`](Self::eventsourcing).
    pub async fn mire(path: impl AsRef<Path>) -> Result<Self> {
        Self::open(path.as_ref(), layouts::MIRE).await
    }

    async fn open(path: &Path, layout: Layout) -> Result<Self> {
        let name = format!("{} in {}", layout.name, path.display());
        let path = path.to_owned();
        let opened = tokio::task::spawn_blocking(move || -> rusqlite::Result<Connection> {
            let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            connection.busy_timeout(BUSY)?;
            Ok(connection)
        });
        let connection = failed(&name, opened.await)?;
        let source = Self { name, layout, connection: Arc::new(Mutex::new(connection)) };
        let (name, looked_at) = (source.name.clone(), source.layout.select("LIMIT 0"));
        let checked = source.on(move |connection| Ok(connection.prepare(&looked_at).map(drop))).await?;
        checked.map_err(|problem| ImportError::Layout { name, problem: problem.to_string() })?;
        Ok(source)
    }

    /// Runs this where it may block.
    async fn on<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let connection = Arc::clone(&self.connection);
        let done = tokio::task::spawn_blocking(move || {
            work(&connection.lock().unwrap_or_else(PoisonError::into_inner))
        });
        failed(&self.name, done.await)
    }
}

fn failed<T>(name: &str, done: Result<rusqlite::Result<T>, tokio::task::JoinError>) -> Result<T> {
    let done = done.map_err(Cause::from).and_then(|done| done.map_err(Cause::from));
    done.map_err(|source| ImportError::Source { name: name.to_owned(), source })
}

#[async_trait]
impl Source for SqliteSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn order(&self) -> Order {
        self.layout.order
    }

    async fn horizon(&mut self) -> Result<i64> {
        let Layout { table, position, .. } = &self.layout;
        let sql = format!("SELECT coalesce(max({position}), 0) FROM {table}");
        self.on(move |connection| connection.query_row(&sql, [], |row| row.get(0))).await
    }

    async fn page(&mut self, after: i64, up_to: i64, limit: usize) -> Result<Vec<ForeignEvent>> {
        let (layout, position) = (self.layout.clone(), self.layout.position);
        let sql = layout
            .select(&format!("WHERE {position} > ?1 AND {position} <= ?2 ORDER BY {position} LIMIT ?3"));
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.on(move |connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            page_of(&layout, statement.query(params![after, up_to, limit])?)
        })
        .await
    }

    async fn streams(&mut self) -> Result<Vec<StreamCount>> {
        let Layout { table, category, stream, partition, .. } = &self.layout;
        let sql = format!(
            "SELECT {category}, CAST({stream} AS TEXT), {partition}, count(*) FROM {table} GROUP BY 1, 2, 3"
        );
        self.on(move |connection| {
            let mut statement = connection.prepare(&sql)?;
            let rows = statement.query_map([], |row| {
                let events = row.get::<_, i64>(3)?.unsigned_abs();
                let (Ok(category), Ok(Some(id)), Ok(partition)) =
                    (place(row, 0)?, place(row, 1)?, place(row, 2)?)
                else {
                    // Of a stream that cannot be told, a name that no stream has: so the two are not equal.
                    let stream = ForeignStream { category: None, id: NAMELESS.to_owned(), partition: None };
                    return Ok(StreamCount { stream, events });
                };
                Ok(StreamCount { stream: ForeignStream { category, id, partition }, events })
            })?;
            rows.collect()
        })
        .await
    }

    async fn events_of(
        &mut self,
        stream: &ForeignStream,
        after: i64,
        limit: usize,
    ) -> Result<Vec<ForeignEvent>> {
        let layout = self.layout.clone();
        let Layout { stream_is, version, position, .. } = &layout;
        let sql = layout
            .select(&format!(
                "WHERE {stream_is} AND typeof({version}) = 'integer' AND {version} > ?4 ORDER BY {version}, {position} LIMIT ?5"
            ));
        let ForeignStream { category, id, partition } = stream.clone();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.on(move |connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            page_of(&layout, statement.query(params![id, category, partition, after, limit])?)
        })
        .await
    }
}

fn page_of(layout: &Layout, mut rows: Rows<'_>) -> rusqlite::Result<Vec<ForeignEvent>> {
    let (mut events, mut bytes) = (Vec::new(), 0);
    while bytes < PAGE_BYTES
        && let Some(row) = rows.next()?
    {
        let event = event(layout, row)?;
        bytes += event.size();
        events.push(event);
    }
    Ok(events)
}

fn event(layout: &Layout, row: &Row<'_>) -> rusqlite::Result<ForeignEvent> {
    let at = match row.get_ref(10)? {
        ValueRef::Integer(microseconds) => Timestamp::from_microsecond(microseconds).ok(),
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()),
        ValueRef::Null | ValueRef::Blob(_) | ValueRef::Real(_) => None,
    };
    let elsewhere = layout.time_in_payload.map_or(ForeignTime::Unknown, ForeignTime::InPayload);
    // A row may hold anything in any column: one that says nothing of its place is told as an event that cannot be meant, and ends no run.
    let (category, stream, partition) = (place(row, 1)?, place(row, 2)?, place(row, 3)?);
    let is_whole = category.is_ok() && stream.as_ref().is_ok_and(Option::is_some) && partition.is_ok();
    let either = |part: Result<Option<String>, String>| part.unwrap_or_else(Some);
    let stream = ForeignStream {
        category: either(category),
        id: either(stream).unwrap_or_default(),
        partition: either(partition),
    };
    let version = match row.get_ref(4)? {
        ValueRef::Integer(version) => version,
        _ => i64::MIN,
    };
    Ok(ForeignEvent {
        position: row.get(0)?,
        stream,
        version,
        id: text(row, 5)?,
        event_type: text(row, 6)?.filter(|_| is_whole),
        payload: json(row, 7)?,
        // What is no text is kept as one that is no JSON, so that it is told.
        metadata: json(row, 8)?.map(|bytes| String::from_utf8(bytes).unwrap_or_default()),
        form: text(row, 9)?,
        time: at.map_or(elsewhere, ForeignTime::At),
    })
}

/// The bytes of JSON. A column of the type `JSONB`, as Emmett has it, makes a number of a text that is one.
fn json(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Vec<u8>>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes.to_vec()),
        ValueRef::Integer(number) => Some(number.to_string().into_bytes()),
        ValueRef::Real(number) if number.is_finite() => serde_json::to_vec(&number).ok(),
        ValueRef::Null | ValueRef::Real(_) => None,
    })
}

/// A part of what a stream is called; where it is no text, what can be shown of it.
fn place(row: &Row<'_>, column: usize) -> rusqlite::Result<Result<Option<String>, String>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(String::from_utf8_lossy(bytes).into_owned()),
        },
        ValueRef::Integer(number) => Err(number.to_string()),
        ValueRef::Real(number) => Err(number.to_string()),
        ValueRef::Blob(bytes) => Err(String::from_utf8_lossy(bytes).into_owned()),
    })
}

/// A text; none where there is none, or where it is no text.
fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok().map(str::to_owned),
        ValueRef::Null | ValueRef::Blob(_) | ValueRef::Integer(_) | ValueRef::Real(_) => None,
    })
}

//! What a store holds after something happened to it, and whether that is what was acknowledged.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use event_sourcery::{EventStore, Position};
use event_sourcery_conformance::history::{Acknowledged, Flaw, Found, History};
use event_sourcery_sqlite::rusqlite::{Connection, Result};
use event_sourcery_sqlite::{SqliteBackend, SqliteOptions, Synchronous};
use uuid::Uuid;

use crate::appender::{Appender, Kind, Marked, make_own_table};

/// The appends of a store whose file is intact, each of them whole.
#[derive(Debug, Default)]
pub(crate) struct Survived {
    /// In the order of their positions.
    pub(crate) order: Vec<Uuid>,
    last_position: i64,
    pub(crate) events: usize,
    log: Vec<Found>,
    last_row: i64,
}

impl Survived {
    /// All that the store holds.
    ///
    /// # Errors
    ///
    /// What is wrong with it: damage, half an append, a row without its event, versions or positions out of order.
    pub(crate) async fn read(store: &EventStore<SqliteBackend>) -> Result<Self, String> {
        Self::read_on(store, &Self::default()).await
    }

    /// What the store holds beyond what was read before, which has to be there still.
    pub(crate) async fn read_on(store: &EventStore<SqliteBackend>, before: &Self) -> Result<Self, String> {
        let mut survived =
            Self { last_position: before.last_position, last_row: before.last_row, ..Self::default() };
        let (mut with_row, mut known) = (BTreeSet::new(), HashSet::new());
        let mut events = store.read_all::<Marked>().after(Position::from_i64(before.last_position)).stream();
        while let Some(recorded) = events.try_next().await.map_err(|error| error.to_string())? {
            let Marked { append, of, with_row: has_row, .. } = recorded.wrapped_event.event;
            survived.log.push(Found::new(&recorded, append, of));
            if known.insert(append) {
                survived.order.push(append);
            }
            if has_row {
                with_row.insert(append.to_string());
            }
        }
        survived.check_order()?;
        let (up_to, row) = (before.last_position, before.last_row);
        let file = store.transaction(move |tx| File::read(tx.connection(), up_to, row)).await;
        let file = file.map_err(|WrongFile(problem)| problem)?;
        if file.events_before != before.events {
            return Err(format!(
                "{} events were there, {} of them are left",
                before.events, file.events_before
            ));
        }
        survived.events = survived.log.len() + before.events;
        survived.last_row = file.rows.keys().last().copied().unwrap_or(row);
        let rows: BTreeSet<String> = file.rows.into_values().collect();
        if rows != with_row {
            let differing = rows.symmetric_difference(&with_row);
            return Err(format!("own rows and their events differ: {differing:?}"));
        }
        Ok(survived)
    }

    /// Whether appends are whole, and versions and positions in order, from what was read before on.
    fn check_order(&mut self) -> Result<(), String> {
        let flaws = History::default().judge(&self.log);
        if !flaws.is_empty() {
            return Err(format!("{flaws:?}"));
        }
        if let [first, ..] = self.log.as_slice()
            && first.place.position <= self.last_position
        {
            return Err(format!("position {} follows {}", first.place.position, self.last_position));
        }
        self.last_position = self.log.last().map_or(self.last_position, |last| last.place.position);
        Ok(())
    }

    pub(crate) fn holds(&self, append: Uuid) -> bool {
        self.order.contains(&append)
    }

    /// What is wrong where these were acknowledged: those that are not there, or not where their answer said.
    pub(crate) fn missing<'a>(&self, acknowledged: impl IntoIterator<Item = &'a Acknowledged>) -> Vec<Flaw> {
        let mut history = History::default();
        acknowledged.into_iter().for_each(|acknowledged| history.acknowledged(acknowledged.clone()));
        history.judge(&self.log)
    }
}

/// What SQL tells about the file.
struct File {
    /// The rows of the caller's own table, by their number.
    rows: BTreeMap<i64, String>,
    events_before: usize,
}

/// What is wrong with a file.
struct WrongFile(String);

impl From<event_sourcery::Error> for WrongFile {
    fn from(error: event_sourcery::Error) -> Self {
        Self(error.to_string())
    }
}

impl File {
    fn read(connection: &Connection, position: i64, row: i64) -> Result<Self, WrongFile> {
        let wrong = |error: event_sourcery_sqlite::rusqlite::Error| WrongFile(error.to_string());
        let integrity: String =
            connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).map_err(wrong)?;
        if integrity != "ok" {
            return Err(WrongFile(integrity));
        }
        let orphans: usize = connection
            .query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0))
            .map_err(wrong)?;
        if orphans != 0 {
            return Err(WrongFile(format!("{orphans} rows refer to nothing")));
        }
        let count = "SELECT count(*) FROM event_sourcery_events WHERE id <= ?1";
        let events_before = connection.query_row(count, [position], |row| row.get(0)).map_err(wrong)?;
        let rows = rows(connection, row).map_err(wrong)?;
        Ok(Self { rows, events_before })
    }
}

fn rows(connection: &Connection, after: i64) -> Result<BTreeMap<i64, String>> {
    if !connection.table_exists(None, "notes")? {
        return Ok(BTreeMap::new());
    }
    let mut statement = connection.prepare("SELECT id, append FROM notes WHERE id > ?1")?;
    statement.query_map([after], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Opens what is left of a store, with the platform's own VFS.
pub(crate) async fn reopen(path: impl AsRef<Path>) -> event_sourcery::Result<EventStore<SqliteBackend>> {
    // Nothing happens to it any more: that it is not synced only makes the test faster.
    Ok(EventStore::new(SqliteOptions::new(path).synchronous(Synchronous::Off).open().await?))
}

/// Reads what is left of a store, and checks that nothing acknowledged is missing and that it goes on working.
pub(crate) async fn examine(
    path: impl AsRef<Path>,
    acknowledged: &[Acknowledged],
) -> Result<Survived, String> {
    let store = reopen(path).await.map_err(|error| error.to_string())?;
    let survived = Survived::read(&store).await?;
    let missing = survived.missing(acknowledged);
    if !missing.is_empty() {
        return Err(format!("{} of {} acknowledged appends are missing", missing.len(), acknowledged.len()));
    }
    goes_on(&store, acknowledged).await?;
    Ok(survived)
}

/// Appends in every way, above every position that was given before.
async fn goes_on(store: &EventStore<SqliteBackend>, acknowledged: &[Acknowledged]) -> Result<(), String> {
    make_own_table(store).await.map_err(|error| error.to_string())?;
    let given = acknowledged.iter().flat_map(|append| &append.places).map(|place| place.position).max();
    let mut appender = Appender::new(store);
    for kind in Kind::ALL {
        let new = appender.append(kind).await.map_err(|refused| refused.error.to_string())?;
        if new.places.iter().any(|place| Some(place.position) <= given) {
            return Err(format!("{new:?} reuses a position: {given:?} was given"));
        }
    }
    Survived::read(store).await.map(drop)
}

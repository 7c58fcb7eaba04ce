//! A caller that appends in every way there is, and events that tell on their own what they were appended with.

use event_sourcery::{Appended, Error, Event, EventStore, Result, StreamId, Version};
use event_sourcery_conformance::history::Acknowledged;
use event_sourcery_sqlite::SqliteBackend;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An event that knows its append: whether all of it is there can be told from the events alone.
#[derive(Event, Serialize, Deserialize, Debug)]
#[event(name = "Marked")]
pub(crate) struct Marked {
    pub(crate) append: Uuid,
    /// How many events the append has, in all its streams.
    pub(crate) of: usize,
    /// Whether a row of the caller's own table belongs to it.
    pub(crate) with_row: bool,
    padding: String,
}

/// The ways to append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    One,
    Several,
    TwoStreams,
    Unversioned,
    WithOwnRow,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] =
        [Self::One, Self::Several, Self::TwoStreams, Self::Unversioned, Self::WithOwnRow];
    /// Those that are made again where what they share a transaction with fails: all but closures.
    pub(crate) const GROUPED: [Self; 4] = [Self::One, Self::Several, Self::TwoStreams, Self::Unversioned];
}

/// An append that was answered with an error.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) append: Uuid,
    pub(crate) error: Error,
}

/// Appends to streams of its own, each time at the version that the last acknowledgement left.
#[derive(Debug)]
pub(crate) struct Appender {
    store: EventStore<SqliteBackend>,
    streams: [(StreamId, Option<Version>); 2],
    unversioned: StreamId,
    padding: usize,
}

impl Appender {
    pub(crate) fn new(store: &EventStore<SqliteBackend>) -> Self {
        let streams = [(StreamId::random(), None), (StreamId::random(), None)];
        let unversioned = StreamId::from_name("shared by all, without versions").unwrap();
        Self { store: store.clone(), streams, unversioned, padding: 100 }
    }

    /// With payloads of about this many bytes.
    pub(crate) fn padded(self, padding: usize) -> Self {
        Self { padding, ..self }
    }

    pub(crate) async fn append(&mut self, kind: Kind) -> Result<Acknowledged, Refused> {
        let append = Uuid::now_v7();
        let appended = match kind {
            Kind::One => self.one(append, 1).await,
            Kind::Several => self.one(append, 3).await,
            Kind::TwoStreams => self.two_streams(append).await,
            Kind::Unversioned => self.unversioned(append).await,
            Kind::WithOwnRow => self.with_own_row(append).await,
        };
        match appended {
            Ok(places) => Ok(self.acknowledged(append, places)),
            Err(error) => Err(Refused { append, error }),
        }
    }

    async fn one(&self, append: Uuid, count: usize) -> Result<Vec<(StreamId, Appended)>> {
        let (stream, version) = &self.streams[0];
        let events = self.events(append, count, count, false);
        Ok(vec![(stream.clone(), self.store.append(stream, events).expected_version(*version).await?)])
    }

    async fn two_streams(&self, append: Uuid) -> Result<Vec<(StreamId, Appended)>> {
        let [(first, first_version), (second, second_version)] = &self.streams;
        let appended = self
            .store
            .append(first, self.events(append, 2, 3, false))
            .expected_version(*first_version)
            .and(second, self.events(append, 1, 3, false))
            .expected_version(*second_version)
            .await?;
        Ok([first.clone(), second.clone()].into_iter().zip(appended).collect())
    }

    async fn unversioned(&self, append: Uuid) -> Result<Vec<(StreamId, Appended)>> {
        let events = self.events(append, 2, 2, false);
        let appended = self.store.append(&self.unversioned, events).no_versioning().await?;
        Ok(vec![(self.unversioned.clone(), appended)])
    }

    async fn with_own_row(&self, append: Uuid) -> Result<Vec<(StreamId, Appended)>> {
        let ((stream, version), events) = (self.streams[1].clone(), self.events(append, 1, 1, true));
        self.store
            .transaction(move |tx| {
                note(tx.connection(), append)?;
                let appended = tx.append(&stream, events).expected_version(version).run()?;
                Ok(vec![(stream, appended)])
            })
            .await
    }

    fn events(&self, append: Uuid, count: usize, of: usize, with_row: bool) -> Vec<Marked> {
        let padding = || append.simple().to_string().repeat(self.padding.div_ceil(32));
        (0..count).map(|_| Marked { append, of, with_row, padding: padding() }).collect()
    }

    fn acknowledged(&mut self, append: Uuid, appended: Vec<(StreamId, Appended)>) -> Acknowledged {
        for (stream, appended) in &appended {
            if let Some(own) = self.streams.iter_mut().find(|(own, _)| own == stream) {
                own.1 = appended.last_version;
            }
        }
        Acknowledged::new(append, appended)
    }
}

/// Makes the table of the caller's own that [`Kind::WithOwnRow`] writes to.
pub(crate) async fn make_own_table(store: &EventStore<SqliteBackend>) -> Result<()> {
    let sql = "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, append TEXT NOT NULL UNIQUE)";
    store.transaction(move |tx| tx.connection().execute_batch(sql).map_err(own_error)).await
}

fn note(connection: &event_sourcery_sqlite::rusqlite::Connection, append: Uuid) -> Result<()> {
    let noted = connection.execute("INSERT INTO notes (append) VALUES (?1)", [append.to_string()]);
    noted.map(drop).map_err(own_error)
}

/// SQLite's answer to the caller's own statement, as the error of a closure that has no error type of its own.
pub(crate) fn own_error(error: event_sourcery_sqlite::rusqlite::Error) -> Error {
    Error::backend("own table", error)
}

/// Makes the store write a checkpoint after every so many pages.
pub(crate) async fn checkpoint_every(store: &EventStore<SqliteBackend>, pages: u32) -> Result<()> {
    store
        .transaction(move |tx| {
            tx.connection().pragma_update(None, "wal_autocheckpoint", pages).map_err(own_error)
        })
        .await
}

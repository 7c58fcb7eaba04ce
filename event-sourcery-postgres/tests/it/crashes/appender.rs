//! A caller that appends in every way there is, repeats what it got no answer for, and events that tell on their own what
//! they were appended with.

use event_sourcery::{Appended, Error, Event, NewEvent, Result, StreamId};
use event_sourcery_conformance::history::Acknowledged;
use event_sourcery_postgres::sqlx;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::scene::Store;

/// An event that knows its append: whether all of it is there can be told from the events alone.
#[derive(Event, Serialize, Deserialize, Debug, Clone)]
#[event(name = "Marked")]
pub(super) struct Marked {
    pub(super) append: Uuid,
    /// How many events the append has, in all its streams.
    pub(super) of: usize,
    /// Whether a row of the caller's own table belongs to it.
    pub(super) with_row: bool,
}

/// The ways to append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    One,
    Several,
    TwoStreams,
    Unversioned,
    WithOwnRow,
}

impl Kind {
    pub(super) const ALL: [Self; 5] =
        [Self::One, Self::Several, Self::TwoStreams, Self::Unversioned, Self::WithOwnRow];

    fn count(self) -> usize {
        match self {
            Self::One | Self::WithOwnRow => 1,
            Self::Unversioned => 2,
            Self::Several | Self::TwoStreams => 3,
        }
    }
}

/// An append that can be made again: it has the same ids each time.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) append: Uuid,
    kind: Kind,
    ids: Vec<Uuid>,
}

impl Attempt {
    pub(super) fn new(kind: Kind) -> Self {
        let ids = (0..kind.count()).map(|_| Uuid::now_v7()).collect();
        Self { append: Uuid::now_v7(), kind, ids }
    }

    fn events(&self) -> Vec<NewEvent<Marked>> {
        let (append, of, with_row) = (self.append, self.ids.len(), self.kind == Kind::WithOwnRow);
        self.ids.iter().map(|id| Marked { append, of, with_row }.with_id(*id)).collect()
    }
}

/// Appends to streams of its own, each time at the version that the last acknowledgement left, and to one that all share.
#[derive(Debug)]
pub(super) struct Appender {
    store: Store,
    streams: [(StreamId, Option<u64>); 2],
    unversioned: StreamId,
}

impl Appender {
    pub(super) fn new(store: &Store) -> Self {
        let streams = [(StreamId::random(), None), (StreamId::random(), None)];
        let unversioned = StreamId::from_name("shared by all, without versions").unwrap();
        Self { store: store.clone(), streams, unversioned }
    }

    pub(super) async fn attempt(&mut self, attempt: &Attempt) -> Result<Acknowledged> {
        let appended = match attempt.kind {
            Kind::One | Kind::Several => vec![self.one(attempt).await?],
            Kind::TwoStreams => self.two_streams(attempt).await?,
            Kind::Unversioned => {
                vec![self.store.append(&self.unversioned, attempt.events()).no_versioning().await?]
            }
            Kind::WithOwnRow => vec![self.with_own_row(attempt).await?],
        };
        let own = match attempt.kind {
            Kind::Unversioned => &mut [],
            Kind::WithOwnRow => &mut self.streams[1..],
            _ => &mut self.streams[..],
        };
        for ((_, version), appended) in own.iter_mut().zip(&appended) {
            *version = appended.last_version;
        }
        let streams = match attempt.kind {
            Kind::Unversioned => vec![self.unversioned.clone()],
            Kind::WithOwnRow => vec![self.streams[1].0.clone()],
            _ => self.streams.iter().map(|(stream, _)| stream.clone()).collect(),
        };
        Ok(Acknowledged::new(attempt.append, streams.into_iter().zip(appended)))
    }

    async fn one(&self, attempt: &Attempt) -> Result<Appended> {
        let (stream, version) = &self.streams[0];
        self.store.append(stream, attempt.events()).expected_version(*version).await
    }

    async fn two_streams(&self, attempt: &Attempt) -> Result<Vec<Appended>> {
        let [(first, first_version), (second, second_version)] = &self.streams;
        let (mut events, last) = (attempt.events(), attempt.events().split_off(2));
        events.truncate(2);
        self.store
            .append(first, events)
            .expected_version(*first_version)
            .and(second, last)
            .expected_version(*second_version)
            .await
    }

    async fn with_own_row(&self, attempt: &Attempt) -> Result<Appended> {
        let (stream, version) = &self.streams[1];
        let mut tx = self.store.backend().begin().await?;
        let note =
            sqlx::query("INSERT INTO notes (append) VALUES ($1) ON CONFLICT DO NOTHING").bind(attempt.append);
        // The caller's own statement: the error is sqlx's, and nothing was committed.
        note.execute(&mut **tx).await.map_err(Error::unavailable)?;
        let append = self.store.within(&mut tx).append(stream, attempt.events());
        let appended = append.expected_version(*version).await?;
        tx.commit().await?;
        Ok(appended)
    }
}

/// The table of the caller's own that [`Kind::WithOwnRow`] writes to.
pub(super) const OWN_TABLE: &str = "CREATE TABLE IF NOT EXISTS notes (append uuid PRIMARY KEY)";

//! What a store holds after something happened to it, and whether that is what was acknowledged.

use std::collections::{BTreeSet, HashSet};

use event_sourcery_conformance::history::{Acknowledged, Flaw, Found, History};
use event_sourcery_postgres::sqlx;
use uuid::Uuid;

use super::appender::Marked;
use crate::scene::{Scene, until};

/// The appends of a store, each of them whole.
#[derive(Debug, Default)]
pub(super) struct Survived {
    pub(super) appends: HashSet<Uuid>,
    pub(super) events: usize,
    log: Vec<Found>,
}

impl Survived {
    /// All that the store holds. Panics where an append is half there, a row is without its event, versions or positions
    /// are out of order, or the settled position stays behind.
    pub(super) async fn read(scene: &Scene) -> Self {
        let newest = scene.number("SELECT coalesce(max(id), 0) FROM event_sourcery_events").await;
        until(async || scene.store.position().await.is_ok_and(|settled| settled.to_i64() >= newest)).await;
        let (mut survived, mut with_row) = (Self::default(), BTreeSet::new());
        let mut events = scene.store.read_all::<Marked>().stream();
        while let Some(recorded) = events.try_next().await.unwrap() {
            let Marked { append, of, with_row: has_row } = recorded.wrapped_event.event;
            survived.log.push(Found::new(&recorded, append, of));
            survived.appends.insert(append);
            if has_row {
                with_row.insert(append);
            }
        }
        survived.events = survived.log.len();
        survived.check([]);
        assert_eq!(scene.events().await, survived.events as i64, "all of it was handed out");
        let notes: Vec<Uuid> =
            sqlx::query_scalar("SELECT append FROM notes").fetch_all(&scene.pool).await.unwrap();
        assert_eq!(notes.into_iter().collect::<BTreeSet<_>>(), with_row, "own rows and their events");
        survived
    }

    /// Panics where something acknowledged is not there, or not where its answer said.
    pub(super) fn check<'a>(&self, acknowledged: impl IntoIterator<Item = &'a Acknowledged>) {
        assert_eq!(self.flaws(acknowledged), Vec::<Flaw>::new());
    }

    /// What is wrong where these were acknowledged.
    pub(super) fn flaws<'a>(&self, acknowledged: impl IntoIterator<Item = &'a Acknowledged>) -> Vec<Flaw> {
        let mut history = History::default();
        acknowledged.into_iter().for_each(|acknowledged| history.acknowledged(acknowledged.clone()));
        history.judge(&self.log)
    }
}

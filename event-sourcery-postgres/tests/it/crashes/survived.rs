//! What a store holds after something happened to it, and whether that is what was acknowledged.

use std::collections::{BTreeSet, HashMap, HashSet};

use event_sourcery_postgres::sqlx;
use uuid::Uuid;

use super::appender::{Acknowledged, Marked};
use crate::scene::{Scene, until};

/// The appends of a store, each of them whole.
#[derive(Debug, Default)]
pub(super) struct Survived {
    pub(super) appends: HashSet<Uuid>,
    pub(super) events: usize,
    positions: HashMap<Uuid, BTreeSet<i64>>,
}

impl Survived {
    /// All that the store holds. Panics where an append is half there, a row is without its event, versions or positions
    /// are out of order, or the settled position stays behind.
    pub(super) async fn read(scene: &Scene) -> Self {
        let newest = scene.number("SELECT coalesce(max(id), 0) FROM event_sourcery_events").await;
        until(async || scene.store.position().await.is_ok_and(|settled| settled.to_i64() >= newest)).await;
        let (mut survived, mut last, mut versions) = (Self::default(), 0, HashMap::new());
        let (mut of, mut with_row) = (HashMap::new(), BTreeSet::new());
        let mut events = scene.store.read_all::<Marked>().stream();
        while let Some(recorded) = events.try_next().await.unwrap() {
            let position = recorded.position.to_i64();
            assert!(position > last, "{position} after {last}");
            last = position;
            if let Some(version) = recorded.wrapped_event.version {
                let before = versions.insert(recorded.stream_id.uuid(), version).unwrap_or(0);
                assert_eq!(version, before + 1, "of {:?}", recorded.stream_id);
            }
            let marked = recorded.wrapped_event.event;
            survived.events += 1;
            survived.positions.entry(marked.append).or_default().insert(position);
            of.insert(marked.append, marked.of);
            if marked.with_row {
                with_row.insert(marked.append);
            }
        }
        for (append, of) in of {
            assert_eq!(
                survived.positions[&append].len(),
                of,
                "half of {append} is there, or it is there twice"
            );
            survived.appends.insert(append);
        }
        assert_eq!(scene.events().await, survived.events as i64, "all of it was handed out");
        let notes: Vec<Uuid> =
            sqlx::query_scalar("SELECT append FROM notes").fetch_all(&scene.pool).await.unwrap();
        assert_eq!(notes.into_iter().collect::<BTreeSet<_>>(), with_row, "own rows and their events");
        survived
    }

    /// Panics where something acknowledged is not there, or not where its answer said.
    pub(super) fn check<'a>(&self, acknowledged: impl IntoIterator<Item = &'a Acknowledged>) {
        let is_missing = |acknowledged: &&Acknowledged| {
            let found = self.positions.get(&acknowledged.append);
            !found.is_some_and(|found| acknowledged.positions.iter().all(|position| found.contains(position)))
        };
        let missing: Vec<_> = acknowledged.into_iter().filter(is_missing).collect();
        assert!(missing.is_empty(), "{} acknowledged appends are missing: {missing:?}", missing.len());
    }
}

//! Events that the server itself cannot give, because a part of their row is lost: a page with one of them fails as a whole.
//!
//! It is read again without payloads, which is what is stored apart from the row, and then what can be had of them. The
//! events that were lost stand in the page as what cannot be read; the others are there.

mod entries;

use std::collections::HashMap;

use event_sourcery::backend::{StoredEvent, StoredRecord, lost_stream_id};
use event_sourcery::{Position, Result};

use super::Operations;
use crate::rows::EventReader;
use crate::sql::{Statement, event, statements, tags_of};
use crate::tables::Tables;

statements! {
    /// The statement about damaged events.
    DamageSql;
    /// Events at these positions.
    events_at: concat!("
        SELECT e.id, ", event!("e"), ", ", tags_of!("e"), " FROM {events} e WHERE e.id = ANY ($1)");
}

/// What could be had of some events.
pub(crate) struct Whole(HashMap<Position, Result<StoredEvent, Box<str>>>);

impl Whole {
    /// Completes an event that was read without its payload; `false` for one that was deleted meanwhile.
    pub(crate) fn complete(&mut self, event: &mut StoredEvent) -> bool {
        match self.0.remove(&event.position) {
            Some(Ok(whole)) if whole.id == event.id => *event = whole,
            Some(Err(problem)) => event.unreadable = Some(problem),
            _ => return false,
        }
        true
    }

    /// Completes an event with its place. It stays without its stream where the row of that is lost.
    pub(crate) fn complete_record(&mut self, record: &mut StoredRecord) -> bool {
        let event = &mut record.event;
        let problem = event.unreadable.take();
        let is_there = self.complete(event);
        let lost = problem.filter(|_| record.stream == lost_stream_id(event.position));
        event.unreadable = event.unreadable.take().or(lost);
        is_there
    }
}

impl Operations<'_> {
    /// What can be had of these events: by halves, so that one that is lost among many takes few statements.
    pub(crate) async fn whole(&mut self, positions: &[i64]) -> Result<Whole> {
        let (mut found, mut left, mut reader) = (HashMap::new(), vec![positions], EventReader::default());
        while let Some(part) = left.pop() {
            let query = self.sql.damage.events_at.query().bind(part);
            match self.rows(query).await {
                Ok(rows) => {
                    let events = rows.iter().map(|row| reader.event(row));
                    found.extend(events.map(|event| (event.position, Ok(event))));
                }
                Err(failure) if failure.is_damage() => match part {
                    [position] => {
                        let problem = format!("the server cannot give it: {}", failure.message());
                        found.insert(Position::from_i64(*position), Err(problem.into()));
                    }
                    many => {
                        let (first, second) = many.split_at(many.len() / 2);
                        left.extend([first, second]);
                    }
                },
                Err(failure) => return Err(self.failed(failure)),
            }
        }
        Ok(Whole(found))
    }
}

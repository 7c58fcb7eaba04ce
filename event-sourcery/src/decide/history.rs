//! Deciding on events that no store has, for tests.

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::{Folds, NewEvents, decided_on};
use crate::backend::{NewRecord, StoredEvent, StoredRecord};
use crate::context::Context;
use crate::error::Result;
use crate::event::Event;
use crate::new_event::PendingEvent;
use crate::position::Position;
use crate::stream_id::{StreamId, TenantId};
use crate::wrapped_event::Recorded;

/// What is decided on these events, and the events that it emits, as the same type reads them.
pub(crate) fn on_history<E, D, T, F>(
    history: &[E],
    mut folds: D,
    decision: impl FnOnce(&D::State, &mut NewEvents) -> Result<T, F>,
) -> Result<(Result<T, F>, Vec<E>)>
where
    E: Event,
    D: Folds,
{
    folds.begin(&mut Vec::new())?;
    let mut records = Vec::with_capacity(history.len());
    for (number, event) in (1..).zip(history) {
        let (id, now) = (Uuid::now_v7(), Timestamp::now());
        records.push(stored(PendingEvent::new(event, Context::new(), id, now)?.record, number));
    }
    let mut events = NewEvents::new(None);
    let decided = decided_on(&folds, &records, None, |state| decision(state, &mut events))?;
    let emitted = events.into_encoded()?.0.into_iter().map(|pending| {
        let record = stored(pending.record, 0);
        Recorded::<E>::decode(&record).map(Recorded::into_event)
    });
    let emitted = emitted.collect::<Result<_>>()?;
    Ok((decided, emitted))
}

/// As a store would hand it over, from a stream of its own.
fn stored(record: NewRecord, position: i64) -> StoredRecord {
    let NewRecord { id, name, data, created_at, schema_version, tags, .. } = record;
    let name = Arc::from(&*name);
    let event = StoredEvent::new(Position::from_i64(position), None, id, name, data.into(), created_at);
    let event = event.with_schema_version(schema_version).with_tags(tags);
    StoredRecord::new(StreamId::random(), TenantId::DEFAULT, event)
}

//! Whether the store's results are the model's.

use event_sourcery::{Appended, Error, Event, RawEvent, Result as StoreResult, Version, WrappedEvent};

use super::super::ledger::{Ledger, Noted, Summed};
use super::attempt::SentPart;
use super::books::{Books, Entry, Snapshot};
use super::facts::facts;
use super::operations::Body;

/// What went wrong, in words.
pub(super) type Outcome<T = ()> = Result<T, String>;

pub(super) fn agree<T: PartialEq + std::fmt::Debug>(what: &str, store: &T, model: &T) -> Outcome {
    if store == model {
        Ok(())
    } else {
        Err(format!("{what}: the store says {store:?}, the model {model:?}"))
    }
}

pub(super) fn one_of(refusals: &[Error], refused: &Error) -> Outcome {
    let expected: Vec<_> = refusals.iter().map(facts).collect();
    if expected.contains(&facts(refused)) {
        return Ok(());
    }
    Err(format!("the store refuses with {refused:?}, the model with one of {expected:?}"))
}

pub(super) fn written(
    (first, part): (Option<Version>, &SentPart),
) -> (Option<Version>, Option<Version>, bool) {
    (first, first.map(|first| first + part.events.len() as Version - 1), false)
}

pub(super) fn versions(appended: &Appended) -> (Option<Version>, Option<Version>, bool) {
    (appended.first_version, appended.last_version, appended.repeated)
}

pub(super) fn same_event(wrapped: &WrappedEvent<RawEvent>, entry: &Entry) -> Outcome {
    let event = RawEvent::new(entry.sent.body.name(), entry.sent.body.data()).unwrap();
    let found = (wrapped.uuid, wrapped.version, wrapped.created_at, &wrapped.event);
    agree("an event", &found, &(entry.sent.id, entry.version, entry.sent.created_at, &event))
}

pub(super) fn same_events(loaded: StoreResult<Vec<WrappedEvent<RawEvent>>>, entries: &[&Entry]) -> Outcome {
    let loaded = loaded.map_err(|error| error.in_full())?;
    agree("how many events", &loaded.len(), &entries.len())?;
    loaded.iter().zip(entries).try_for_each(|(wrapped, entry)| same_event(wrapped, entry))
}

/// An event of a reader of numbers.
pub(super) trait Number: Event {
    fn body(&self) -> Result<Body, Summed>;
}

impl Number for Noted {
    fn body(&self) -> Result<Body, Summed> {
        Ok(Body::Noted(self.number))
    }
}

impl Number for Ledger {
    fn body(&self) -> Result<Body, Summed> {
        match self {
            Self::Noted(noted) => noted.body(),
            Self::Summed(summed) => Err(*summed),
        }
    }
}

/// Compares what a reader of numbers got: a snapshot, if there is one, and the events, or the first one's error.
pub(super) fn same_numbers<E: Number>(
    loaded: StoreResult<Vec<WrappedEvent<E>>>,
    entries: &[&Entry],
    snapshot: Option<&Snapshot>,
) -> Outcome {
    let unreadable = entries.iter().find_map(|entry| Books::unreadable(entry));
    let loaded = match (loaded, unreadable) {
        (Err(error), Some(expected)) => return one_of(&[expected], &error),
        (Err(error), None) => return Err(error.in_full()),
        (Ok(_), Some(expected)) => {
            return Err(format!("an event was read that the model cannot: {expected}"));
        }
        (Ok(loaded), None) => loaded,
    };
    let found = loaded.iter().map(|wrapped| (wrapped.uuid, wrapped.version, wrapped.event.body()));
    let start =
        snapshot.map(|snapshot| (snapshot.id, Some(snapshot.version), Err(Summed { sum: snapshot.version })));
    let events = entries.iter().map(|entry| (entry.sent.id, entry.version, Ok(entry.sent.body)));
    agree("the numbers read", &found.collect::<Vec<_>>(), &start.into_iter().chain(events).collect())
}

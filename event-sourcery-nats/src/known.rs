//! What is known of a stream: what an append decides on, and the sequence that vouches for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_sourcery::backend::{EventAt, StreamState};
use uuid::Uuid;

use crate::message::{Chunk, Head, Kind};

/// A stream, as of the last message of its subject.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// Of its last message; 0 where there is none.
    pub(crate) sequence: u64,
    /// Whether it was deleted, and what was before has still to be removed.
    pub(crate) is_ending: bool,
    /// Whose its name is, if it is not its own.
    pub(crate) holder: Option<Uuid>,
    /// The mark that it began behind, or would begin behind.
    pub(crate) life: u64,
    /// When its first event happened, in microseconds.
    pub(crate) born: i64,
    pub(crate) name: Option<Arc<str>>,
    versioned: bool,
    /// Of its events, in order.
    ids: Vec<Uuid>,
    /// Where each of its messages stands, and the number of its first event.
    messages: Vec<(u64, u64)>,
}

impl Known {
    /// Of a stream of which this is the last message, nothing of its events yet.
    pub(crate) fn begun(sequence: u64, head: &Head) -> Self {
        let is_alive = matches!(head.kind, Kind::Events | Kind::Named);
        Self {
            sequence: if is_alive { 0 } else { sequence },
            is_ending: head.kind == Kind::Ending,
            holder: head.holder,
            life: if is_alive { head.life } else { sequence },
            ..Self::default()
        }
    }

    /// Takes the next message; false where it is not the next one of this life.
    #[must_use]
    pub(crate) fn take(&mut self, sequence: u64, chunk: &Chunk) -> bool {
        let Chunk { head, events } = chunk;
        let is_alive = head.kind == Kind::Events && !events.is_empty() || head.kind == Kind::Named;
        let is_next = is_alive && head.life == self.life && head.first == self.count() + 1;
        if is_next {
            (self.sequence, self.holder) = (sequence, head.holder);
            if !events.is_empty() {
                self.written(sequence, head, events.iter().map(|event| event.id));
            }
        }
        is_next
    }

    /// A message was written behind the last one.
    pub(crate) fn written(&mut self, sequence: u64, head: &Head, ids: impl Iterator<Item = Uuid>) {
        (self.sequence, self.holder) = (sequence, head.holder);
        (self.versioned, self.born) = (head.versioned, head.born);
        if let Some(name) = &head.name {
            self.name = Some(name.as_str().into());
        }
        self.messages.push((sequence, head.first));
        self.ids.extend(ids);
    }

    /// What says whose the name is that stands for the stream's UUID, behind its last message.
    pub(crate) fn named(&self, holder: Option<Uuid>) -> Head {
        let name = self.name.as_deref().map(str::to_owned);
        let (life, born, first, versioned) = (self.life, self.born, self.count() + 1, self.versioned);
        Head { name, life, born, first, versioned, holder, ..Head::mark(Kind::Named) }
    }

    pub(crate) fn count(&self) -> u64 {
        self.ids.len() as u64
    }

    pub(crate) fn state(&self) -> StreamState {
        if self.ids.is_empty() {
            StreamState::Missing
        } else if self.versioned {
            StreamState::Versioned(self.count())
        } else {
            StreamState::Unversioned
        }
    }

    /// The place of an event among the others, from 0.
    pub(crate) fn place_of(&self, id: Uuid) -> Option<usize> {
        // What is asked for is mostly new, or was written last.
        self.ids.iter().rposition(|known| *known == id)
    }

    /// The message that holds the event of this place, and the id of the event before it.
    pub(crate) fn message_of(&self, place: usize) -> Option<(u64, Option<Uuid>)> {
        let number = place as u64 + 1;
        let behind = self.messages.partition_point(|(_, first)| *first <= number);
        let (sequence, _) = self.messages.get(behind.checked_sub(1)?)?;
        Some((*sequence, place.checked_sub(1).and_then(|before| self.ids.get(before).copied())))
    }

    /// Whether a versioned stream has this event at its version.
    pub(crate) fn holds(&self, at: EventAt) -> bool {
        let place = usize::try_from(at.version).ok().and_then(|version| version.checked_sub(1));
        self.versioned && place.and_then(|place| self.ids.get(place)) == Some(&at.id)
    }

    fn weight(&self) -> usize {
        1 + self.ids.len()
    }
}

/// How many streams and events are remembered, about.
const REMEMBERED: usize = 500_000;

/// What was known of the streams that were written to last. It may be out of date: a sequence that is expected tells.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<String, Known>,
    old: HashMap<String, Known>,
    weight: usize,
}

impl Memory {
    /// Takes what is known of the stream of a subject: who else wants it meanwhile reads it.
    pub(crate) fn take(&self, subject: &str) -> Option<Known> {
        let mut generations = self.generations();
        let young = generations.young.remove(subject);
        if let Some(known) = &young {
            generations.weight = generations.weight.saturating_sub(known.weight());
        }
        young.or_else(|| generations.old.remove(subject))
    }

    pub(crate) fn put(&self, subject: String, known: Known) {
        let mut generations = self.generations();
        generations.weight += known.weight();
        if let Some(before) = generations.young.insert(subject, known) {
            generations.weight = generations.weight.saturating_sub(before.weight());
        }
        if generations.weight > REMEMBERED {
            generations.old = std::mem::take(&mut generations.young);
            generations.weight = 0;
        }
    }

    fn generations(&self) -> MutexGuard<'_, Generations> {
        // Nothing in here panics half-way.
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use event_sourcery::{StreamId, TenantId};

    use super::*;

    fn known(count: u128) -> Known {
        let head = Head::of(Kind::Events, &TenantId::DEFAULT, &StreamId::random());
        let mut known = Known::default();
        let ids = (1..=count).map(Uuid::from_u128);
        known.written(7, &Head { first: 1, versioned: true, ..head.clone() }, ids);
        let head = Head { first: count as u64 + 1, versioned: true, ..head };
        known.written(9, &head, [Uuid::nil()].into_iter());
        known
    }

    #[test]
    fn an_event_is_found_with_its_message_and_the_one_before_it() {
        let known = known(3);
        assert_eq!(known.state(), StreamState::Versioned(4));
        let first = known.place_of(Uuid::from_u128(1)).unwrap();
        assert_eq!(known.message_of(first), Some((7, None)));
        let last = known.place_of(Uuid::nil()).unwrap();
        assert_eq!(known.message_of(last), Some((9, Some(Uuid::from_u128(3)))));
        assert_eq!(known.place_of(Uuid::from_u128(4)), None);
        assert!(known.holds(EventAt::new(2, Uuid::from_u128(2))));
        assert!(!known.holds(EventAt::new(1, Uuid::from_u128(2))));
        assert!(!known.holds(EventAt::new(0, Uuid::nil())));
    }

    #[test]
    fn what_is_remembered_has_a_bound_and_is_handed_out_once() {
        let memory = Memory::default();
        for number in 0..30 {
            memory.put(number.to_string(), known(100_000));
        }
        let remembered = (0..30).filter(|number| memory.take(&number.to_string()).is_some()).count();
        assert!((1..=11).contains(&remembered), "{remembered}");
        memory.put("1".to_owned(), known(1));
        assert!(memory.take("1").is_some() && memory.take("1").is_none());
    }
}

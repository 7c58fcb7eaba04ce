//! How much is read at once, and how much may wait to be written.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::records::StoredEvent;
use crate::error::{Error, Result};

/// The room for the events of a page: so many of them, and [`Self::BYTES`] of payload and context, but always one event. So what a
/// reader holds is bounded, however large the events are.
#[derive(Debug, Clone, Copy)]
pub struct PageRoom {
    events: usize,
    bytes: usize,
    is_empty: bool,
}

impl PageRoom {
    /// How many bytes of payload and context a page has, unless its only event has more: 2 MiB.
    pub const BYTES: usize = 2 << 20;

    /// For a page of at most so many events.
    #[must_use]
    pub const fn of(events: usize) -> Self {
        Self { events, bytes: Self::BYTES, is_empty: true }
    }

    /// For how many events more there is room, if they are small.
    #[must_use]
    pub const fn events(&self) -> usize {
        if self.is_empty || self.bytes > 0 { self.events } else { 0 }
    }

    /// Whether there is room for this event.
    #[must_use]
    pub fn is_for(&self, event: &StoredEvent) -> bool {
        self.events > 0 && (self.is_empty || event.size() <= self.bytes)
    }

    /// Takes the room for the next event, which ends the page where there is not enough of it.
    #[must_use]
    pub fn take(&mut self, event: &StoredEvent) -> bool {
        let is_for = self.is_for(event);
        if is_for {
            self.events -= 1;
            self.bytes = self.bytes.saturating_sub(event.size());
            self.is_empty = false;
        }
        is_for
    }
}

/// The room for what waits to be written: so many bytes, unless only one call waits.
#[derive(Debug, Clone, Default)]
pub struct WaitingRoom {
    taken: Arc<AtomicUsize>,
}

/// What a call has taken of the room. Given back when it is dropped.
#[derive(Debug)]
pub struct Seat {
    room: WaitingRoom,
    bytes: usize,
}

impl WaitingRoom {
    /// How many bytes may wait: 64 MiB.
    pub const BYTES: usize = 64 << 20;

    /// Takes the room for so many bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] where there is not enough of it.
    pub fn enter(&self, bytes: usize) -> Result<Seat> {
        let before = self.taken.fetch_add(bytes, Ordering::Relaxed);
        let seat = Seat { room: self.clone(), bytes };
        let has_room = before == 0 || bytes == 0 || before.saturating_add(bytes) <= Self::BYTES;
        if has_room { Ok(seat) } else { Err(Error::Busy { waited: Duration::ZERO }) }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// How many names are looked through one after the other: most streams have no more.
const FEW: usize = 8;

/// One copy of each event name of an answer, however many there are.
#[derive(Debug, Default)]
pub struct Names {
    few: Vec<Arc<str>>,
    more: HashSet<Arc<str>>,
}

impl Names {
    /// The copy of this name.
    pub fn copy_of(&mut self, name: &str) -> Arc<str> {
        let known = self.few.iter().find(|known| ***known == *name);
        if let Some(known) = known.or_else(|| self.more.get(name)) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        if self.few.len() < FEW {
            self.few.push(Arc::clone(&name));
        } else {
            self.more.insert(Arc::clone(&name));
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::{Names, PageRoom, StoredEvent, WaitingRoom};
    use crate::position::Position;

    fn event(bytes: usize) -> StoredEvent {
        StoredEvent {
            position: Position::START,
            version: None,
            id: uuid::Uuid::nil(),
            name: "Happened".into(),
            data: " ".repeat(bytes).into(),
            context: Cow::Borrowed(""),
            created_at: jiff::Timestamp::UNIX_EPOCH,
            schema_version: 1,
            unreadable: None,
        }
    }

    #[test]
    fn a_page_ends_by_its_events_or_by_their_bytes_and_has_room_for_one_of_any_size() {
        let mut small = PageRoom::of(2);
        assert!(small.take(&event(1)) && small.take(&event(1)) && !small.take(&event(0)));
        let mut large = PageRoom::of(100);
        assert!(large.take(&event(3 * PageRoom::BYTES)) && large.events() == 0 && !large.take(&event(1)));
        let mut filled = PageRoom::of(100);
        assert!(
            filled.take(&event(PageRoom::BYTES - 1)) && !filled.take(&event(2)) && filled.take(&event(1))
        );
    }

    #[test]
    fn what_waits_has_a_bound_but_one_call_of_any_size_may_wait() {
        let (room, full) = (WaitingRoom::default(), WaitingRoom::BYTES);
        let alone = room.enter(2 * full).unwrap();
        assert!(room.enter(1).is_err() && room.enter(0).is_ok());
        drop(alone);
        let (first, second) = (room.enter(full - 1).unwrap(), room.enter(1).unwrap());
        assert!(room.enter(1).is_err());
        drop((first, second));
        room.enter(full).unwrap();
    }

    #[test]
    fn a_name_has_one_copy_however_many_there_are() {
        let (mut names, text) = (Names::default(), |number: usize| format!("Event.{number}"));
        let copies: Vec<_> = (0..100).map(|number| names.copy_of(&text(number))).collect();
        for (number, copy) in copies.iter().enumerate() {
            assert!(std::sync::Arc::ptr_eq(copy, &names.copy_of(&text(number))), "{copy}");
        }
    }
}

//! How much is read at once, and how much may wait to be written.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::records::StoredEvent;
use crate::error::{Error, Result};
use crate::stream_id::{StreamId, TenantId};

/// The room for the events of a page: a number of them, and [`Self::BYTES`] of payload and context, but always one event. So what a
/// reader holds is bounded, however large the events are.
#[derive(Debug, Clone, Copy)]
pub struct PageRoom {
    events: usize,
    bytes: usize,
    is_empty: bool,
}

impl PageRoom {
    /// How many bytes of payload and context a page has, unless its only event has more: 512 KiB.
    pub const BYTES: usize = 512 << 10;

    /// For a page of at most this many events.
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

/// The room for what waits to be written: a number of bytes, and half of them for any one tenant. An append of more than that half is let
/// in where nothing else of its tenant waits, and no other one of that size, whatever waits of others: so one at a time is beyond the
/// bound. It takes the half of its tenant: whatever waits of one, the others have as much beside it.
#[derive(Debug, Clone, Default)]
pub struct WaitingRoom {
    taken: Arc<Mutex<Taken>>,
}

/// What is taken of the room.
#[derive(Debug, Default)]
struct Taken {
    bytes: usize,
    of: HashMap<Option<TenantId>, usize>,
    /// Whether an append waits that has more than the half of one tenant.
    has_giant: bool,
}

/// What a call has taken of the room. Given back when it is dropped.
#[derive(Debug)]
pub struct Seat {
    room: WaitingRoom,
    whose: Option<TenantId>,
    bytes: usize,
    is_giant: bool,
}

impl WaitingRoom {
    /// How many bytes may wait: 128 MiB.
    pub const BYTES: usize = 128 << 20;

    /// How many of one tenant: 64 MiB.
    const OF_ONE: usize = Self::BYTES / 2;

    /// Takes the room for this many bytes of a tenant; what is no tenant's has a half of its own.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] where there is not enough of it.
    pub fn enter(&self, whose: Option<TenantId>, bytes: usize) -> Result<Seat> {
        let mut taken = self.taken();
        let own = taken.of.get(&whose).copied().unwrap_or_default();
        let is_giant = bytes > Self::OF_ONE;
        let has_room = if is_giant {
            own == 0 && !taken.has_giant
        } else {
            own + bytes <= Self::OF_ONE && taken.bytes + bytes <= Self::BYTES
        };
        if !has_room {
            return Err(Error::Busy { waited: Duration::ZERO });
        }
        let bytes = bytes.min(Self::OF_ONE);
        taken.bytes += bytes;
        taken.has_giant |= is_giant;
        taken.of.insert(whose.clone(), own + bytes);
        Ok(Seat { room: self.clone(), whose, bytes, is_giant })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Nothing in here panics half-way.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.room.taken();
        taken.bytes -= self.bytes;
        taken.has_giant &= !self.is_giant;
        match taken.of.get_mut(&self.whose) {
            Some(own) if *own > self.bytes => *own -= self.bytes,
            _ => {
                taken.of.remove(&self.whose);
            }
        }
    }
}

/// How many names are looked through one after the other: most streams have no more.
const FEW: usize = 8;

/// One copy of each event name of an answer, however many there are; or of each category and tenant.
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

    /// A stream as [`stored_stream_id`](super::stored_stream_id) makes it, with the copy of its category.
    pub fn stream_id(&mut self, uuid: Uuid, name: Option<&str>, category: &str) -> StreamId {
        let category = (!category.is_empty()).then(|| self.copy_of(category));
        StreamId::of_copies(uuid, name.map(Arc::from), category)
    }

    /// A tenant as [`stored_tenant_id`](super::stored_tenant_id) makes it, with the copy of its name.
    pub fn tenant_id(&mut self, name: &str) -> TenantId {
        TenantId::of_copy((!name.is_empty()).then(|| self.copy_of(name)))
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::sync::Arc;

    use super::{FEW, Names, PageRoom, StoredEvent, WaitingRoom};
    use crate::backend::{stored_stream_id, stored_tenant_id};
    use crate::position::Position;
    use crate::stream_id::TenantId;

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
            tags: Vec::new(),
            unreadable: None,
            opening: None,
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
    fn however_many_names_an_answer_has_few_are_looked_through_one_after_the_other() {
        let mut names = Names::default();
        for number in 0..10_000 {
            names.copy_of(&number.to_string());
        }
        assert_eq!((names.few.len(), names.more.len()), (FEW, 10_000 - FEW));
        for known in ["0", "9999"] {
            assert!(Arc::ptr_eq(&names.copy_of(known), &names.copy_of(known)), "each is kept once");
        }
        assert_eq!(names.more.len(), 10_000 - FEW);
    }

    #[test]
    fn streams_and_tenants_of_an_answer_share_their_names_and_are_what_they_were_stored_as() {
        let (mut names, uuid) = (Names::default(), uuid::Uuid::from_u128(7));
        for (name, category, tenant) in [(Some("1"), "books", "acme"), (None, "", "")] {
            let stream = names.stream_id(uuid, name, category);
            assert_eq!((&stream, stream.name()), (&stored_stream_id(uuid, name, category), name));
            assert_eq!(names.tenant_id(tenant), stored_tenant_id(tenant));
        }
        let streams = [(); 2].map(|()| names.stream_id(uuid, None, "books"));
        let [one, other] = streams.each_ref().map(|stream| stream.stored_category().as_ptr());
        assert_eq!(one, other);
        let tenants = [(); 2].map(|()| names.tenant_id("acme"));
        let [one, other] = tenants.each_ref().map(|tenant| tenant.as_str().as_ptr());
        assert_eq!(one, other);
    }

    fn tenants<const N: usize>() -> [Option<TenantId>; N] {
        std::array::from_fn(|number| Some(TenantId::new(format!("tenant {number}")).unwrap()))
    }

    #[test]
    fn what_waits_has_a_bound_and_what_waits_of_one_tenant_has_half_of_it() {
        let (room, half) = (WaitingRoom::default(), WaitingRoom::BYTES / 2);
        let [acme, globex, initech] = tenants();
        let first = room.enter(acme.clone(), half - 1).unwrap();
        assert!(room.enter(acme.clone(), 2).is_err());
        let second = room.enter(acme.clone(), 1).unwrap();
        assert!(room.enter(acme.clone(), 1).is_err() && room.enter(acme.clone(), 0).is_ok());
        let others = room.enter(globex.clone(), half).unwrap();
        assert!(room.enter(initech.clone(), 1).is_err() && room.enter(None, 1).is_err());
        drop(first);
        drop(room.enter(initech, half - 1).unwrap());
        drop(second);
        assert!(room.enter(globex, 1).is_err());
        drop(others);
        assert!(room.taken().of.is_empty() && room.taken().bytes == 0);
    }

    #[test]
    fn one_append_of_any_size_may_wait_beside_what_others_have_and_leaves_room_for_them() {
        let (room, full) = (WaitingRoom::default(), WaitingRoom::BYTES);
        let [acme, globex, initech] = tenants();
        // A trickle of others that never ends does not keep it out.
        let trickle = room.enter(globex.clone(), 1).unwrap();
        let giant = room.enter(acme.clone(), 8 * full).unwrap();
        assert!(room.enter(acme.clone(), 1).is_err(), "its tenant has its half");
        assert!(room.enter(initech.clone(), full).is_err(), "one of that size at a time");
        let beside = room.enter(globex.clone(), full / 2 - 1).unwrap();
        assert!(room.enter(initech.clone(), 1).is_err());
        drop(giant);
        drop(room.enter(acme.clone(), 1).unwrap());
        // Nor does a room that is full of what others have.
        let filled = room.enter(initech.clone(), full / 2).unwrap();
        let giant = room.enter(acme.clone(), full).unwrap();
        assert!(room.enter(None, 1).is_err());
        drop((trickle, beside, filled));
        drop(room.enter(globex, full / 2).unwrap());
        drop(giant);
        let small = room.enter(acme.clone(), 1).unwrap();
        assert!(room.enter(acme.clone(), full).is_err(), "its tenant has something waiting");
        drop(room.enter(initech, full).unwrap());
        drop(small);
        drop(room.enter(acme, full).unwrap());
        assert!(room.taken().of.is_empty() && room.taken().bytes == 0 && !room.taken().has_giant);
    }

    /// An attempt that is refused takes nothing, however large it is: also while others come.
    #[test]
    fn what_is_refused_refuses_nobody_beside_it() {
        let room = WaitingRoom::default();
        let [acme, globex] = tenants();
        let _small = room.enter(acme.clone(), 1).unwrap();
        std::thread::scope(|threads| {
            let large = threads
                .spawn(|| (0..10_000).all(|_| room.enter(acme.clone(), 8 * WaitingRoom::BYTES).is_err()));
            assert!((0..10_000).all(|_| room.enter(globex.clone(), 1).is_ok()));
            assert!(large.join().unwrap());
        });
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

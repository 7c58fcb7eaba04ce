//! What has been seen of a value while it was written: its shape above all.
//!
//! A shape is what reading depends on: which types serde was asked to write, field by field; which variants; which numbers
//! need how much room; which maps JSONB would sort. Texts are no part of it, but for the tags of enums and the keys of what may
//! be flattened, nor is how often an item of a list occurs. What was read back once need not be again, for any value of the same shape.

#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};

/// How many shapes are remembered. One that takes another's place costs that one another look.
const KNOWN: usize = 4_096;

/// The shapes of values that have been read back equal, each at the place that its number says.
static SHAPES: [AtomicU64; KNOWN] = [const { AtomicU64::new(0) }; KNOWN];

fn place(shape: u64) -> Option<&'static AtomicU64> {
    // The high bits are the ones that everything has mixed.
    SHAPES.get((shape >> 52) as usize)
}

/// Whether a value of this shape has been read back equal.
pub(super) fn is_known(shape: u64) -> bool {
    place(shape).is_some_and(|known| known.load(Ordering::Relaxed) == shape)
}

/// Remembers that one has.
pub(super) fn remember(shape: u64) {
    if let Some(place) = place(shape) {
        place.store(shape, Ordering::Relaxed);
    }
}

/// What has been seen of a value.
#[derive(Default)]
pub(super) struct Seen {
    shape: Cell<u64>,
    objects: Cell<u32>,
    /// Maps, by their number among the objects, with the shape in front of them.
    maps: RefCell<Vec<(u32, u64)>>,
    has_maps: Cell<bool>,
    has_others_json: Cell<bool>,
    is_not_finite: Cell<bool>,
}

/// What facts are in a shape.
pub(super) mod facts {
    pub(crate) const FLOAT: u64 = 3;
    pub(crate) const NONE: u64 = 4;
    pub(crate) const SOME: u64 = 5;
    pub(crate) const OTHER: u64 = 6;
    /// And four more.
    pub(crate) const LONG_FLOAT: u64 = 7;
    pub(crate) const TEXT: u64 = 12;
    pub(crate) const BYTES: u64 = 13;
    pub(crate) const LIST: u64 = 14;
    pub(crate) const MAP: u64 = 15;
    /// And six more.
    pub(crate) const INTEGER: u64 = 16;
    /// And as many as an enum has.
    pub(crate) const VARIANT: u64 = 32;
    pub(crate) const SEVERAL: u64 = 1 << 40;
}

pub(super) const fn folded(shape: u64, fact: u64) -> u64 {
    (shape.rotate_left(5) ^ fact).wrapping_mul(0x517c_c1b7_2722_0a95)
}

impl Seen {
    pub(super) fn shape(&self) -> u64 {
        self.shape.get()
    }

    pub(super) fn set_shape(&self, shape: u64) {
        self.shape.set(shape);
    }

    pub(super) fn note(&self, fact: u64) {
        self.shape.set(folded(self.shape.get(), fact));
    }

    /// An object begins: its number.
    pub(super) fn object(&self) -> u32 {
        let number = self.objects.get();
        self.objects.set(number.wrapping_add(1));
        number
    }

    /// A map begins: its number among the objects.
    pub(super) fn map(&self) -> u32 {
        self.has_maps.set(true);
        self.object()
    }

    /// The order of this map's keys may mean something. In front of it stood that shape.
    pub(super) fn may_keep_order(&self, map: u32, shape: u64) {
        self.maps.borrow_mut().push((map, shape));
    }

    /// JSON that somebody else has written: its objects and its numbers are not seen.
    pub(super) fn others_json(&self) {
        self.has_others_json.set(true);
    }

    pub(super) fn not_finite(&self) {
        self.is_not_finite.set(true);
    }

    pub(super) fn is_not_finite(&self) -> bool {
        self.is_not_finite.get()
    }

    /// Whether keys or numbers are in it that its type does not determine.
    pub(super) fn is_open(&self) -> bool {
        self.has_maps.get() || self.has_others_json()
    }

    pub(super) fn has_others_json(&self) -> bool {
        self.has_others_json.get()
    }

    /// The shape, with which of the maps JSONB would sort: those of whose objects it would.
    pub(super) fn whole_shape(&self, would_sort: &[bool]) -> u64 {
        let maps = self.maps.borrow();
        let sorted =
            maps.iter().filter(|(number, _)| would_sort.get(*number as usize).is_none_or(|sorts| *sorts));
        let mut sorted: Vec<_> = sorted.map(|(_, place)| *place).collect();
        sorted.sort_unstable();
        sorted.dedup();
        sorted.into_iter().fold(self.shape.get(), folded).max(1)
    }

    /// The maps whose order may mean something, by their number among the objects. Where there are objects that were not
    /// seen, none can be told.
    pub(super) fn maps(&self) -> Vec<u32> {
        if self.has_others_json() {
            return Vec::new();
        }
        let mut maps: Vec<_> = self.maps.borrow().iter().map(|(number, _)| *number).collect();
        maps.sort_unstable();
        maps
    }
}

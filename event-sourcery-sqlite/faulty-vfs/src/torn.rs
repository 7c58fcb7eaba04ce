//! Which unsynced changes a power loss leaves, when it leaves some of them.

use std::collections::BTreeMap;

use crate::disk::Change;

const SECTOR: usize = 512;

/// A seeded pseudo-random generator: SplitMix64.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn coin(&mut self) -> bool {
        self.roll() & 1 == 0
    }

    /// A number from 0 to `most`, both included.
    fn up_to(&mut self, most: usize) -> usize {
        (self.roll() % (most as u64 + 1)) as usize
    }
}

/// `image` after those of the `changes` that reached the disk.
pub(crate) fn torn(mut image: Vec<u8>, changes: &[Change], dice: &mut Dice) -> Vec<u8> {
    let changes: Vec<Change> = changes.iter().flat_map(by_sector).collect();
    let mut arriving = arriving_per_sector(&changes, dice);
    for change in changes {
        let arrived = match sector_of(&change).and_then(|sector| arriving.get_mut(&sector)) {
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
            None => dice.coin(),
        };
        if arrived {
            change.apply(&mut image);
        }
    }
    image
}

/// How many of the writes to each sector reached the disk. They reach it in order: it is the sector as a
/// whole that is flushed, with all that was written to it so far.
fn arriving_per_sector(changes: &[Change], dice: &mut Dice) -> BTreeMap<usize, usize> {
    let mut writes = BTreeMap::new();
    for sector in changes.iter().filter_map(sector_of) {
        *writes.entry(sector).or_insert(0) += 1;
    }
    writes.values_mut().for_each(|count| *count = dice.up_to(*count));
    writes
}

fn sector_of(change: &Change) -> Option<usize> {
    match change {
        Change::Write { offset, .. } => Some(offset / SECTOR),
        Change::Truncate { .. } => None,
    }
}

/// Splits a write where it crosses from one sector to the next.
fn by_sector(change: &Change) -> Vec<Change> {
    let Change::Write { offset, bytes } = change else {
        return vec![change.clone()];
    };
    let (mut offset, mut rest, mut parts) = (*offset, bytes.as_slice(), Vec::new());
    while !rest.is_empty() {
        let (part, tail) = rest.split_at(rest.len().min(SECTOR - offset % SECTOR));
        parts.push(Change::Write { offset, bytes: part.to_vec() });
        (offset, rest) = (offset + part.len(), tail);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(offset: usize, byte: u8, len: usize) -> Change {
        Change::Write { offset, bytes: vec![byte; len] }
    }

    #[test]
    fn every_sector_is_in_a_state_it_went_through_and_all_states_occur() {
        let changes = [write(0, 1, 1024), write(0, 2, 1024)];
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let image = torn(vec![0; 1024], &changes, &mut Dice::new(seed));
            for sector in image.chunks(SECTOR) {
                assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector is never torn itself");
            }
            seen.insert((image[0], image[SECTOR]));
        }
        assert_eq!(seen.len(), 9, "three states of each of two sectors: {seen:?}");
    }

    #[test]
    fn a_write_is_split_at_sector_boundaries() {
        let parts: Vec<_> = by_sector(&write(500, 7, 600)).iter().map(range).collect();
        assert_eq!(parts, [500..512, 512..1024, 1024..1100]);
    }

    #[test]
    fn a_truncation_happens_or_does_not() {
        let lengths: std::collections::BTreeSet<_> = (0..20)
            .map(|seed| torn(vec![1; 100], &[Change::Truncate { len: 10 }], &mut Dice::new(seed)).len())
            .collect();
        assert_eq!(lengths, [10, 100].into());
    }

    fn range(change: &Change) -> std::ops::Range<usize> {
        match change {
            Change::Write { offset, bytes } => *offset..offset + bytes.len(),
            Change::Truncate { len } => *len..*len,
        }
    }
}

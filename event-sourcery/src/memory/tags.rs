//! Where the events of each tag stand, and which deletion was the last of a tenant's.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::position::Position;
use crate::stream_id::TenantId;
use crate::tag::Tag;

/// The positions of each tag's events, and the last deletions.
#[derive(Default)]
pub(super) struct TagIndex {
    positions: BTreeMap<(TenantId, Tag), BTreeSet<Position>>,
    /// How many there were, also of those that were taken back: so none has the number of another.
    deletions: u64,
    last: BTreeMap<TenantId, LastDeletions>,
}

/// The numbers of a tenant's last deletions, and of the last tagging of what was stored; 0: there was none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct LastDeletions {
    /// Of any stream.
    pub(super) of_any: u64,
    /// Of one with tagged events, or of a tagging.
    pub(super) of_tagged: u64,
}

impl TagIndex {
    /// An event is there.
    pub(super) fn enter(&mut self, tenant: &TenantId, tags: &[Tag], position: Position) {
        for tag in tags {
            self.positions.entry((tenant.clone(), tag.clone())).or_default().insert(position);
        }
    }

    /// An event is gone.
    pub(super) fn leave(&mut self, tenant: &TenantId, tags: &[Tag], position: Position) {
        for tag in tags {
            if let Entry::Occupied(mut of_tag) = self.positions.entry((tenant.clone(), tag.clone())) {
                of_tag.get_mut().remove(&position);
                if of_tag.get().is_empty() {
                    of_tag.remove();
                }
            }
        }
    }

    /// Where the events stand of the tag that has the fewest of them; `None` where one has none.
    pub(super) fn rarest(&self, tenant: &TenantId, tags: &[Tag]) -> Option<&BTreeSet<Position>> {
        let of_each = tags.iter().map(|tag| self.positions.get(&(tenant.clone(), tag.clone())));
        of_each.min_by_key(|positions| positions.map_or(0, BTreeSet::len)).flatten()
    }

    pub(super) fn last_deletions(&self, tenant: &TenantId) -> LastDeletions {
        self.last.get(tenant).copied().unwrap_or_default()
    }

    /// A stream was deleted; tells which deletions were the last before.
    pub(super) fn note_deletion(&mut self, tenant: &TenantId, is_tagged: bool) -> LastDeletions {
        self.deletions = self.deletions.saturating_add(1);
        let before = self.last_deletions(tenant);
        let of_tagged = if is_tagged { self.deletions } else { before.of_tagged };
        self.put_deletions(tenant.clone(), LastDeletions { of_any: self.deletions, of_tagged });
        before
    }

    /// Events that were stored got tags: it moves what a deletion of tagged events moves.
    pub(super) fn note_tagging(&mut self, tenant: &TenantId) {
        self.deletions = self.deletions.saturating_add(1);
        let last = LastDeletions { of_tagged: self.deletions, ..self.last_deletions(tenant) };
        self.put_deletions(tenant.clone(), last);
    }

    /// These were the last, because a later one was taken back.
    pub(super) fn put_deletions(&mut self, tenant: TenantId, last: LastDeletions) {
        self.last.insert(tenant, last);
    }
}

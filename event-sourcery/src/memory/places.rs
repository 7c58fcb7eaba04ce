//! How many streams there are of each tenant, in each category.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::stream_key::StreamKey;
use crate::stream_id::{Category, TenantId};

/// A tenant, and a category or none.
pub(super) type Place = (TenantId, Option<Category>);

/// The counts, in the order of tenants and their categories. A place without streams is not in it.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<Place, u64>);

impl Places {
    /// A stream was made.
    pub(super) fn enter(&mut self, stream: &StreamKey) {
        *self.0.entry(place(stream)).or_default() += 1;
    }

    /// A stream is gone.
    pub(super) fn leave(&mut self, stream: &StreamKey) {
        let place = place(stream);
        if let Some(count) = self.0.get_mut(&place) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.0.remove(&place);
            }
        }
    }

    /// The places behind this one, in order.
    pub(super) fn behind(&self, place: &Place) -> impl Iterator<Item = &Place> {
        let behind = self.0.range::<Place, _>((Bound::Excluded(place), Bound::Unbounded));
        behind.map(|(place, _)| place)
    }

    /// A tenant's, or everybody's, in order.
    pub(super) fn of(&self, tenant: Option<&TenantId>) -> impl Iterator<Item = (&str, &str, u64)> {
        let from = Bound::Included((tenant.cloned().unwrap_or(TenantId::DEFAULT), None));
        let places = self.0.range::<Place, _>((from, Bound::Unbounded));
        let is_asked_for = move |whose: &TenantId| tenant.is_none_or(|tenant| tenant == whose);
        let places = places.take_while(move |((whose, _), _)| is_asked_for(whose));
        places.map(|((tenant, category), count)| {
            (tenant.as_str(), category.as_ref().map_or("", Category::as_str), *count)
        })
    }
}

fn place(stream: &StreamKey) -> Place {
    (stream.tenant().clone(), stream.stream().category().cloned())
}

//! Keys of commands that may be repeated, and the event ids that follow from them.

use uuid::Uuid;

use super::load::version_of;
use super::{Aggregate, WrappedAggregate};
use crate::error::Result;
use crate::stream_id::{StreamId, TenantId};
use crate::within::Reach;

/// The namespace in which keys become ids.
const KEYS: Uuid = Uuid::from_u128(0x6f0c_9a34_5d1e_4b7a_8f52_0c41_7be6_d2a9);

/// A command's key, for one tenant and stream: the namespace of its events' ids.
#[derive(Clone, Copy)]
pub(super) struct Key(Uuid);

impl Key {
    pub(super) fn new(tenant: &TenantId, stream: &StreamId, key: &str) -> Self {
        let parts = [tenant.as_str(), stream.stored_category(), &stream.uuid().to_string(), key];
        let parts = parts.map(|part| format!("{}:{part}", part.len()));
        Self(Uuid::new_v5(&KEYS, parts.concat().as_bytes()))
    }

    /// The id of the n-th event, from 0, that a command of this key emits.
    pub(super) fn id(self, number: usize) -> Uuid {
        Uuid::new_v5(&self.0, number.to_string().as_bytes())
    }

    /// Whether a command emits fewer events than the one that was run with this key. That they are others, or more, the
    /// store finds.
    pub(super) async fn had_more<A: Aggregate>(
        self,
        aggregate: &WrappedAggregate<A>,
        on: &mut impl Reach,
    ) -> Result<bool> {
        let next = self.id(aggregate.pending().len());
        Ok(version_of(aggregate, on, next).await?.is_some())
    }
}

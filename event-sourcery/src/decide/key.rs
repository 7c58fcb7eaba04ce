//! Keys of decisions that may be repeated: the stream and the event ids that follow from them.

use uuid::Uuid;

use crate::backend::{LoadRequest, Span};
use crate::error::Result;
use crate::position::Position;
use crate::store::Scope;
use crate::stream_id::{StreamId, TenantId};
use crate::within::Reach;

/// The namespace in which keys become ids.
const KEYS: Uuid = Uuid::from_u128(0x1b8e_57d2_40c9_4f63_9a11_d83e_62f7_05bc);

/// A decision's key, for one tenant: the namespace of its events' ids.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key(Uuid);

impl Key {
    pub(super) fn new(tenant: &TenantId, key: &str) -> Self {
        let parts = [tenant.as_str(), key].map(|part| format!("{}:{part}", part.len()));
        Self(Uuid::new_v5(&KEYS, parts.concat().as_bytes()))
    }

    /// The stream of a decision that was given none.
    pub(super) const fn stream(self) -> StreamId {
        StreamId::from_uuid(self.0)
    }

    /// The id of the n-th event, from 0, that a decision of this key emits.
    pub(super) fn id(self, number: usize) -> Uuid {
        Uuid::new_v5(&self.0, number.to_string().as_bytes())
    }

    /// Where that event stands, if it is there.
    pub(super) async fn find(
        self,
        on: &mut impl Reach,
        scope: &Scope,
        stream: &StreamId,
        number: usize,
    ) -> Result<Option<Position>> {
        let span = Span::Event(self.id(number));
        let found = on.load(&LoadRequest::new(scope.tenant.clone(), stream.clone(), span)).await?;
        Ok(found.events.first().map(|event| event.position))
    }
}

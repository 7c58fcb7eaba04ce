//! What `Debug` shows in the place of a payload: it ends up in logs, and in front of other tenants.

#[cfg(test)]
mod tests;

use std::fmt;

use crate::backend::Backend;
use crate::store::EventStore;

/// A text that is not shown: only how long it is.
pub(crate) struct Hidden<'t>(pub(crate) &'t str);

impl fmt::Debug for Hidden<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} bytes)", self.0.len())
    }
}

/// Nothing of what it has read: that is everybody's.
impl<B: Backend> fmt::Debug for EventStore<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (backend, tenant) = (self.backend(), self.tenant_id());
        f.debug_struct("EventStore").field("backend", backend).field("tenant", tenant).finish_non_exhaustive()
    }
}

//! What was read of a tenant before one of its data subjects was shredded is read again, as what was deleted is.

use std::sync::atomic::Ordering;

use super::{Deletions, bits_of};
use crate::stream_id::TenantId;

impl Deletions {
    /// Notes that a data subject of this tenant was shredded: whatever of the tenant's was read before is read again.
    pub(crate) fn note_shredded(&self, tenant: &TenantId) {
        let mut noted = self.noted();
        let count = self.now().0 + 1;
        noted.forgotten.insert(bits_of(tenant), count);
        noted.tell(|watched| watched.tenant == *tenant);
        self.count.store(count, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream_id::StreamId;

    #[test]
    fn what_was_read_of_the_tenant_before_is_concerned_and_what_others_have_read_is_not() {
        let (deletions, stream) = (Deletions::default(), StreamId::random());
        let [acme, globex] = ["acme", "globex"].map(|name| TenantId::new(name).unwrap());
        let (before, watch) = (deletions.now(), deletions.watch(&acme, &stream));
        deletions.note_shredded(&acme);
        assert!(deletions.concern([(&acme, &stream)], before));
        assert_eq!(watch.tells_of(&acme, &stream), Some(true));
        assert!(!deletions.concern([(&acme, &stream)], deletions.now()));
        assert!(!deletions.concern([(&globex, &stream)], before));
    }
}

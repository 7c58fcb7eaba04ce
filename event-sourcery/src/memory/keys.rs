//! The keys of data subjects.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use uuid::Uuid;

use super::journal::{Done, Journal};
use super::state::State;
use crate::backend::{
    KeyRequirement, KeysRequest, NewKeysRequest, OldKeysRequest, RewrapRequest, SubjectKey,
};
use crate::error::Result;
use crate::stream_id::TenantId;

/// One for each tenant and subject, in their order.
#[derive(Default)]
pub(super) struct Keys(BTreeMap<(TenantId, Arc<str>), SubjectKey>);

impl Keys {
    /// Puts a key, or takes it away; tells what was there.
    pub(super) fn put(
        &mut self,
        tenant: TenantId,
        subject: Arc<str>,
        key: Option<SubjectKey>,
    ) -> Option<SubjectKey> {
        match key {
            Some(key) => self.0.insert((tenant, subject), key),
            None => self.0.remove(&(tenant, subject)),
        }
    }

    fn get(&self, tenant: &TenantId, subject: &Arc<str>) -> Option<&SubjectKey> {
        self.0.get(&(tenant.clone(), Arc::clone(subject)))
    }
}

impl State {
    pub(super) fn keys(&self, request: &KeysRequest) -> Vec<SubjectKey> {
        let found = request.subjects.iter().filter_map(|subject| self.keys.get(&request.tenant, subject));
        found.cloned().collect()
    }

    /// Gives keys to those who never had one; tells what everybody has behind that.
    pub(super) fn create_keys(&mut self, request: &NewKeysRequest, journal: &mut Journal) -> Vec<SubjectKey> {
        let stored = request.keys.iter().map(|new| {
            if let Some(known) = self.keys.get(&request.tenant, &new.subject) {
                return known.clone();
            }
            self.put_key(&request.tenant, new.clone(), journal);
            new.clone()
        });
        stored.collect()
    }

    pub(super) fn old_keys(&self, request: &OldKeysRequest) -> Vec<(TenantId, SubjectKey)> {
        let after = request.after.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let is_old = |key: &SubjectKey| key.wrapped.as_ref().is_some_and(|wrapped| wrapped.by != request.by);
        let old = self.keys.0.range((after, Bound::Unbounded)).filter(|(_, key)| is_old(key));
        old.take(request.limit).map(|((tenant, _), key)| (tenant.clone(), key.clone())).collect()
    }

    pub(super) fn rewrap_key(&mut self, request: RewrapRequest) -> bool {
        let RewrapRequest { tenant, from, to } = request;
        if self.keys.get(&tenant, &from.subject) != Some(&from) {
            return false;
        }
        let subject = Arc::clone(&from.subject);
        self.keys.put(tenant, subject, Some(SubjectKey { wrapped: Some(to), ..from }));
        true
    }

    pub(super) fn check_key(&self, tenant: &TenantId, required: &KeyRequirement) -> Result<()> {
        required.check(self.keys.get(tenant, &required.subject))
    }

    /// Shreds a key. Who has none is marked all the same.
    pub(super) fn shred(&mut self, tenant: &TenantId, subject: &Arc<str>, journal: &mut Journal) {
        let id = self.keys.get(tenant, subject).map_or(Uuid::nil(), |key| key.id);
        self.put_key(tenant, SubjectKey::shredded(Arc::clone(subject), id), journal);
    }

    fn put_key(&mut self, tenant: &TenantId, key: SubjectKey, journal: &mut Journal) {
        let subject = Arc::clone(&key.subject);
        let before = self.keys.put(tenant.clone(), Arc::clone(&subject), Some(key));
        journal.note(Done::Key { tenant: tenant.clone(), subject, before });
    }
}

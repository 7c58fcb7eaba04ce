//! The keys of data subjects, as they are wrapped.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::report::{Compared, Copied};
use crate::backend::{Backend, KeysRequest, NewKeysRequest, OldKeysRequest, RewrapRequest, SubjectKey};
use crate::error::Result;
use crate::stream_id::TenantId;

/// How many keys are in memory at once.
const PAGE: usize = 256;

/// The keys of a store that were not shredded, page by page.
struct Keys<'b> {
    backend: &'b dyn Backend,
    /// Nothing wraps by a name that is empty, so that all keys are wrapped by something else.
    request: OldKeysRequest,
    /// Only this tenant's.
    tenant: Option<&'b TenantId>,
}

impl<'b> Keys<'b> {
    fn new(backend: &'b dyn Backend, tenant: Option<&'b TenantId>) -> Self {
        Self { backend, request: OldKeysRequest::new(Arc::from(""), PAGE), tenant }
    }

    /// The next page, by tenant; `None`: there are no more.
    async fn next(&mut self) -> Result<Option<BTreeMap<TenantId, Vec<SubjectKey>>>> {
        let page = self.backend.old_keys(self.request.clone()).await?;
        let Some((tenant, last)) = page.last() else { return Ok(None) };
        self.request = self.request.clone().with_after(tenant.clone(), Arc::clone(&last.subject));
        let mut keys: BTreeMap<TenantId, Vec<SubjectKey>> = BTreeMap::new();
        for (tenant, key) in page {
            if self.tenant.is_none_or(|only| *only == tenant) {
                keys.entry(tenant).or_default().push(key);
            }
        }
        Ok(Some(keys))
    }
}

fn by_subject(keys: Vec<SubjectKey>) -> HashMap<Arc<str>, SubjectKey> {
    keys.into_iter().map(|key| (Arc::clone(&key.subject), key)).collect()
}

/// Carries the keys over. Who was shredded at the destination, or has another key there, keeps that.
pub(super) async fn carry(
    source: &dyn Backend,
    destination: &dyn Backend,
    tenant: Option<&TenantId>,
    copied: &mut Copied,
) -> Result<()> {
    (copied.keys, copied.other_keys) = (0, 0);
    let mut pages = Keys::new(source, tenant);
    while let Some(page) = pages.next().await? {
        for (tenant, keys) in page {
            let request = NewKeysRequest::new(tenant.clone(), keys.clone());
            let mut stored = by_subject(destination.create_keys(request).await?);
            for key in keys {
                let Some(there) = stored.remove(&key.subject) else { continue };
                if there == key {
                    copied.keys += 1;
                } else if there.id != key.id && there.wrapped.is_some() {
                    copied.other_keys += 1;
                } else if let (true, Some(wrapped)) = (there.wrapped.is_some(), key.wrapped) {
                    // It was wrapped anew at the source.
                    let request = RewrapRequest::new(tenant.clone(), there, wrapped);
                    copied.keys += u64::from(destination.rewrap_key(request).await?);
                }
            }
        }
    }
    Ok(())
}

/// Counts the keys that are not at the destination.
pub(super) async fn compare(
    source: &dyn Backend,
    destination: &dyn Backend,
    tenant: Option<&TenantId>,
    compared: &mut Compared,
) -> Result<()> {
    let mut pages = Keys::new(source, tenant);
    while let Some(page) = pages.next().await? {
        for (tenant, keys) in page {
            let subjects = keys.iter().map(|key| Arc::clone(&key.subject)).collect();
            let stored = by_subject(destination.keys(KeysRequest::new(tenant, subjects)).await?);
            let missing = keys.iter().filter(|key| stored.get(&key.subject) != Some(*key));
            compared.missing_keys += missing.count() as u64;
        }
    }
    Ok(())
}

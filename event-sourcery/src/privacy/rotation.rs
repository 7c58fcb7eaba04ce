//! The master key is changed: keys are wrapped anew, and no event is touched.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::keys::{DataKey, SubjectOf};
use super::shredding::vault;
use super::unwrapping::unwrapped;
use super::vault::Vault;
use crate::backend::{Backend, OldKeysRequest, RewrapRequest, SubjectKey, WrappedKey};
use crate::error::{Error, Result};
use crate::store::EventStore;
use crate::stream_id::TenantId;

/// How many keys are wrapped anew at once.
const AT_ONCE: usize = 256;

impl<B: Backend> EventStore<B> {
    /// Wraps every key anew that is not wrapped by what was given to [`Encryption::new`](super::Encryption::new), of all tenants; tells
    /// how many. No event is touched. Others may read and write all the while, and those that know the former one alone may still make
    /// keys with it: call it again once there are none.
    ///
    /// It works through 256 keys at once: each costs a write, and all of them a call to what has wrapped them, for each tenant, and one to
    /// what wraps them now. Stopped in the middle, it goes on from there when it is called again.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] on a handle without encryption; [`Error::KeyNotUnwrapped`] for the first key that none of those given
    /// can unwrap: all others are done then; that of what wraps keys, and the backend's.
    pub async fn rotate_keys(&self) -> Result<u64> {
        let (vault, backend) = (vault(self.scope())?, self.shared_backend());
        let by: Arc<str> = vault.present()?.name().into();
        let mut rewrapped = 0;
        loop {
            let (before, mut request) = (rewrapped, OldKeysRequest::new(Arc::clone(&by), AT_ONCE));
            let mut problem = None;
            loop {
                let page = backend.old_keys(request.clone()).await?;
                let Some((tenant, key)) = page.last() else { break };
                request = request.with_after(tenant.clone(), Arc::clone(&key.subject));
                rewrapped += rewrap(vault, &*backend, page, &mut problem).await?;
            }
            // Until a round finds nothing: others may have made keys meanwhile.
            if rewrapped == before {
                return problem.map_or(Ok(rewrapped), Err);
            }
        }
    }
}

/// Wrapped keys of one tenant that one and the same has wrapped.
#[derive(Default)]
struct Together {
    asked: Vec<(SubjectOf, Vec<u8>)>,
    stored: Vec<SubjectKey>,
}

/// Wraps a page of keys anew; tells how many, and notes the first that cannot be unwrapped.
async fn rewrap(
    vault: &Vault,
    backend: &dyn Backend,
    page: Vec<(TenantId, SubjectKey)>,
    problem: &mut Option<Error>,
) -> Result<u64> {
    let (mut opened, mut stored) = (Vec::with_capacity(page.len()), Vec::with_capacity(page.len()));
    for ((_, by), together) in sorted(page)? {
        let mut noted = |of: &SubjectOf, why: Box<str>| {
            let (subject, by) = (of.subject.to_string(), by.to_string());
            problem.get_or_insert(Error::KeyNotUnwrapped { subject, by, problem: why });
        };
        let Some(wrapping) = vault.wrappings.iter().find(|known| *known.name() == *by) else {
            if let Some((of, _)) = together.asked.first() {
                noted(of, "this store does not have that".into());
            }
            continue;
        };
        let answers = unwrapped(true, &**wrapping, &together.asked).await?;
        for (((of, _), key), answer) in together.asked.into_iter().zip(together.stored).zip(answers) {
            match answer {
                Ok(plain) => {
                    opened.push((of, plain));
                    stored.push(key);
                }
                Err(why) => noted(&of, why),
            }
        }
    }
    if opened.is_empty() { Ok(0) } else { wrap_anew(vault, backend, opened, stored).await }
}

fn sorted(page: Vec<(TenantId, SubjectKey)>) -> Result<BTreeMap<(TenantId, Arc<str>), Together>> {
    let mut sorted: BTreeMap<_, Together> = BTreeMap::new();
    for (tenant, key) in page {
        let Some(WrappedKey { by, bytes }) = key.wrapped.clone() else {
            return Err(Error::bug("the backend has listed a key that was shredded"));
        };
        let of = SubjectOf { tenant: tenant.clone(), subject: Arc::clone(&key.subject) };
        let together = sorted.entry((tenant, by)).or_default();
        together.asked.push((of, bytes.to_vec()));
        together.stored.push(key);
    }
    Ok(sorted)
}

/// Each takes the place of what was read, where that is still there.
async fn wrap_anew(
    vault: &Vault,
    backend: &dyn Backend,
    opened: Vec<(SubjectOf, DataKey)>,
    stored: Vec<SubjectKey>,
) -> Result<u64> {
    let present = vault.present()?;
    let (by, anew) = (Arc::<str>::from(present.name()), present.wrap(&opened).await?);
    if anew.len() != opened.len() {
        return Err(Error::bug("what wraps keys did not answer for every key"));
    }
    let mut rewrapped = 0;
    for (((of, _), key), bytes) in opened.into_iter().zip(stored).zip(anew) {
        let to = WrappedKey::new(Arc::clone(&by), bytes.into());
        rewrapped += u64::from(backend.rewrap_key(RewrapRequest::new(of.tenant, key, to)).await?);
    }
    Ok(rewrapped)
}

//! The keys of data subjects: found, made, unwrapped, and kept for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use super::cache::{Cache, Held, HeldKeys, Shreddings};
use super::cipher::Cipher;
use super::keys::{DataKey, KeyWrapping, SubjectOf};
use super::ring::Ring;
use super::unwrapping::{answered, unwrapped};
use crate::backend::{KeysRequest, NewKeysRequest, SubjectKey, WrappedKey};
use crate::error::{Error, Result};
use crate::stream_id::TenantId;

/// What a store needs to seal and to open.
#[derive(Debug)]
pub(crate) struct Vault {
    /// What wraps new keys, and then what has wrapped older ones.
    pub(super) wrappings: Vec<Arc<dyn KeyWrapping>>,
    /// What seals, and then what else has sealed.
    pub(super) ciphers: Vec<Arc<dyn Cipher>>,
    pub(super) cache: Cache,
}

/// A key that is stored, still wrapped.
type StillWrapped = (SubjectOf, Uuid, Vec<u8>);

impl Vault {
    /// What wraps new keys.
    pub(super) fn present(&self) -> Result<&Arc<dyn KeyWrapping>> {
        self.wrappings.first().ok_or(Error::bug("a vault without what wraps its keys"))
    }

    /// What is known of the keys of these subjects: one read at most, and a call for each of what has wrapped them.
    pub(super) async fn held<R: Ring>(
        &self,
        ring: &mut R,
        tenant: &TenantId,
        subjects: BTreeSet<Arc<str>>,
    ) -> Result<HeldKeys> {
        let (mut held, unknown, since) = self.cache.find(tenant, subjects);
        if unknown.is_empty() {
            return Ok(held);
        }
        let stored = ring.keys(KeysRequest::new(tenant.clone(), unknown.clone())).await?;
        self.take_in::<R>(tenant, stored, since, &mut held).await?;
        for subject in unknown {
            held.entry(subject).or_insert(Held::NeverGiven);
        }
        Ok(held)
    }

    /// The keys to seal for these subjects with. Who never had one is given one.
    pub(super) async fn for_sealing<R: Ring>(
        &self,
        ring: &mut R,
        tenant: &TenantId,
        subjects: BTreeSet<Arc<str>>,
    ) -> Result<HeldKeys> {
        let mut held = self.held(ring, tenant, subjects).await?;
        let mut new = Vec::new();
        for (subject, found) in &held {
            if matches!(found, Held::NeverGiven) {
                new.push(Arc::clone(subject));
            }
        }
        if !new.is_empty() {
            self.create(ring, tenant, new, &mut held).await?;
        }
        for (subject, found) in &held {
            refuse(subject, found)?;
        }
        Ok(held)
    }

    /// Gives keys to those who never had one. Of two who do so at the same time, both get the one that is stored.
    async fn create<R: Ring>(
        &self,
        ring: &mut R,
        tenant: &TenantId,
        subjects: Vec<Arc<str>>,
        held: &mut HeldKeys,
    ) -> Result<()> {
        let since = self.cache.find(tenant, BTreeSet::new()).2;
        let wrapping = self.present()?;
        let mut keys = Vec::with_capacity(subjects.len());
        for subject in subjects {
            keys.push((SubjectOf { tenant: tenant.clone(), subject }, DataKey::random()?));
        }
        let wrapped = answered(R::WAITS, wrapping.wrap(&keys), &keys).await?;
        if wrapped.len() != keys.len() {
            return Err(Error::bug("what wraps keys did not answer for every key"));
        }
        let by: Arc<str> = wrapping.name().into();
        let (mut made, mut ours) = (Vec::with_capacity(keys.len()), BTreeMap::new());
        for ((SubjectOf { subject, .. }, key), wrapped) in keys.into_iter().zip(wrapped) {
            let id = Uuid::new_v4();
            made.push(SubjectKey::new(subject, id, WrappedKey::new(Arc::clone(&by), wrapped.into())));
            ours.insert(id, Arc::new(key));
        }
        let stored = ring.create_keys(NewKeysRequest::new(tenant.clone(), made)).await?;
        let mut others = Vec::new();
        for key in stored {
            match ours.remove(&key.id).filter(|_| key.wrapped.is_some()) {
                Some(own) => self.note::<R>(tenant, key.subject, Held::Key(key.id, own), since, held),
                None => others.push(key),
            }
        }
        self.take_in::<R>(tenant, others, since, held).await
    }

    /// Unwraps what is stored.
    async fn take_in<R: Ring>(
        &self,
        tenant: &TenantId,
        stored: Vec<SubjectKey>,
        since: Shreddings,
        held: &mut HeldKeys,
    ) -> Result<()> {
        let mut wrapped: BTreeMap<Arc<str>, Vec<StillWrapped>> = BTreeMap::new();
        for key in stored {
            let SubjectKey { subject, id, wrapped: found } = key;
            match found {
                None => self.note::<R>(tenant, subject, Held::Shredded, since, held),
                Some(WrappedKey { by, bytes }) => {
                    let of = SubjectOf { tenant: tenant.clone(), subject };
                    wrapped.entry(by).or_default().push((of, id, bytes.to_vec()));
                }
            }
        }
        for (by, keys) in wrapped {
            let Some(wrapping) = self.wrappings.iter().find(|known| *known.name() == *by) else {
                let problem = "this store does not have that";
                for (of, ..) in keys {
                    held.insert(of.subject, Held::Wrapped { by: Arc::clone(&by), problem: problem.into() });
                }
                continue;
            };
            let mut asked = Vec::with_capacity(keys.len());
            let mut ids = Vec::with_capacity(keys.len());
            for (of, id, bytes) in keys {
                asked.push((of, bytes));
                ids.push(id);
            }
            let unwrapped = unwrapped(R::WAITS, &**wrapping, &asked).await?;
            for (((of, _), id), key) in asked.into_iter().zip(ids).zip(unwrapped) {
                let found = match key {
                    Ok(key) => Held::Key(id, Arc::new(key)),
                    Err(problem) => Held::Wrapped { by: Arc::clone(&by), problem },
                };
                self.note::<R>(tenant, of.subject, found, since, held);
            }
        }
        Ok(())
    }

    fn note<R: Ring>(
        &self,
        tenant: &TenantId,
        subject: Arc<str>,
        found: Held,
        since: Shreddings,
        held: &mut HeldKeys,
    ) {
        if R::IS_COMMITTED {
            self.cache.keep(tenant, &subject, &found, since);
        }
        held.insert(subject, found);
    }

    /// After an append was refused: a key that is not there any more is not used again.
    pub(super) fn heed(&self, tenant: &TenantId, refused: &Error) {
        if let Error::SubjectShredded { subject } = refused {
            self.cache.forget(tenant, subject);
        }
    }
}

/// Nothing is sealed for a subject that was shredded, nor with a key that cannot be unwrapped.
fn refuse(subject: &Arc<str>, found: &Held) -> Result<()> {
    match found {
        Held::Key(..) => Ok(()),
        Held::Shredded => Err(Error::SubjectShredded { subject: subject.to_string() }),
        Held::Wrapped { by, problem } => Err(Error::KeyNotUnwrapped {
            subject: subject.to_string(),
            by: by.to_string(),
            problem: problem.clone(),
        }),
        Held::NeverGiven => Err(Error::bug("the backend did not answer for every new key")),
    }
}

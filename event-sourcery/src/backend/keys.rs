//! The keys of data subjects, wrapped: what a backend stores of them.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use crate::error::{Error, Result};
use crate::stream_id::TenantId;

/// The key of a data subject, as it is stored. A subject is given a key once: what was shredded never gets another.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubjectKey {
    /// Whose data it opens: 1 to 255 characters, no NUL.
    pub subject: Arc<str>,
    /// The key's own id.
    pub id: Uuid,
    /// The key, wrapped; `None`: it was shredded.
    pub wrapped: Option<WrappedKey>,
}

impl SubjectKey {
    /// A key of this subject.
    #[must_use]
    pub const fn new(subject: Arc<str>, id: Uuid, wrapped: WrappedKey) -> Self {
        Self { subject, id, wrapped: Some(wrapped) }
    }

    /// What is left of a key that was shredded.
    #[must_use]
    pub const fn shredded(subject: Arc<str>, id: Uuid) -> Self {
        Self { subject, id, wrapped: None }
    }
}

/// A key under another one. `Debug` shows no bytes.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrappedKey {
    /// The name of what it is wrapped with: 1 to 255 characters, no NUL.
    pub by: Arc<str>,
    /// The wrapped key, as it was given: at most 4,096 bytes.
    pub bytes: Arc<[u8]>,
}

impl WrappedKey {
    /// These bytes, wrapped by the key of this name.
    #[must_use]
    pub const fn new(by: Arc<str>, bytes: Arc<[u8]>) -> Self {
        Self { by, bytes }
    }
}

impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by, bytes } = self;
        f.debug_struct("WrappedKey").field("by", by).field("bytes", &bytes.len()).finish()
    }
}

/// Which keys are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeysRequest {
    /// Whose subjects.
    pub tenant: TenantId,
    /// The subjects, each once.
    pub subjects: Vec<Arc<str>>,
}

impl KeysRequest {
    /// The keys of these subjects, each given once.
    #[must_use]
    pub const fn new(tenant: TenantId, subjects: Vec<Arc<str>>) -> Self {
        Self { tenant, subjects }
    }
}

/// Keys that are to be stored where their subjects have none.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewKeysRequest {
    /// Whose subjects.
    pub tenant: TenantId,
    /// A key for each subject, each subject once.
    pub keys: Vec<SubjectKey>,
}

impl NewKeysRequest {
    /// These keys, of one subject each.
    #[must_use]
    pub const fn new(tenant: TenantId, keys: Vec<SubjectKey>) -> Self {
        Self { tenant, keys }
    }
}

/// A page of keys that are wrapped by something else than this.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OldKeysRequest {
    /// The name of what all keys are to be wrapped with.
    pub by: Arc<str>,
    /// Those of tenants and subjects behind this one, in the order of tenant and subject.
    pub after: Option<(TenantId, Arc<str>)>,
    /// At most this many, at least 1.
    pub limit: usize,
}

impl OldKeysRequest {
    /// At most this many keys that are not wrapped by this, from the first on.
    #[must_use]
    pub const fn new(by: Arc<str>, limit: usize) -> Self {
        Self { by, after: None, limit }
    }

    /// Only those behind this subject.
    #[must_use]
    pub fn with_after(self, tenant: TenantId, subject: Arc<str>) -> Self {
        Self { after: Some((tenant, subject)), ..self }
    }
}

/// A key that is to be wrapped otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RewrapRequest {
    /// Whose subject.
    pub tenant: TenantId,
    /// The key as it was read. If it is another one by now, or was shredded, nothing is written.
    pub from: SubjectKey,
    /// The same key, wrapped by the new one.
    pub to: WrappedKey,
}

impl RewrapRequest {
    /// This key, wrapped like that from now on.
    #[must_use]
    pub const fn new(tenant: TenantId, from: SubjectKey, to: WrappedKey) -> Self {
        Self { tenant, from, to }
    }
}

/// An append was sealed with this key, and the key has to be there still.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyRequirement {
    /// Whose data is sealed, of the tenant of the append.
    pub subject: Arc<str>,
    /// The id of the key it is sealed with.
    pub key: Uuid,
}

impl KeyRequirement {
    /// This subject's data is sealed with the key of this id.
    #[must_use]
    pub const fn new(subject: Arc<str>, key: Uuid) -> Self {
        Self { subject, key }
    }

    /// Whether the append may go on, given what is stored for the subject in the transaction that writes.
    ///
    /// # Errors
    ///
    /// [`Error::SubjectShredded`] where the key is not there any more.
    pub fn check(&self, found: Option<&SubjectKey>) -> Result<()> {
        match found {
            Some(SubjectKey { id, wrapped: Some(_), .. }) if *id == self.key => Ok(()),
            _ => Err(Error::SubjectShredded { subject: self.subject.to_string() }),
        }
    }
}

//! The keys of data subjects in memory, and what wraps them for the store.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::stream_id::TenantId;

/// How many bytes a key has.
const LENGTH: usize = 32;

/// A key of 256 bits. Its bytes are overwritten when it is dropped, and there is no way to show them by mistake.
///
/// They stay in one place: where the key is handed on, no copy of them is left behind.
pub struct DataKey(Box<Zeroizing<[u8; LENGTH]>>);

impl DataKey {
    /// A new key, from the random numbers of the operating system.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`] where the system has none.
    pub fn random() -> Result<Self> {
        let mut key = Self::of_zeros();
        fill(key.0.as_mut_slice())?;
        Ok(key)
    }

    /// The key of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; LENGTH]) -> Self {
        let (given, mut key) = (Zeroizing::new(bytes), Self::of_zeros());
        key.0.copy_from_slice(given.as_slice());
        key
    }

    fn of_zeros() -> Self {
        Self(Box::new(Zeroizing::new([0; LENGTH])))
    }

    /// Its bytes: for a cipher, and for what wraps it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }
}

/// Fills bytes with random ones.
pub(super) fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes)
        .map_err(|problem| Error::backend("random number", std::io::Error::other(problem.to_string())))
}

/// A data subject of a tenant. The same subject in two tenants is two, with a key each.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubjectOf {
    /// Whose subject.
    pub tenant: TenantId,
    /// The subject: 1 to 255 characters.
    pub subject: Arc<str>,
}

/// What wraps the keys of data subjects.
///
/// [`MasterKey`](super::MasterKey) does so in this process. One that asks a key service implements this trait. Whatever it is,
/// it is asked for whole batches: where it needs the network, a page of events costs it one call.
#[async_trait]
pub trait KeyWrapping: fmt::Debug + Send + Sync + 'static {
    /// Its name: what is stored beside each key that it has wrapped, 1 to 255 characters. Two that cannot unwrap each other's keys
    /// have two names.
    fn name(&self) -> &str;

    /// Wraps keys, one for each subject, in the order given; in as few round trips as it can. A wrapped key has at most 4,096
    /// bytes.
    ///
    /// # Errors
    ///
    /// Its own. One that is [retryable](Error::is_retryable) is tried again by whoever tries the call again.
    async fn wrap(&self, keys: &[(SubjectOf, DataKey)]) -> Result<Vec<Vec<u8>>>;

    /// Unwraps keys, in the order given.
    ///
    /// # Errors
    ///
    /// [`Error::KeyNotUnwrapped`] where one of them is not what it has wrapped for that subject, which it names: then the others are
    /// asked for once more without it, and only what is encrypted with that key cannot be read. Where it names none of those that it
    /// was asked for, each is asked for alone. Any other error fails the whole call.
    async fn unwrap(&self, keys: &[(SubjectOf, Vec<u8>)]) -> Result<Vec<DataKey>>;

    /// Forgets what only it has of a subject, once the subject's key is gone from the store. Called again, it does nothing. Without an
    /// implementation of its own, it has nothing.
    ///
    /// # Errors
    ///
    /// Its own: then the shredding fails, and is to be called again.
    async fn forget(&self, subject: &SubjectOf) -> Result<()> {
        let _ = subject;
        Ok(())
    }
}

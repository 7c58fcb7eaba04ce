//! What a store encrypts with.

use std::sync::Arc;
use std::time::Duration;

use super::cache::Cache;
use super::cipher::{AesGcm, Cipher};
use super::keys::KeyWrapping;
use super::vault::Vault;

/// How long a key stays in memory, unless it is said otherwise.
const LIVES: Duration = Duration::from_secs(60);

/// The longest that it can be said to stay.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What a store encrypts with: what wraps the keys of data subjects, and the cipher. See
/// [`EventStore::with_encryption`](crate::EventStore::with_encryption).
#[derive(Debug)]
pub struct Encryption {
    wrappings: Vec<Arc<dyn KeyWrapping>>,
    ciphers: Vec<Arc<dyn Cipher>>,
    lives: Duration,
}

impl Encryption {
    /// Keys wrapped by this, such as a [`MasterKey`](super::MasterKey), and AES-256-GCM.
    #[must_use]
    pub fn new(wrapping: impl KeyWrapping) -> Self {
        Self { wrappings: vec![Arc::new(wrapping)], ciphers: vec![Arc::new(AesGcm)], lives: LIVES }
    }

    /// Keys that this has wrapped can be used too. New ones are wrapped by what was given first;
    /// [`EventStore::rotate_keys`](crate::EventStore::rotate_keys) wraps the others anew.
    #[must_use]
    pub fn with_former(mut self, wrapping: impl KeyWrapping) -> Self {
        self.wrappings.push(Arc::new(wrapping));
        self
    }

    /// Fields are encrypted by this cipher, in the place of the one that was given before, whose fields can still be read.
    #[must_use]
    pub fn with_cipher(mut self, cipher: impl Cipher) -> Self {
        self.ciphers.insert(0, Arc::new(cipher));
        self
    }

    /// How long a key stays in the memory of this process once it was read: a minute, unless it is said here; a day at most.
    ///
    /// For so long this process may go on reading what another one has shredded. It writes nothing for a shredded subject, however
    /// long that is. It is overwritten in memory once it was not used for twice as long at most. 0: none is kept, and a key is read for
    /// each page.
    #[must_use]
    pub fn cache_for(self, lives: Duration) -> Self {
        Self { lives: lives.min(LONGEST), ..self }
    }

    pub(super) fn into_vault(self) -> Vault {
        let Self { wrappings, ciphers, lives } = self;
        Vault { wrappings, ciphers, cache: Cache::new(lives) }
    }
}

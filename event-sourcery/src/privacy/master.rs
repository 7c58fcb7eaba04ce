//! A master key: what wraps the keys of data subjects in this process.

use std::fmt;
use std::path::Path;

use async_trait::async_trait;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::cipher::{AesGcm, Cipher as _};
use super::keys::{DataKey, KeyWrapping, SubjectOf};
use crate::error::{Error, Result};

/// What fingerprints of master keys are made with.
const FINGERPRINTS: Uuid = Uuid::from_u128(0x2b1c_9f0e_6d0a_4c59_9a33_5f3a_7f8f_0c11);

/// Base64, padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A key of 256 bits that wraps the keys of data subjects, with AES-256-GCM, each bound to its tenant and subject.
///
/// Keep it outside of the store, and of its backups: whoever has both can read everything. Without it, nothing that is encrypted
/// can be read by anybody, for good. `openssl rand -base64 32` makes one.
///
/// Its name, which stands beside each key it has wrapped, is a fingerprint of it: so two of them are told apart. `Debug` shows
/// that alone.
///
/// ```
/// use event_sourcery::privacy::{KeyWrapping as _, MasterKey};
///
/// let (ours, theirs) = (MasterKey::from_bytes([1; 32]), MasterKey::from_bytes([2; 32]));
/// assert_ne!(ours.name(), theirs.name());
/// ```
pub struct MasterKey {
    key: DataKey,
    name: String,
}

impl MasterKey {
    /// The master key of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let bytes = Zeroizing::new(bytes);
        let name = format!("master:{}", Uuid::new_v5(&FINGERPRINTS, bytes.as_slice()));
        Self { key: DataKey::from_bytes(*bytes), name }
    }

    /// The master key of 32 bytes in Base64, with or without white space around it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] for anything else. The error does not quote it.
    pub fn from_base64(text: &str) -> Result<Self> {
        let bytes = Zeroizing::new(BASE64.decode(text.trim()).map_err(|_| refused("it is not Base64"))?);
        let bytes = <[u8; 32]>::try_from(bytes.as_slice());
        bytes.map(Self::from_bytes).map_err(|_| refused("it does not have 32 bytes"))
    }

    /// The master key in a file: 32 bytes in Base64.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] where the file cannot be read, or holds something else.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|problem| refused(&problem.to_string()))?;
        Self::from_base64(&Zeroizing::new(text))
    }

    /// The master key in a variable of the environment: 32 bytes in Base64.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] where there is no such variable, or it holds something else.
    pub fn from_env(variable: &str) -> Result<Self> {
        let text = std::env::var(variable).map_err(|_| {
            refused(&format!("the environment has no variable {variable:?}, or it is not UTF-8"))
        })?;
        Self::from_base64(&Zeroizing::new(text))
    }
}

fn refused(problem: &str) -> Error {
    Error::InvalidOption { option: "master key", problem: problem.to_owned() }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a wrapped key is bound to.
fn bound_to(of: &SubjectOf) -> Vec<u8> {
    let (tenant, subject) = (of.tenant.as_str().as_bytes(), of.subject.as_bytes());
    let length = (tenant.len() as u64).to_be_bytes();
    [b"event-sourcery key 1".as_slice(), &length, tenant, subject].concat()
}

#[async_trait]
impl KeyWrapping for MasterKey {
    fn name(&self) -> &str {
        &self.name
    }

    async fn wrap(&self, keys: &[(SubjectOf, DataKey)]) -> Result<Vec<Vec<u8>>> {
        keys.iter().map(|(of, key)| AesGcm.seal(&self.key, &bound_to(of), key.as_bytes())).collect()
    }

    async fn unwrap(&self, keys: &[(SubjectOf, Vec<u8>)]) -> Result<Vec<DataKey>> {
        let one = |(of, wrapped): &(SubjectOf, Vec<u8>)| {
            let opened = AesGcm.open(&self.key, &bound_to(of), wrapped).map(Zeroizing::new);
            let opened = opened.and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok());
            opened.map(DataKey::from_bytes).ok_or_else(|| Error::KeyNotUnwrapped {
                subject: of.subject.to_string(),
                by: self.name.clone(),
                problem: "it was changed, or is of another subject or tenant".into(),
            })
        };
        keys.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::stream_id::TenantId;

    fn of(tenant: &str, subject: &str) -> SubjectOf {
        SubjectOf { tenant: TenantId::stored(tenant), subject: Arc::from(subject) }
    }

    #[tokio::test]
    async fn a_wrapped_key_is_bound_to_its_subject_tenant_and_master() {
        let (master, another) = (MasterKey::from_bytes([7; 32]), MasterKey::from_bytes([8; 32]));
        let wrapped = master.wrap(&[(of("acme", "17"), DataKey::from_bytes([3; 32]))]).await.unwrap();
        let unwrap = |of| [(of, wrapped[0].clone())];
        let back = master.unwrap(&unwrap(of("acme", "17"))).await.ok().unwrap();
        assert_eq!(back[0].as_bytes(), &[3; 32]);
        for elsewhere in [of("", "17"), of("acme", "18"), of("acme1", "7")] {
            let refused = master.unwrap(&unwrap(elsewhere)).await.err();
            assert!(matches!(refused, Some(Error::KeyNotUnwrapped { .. })));
        }
        assert!(another.unwrap(&unwrap(of("acme", "17"))).await.is_err());
    }

    #[test]
    fn what_is_no_master_key_is_refused_and_not_quoted() {
        let text = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";
        for padded in [text.to_owned(), format!("{text}=\n")] {
            assert_eq!(
                MasterKey::from_base64(&padded).unwrap().name(),
                MasterKey::from_bytes([7; 32]).name()
            );
        }
        for wrong in ["", "c2VjcmV0", "not base64!"] {
            let refused = MasterKey::from_base64(wrong).unwrap_err().to_string();
            assert!(wrong.is_empty() || !refused.contains(wrong), "{refused}");
        }
        assert!(MasterKey::from_file("/nowhere/at/all").is_err());
        assert!(MasterKey::from_env("EVENT_SOURCERY_NO_SUCH_VARIABLE").is_err());
        assert!(!format!("{:?}", MasterKey::from_bytes([7; 32])).contains("7, 7"));
    }
}

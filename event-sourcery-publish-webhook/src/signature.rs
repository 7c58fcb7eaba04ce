//! Signatures, as Standard Webhooks has them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What texts of secrets begin with.
const PREFIX: &str = "whsec_";

/// How many bytes a secret has.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// What a sender and a receiver share. `Debug` does not show it.
#[derive(Clone)]
pub struct Secret(Hmac<Sha256>);

/// A text that is no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no secret of a webhook: give `whsec_`, followed by 24 to 64 bytes in base64")]
#[non_exhaustive]
pub struct InvalidSecret;

impl Secret {
    /// The secret of this text: `whsec_` (which may be missing), and 24 to 64 bytes in base64.
    ///
    /// # Errors
    ///
    /// [`InvalidSecret`] for another one.
    pub fn from_text(text: &str) -> Result<Self, InvalidSecret> {
        let bytes = STANDARD.decode(text.strip_prefix(PREFIX).unwrap_or(text)).map_err(|_| InvalidSecret)?;
        Self::from_bytes(&bytes)
    }

    /// The secret of these bytes, 24 to 64 of them.
    ///
    /// # Errors
    ///
    /// [`InvalidSecret`] for more, or fewer.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidSecret> {
        if !LENGTHS.contains(&bytes.len()) {
            return Err(InvalidSecret);
        }
        Ok(Self(Hmac::new_from_slice(bytes).map_err(|_| InvalidSecret)?))
    }

    /// The signature of a message: over its id, its time and its body, so that none can be changed or sent again later.
    pub(crate) fn sign(&self, id: &str, timestamp: u64, body: &str) -> String {
        let mut mac = self.0.clone();
        for part in [id, ".", &timestamp.to_string(), ".", body] {
            mac.update(part.as_bytes());
        }
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_has_its_signature() {
        let secret = Secret::from_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn what_is_no_secret_is_refused_and_none_is_shown() {
        let text = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        for refused in ["", "whsec_", "whsec_=", "not base64!", &text(23), &text(65)] {
            assert_eq!(Secret::from_text(refused).err(), Some(InvalidSecret), "{refused:?}");
        }
        let secret = Secret::from_text(&text(24)).unwrap();
        assert_eq!(format!("{secret:?}"), "Secret");
        assert!(Secret::from_text(&text(64)).is_ok());
    }
}

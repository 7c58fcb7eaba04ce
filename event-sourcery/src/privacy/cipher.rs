//! What encrypts a field: AES-256-GCM, or another one.

use std::fmt;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{Aead as _, AeadInOut as _, KeyInit as _, Payload};

use super::keys::{DataKey, fill};
use crate::error::{Error, Result};

/// How many bytes a nonce of AES-GCM has.
const NONCE: usize = 12;

/// How many bytes the tag has behind a ciphertext.
const TAG: usize = 16;

/// Encrypts and authenticates single fields.
///
/// What is encrypted is bound to its place (tenant, stream, event and field): the same bytes are given to both functions.
/// Where they differ, [`open`](Self::open) has to refuse.
pub trait Cipher: fmt::Debug + Send + Sync + 'static {
    /// Its name and version, stored before each ciphertext: letters and digits. `1` is [`AesGcm`].
    fn format(&self) -> &str;

    /// Encrypts. The answer holds all that [`open`](Self::open) needs beside the key, such as a nonce.
    ///
    /// # Errors
    ///
    /// Its own.
    fn seal(&self, key: &DataKey, bound_to: &[u8], plain: &[u8]) -> Result<Vec<u8>>;

    /// Decrypts; `None` where this is not what was encrypted with that key for that place.
    fn open(&self, key: &DataKey, bound_to: &[u8], sealed: &[u8]) -> Option<Vec<u8>>;
}

/// AES-256-GCM with a random nonce of 96 bits for each field, in front of the ciphertext and its tag of 128 bits.
///
/// A key may encrypt 2^32 fields before two of its nonces are likelier to meet than NIST SP 800-38D allows. There is a key for
/// each data subject.
#[derive(Debug, Clone, Copy, Default)]
pub struct AesGcm;

impl Cipher for AesGcm {
    fn format(&self) -> &str {
        "1"
    }

    fn seal(&self, key: &DataKey, bound_to: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE];
        fill(&mut nonce)?;
        seal_with(key, nonce, bound_to, plain)
    }

    fn open(&self, key: &DataKey, bound_to: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
        let cipher = Aes256Gcm::new(key.as_bytes().into());
        cipher.decrypt(nonce.into(), Payload { msg: sealed, aad: bound_to }).ok()
    }
}

fn seal_with(key: &DataKey, nonce: [u8; NONCE], bound_to: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    let cipher = Aes256Gcm::new(key.as_bytes().into());
    let mut sealed = Vec::with_capacity(NONCE + plain.len() + TAG);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plain);
    let text = sealed.get_mut(NONCE..).unwrap_or_default().into();
    let tag = cipher.encrypt_inout_detached((&nonce).into(), bound_to, text);
    let tag = tag.map_err(|_| Error::bug("more was to be encrypted than AES-GCM takes"))?;
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<_> = hex.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    fn key(hex: &str) -> DataKey {
        DataKey::from_bytes(bytes(hex).try_into().unwrap())
    }

    /// Test cases 13, 14 and 16 of "The Galois/Counter Mode of Operation (GCM)", McGrew and Viega.
    #[test]
    fn the_known_answers_come_out() {
        let zero = "0000000000000000000000000000000000000000000000000000000000000000";
        let sixteen = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
        for (with, nonce, bound_to, plain, sealed) in [
            (zero, "000000000000000000000000", "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
            (
                zero,
                "000000000000000000000000",
                "",
                "00000000000000000000000000000000",
                "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
            ),
            (
                sixteen,
                "cafebabefacedbaddecaf888",
                "feedfacedeadbeeffeedfacedeadbeefabaddad2",
                "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
                "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b",
            ),
        ] {
            let nonce: [u8; NONCE] = bytes(nonce).try_into().unwrap();
            let (bound_to, plain) = (bytes(bound_to), bytes(plain));
            let ours = seal_with(&key(with), nonce, &bound_to, &plain).unwrap();
            assert_eq!(ours, [nonce.as_slice(), &bytes(sealed)].concat());
            assert_eq!(AesGcm.open(&key(with), &bound_to, &ours), Some(plain));
        }
    }

    #[test]
    fn what_was_changed_or_is_elsewhere_or_of_another_key_is_refused() {
        let (ours, theirs) = (DataKey::random().unwrap(), DataKey::random().unwrap());
        let sealed = AesGcm.seal(&ours, b"here", b"secret").unwrap();
        assert_eq!(AesGcm.open(&ours, b"here", &sealed).as_deref(), Some(b"secret".as_slice()));
        assert_eq!(AesGcm.open(&ours, b"there", &sealed), None);
        assert_eq!(AesGcm.open(&theirs, b"here", &sealed), None);
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert_eq!(AesGcm.open(&ours, b"here", &changed), None, "at {place}");
            assert_eq!(AesGcm.open(&ours, b"here", &sealed[..place]), None, "cut at {place}");
        }
    }

    #[test]
    fn no_nonce_comes_twice() {
        let key = DataKey::random().unwrap();
        let nonces = (0..1_000).map(|_| AesGcm.seal(&key, b"", b"").unwrap()[..NONCE].to_vec());
        assert_eq!(nonces.collect::<std::collections::HashSet<_>>().len(), 1_000);
    }
}

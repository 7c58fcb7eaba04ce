//! Privacy: fields that are encrypted under a key of the data subject they are about, and that nobody can read once that key is shredded.
//!
//! Mark the fields of an event, `#[event(encrypted, mask = ..)]`, and the one that tells whom they are about, `#[event(subject)]`;
//! give the store what wraps the keys, with [`EventStore::with_encryption`](crate::EventStore::with_encryption); and
//! [`shred`](crate::EventStore::shred) who is to be forgotten. The guide page [*data privacy*](crate::guide::data_privacy) shows
//! all of it, and what it does not do.
//!
//! [`KeyWrapping`] is for those who have a key service, and [`Cipher`] for those who need another cipher.

mod cache;
mod cipher;
mod encryption;
mod envelope;
#[cfg(test)]
mod fuzz;
mod keys;
pub(crate) mod marks;
mod master;
mod opening;
mod personal;
mod pointers;
mod report;
mod ring;
mod rotation;
mod sealed;
mod sealing;
mod shredding;
mod transactions;
mod unwrapping;
mod vault;

#[cfg(feature = "derive")]
pub use event_sourcery_macros::Personal;

pub use self::cipher::{AesGcm, Cipher};
pub use self::encryption::Encryption;
pub(crate) use self::envelope::{is_one as is_envelope, is_sealed, may_be_sealed};
pub use self::keys::{DataKey, KeyWrapping, SubjectOf};
pub use self::master::MasterKey;
pub(crate) use self::opening::Opening;
pub use self::personal::Personal;
pub use self::report::{KeyState, Mention, SubjectReport};
pub(crate) use self::sealed::SealedBackend;
pub(crate) use self::sealing::check;
pub use self::shredding::SubjectShredded;
pub(crate) use self::shredding::shred_within;
pub(crate) use self::transactions::{WriterCalls, joined, open_heard, open_heard_joined};
pub(crate) use self::vault::Vault;

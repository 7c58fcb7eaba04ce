//! Wraps the keys of data subjects of [Event Sourcery](event_sourcery) with the transit engine of OpenBao, or of Vault: so that what
//! opens them is in neither the store, nor its backups, nor this process.
//!
//! ```no_run
//! use event_sourcery::privacy::Encryption;
//! use event_sourcery::{EventStore, MemoryBackend};
//! use event_sourcery_openbao::{OpenBao, Token};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let bao = OpenBao::at("https://bao.example:8200", Token::from_file("/run/secrets/bao-token"))?;
//! let encryption = Encryption::new(bao.open("customers").await?);
//! let store = EventStore::new(MemoryBackend::new()).with_encryption(encryption)?;
//! # drop(store);
//! # Ok(()) }
//! ```
//!
//! # What it needs
//!
//! A transit key as `bao write -f transit/keys/customers` makes it, `bao write transit/config/keys disable_upsert=true`, and a token
//! with this policy:
//!
//! ```hcl
//! path "transit/keys/customers"    { capabilities = ["read"] }
//! path "transit/config/keys"       { capabilities = ["read"] }
//! path "transit/encrypt/customers" { capabilities = ["update"] }
//! path "transit/decrypt/customers" { capabilities = ["update"] }
//! ```
//!
//! [`TransitKey`] says which settings of a key are refused, and why.
//!
//! # One transit key for all
//!
//! It would be tempting to give each data subject a transit key: to shred would be to delete that, and no backup of the database could
//! bring the subject's key back. But the transit engine takes batches for one key only. A page of events about 1,000 subjects would
//! cost 1,000 requests instead of five, and each key is held in OpenBao's storage and cache; it would have to allow its deletion; and
//! a backup of OpenBao would still bring it back.
//!
//! So there is one for all, and what is shredded is the row of the wrapped key. While OpenBao has the transit key, and somebody a
//! backup of the database from before, and a token, the subject's key can be unwrapped again. What ends that is a new transit key:
//!
//! 1. open the store with `Encryption::new(new).with_former(old)`, everywhere;
//! 2. call `rotate_keys` until it tells 0: every key that was not shredded is wrapped by the new one;
//! 3. open the store without the old one, set its `deletion_allowed`, and delete it.
//!
//! From then on nothing opens the keys in backups from before step 2: not those of who was shredded, and not those of others either.
//! Who restores such a backup takes the table of keys from the present store. Done as often as backups are thrown away, it bounds how
//! long a shredded subject could be brought back.
//!
//! # What is in memory
//!
//! Keys, and the requests that they are in, are overwritten when they are dropped. What passes through the buffers of HTTP and TLS is
//! not.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod answers;
mod batches;
mod client;
mod error;
mod openbao;
mod settings;
mod token;
mod transit_key;

pub use error::OpenBaoError;
pub use openbao::{InvalidAddress, OpenBao};
pub use token::Token;
pub use transit_key::TransitKey;

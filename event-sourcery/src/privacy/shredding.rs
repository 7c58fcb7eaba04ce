//! Shredding: the key of a data subject goes, and that it is gone is a fact like any other.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::encryption::Encryption;
use super::keys::SubjectOf;
use super::vault::Vault;
use crate::append::{Appended, append_to};
use crate::backend::{Backend, KeysRequest};
use crate::context::Context;
use crate::error::{DecodeError, Error, NameKind, PayloadError, Result};
use crate::event::Event;
use crate::limits;
use crate::new_event::{Encoded, PendingEvent};
use crate::payload;
use crate::store::{EventStore, Scope, last_event};
use crate::stream_id::StreamId;
use crate::version::Version;
use crate::within::Reach;

/// What the ids of the events are made with: a subject of a tenant is shredded once.
const SHREDDINGS: Uuid = Uuid::from_u128(0x8e0c_55c2_4d0f_4a53_8b1e_6a5e_90a7_2d44);

/// A data subject was shredded: whoever keeps anything about them elsewhere, in a read model, a cache or behind an outbox, is to
/// forget it.
///
/// It stands in a stream of its own, named after the subject, in the category [`CATEGORY`](Self::CATEGORY) of the subject's tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SubjectShredded {
    /// The subject.
    pub subject: String,
}

impl SubjectShredded {
    /// The stored name.
    pub const NAME: &'static str = "event_sourcery.SubjectShredded";

    /// The category of the streams that these events stand in.
    pub const CATEGORY: &'static str = "event_sourcery.shredded";

    /// The stream that a subject's stands in.
    fn stream(subject: &str) -> Result<StreamId> {
        StreamId::from_name(subject)?.in_category(Self::CATEGORY)
    }
}

impl Event for SubjectShredded {
    const NAMES: &'static [&'static str] = &[Self::NAME];
    const IS_CHECKED: bool = true;

    fn event_name(&self) -> Cow<'static, str> {
        Cow::Borrowed(Self::NAME)
    }

    fn encode(&self) -> Result<String, PayloadError> {
        payload::encode(self)
    }

    fn decode(name: &str, data: &str) -> Result<Self, DecodeError> {
        if name == Self::NAME { payload::decode(data) } else { Err(DecodeError::UnknownName) }
    }

    #[cfg(feature = "testing")]
    fn forms(_: &mut crate::testing::Forms) {}
}

impl<B: Backend> EventStore<B> {
    /// A handle that encrypts what is marked, and reads what is encrypted: see
    /// [*data privacy*](crate::guide::data_privacy). Say it where the store is made: handles that were made before know no
    /// keys, and what they read is theirs.
    ///
    /// Each data subject of each tenant has a key of its own, made when it is first needed. To write costs a read of the keys that are
    /// not in memory, a write for new ones, and in the append a look at each; a page that is read costs one read for all of them.
    /// An event without marked fields costs nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] where the backend keeps no keys.
    ///
    /// ```
    /// use event_sourcery::privacy::{Encryption, MasterKey};
    /// use event_sourcery::{Error, Event, EventStore, MemoryBackend, StreamId};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Event, Serialize, Deserialize)]
    /// struct CustomerRegistered {
    ///     #[event(subject)]
    ///     customer: String,
    ///     #[event(encrypted, mask = "forgotten")]
    ///     email: String,
    /// }
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let master = MasterKey::from_bytes([7; 32]); // from_env("MASTER_KEY")? or from_file("master.key")?
    /// let store = EventStore::new(MemoryBackend::new()).with_encryption(Encryption::new(master))?;
    /// let stream = StreamId::from_name("customers/17")?;
    /// let registered = CustomerRegistered { customer: "17".into(), email: "ann@example.com".into() };
    /// store.append(&stream, registered).await?;
    /// assert_eq!(store.load_stream::<CustomerRegistered>(&stream).await?[0].event.email, "ann@example.com");
    ///
    /// store.shred("17").await?;
    /// assert_eq!(store.load_stream::<CustomerRegistered>(&stream).await?[0].event.email, "forgotten");
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    pub fn with_encryption(self, encryption: Encryption) -> Result<Self> {
        if !self.backend().capabilities().keys {
            return Err(Error::unsupported(self.backend().name(), "keys of data subjects"));
        }
        Ok(self.sealing_with(Arc::new(encryption.into_vault())))
    }

    /// Deletes the key of a data subject of this handle's tenant, for good, and appends [`SubjectShredded`], in one transaction.
    ///
    /// From then on every field that was encrypted for this subject reads as its mask, in streams, snapshots, subscriptions and the
    /// outbox. Nothing is written for the subject any more: that is [`Error::SubjectShredded`]. Who never had a key cannot get one
    /// either. This process forgets the key before this returns; what other handles and processes keep of it in memory, they may
    /// read with for as long as [`cache_for`](Encryption::cache_for) says. Handlers that were given an event before may still
    /// be at work on it.
    ///
    /// Called again, it does nothing, and says so ([`repeated`](Appended::repeated)). The event is one of the outbox too, where the
    /// handle's filter takes it.
    ///
    /// In a transaction with something else: [`Within::shred`](crate::Within::shred), and [`Joined::shred`](crate::Joined::shred)
    /// where the caller holds it.
    ///
    /// What a database keeps of a deleted row, and what is in backups, see [*data privacy*](crate::guide::data_privacy).
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`] for no name of a subject, [`Error::InvalidOption`] on a handle without encryption, that of the
    /// [key service](super::KeyWrapping::forget): then call it again; and the backend's.
    pub async fn shred(&self, subject: &str) -> Result<Appended> {
        limits::check_name(NameKind::Subject, subject)?;
        let (vault, tenant) = (vault(self.scope())?, self.tenant_id());
        let shredded = append_shredding(&mut self.on_store(), self.scope(), subject).await;
        // Where it failed, the key may be gone all the same.
        vault.cache.forget(tenant, subject);
        self.scope().deletions.note_shredded(tenant);
        let shredded = shredded?;
        let of = SubjectOf { tenant: tenant.clone(), subject: Arc::from(subject) };
        for wrapping in &vault.wrappings {
            wrapping.forget(&of).await?;
        }
        Ok(shredded)
    }
}

/// Shreds a subject within a transaction: what comes of that is not known before it is over.
pub(crate) async fn shred_within(on: &mut impl Reach, scope: &Scope, subject: &str) -> Result<Appended> {
    limits::check_name(NameKind::Subject, subject)?;
    vault(scope)?.cache.doubt(&scope.tenant, subject);
    let shredded = append_shredding(on, scope, subject).await;
    scope.deletions.note_shredded(&scope.tenant);
    shredded
}

/// Appends the event, with which the key goes. A store that events were copied into may have one, and the key all the same.
async fn append_shredding(on: &mut impl Reach, scope: &Scope, subject: &str) -> Result<Appended> {
    let id = Uuid::new_v5(&SHREDDINGS, format!("{}\0{subject}", scope.tenant.as_str()).as_bytes());
    let appended = shred_at(on, scope, 0, subject, id).await;
    let id = match &appended {
        Err(Error::Conflict { .. }) => id,
        Ok(Appended { repeated: true, .. }) => Uuid::now_v7(),
        _ => return appended,
    };
    if appended.is_ok() && is_shredded(on, scope, subject).await? {
        return appended;
    }
    let stream = SubjectShredded::stream(subject)?;
    let version = on.load(&last_event(scope, &stream)).await?.readable_version(&stream)?;
    shred_at(on, scope, version.unwrap_or_default(), subject, id).await
}

async fn shred_at(
    on: &mut impl Reach,
    scope: &Scope,
    version: Version,
    subject: &str,
    id: Uuid,
) -> Result<Appended> {
    let stream = SubjectShredded::stream(subject)?;
    let event = SubjectShredded { subject: subject.to_owned() };
    let event = PendingEvent::new(&event, Context::new(), id, Timestamp::now())?;
    append_to(on, scope, stream, version, Encoded(vec![event]), vec![Arc::from(subject)]).await
}

async fn is_shredded(on: &mut impl Reach, scope: &Scope, subject: &str) -> Result<bool> {
    let keys = on.keys(KeysRequest::new(scope.tenant.clone(), vec![Arc::from(subject)])).await?;
    Ok(keys.first().is_some_and(|key| key.wrapped.is_none()))
}

pub(super) fn vault(scope: &Scope) -> Result<&Arc<Vault>> {
    scope.vault.as_ref().ok_or_else(|| Error::InvalidOption {
        option: "encryption",
        problem: "this handle has none: make it with `.with_encryption(..)`".to_owned(),
    })
}

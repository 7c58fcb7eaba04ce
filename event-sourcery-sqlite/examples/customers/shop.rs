//! The shop: it registers customers, takes orders, tells what it keeps, and forgets.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use event_sourcery::backend::{Backend as _, KeysRequest};
use event_sourcery::privacy::{DataKey, Encryption, KeyState, MasterKey, Mention};
use event_sourcery::uuid::Uuid;
use event_sourcery::{EventStore, Position, StreamId, TenantId};
use event_sourcery_sqlite::SqliteBackend;

use crate::Failure;
use crate::events::{Address, CustomerEvent, CustomerRegistered, ListedEvent, OrderPlaced};
use crate::left::places;

pub(crate) struct Shop {
    store: EventStore<SqliteBackend>,
    file: PathBuf,
}

impl Shop {
    pub(crate) async fn open(file: PathBuf) -> Result<Self, Failure> {
        let encryption = Encryption::new(master_key(&file.with_extension("key"))?);
        let store = EventStore::new(SqliteBackend::open(&file).await?).with_encryption(encryption)?;
        Ok(Self { store, file })
    }

    pub(crate) async fn register(&self, name: &str, email: &str) -> Result<Uuid, Failure> {
        let customer = Uuid::now_v7();
        let (name, email) = (name.to_owned(), email.to_owned());
        self.store.append(&stream(customer)?, CustomerRegistered { customer, name, email }).await?;
        Ok(customer)
    }

    pub(crate) async fn order(
        &self,
        customer: Uuid,
        article: &str,
        cents: u64,
        deliver_to: Address,
    ) -> Result<(), Failure> {
        let stream = stream(customer)?;
        let present = self.store.version(&stream).await?;
        let order = OrderPlaced { customer, article: article.to_owned(), cents, deliver_to };
        self.store.append(&stream, order).expected_version(present).await?;
        Ok(())
    }

    /// What the shop keeps of a customer, in words.
    pub(crate) async fn told(&self, customer: Uuid) -> Result<Vec<String>, Failure> {
        let events = self.store.load_stream::<CustomerEvent>(&stream(customer)?).await?;
        let in_words = |event| match event {
            CustomerEvent::Registered(CustomerRegistered { name, email, .. }) => {
                format!("registered as {name}, {email}")
            }
            CustomerEvent::Ordered(OrderPlaced { article, cents, deliver_to, .. }) => {
                let Address { street, country } = deliver_to;
                format!("ordered {article} for {}.{:02}, to {street}, {country}", cents / 100, cents % 100)
            }
        };
        Ok(events.into_iter().map(|wrapped| in_words(wrapped.event)).collect())
    }

    /// Which events have fields that are encrypted for a customer, and what has become of the key.
    pub(crate) async fn report(&self, customer: Uuid) -> Result<(KeyState, Vec<Mention>), Failure> {
        let (mut mentions, mut after) = (Vec::new(), Position::START);
        loop {
            let report = self.store.subject_report(&customer.to_string(), after).await?;
            mentions.extend(report.mentions);
            let Some(next) = report.next else {
                return Ok((report.key, mentions));
            };
            after = next;
        }
    }

    /// Whom the shop writes to: a read model, which heeds that somebody is to be forgotten.
    pub(crate) async fn mailing_list(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut list = BTreeMap::new();
        let mut events = self.store.read_all::<ListedEvent>().stream();
        while let Some(recorded) = events.try_next().await? {
            match recorded.into_event() {
                ListedEvent::Registered(registered) => {
                    list.insert(registered.customer.to_string(), registered.email);
                }
                ListedEvent::Forgotten(forgotten) => drop(list.remove(&forgotten.subject)),
            }
        }
        Ok(list)
    }

    pub(crate) async fn forget(&self, customer: Uuid) -> Result<(), Failure> {
        self.store.shred(&customer.to_string()).await?;
        Ok(())
    }

    /// The key of a customer, as it is stored: of no use without the master key. `None` once it was shredded.
    pub(crate) async fn wrapped_key(&self, customer: Uuid) -> Result<Option<Vec<u8>>, Failure> {
        let asked = KeysRequest::new(TenantId::DEFAULT, vec![customer.to_string().into()]);
        let key = self.store.backend().keys(asked).await?.pop();
        Ok(key.and_then(|key| key.wrapped).map(|wrapped| wrapped.bytes.to_vec()))
    }

    /// How often this stands in the files of the store.
    pub(crate) fn places(&self, wanted: &[u8]) -> Result<usize, Failure> {
        Ok(places(&self.file, wanted)?)
    }
}

fn stream(customer: Uuid) -> Result<StreamId, Failure> {
    Ok(StreamId::from_name(format!("customers/{customer}"))?)
}

/// The master key, in a file beside the store, so that the example runs by itself. In earnest it is kept where neither the store is,
/// nor its backups.
fn master_key(file: &Path) -> Result<MasterKey, Failure> {
    match fs::read(file) {
        Ok(bytes) => {
            let bytes = <[u8; 32]>::try_from(bytes);
            Ok(MasterKey::from_bytes(bytes.map_err(|_| "the file of the master key does not hold 32 bytes")?))
        }
        Err(problem) if problem.kind() == ErrorKind::NotFound => {
            let key = DataKey::random()?;
            fs::write(file, key.as_bytes())?;
            Ok(MasterKey::from_bytes(*key.as_bytes()))
        }
        Err(problem) => Err(problem.into()),
    }
}

//! Clause 13.4: how often keys are fetched, however many events and subjects there are.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use event_sourcery::privacy::{DataKey, Encryption, KeyWrapping, MasterKey, SubjectOf};
use event_sourcery::{EventStore, Repository, Result, StreamId};

use super::customers::{Customer, Customers as _, Registered, customers, registered};
use super::subject::Subject;

/// How many events are loaded at once.
const EVENTS: usize = 1_000;

/// A master key that notes for how many keys it is asked, call by call. Clones share it.
#[derive(Debug, Clone)]
struct Noting {
    master: Arc<MasterKey>,
    asked: Arc<Mutex<Vec<usize>>>,
}

impl Noting {
    fn new() -> Self {
        Self { master: Arc::new(MasterKey::from_bytes([1; 32])), asked: Arc::default() }
    }

    /// What it was asked to unwrap since the last time.
    fn asked(&self) -> Vec<usize> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl KeyWrapping for Noting {
    fn name(&self) -> &str {
        self.master.name()
    }

    async fn wrap(&self, keys: &[(SubjectOf, DataKey)]) -> Result<Vec<Vec<u8>>> {
        self.master.wrap(keys).await
    }

    async fn unwrap(&self, keys: &[(SubjectOf, Vec<u8>)]) -> Result<Vec<DataKey>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(keys.len());
        self.master.unwrap(keys).await
    }
}

/// A handle that keeps no keys: whatever it reads from the store, it asks for.
async fn reader(subject: &Subject, noting: &Noting) -> EventStore {
    let encryption = Encryption::new(noting.clone()).cache_for(Duration::ZERO);
    subject.another_store().await.with_encryption(encryption).unwrap()
}

fn all(subject: impl Fn(usize) -> usize) -> Vec<Registered> {
    (0..EVENTS).map(|number| registered(&subject(number).to_string(), "ann@example.com")).collect()
}

/// Each answer of the store with keys is unwrapped with one call: so these are the reads of keys as well.
pub(super) async fn clause_13_4_a_load_reads_its_keys_once_however_many_they_are(subject: Subject) {
    let (writer, noting) = (subject.private(), Noting::new());
    let [of_one, of_many] = ["of one", "of many"].map(customers);
    writer.append(&of_one, all(|_| 17)).await.unwrap();
    writer.append(&of_many, all(|number| number)).await.unwrap();
    let reader = reader(&subject, &noting).await;
    assert_eq!(reader.registrations(&of_one).await.len(), EVENTS);
    assert_eq!(noting.asked(), [1], "of one subject");
    assert_eq!(reader.registrations(&of_many).await.len(), EVENTS);
    assert_eq!(noting.asked(), [EVENTS], "of as many subjects as events");
}

/// Though a backend hands it over in parts.
pub(super) async fn clause_13_4_a_long_history_reads_its_keys_once(subject: Subject) {
    let (writer, noting, id) = (subject.private(), Noting::new(), StreamId::random());
    let reader = reader(&subject, &noting).await;
    let repository = Repository::<Customer>::new(&reader);
    let stream = repository.stream_id(&id).unwrap();
    for round in 0..3 {
        let events = all(|number| round * EVENTS + number);
        writer.append(&stream, events).expected_version((round * EVENTS) as u64).await.unwrap();
    }
    assert_eq!(repository.load(&id).await.unwrap().version(), 3 * EVENTS as u64);
    assert_eq!(noting.asked(), [3 * EVENTS]);
}

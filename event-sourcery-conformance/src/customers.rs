//! The customers of a shop: what the cases on privacy are about.

use std::collections::BTreeMap;

use event_sourcery::backend::{Span, StoredEvent};
use event_sourcery::privacy::{Encryption, MasterKey, Personal};
use event_sourcery::{Aggregate, Event, EventStore, SnapshotState, StreamId, TenantId};
use serde::{Deserialize, Serialize};

use super::ledger::load_request;
use super::subject::Subject;

/// What no store may hold of a customer.
pub(super) const SECRETS: [&str; 3] = ["ann@example.com", "12 Mill Lane", "bob@example.com"];

/// A customer has registered.
#[derive(Event, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[event(name = "registered")]
pub(super) struct Registered {
    #[event(subject)]
    pub(super) customer: String,
    #[event(encrypted, mask = "forgotten")]
    pub(super) email: String,
    #[event(encrypted)]
    pub(super) born: Option<u16>,
    pub(super) city: String,
}

/// Where somebody lives.
#[derive(Personal, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(super) struct Address {
    #[event(encrypted, mask = "somewhere")]
    pub(super) street_and_number: String,
    pub(super) country: String,
}

/// Somebody else.
#[derive(Personal, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(super) struct Friend {
    #[event(subject)]
    pub(super) id: u64,
    #[event(encrypted, mask = "a friend")]
    pub(super) email: String,
    pub(super) lives: Option<Box<Address>>,
}

/// All that there is about a customer.
#[derive(Event, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[event(name = "described")]
#[serde(rename_all = "SCREAMING-KEBAB-CASE")]
pub(super) struct Described {
    #[event(subject)]
    pub(super) customer: String,
    #[serde(rename = "lives-at")]
    pub(super) lives: Vec<Address>,
    pub(super) by_purpose: BTreeMap<String, Address>,
    pub(super) friends: Vec<Friend>,
    #[serde(flatten)]
    pub(super) main: Option<Address>,
    pub(super) referrer: Option<u64>,
    #[event(encrypted, mask = "nobody", subject = "referrer")]
    pub(super) referred_by: String,
}

/// A customer, as events make it.
#[derive(Default, Serialize, Deserialize, Debug, PartialEq)]
pub(super) struct Customer {
    pub(super) email: String,
}

impl Aggregate for Customer {
    type Event = Registered;
    const CATEGORY: &'static str = "customer";

    fn apply(&mut self, event: &Registered) {
        self.email.clone_from(&event.email);
    }
}

impl SnapshotState for Customer {
    const FORMAT: u16 = 1;
}

/// The event in a program of before its marks.
#[derive(Event, Serialize, Deserialize, Debug)]
#[event(name = "registered")]
pub(super) struct RegisteredInTheClear {
    email: String,
}

/// The customer there: it keeps its state in the same place.
#[derive(Default, Serialize, Deserialize, Debug)]
pub(super) struct CustomerInTheClear(pub(super) Customer);

impl Aggregate for CustomerInTheClear {
    type Event = RegisteredInTheClear;
    const CATEGORY: &'static str = Customer::CATEGORY;

    fn apply(&mut self, event: &RegisteredInTheClear) {
        self.0.email.clone_from(&event.email);
    }
}

impl SnapshotState for CustomerInTheClear {
    const FORMAT: u16 = Customer::FORMAT;
}

pub(super) fn registered(customer: &str, email: &str) -> Registered {
    let (customer, email) = (customer.to_owned(), email.to_owned());
    Registered { customer, email, born: Some(1987), city: "York".to_owned() }
}

pub(super) fn ann() -> Registered {
    registered("17", "ann@example.com")
}

pub(super) fn bob() -> Registered {
    registered("18", "bob@example.com")
}

/// What is left of somebody who was forgotten.
pub(super) fn forgotten(of: &Registered) -> Registered {
    Registered { email: "forgotten".to_owned(), born: None, ..of.clone() }
}

pub(super) fn address() -> Address {
    Address { street_and_number: "12 Mill Lane".to_owned(), country: "England".to_owned() }
}

pub(super) fn customers(name: &str) -> StreamId {
    StreamId::from_name(format!("customers/{name}")).unwrap()
}

/// What the cases encrypt with.
pub(super) fn encryption() -> Encryption {
    Encryption::new(MasterKey::from_bytes([1; 32]))
}

impl Subject {
    /// The store with keys.
    pub(super) fn private(&self) -> EventStore {
        self.store().with_encryption(encryption()).unwrap()
    }

    /// A handle that shares nothing with the first one but the store and what wraps its keys.
    pub(super) async fn another_private(&self) -> EventStore {
        self.another_store().await.with_encryption(encryption()).unwrap()
    }

    /// What stands in the store of a stream.
    pub(super) async fn stored(&self, tenant: &TenantId, stream: &StreamId) -> Vec<StoredEvent> {
        let mut request = load_request(stream, Span::Full);
        request.tenant = tenant.clone();
        self.backend().load(request).await.unwrap().events
    }

    pub(super) async fn holds_events(&self, stream: &StreamId, count: usize) {
        assert_eq!(self.stored(&TenantId::DEFAULT, stream).await.len(), count);
    }

    /// Asserts that nothing of what is encrypted stands in the store in the clear.
    pub(super) async fn holds_no_secret(&self, stream: &StreamId) {
        for event in self.stored(&TenantId::DEFAULT, stream).await {
            for secret in SECRETS {
                assert!(!event.data.contains(secret), "{}", event.data);
                assert!(!event.context.contains(secret), "{}", event.context);
            }
            assert!(!event.data.contains("1987"), "{}", event.data);
        }
    }
}

/// What the cases read of customers.
pub(super) trait Customers {
    /// The customers of a stream, as they are read.
    async fn registrations(&self, stream: &StreamId) -> Vec<Registered>;
}

impl Customers for EventStore {
    async fn registrations(&self, stream: &StreamId) -> Vec<Registered> {
        let events = self.load_stream::<Registered>(stream).full_history().await.unwrap();
        events.into_iter().map(|wrapped| wrapped.event).collect()
    }
}

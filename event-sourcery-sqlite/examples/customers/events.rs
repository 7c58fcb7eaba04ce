//! What happens to customers. What is personal in it is marked.

use event_sourcery::Event;
use event_sourcery::privacy::{Personal, SubjectShredded};
use event_sourcery::uuid::Uuid;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize, Debug)]
pub(crate) struct CustomerRegistered {
    /// It says nothing about anybody: it stays.
    #[event(subject)]
    pub(crate) customer: Uuid,
    #[event(encrypted, mask = "forgotten")]
    pub(crate) name: String,
    #[event(encrypted, mask = "forgotten")]
    pub(crate) email: String,
}

#[derive(Event, Serialize, Deserialize, Debug)]
pub(crate) struct OrderPlaced {
    #[event(subject)]
    pub(crate) customer: Uuid,
    pub(crate) article: String,
    pub(crate) cents: u64,
    pub(crate) deliver_to: Address,
}

#[derive(Personal, Serialize, Deserialize, Debug, Clone)]
pub(crate) struct Address {
    #[event(encrypted, mask = "somewhere")]
    pub(crate) street: String,
    pub(crate) country: String,
}

#[derive(Event, Debug)]
pub(crate) enum CustomerEvent {
    Registered(CustomerRegistered),
    Ordered(OrderPlaced),
}

/// What the mailing list goes by.
#[derive(Event, Debug)]
pub(crate) enum ListedEvent {
    Registered(CustomerRegistered),
    Forgotten(SubjectShredded),
}

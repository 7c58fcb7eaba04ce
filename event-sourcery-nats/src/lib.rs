//! The backend of [Event Sourcery](event_sourcery) on NATS JetStream, for those who outgrow one machine.
//!
//! [`NatsBackend::options`] opens a store. `LAYOUT.md`, beside the sources, tells how it lies on JetStream, and why.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod answers;
mod append;
mod backend;
mod beside;
mod delete;
#[cfg(test)]
mod fuzz;
mod jet;
mod known;
mod load;
mod message;
mod numbers;
mod options;
mod scan;
mod settings;
mod sheet;
mod store;
mod subjects;
mod subscriptions;
mod syncing;
mod waking;

pub use async_nats;
pub use backend::NatsBackend;
pub use options::NatsOptions;

/// The backend's name, for messages.
const NAME: &str = "nats";

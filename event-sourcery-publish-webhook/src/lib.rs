//! Publishes the outbox of [Event Sourcery](event_sourcery) to a webhook.
//!
//! ```
//! use event_sourcery_cloudevents::CloudEvents;
//! use event_sourcery_publish_webhook::{Secret, WebhookPublisher};
//!
//! let secret = Secret::from_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
//! let events = CloudEvents::from_source("/shop")?;
//! let publisher = WebhookPublisher::new("https://books.example/events", secret, events)?;
//! # drop(publisher);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`WebhookPublisher`] says what is promised, and how answers are read.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod addresses;
mod answers;
mod client;
mod publisher;
mod signature;

pub use addresses::PrivateAddress;
pub use answers::NotAccepted;
pub use publisher::{InvalidEndpoint, WebhookPublisher};
pub use signature::{InvalidSecret, Secret};

//! Publishes the outbox of [Event Sourcery](event_sourcery) to NATS JetStream.
//!
//! ```no_run
//! use async_nats::jetstream;
//! use event_sourcery_cloudevents::CloudEvents;
//! use event_sourcery_publish_nats::NatsPublisher;
//!
//! # async fn open() -> Result<(), Box<dyn std::error::Error>> {
//! let client = async_nats::ConnectOptions::new().retry_on_initial_connect().connect("nats://localhost").await?;
//! let publisher = NatsPublisher::new(jetstream::new(client), "SHOP", "shop", CloudEvents::from_source("/shop")?);
//! # drop(publisher);
//! # Ok(())
//! # }
//! ```
//!
//! [`NatsPublisher`] says what is promised, and [`Weakness`] what JetStream acknowledges before it is on disk.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod answers;
mod publisher;
mod subjects;
mod weakness;

pub use async_nats;
pub use publisher::NatsPublisher;
pub use subjects::UnfitSubject;
pub use weakness::Weakness;

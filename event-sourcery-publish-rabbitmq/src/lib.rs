//! Publishes the outbox of [Event Sourcery](event_sourcery) to RabbitMQ.
//!
//! ```
//! use event_sourcery_cloudevents::CloudEvents;
//! use event_sourcery_publish_rabbitmq::RabbitMqPublisher;
//!
//! let events = CloudEvents::from_source("/shop")?;
//! let publisher = RabbitMqPublisher::new("amqp://localhost/%2f", "shop", events)?;
//! # drop(publisher);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`RabbitMqPublisher`] says what is promised, and what RabbitMQ confirms before it is on disk.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod link;
mod message;
mod publisher;
mod round;

pub use lapin;
pub use message::UnfitMessage;
pub use publisher::{InvalidAddress, RabbitMqPublisher};

//! The outbox: events that are to be published, put beside the append that made them; and what publishes them.
//!
//! A store is given an outbox, a filter of its events, once ([`EventStore::with_outbox`](crate::EventStore::with_outbox)). From then
//! on an event that passes is put there in the transaction that appends it: both are kept, or neither is. Whatever runs the
//! outbox hands the entries to a [`Publisher`], in the order of each stream, at least once, and takes them out.
//!
//! A publisher is a small trait: a crate for a broker implements it, and so can you, for whatever takes your messages. The guide page
//! [*publish events*](crate::guide::publish_events) has one, and tells what becomes of an event wherever a process dies.

mod filter;
mod publisher;
mod rounds;

pub(crate) use self::filter::OutboxFilter;
pub use self::publisher::{BoxFuture, OutboxEntry, PublishError, Publisher};
pub use self::rounds::in_rounds;
pub use crate::subscription::{Outbox, Published};

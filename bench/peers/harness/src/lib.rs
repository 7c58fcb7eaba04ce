//! What the event stores that are compared have in common: the events, the trait that each implements, and the program that measures one.

mod following;
mod place;
mod serve;
mod session;
mod workload;

pub use place::Place;
pub use serve::serve;
pub use tokio::sync::mpsc::UnboundedSender;

use serde::{Deserialize, Serialize};

pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// The connections that each may have, where it has a pool.
pub const CONNECTIONS: u32 = 10;

/// The context of every event. A store that has no room for it beside the payload gets it within.
pub const CORRELATION_ID: &str = "01893f3c-7b9a-7cc1-9a52-6f6c3b1d2e4f";
pub const CAUSATION_ID: &str = "01893f3c-7b9a-7cc1-9a52-6f6c3b1d2e50";

/// An event store, as it is called by an application.
pub trait Peer: Send + Sync + 'static {
    /// Appends to a stream that has so many events, 0: that is not there; and is refused where it has another number.
    fn append(
        &self,
        stream: &str,
        version: u64,
        invoices: Vec<Invoice>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Loads a stream into typed events, in order. Tells how many.
    fn load(&self, stream: &str) -> impl Future<Output = Result<usize>> + Send;

    /// Reads all events of all streams, as a subscriber or a projection would that begins, until it has caught up. Tells how many.
    fn catch_up(&self) -> impl Future<Output = Result<usize>> + Send;

    /// Tells the number of each invoice that is committed from now on, or was before, as its own subscription hands it over. Does not end.
    fn follow(&self, heard: UnboundedSender<String>) -> impl Future<Output = Result<()>> + Send {
        drop(heard);
        async { Err("it has no subscription of its own".into()) }
    }
}

/// What is stored: about 90 bytes of JSON. Each peer has an event type of its own with these fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Invoice {
    pub invoice_number: String,
    pub customer: String,
    pub currency: String,
    pub total_cents: i64,
}

impl Invoice {
    pub fn nth(number: u64) -> Self {
        Self {
            invoice_number: format!("2025-{number:08}"),
            customer: "Kowalski & Daughters".to_owned(),
            currency: "EUR".to_owned(),
            total_cents: i64::from(u32::try_from(number % 100_000).unwrap_or(0)) + 995,
        }
    }
}

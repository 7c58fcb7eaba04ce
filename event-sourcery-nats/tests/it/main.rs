//! The backend on NATS JetStream, on servers of each test's own. `scripts/test` brings the program.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by it"
)]

mod conformance;
mod deleting;
mod dying;
mod example;
mod fuzz;
mod opening;
mod reading;
mod scene;
mod storm;
mod unanswered;
mod unreadable;
mod wire;

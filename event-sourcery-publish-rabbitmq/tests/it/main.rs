//! The publisher for RabbitMQ, on a server of each test's own. `scripts/test` brings it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by it"
)]

mod faults;
mod promises;
mod refusals;
mod scene;

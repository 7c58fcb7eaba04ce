//! The backend on NATS JetStream, on servers of each test's own. `scripts/test` brings the program.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by it"
)]

mod conformance;
mod cut_off;
mod deleting;
mod dying;
mod example;
mod fuzz;
mod opening;
#[cfg(target_os = "linux")]
mod power_cut;
mod reading;
mod scene;
mod storm;
mod unanswered;
mod unreadable;
mod wire;

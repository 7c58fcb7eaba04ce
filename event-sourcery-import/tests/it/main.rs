//! Stores of others, and what becomes of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by it"
)]

mod emmett;
mod eventsourcing;
mod files;
mod fuzz;
mod horizon;
mod large;
mod mapping;
mod message_db;
mod programs;
mod scene;
mod servers;

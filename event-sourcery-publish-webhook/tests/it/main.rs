//! The publisher for webhooks, and receivers that answer as they please.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by it"
)]

mod promises;
mod python;
mod refusals;
mod scene;

//! Keys wrapped by a real OpenBao server: whole, sealed, killed, frozen, and with settings that are refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by it"
)]

mod erased;
mod failures;
mod promises;
mod scene;
mod settings;
mod store;
mod tokens;

//! What the library makes is read by another one's: CloudEvents for Python.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by it"
)]

mod mapping;
mod python;
mod read_by_others;

//! What the library promises, each subject in a file of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by it"
)]

mod compile_fail;
#[cfg(feature = "conformance")]
mod conformance;
mod derive;
mod memory;
#[cfg(feature = "testing")]
mod testing;

//! What the library promises, each subject in a file of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by it"
)]

mod backend_data;
mod boundaries;
mod compile_fail;
mod conformance;
mod derive;
mod handles;
mod ids;
#[cfg(target_os = "linux")]
mod keys_in_memory;
mod listening;
mod memory;
mod outbox;
mod privacy;
mod records;
mod rotating;
#[cfg(feature = "testing")]
mod testing;

//! Traces and metrics, as OpenTelemetry's SDK exports them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by it"
)]

mod exported;
mod guide;
mod metrics;
mod traces;

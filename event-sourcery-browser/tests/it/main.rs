//! The browser, over its router.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by it"
)]

mod acting;
mod chromium;
mod guarding;
mod pages;
mod scene;
mod tenants;
mod walking;

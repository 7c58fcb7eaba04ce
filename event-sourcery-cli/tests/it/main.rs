//! The program itself, run on stores that the tests fill.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by it"
)]

mod scene;

mod a_minute_each;
mod assistants;
mod changing;
mod looking;
mod manners;
mod moving;
mod page;
mod postgres;
mod serving;

//! The tests of the PostgreSQL backend. They need a server: run them by `scripts/test`, or by
//! `scripts/with-postgres --fast cargo nextest run -p event-sourcery-postgres`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code: a panic is a failed test"
)]

mod process;
mod scene;

mod attacked;
mod boundaries;
mod conformance;
mod crashes;
mod directory;
mod examples;
mod failures;
mod fuzz;
mod given_up;
mod hang_ups;
mod holding;
mod inbox;
mod keys;
mod listening;
mod long;
mod numbering;
mod plans;
mod poolers;
mod projecting;
mod python;
mod races;
mod rebuilding;
mod rights;
mod round_trips;
mod runtimes;
mod settings;
mod settled;
mod subscriptions;
mod subscriptions_killed;
mod transactions;
mod unreadable;
mod wakeups;

//! What the SQLite backend promises, each subject in a file of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by it"
)]

mod appender;
mod held_writer;
mod process;
mod survived;

mod aggregates;
mod attacked;
mod backups;
mod blocked_entries;
mod bounded_memory;
mod conformance;
mod crashes;
mod examples;
mod failures;
mod fuzz;
mod group_commit;
mod inbox;
mod keys;
mod listening;
mod long_deletions;
mod numbering;
mod pages;
mod presences;
mod python;
mod rebuilding;
mod shared_commits;
mod subscriptions;
mod subscriptions_killed;
mod tags;
mod unreadable;

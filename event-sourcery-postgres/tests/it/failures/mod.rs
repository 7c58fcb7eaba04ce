//! How the backend fails: with an error that says what to do, in bounded time, and nothing half done.

mod foreign_tables;
mod large;
mod layout_1;
mod migrating;
mod opening;
mod pool;
mod read_only;

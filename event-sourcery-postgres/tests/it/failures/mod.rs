//! How the backend fails: with an error that says what to do, in bounded time, and nothing half done.

mod altered;
mod earlier_layouts;
mod foreign_tables;
mod frozen;
mod large;
mod locks;
mod migrating;
mod open_in_time;
mod opening;
mod pool;
mod read_only;
mod relations;
mod triggers;

//! Contract 2.11: appends that join the caller's own transaction, at every isolation level.

mod aggregates;
mod endings;
mod held_streams;
mod losers;
mod outbox;
mod prefixes;
mod refused;

pub(crate) const LEVELS: [&str; 4] =
    ["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"];

//! Two languages, one database: Event Sourcery for Python, the package itself, writes and reads the same PostgreSQL
//! tables.

mod postgres;

mod adopting;
mod copying;
mod crowds;
mod long_names;
mod outbox;
mod refused;
mod schemas;
mod tables;
mod time_zones;
mod uncommitted;
mod waiting;

use self::postgres::Postgres;

reference::both_languages!(Postgres);

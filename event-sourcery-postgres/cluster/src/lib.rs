//! PostgreSQL servers to test on, to kill and to start again. For tests and benchmarks only: what fails panics.
//!
//! `scripts/with-postgres COMMAND` starts one server for all the tests of a run. [`Server::shared`] is that server, and
//! each test takes a [`Database`] of its own on it. A test that stops, kills or configures a server starts a
//! [`Cluster`] of its own, with the same programs; a [`Pooler`] stands in front of a server.
//!
//! ```no_run
//! use postgres_cluster::{Cluster, Server};
//!
//! let database = Server::shared().create_database();
//! database.psql("create table event (position bigint)");
//!
//! let mut cluster = Cluster::start(&[("synchronous_commit", "on")]);
//! let survivor = cluster.create_database();
//! survivor.psql("create table event (position bigint)");
//! cluster.kill();
//! cluster.start_again();
//! assert_eq!(survivor.psql("select count(*) from event"), "0");
//! ```

mod clock;
mod cluster;
mod copies;
mod database;
mod pooler;
mod postmaster;
mod programs;
mod server;
mod unprivileged;

pub use cluster::Cluster;
pub use copies::{ARCHIVING, Backup};
pub use database::Database;
pub use pooler::{Pooler, Pooling};
pub use server::Server;

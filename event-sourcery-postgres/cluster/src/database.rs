//! A database of one test.

use std::{
    process,
    sync::atomic::{AtomicU32, Ordering},
    time::SystemTime,
};

use crate::Server;

/// A database under a name of its own, dropped with the value, whoever is still connected.
#[derive(Debug)]
pub struct Database {
    server: Server,
    name: String,
}

impl Database {
    pub(crate) fn create(server: Server) -> Self {
        let name = unique_name();
        // Not from template1: that cannot be copied while someone is connected to it.
        server.psql("postgres", &format!("create database {name} template template0"));
        Self { server, name }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address.
    pub fn url(&self) -> String {
        self.server.url(&self.name)
    }

    /// Runs a script by psql and returns what it prints: rows as lines, columns separated by `|`.
    ///
    /// # Panics
    ///
    /// When a statement fails, with the server's message. Those before it stay done.
    pub fn psql(&self, script: &str) -> String {
        self.server.psql(&self.name, script)
    }

    /// A dump of the database as a script that leaves the sequences where they begin, as logical replication does.
    ///
    /// # Panics
    ///
    /// When pg_dump fails, with its message.
    pub fn dump_without_sequences(&self) -> String {
        let dump = self.server.dump(&self.name);
        dump.lines()
            .filter(|line| !line.contains("pg_catalog.setval("))
            .map(|line| format!("{line}\n"))
            .collect()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A server that is gone has no database to drop.
        let _ = self.server.try_psql("postgres", &format!("drop database {} with (force)", self.name));
    }
}

/// A name that no other test takes: they run in many processes, whose numbers come again.
fn unique_name() -> String {
    static CREATED: AtomicU32 = AtomicU32::new(0);
    let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let number = CREATED.fetch_add(1, Ordering::Relaxed);
    format!("test_{}_{}_{number}", since_1970.as_micros(), process::id())
}

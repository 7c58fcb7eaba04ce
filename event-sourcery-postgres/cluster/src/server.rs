//! A server that listens somewhere: its addresses, and what psql and pg_dump do there.

use crate::{
    Database,
    programs::{self, Programs},
};

/// A PostgreSQL server that answers under an address.
#[derive(Debug, Clone)]
pub struct Server {
    /// The address of a database is this, its name, and `parameters`.
    base: String,
    parameters: String,
    programs: Programs,
}

impl Server {
    /// The server that `scripts/with-postgres` started for this run.
    ///
    /// # Panics
    ///
    /// Without `EVENT_SOURCERY_POSTGRES_URL` and `EVENT_SOURCERY_POSTGRES_BIN`, which that script sets.
    pub fn shared() -> Self {
        let url = programs::variable("EVENT_SOURCERY_POSTGRES_URL");
        let (address, parameters) = url.split_at(url.find('?').unwrap_or(url.len()));
        let Some((base, _database)) = address.rsplit_once('/') else {
            panic!("EVENT_SOURCERY_POSTGRES_URL names no database: {url}")
        };
        Self { base: format!("{base}/"), parameters: parameters.into(), programs: Programs::shared() }
    }

    pub(crate) fn on_port(port: u16, programs: Programs) -> Self {
        Self { base: format!("postgres://postgres@127.0.0.1:{port}/"), parameters: String::new(), programs }
    }

    pub(crate) fn port(&self) -> u16 {
        let port = self.base.trim_end_matches('/').rsplit_once(':').map(|(_, port)| port.parse());
        port.and_then(Result::ok).unwrap_or(5432)
    }

    /// The address of one of its databases.
    pub fn url(&self, database: &str) -> String {
        format!("{}{database}{}", self.base, self.parameters)
    }

    /// A new, empty database. It is dropped with the value.
    ///
    /// # Panics
    ///
    /// When the server does not create it.
    pub fn create_database(&self) -> Database {
        Database::create(self.clone())
    }

    /// Runs a script by psql and returns what it prints: rows as lines, columns separated by `|`.
    ///
    /// # Panics
    ///
    /// When a statement fails, with the server's message. Those before it stay done.
    pub fn psql(&self, database: &str, script: &str) -> String {
        self.try_psql(database, script).unwrap_or_else(|failure| panic!("{failure}"))
    }

    pub(crate) fn try_psql(&self, database: &str, script: &str) -> Result<String, String> {
        self.programs.psql(&self.url(database), script)
    }

    /// A dump of the database as a script, by pg_dump.
    ///
    /// # Panics
    ///
    /// When pg_dump fails, with its message.
    pub fn dump(&self, database: &str) -> String {
        let mut pg_dump = self.programs.command("pg_dump");
        pg_dump.args(["-d", &self.url(database)]);
        programs::run(pg_dump).unwrap_or_else(|failure| panic!("{failure}"))
    }

    /// Restores a dump into a database, which has to exist and should be empty.
    ///
    /// # Panics
    ///
    /// When a statement of the dump fails, with the server's message.
    pub fn restore(&self, database: &str, dump: &str) {
        self.psql(database, dump);
    }
}

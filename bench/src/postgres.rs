//! The PostgreSQL server that is measured: one of the run's own, durable, with the defaults of PostgreSQL.

pub mod by_hand;

use std::path::Path;

use event_sourcery::EventStore;
use event_sourcery_postgres::PostgresBackend;
use postgres_cluster::{Cluster, Database};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::Result;
use crate::machine;
use crate::postgres::by_hand::ByHand;

/// The connections that either side has: as many as a store of ours opens by default.
pub const CONNECTIONS: u32 = 10;

/// What a server is known by, besides its version.
const SETTINGS: [&str; 8] = [
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_sync_method",
    "wal_level",
    "shared_buffers",
    "max_wal_size",
    "autovacuum",
];

pub struct Server {
    cluster: Cluster,
}

/// A store of ours and its tables written by hand, each in a database of its own.
pub struct Sides {
    pub store: EventStore<PostgresBackend>,
    pub by_hand: ByHand,
    // Dropped last, after what is connected to them.
    _databases: [Database; 2],
}

impl Server {
    pub fn start() -> Result<Self> {
        if std::env::var_os("EVENT_SOURCERY_POSTGRES_BIN").is_none() {
            return Err("PostgreSQL is to be measured, and EVENT_SOURCERY_POSTGRES_BIN does not say where its programs \
                        are: run `../scripts/with-postgres cargo run --release -- ..`, or choose other figures"
                .into());
        }
        let server = Self { cluster: Cluster::start(&[]) };
        machine::filesystem(Path::new(&server.setting("data_directory")))?;
        Ok(server)
    }

    /// The version, and the settings that matter.
    pub fn about(&self) -> String {
        let version = self.setting("server_version");
        let settings = SETTINGS.map(|name| format!("{name} {}", self.setting(name)));
        format!("{version}; {}; {CONNECTIONS} connections a side", settings.join(", "))
    }

    pub fn setting(&self, name: &str) -> String {
        self.cluster.psql("postgres", &format!("SHOW {name}"))
    }

    /// Two new databases of one layout: a store of ours, and one to be written by hand.
    pub async fn both(&self) -> Result<Sides> {
        let [ours, theirs] = [self.database(), self.database()];
        drop(open(&theirs).await?);
        let by_hand = ByHand::new(pool(&theirs, CONNECTIONS).await?);
        Ok(Sides { store: EventStore::new(open(&ours).await?), by_hand, _databases: [ours, theirs] })
    }

    pub fn database(&self) -> Database {
        self.cluster.create_database()
    }

    pub fn port(&self) -> u16 {
        self.cluster.port()
    }

    /// How to reach a database by the socket in the file system.
    pub fn by_unix_socket(&self, database: &Database) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(self.setting("unix_socket_directories"))
            .port(self.port())
            .username("postgres")
            .database(database.name())
    }
}

/// A store as an application opens it.
pub async fn open(database: &Database) -> Result<PostgresBackend> {
    Ok(PostgresBackend::options(database.url()).max_connections(CONNECTIONS).open().await?)
}

/// A pool that does not ask a connection whether it is there before it uses it.
pub async fn pool(database: &Database, connections: u32) -> Result<PgPool> {
    let options = PgPoolOptions::new().max_connections(connections).test_before_acquire(false);
    Ok(options.connect(&database.url()).await?)
}

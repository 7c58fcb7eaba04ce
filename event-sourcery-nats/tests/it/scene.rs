//! Servers, and stores on them.

use std::time::{Duration, Instant};

use broker_cluster::{Nats, NatsCluster};
use event_sourcery::{Event, EventStore};
use event_sourcery_nats::async_nats::jetstream::{self, Context};
use event_sourcery_nats::async_nats::{ConnectOptions, ServerAddr};
use event_sourcery_nats::{NatsBackend, NatsOptions};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

/// What is waited for comes within this, or never.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// They sync what they acknowledge, and take events of some megabytes.
pub(crate) const DURABLE: &str = "max_payload: 8MB\njetstream { sync_interval: always }";

/// Servers of a test's own. They end with the value.
pub(crate) enum Servers {
    One(Nats),
    Three(NatsCluster),
}

impl Servers {
    pub(crate) fn start(nodes: usize) -> Self {
        match nodes {
            1 => Self::One(Nats::start_with(DURABLE)),
            _ => Self::Three(NatsCluster::start_with(DURABLE)),
        }
    }

    /// Their addresses, with commas between them.
    pub(crate) fn urls(&self) -> String {
        match self {
            Self::One(nats) => nats.url(),
            Self::Three(cluster) => cluster.urls().join(","),
        }
    }
}

/// A connection of its own to one of these servers.
pub(crate) async fn connect(urls: &str) -> Context {
    let urls: Vec<ServerAddr> = urls.split(',').map(|url| url.parse().unwrap()).collect();
    let client = ConnectOptions::new().retry_on_initial_connect().connect(urls).await.unwrap();
    client.flush().await.unwrap();
    jetstream::new(client)
}

/// The options of a store, whose servers sync.
pub(crate) async fn options(urls: &str, name: &str) -> NatsOptions {
    NatsBackend::options(connect(urls).await, name).servers_sync_always()
}

/// Opens a store as soon as the servers have found each other.
pub(crate) async fn open(options: NatsOptions) -> NatsBackend {
    let began = Instant::now();
    loop {
        match options.clone().open().await {
            Ok(backend) => return backend,
            Err(error) => assert!(began.elapsed() < PATIENCE, "{}", error.in_full()),
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// A store that has a replica on each of these servers.
pub(crate) async fn store(servers: &Servers) -> EventStore<NatsBackend> {
    let replicas = if matches!(servers, Servers::One(_)) { 1 } else { 3 };
    EventStore::new(open(options(&servers.urls(), "SHOP").await.replicas(replicas)).await)
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq, Event, Serialize, Deserialize)]
#[event(name = "paid")]
pub(crate) struct Paid {
    pub(crate) number: u64,
}

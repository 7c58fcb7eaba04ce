//! The store on NATS JetStream beside a bare client that does the same publishes with the same expectations, on one server and on three. All
//! of them sync what they acknowledge.

mod appends;
mod bare;
mod faults;
mod reads;

use std::time::{Duration, Instant};

use async_nats::jetstream::{self, Context};
use async_nats::{ConnectOptions, ServerAddr};
use broker_cluster::{Nats, NatsCluster};
use event_sourcery::EventStore;
use event_sourcery_nats::NatsBackend;

use self::bare::Bare;
use crate::Result;
use crate::bench::Bench;

const DURABLE: &str = "max_payload: 8MB\njetstream { sync_interval: always }";

/// How long servers may take to find each other.
const PATIENCE: Duration = Duration::from_secs(60);

/// The JetStream streams of either side.
const OURS: &str = "OURS";
const BARE: &str = "BARE";

/// Servers of the run's own.
pub enum Servers {
    One(Nats),
    Three(NatsCluster),
}

/// A store of ours, and a JetStream stream that is written by hand, on the same servers and with as many replicas.
pub struct Sides {
    /// What the names of figures begin with.
    prefix: String,
    replicas: usize,
    store: EventStore<NatsBackend>,
    bare: Bare,
    servers: Servers,
}

pub async fn measure(bench: &mut Bench) -> Result<()> {
    for (name, replicas) in [("one", 1), ("three", 3)] {
        let prefix = format!("nats/store/{name}");
        if bench.wants(&prefix) {
            let mut sides = Sides::start(prefix, replicas).await?;
            appends::measure(bench, &sides).await?;
            reads::measure(bench, &sides).await?;
            faults::measure(bench, &mut sides).await?;
        }
    }
    if bench.wants("nats/store/memory") {
        faults::memory(bench).await?;
    }
    Ok(())
}

impl Servers {
    fn start(replicas: usize) -> Self {
        match replicas {
            1 => Self::One(Nats::start_with(DURABLE)),
            _ => Self::Three(NatsCluster::start_with(DURABLE)),
        }
    }

    fn urls(&self) -> Vec<String> {
        match self {
            Self::One(nats) => vec![nats.url()],
            Self::Three(cluster) => cluster.urls(),
        }
    }
}

impl Sides {
    async fn start(prefix: String, replicas: usize) -> Result<Self> {
        let servers = Servers::start(replicas);
        let urls = servers.urls();
        let store = EventStore::new(opened(&urls, replicas).await?);
        let bare = Bare::create(connected(&urls).await?, BARE, replicas).await?;
        Ok(Self { prefix, replicas, store, bare, servers })
    }

    fn wants(&self, bench: &Bench, what: &str) -> bool {
        bench.wants(&self.name(what))
    }

    fn name(&self, what: &str) -> String {
        format!("{}/{what}", self.prefix)
    }
}

/// The store of ours at these addresses, as soon as the servers have found each other.
async fn opened(urls: &[String], replicas: usize) -> Result<NatsBackend> {
    let (began, context) = (Instant::now(), connected(urls).await?);
    loop {
        let options = NatsBackend::options(context.clone(), OURS).replicas(replicas).servers_sync_always();
        match options.timeout(faults::TIMEOUT).open().await {
            Err(_) if began.elapsed() < PATIENCE => tokio::time::sleep(Duration::from_millis(100)).await,
            opened => return Ok(opened?),
        }
    }
}

/// A connection of its own to one of these servers.
async fn connected(urls: &[String]) -> Result<Context> {
    let addresses = urls.iter().map(|url| url.parse::<ServerAddr>()).collect::<Result<Vec<_>, _>>()?;
    Ok(jetstream::new(ConnectOptions::new().connect(addresses).await?))
}

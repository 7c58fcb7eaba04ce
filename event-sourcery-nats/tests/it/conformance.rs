//! The contract, on one server and on three.
//!
//! Each case starts servers of its own, unless the environment names some: `EVENT_SOURCERY_NATS_ONE` an address,
//! `EVENT_SOURCERY_NATS_THREE` three of a cluster, with commas between. They have to sync, and to take messages of 8 MB.

use event_sourcery::uuid::Uuid;
use event_sourcery_conformance::Fixture;
use event_sourcery_nats::NatsBackend;

use crate::scene::{Servers, connect, open, options};

/// A store on so many servers.
struct NatsFixture<const NODES: usize> {
    /// None where the environment names them.
    servers: Option<Servers>,
    urls: String,
    name: String,
}

fn named(nodes: usize) -> Option<String> {
    std::env::var(if nodes == 1 { "EVENT_SOURCERY_NATS_ONE" } else { "EVENT_SOURCERY_NATS_THREE" }).ok()
}

impl<const NODES: usize> Fixture for NatsFixture<NODES> {
    type Backend = NatsBackend;

    async fn create() -> Self {
        let name = Uuid::new_v4().simple().to_string();
        match named(NODES) {
            Some(urls) => Self { servers: None, urls, name },
            None => {
                let servers = Servers::start(NODES);
                let urls = servers.urls();
                Self { servers: Some(servers), urls, name }
            }
        }
    }

    async fn connect(&self) -> NatsBackend {
        Self::connect_to(self.address()).await
    }

    fn address(&self) -> String {
        format!("{} {}", self.name, self.urls)
    }

    async fn connect_to(address: String) -> NatsBackend {
        let (name, urls) = address.split_once(' ').unwrap();
        open(options(urls, name).await.replicas(NODES)).await
    }

    // Each operation takes several round trips, and each of them a sync.
    fn model_cases() -> u32 {
        if NODES == 1 { 40 } else { 8 }
    }

    async fn remove(&self) {
        if self.servers.is_none() {
            let context = connect(&self.urls).await;
            for name in [self.name.clone(), format!("{}-side", self.name)] {
                // It has none, if the test has not got that far.
                let _ = context.delete_stream(name).await;
            }
        }
    }
}

mod one {
    event_sourcery_conformance::conformance!(super::NatsFixture<1>);
}

mod three {
    event_sourcery_conformance::conformance!(super::NatsFixture<3>);
}

//! Three NATS servers that replicate each other's streams.

use crate::nats::Nats;
use crate::process::random_port;

/// How many there are: the fewest of which one may die.
const NODES: usize = 3;

/// Three NATS servers of the test's own, with JetStream, joined to a cluster. They are called `node0` to `node2`.
#[derive(Debug)]
pub struct NatsCluster {
    nodes: Vec<Nats>,
}

impl NatsCluster {
    /// Starts new, empty servers with these lines of their configuration. They answer; that they have found each other, whoever
    /// makes a stream has to wait for.
    ///
    /// # Panics
    ///
    /// When one does not start, with its log.
    pub fn start_with(configuration: &str) -> Self {
        let mut ports = Vec::new();
        while ports.len() < NODES {
            let port = random_port();
            if !ports.contains(&port) {
                ports.push(port);
            }
        }
        let routes: Vec<_> = ports.iter().map(|port| format!("nats-route://127.0.0.1:{port}")).collect();
        let routes = routes.join(", ");
        let node = |(number, port): (usize, &u16)| {
            Nats::start_with(&format!(
                "server_name: node{number}\n{configuration}\n\
                 cluster {{ name: nodes, listen: \"127.0.0.1:{port}\", routes: [{routes}] }}\n"
            ))
        };
        Self { nodes: ports.iter().enumerate().map(node).collect() }
    }

    /// Their addresses.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Nats::url).collect()
    }

    /// The server of this name, to be killed or frozen.
    ///
    /// # Panics
    ///
    /// When none has it.
    pub fn node(&mut self, name: &str) -> &mut Nats {
        let number = name.strip_prefix("node").and_then(|number| number.parse::<usize>().ok());
        number.and_then(|number| self.nodes.get_mut(number)).expect("one of its nodes")
    }
}

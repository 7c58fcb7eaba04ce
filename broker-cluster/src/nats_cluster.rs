//! Three NATS servers that replicate each other's streams.

use std::path::Path;

use crate::nats::Nats;
use crate::network::Network;
use crate::process::random_port;

/// How many there are: the fewest of which one may die.
const NODES: usize = 3;

/// Three NATS servers of the test's own, with JetStream, joined to a cluster. They are called `node0` to `node2`.
#[derive(Debug)]
pub struct NatsCluster {
    nodes: Vec<Nats>,
    network: Network,
}

impl NatsCluster {
    /// Starts new, empty servers with these lines of their configuration. They answer; that they have found each other, whoever
    /// makes a stream has to wait for.
    ///
    /// # Panics
    ///
    /// When one does not start, with its log.
    pub fn start_with(configuration: &str) -> Self {
        let ports = ports();
        Self::start(&ports, &ports, |_, lines| Nats::start_with(&format!("{configuration}\n{lines}")))
    }

    /// The same, which keep what they store in these folders.
    ///
    /// # Panics
    ///
    /// As [`Self::start_with`].
    pub fn start_on(folders: [&Path; NODES], configuration: &str) -> Self {
        let ports = ports();
        Self::start(&ports, &ports, |number, lines| {
            Nats::start_on(folders[number], &format!("{configuration}\n{lines}"))
        })
    }

    /// The same, on a network that can be cut between them. Clients reach all of them all the time.
    ///
    /// # Panics
    ///
    /// As [`Self::start_with`].
    pub fn start_apart(configuration: &str) -> Self {
        let (ports, network) = (ports(), Network::default());
        let dialled: Vec<_> =
            (0..).zip(&ports).map(|(number, port)| network.way_to(&name(number), *port)).collect();
        let start = |_, lines: &str| Nats::start_with(&format!("{configuration}\n{lines}"));
        Self { network, ..Self::start(&ports, &dialled, start) }
    }

    /// Starts servers that listen on these ports for those who dial them at these.
    fn start(ports: &[u16], dialled: &[u16], start: impl Fn(usize, &str) -> Nats) -> Self {
        let node = |(number, port): (usize, &u16)| {
            let routes = (0..).zip(dialled).filter(|(other, _)| *other != number);
            let routes: Vec<_> = routes.map(|(_, port)| format!("nats-route://127.0.0.1:{port}")).collect();
            let lines = format!(
                "server_name: {}\n\
                 cluster {{ name: nodes, listen: \"127.0.0.1:{port}\", advertise: \"127.0.0.1:{}\", routes: [{}] }}\n",
                name(number),
                dialled[number],
                routes.join(", "),
            );
            start(number, &lines)
        };
        Self { nodes: ports.iter().enumerate().map(node).collect(), network: Network::default() }
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

    /// Cuts the server of this name off from the others, where they were [started apart](Self::start_apart): what they send each other does not
    /// arrive until that is mended.
    pub fn cut_off(&self, name: &str) {
        self.network.cut_off(name);
    }

    /// Everybody reaches everybody again.
    pub fn mend(&self) {
        self.network.mend();
    }
}

fn name(number: usize) -> String {
    format!("node{number}")
}

fn ports() -> Vec<u16> {
    let mut ports = Vec::new();
    while ports.len() < NODES {
        let port = random_port();
        if !ports.contains(&port) {
            ports.push(port);
        }
    }
    ports
}

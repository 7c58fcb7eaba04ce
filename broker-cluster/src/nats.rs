//! A NATS server with JetStream.

use std::env;
use std::fs;
use std::io::Read as _;
use std::net::TcpStream;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::broker::Broker;
use crate::process::{Process, random_port};

/// A NATS server of the test's own, with JetStream in a temporary folder.
#[derive(Debug)]
pub struct Nats(Broker);

impl Nats {
    /// Starts a new, empty server. It syncs each message before it acknowledges it (`sync_interval: always`).
    ///
    /// # Panics
    ///
    /// When the server does not start, with its log.
    pub fn start() -> Self {
        Self::start_with("jetstream { sync_interval: always }")
    }

    /// Starts a new, empty server with these lines of its configuration, which has the address and the folder already.
    ///
    /// # Panics
    ///
    /// When the server does not start, with its log.
    pub fn start_with(configuration: &str) -> Self {
        Self::start_in(TempDir::with_prefix("nats-").expect("a temporary folder"), configuration)
    }

    /// The same, which keeps what it stores in this folder: on a disk of the test's.
    ///
    /// # Panics
    ///
    /// As [`Self::start_with`].
    pub fn start_on(data: &Path, configuration: &str) -> Self {
        let folder = TempDir::with_prefix("nats-").expect("a temporary folder");
        symlink(data, folder.path().join("data")).expect("a folder of ours");
        Self::start_in(folder, configuration)
    }

    fn start_in(folder: TempDir, configuration: &str) -> Self {
        fs::write(folder.path().join("server.conf"), configuration).expect("a folder of ours");
        Self(Broker::start("NATS", folder, random_port, launch))
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port())
    }
}

impl Deref for Nats {
    type Target = Broker;

    fn deref(&self) -> &Broker {
        &self.0
    }
}

impl DerefMut for Nats {
    fn deref_mut(&mut self) -> &mut Broker {
        &mut self.0
    }
}

fn launch(folder: &Path, port: u16) -> Result<Vec<Process>, String> {
    let mut command = Command::new(program());
    command.args(["--addr", "127.0.0.1", "--port", &port.to_string(), "--jetstream"]);
    command.arg("--store_dir").arg(folder.join("data"));
    command.arg("--config").arg(folder.join("server.conf"));
    Ok(vec![Process::launch(command, &folder.join("log"), || greets(port))?])
}

/// It greets first, and only after what it has kept was read.
fn greets(port: u16) -> bool {
    let Ok(mut connection) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut greeting = [0; 5];
    let within = connection.set_read_timeout(Some(Duration::from_secs(1)));
    within.is_ok() && connection.read_exact(&mut greeting).is_ok() && &greeting == b"INFO "
}

/// What `scripts/test` has brought, or the one that is named.
fn program() -> PathBuf {
    if let Some(given) = env::var_os("EVENT_SOURCERY_NATS_SERVER") {
        return given.into();
    }
    let brought = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/nats/bin/nats-server");
    assert!(
        brought.exists(),
        "there is no {}: run scripts/test, which brings it, or name a nats-server in EVENT_SOURCERY_NATS_SERVER",
        brought.display()
    );
    brought
}

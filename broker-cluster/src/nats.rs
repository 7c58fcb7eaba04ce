//! A NATS server with JetStream.

use std::env;
use std::fs;
use std::io::Read as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process::{PATIENCE, PORTS, Process, pause, random_port};

/// A NATS server of the test's own, with JetStream in a temporary folder. It ends with the value, and its folder is removed.
#[derive(Debug)]
pub struct Nats {
    /// Dropped before the folder that it writes to.
    process: Option<Process>,
    folder: TempDir,
    port: u16,
}

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
        let folder = TempDir::with_prefix("nats-").expect("a temporary folder");
        fs::write(folder.path().join("server.conf"), configuration).expect("a folder of ours");
        let mut nats = Self { process: None, folder, port: 0 };
        let mut log = String::new();
        for _ in 0..PORTS {
            nats.port = random_port();
            match nats.launch() {
                Ok(()) => return nats,
                Err(said) => log = said,
            }
        }
        panic!("NATS did not start: {log}")
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// SIGKILL: nothing more is written, no client is told.
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub fn kill(&mut self) {
        self.process.take().expect("a server that runs").kill();
    }

    /// SIGSTOP: connections stay open, and nobody answers.
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub fn freeze(&self) {
        self.process.as_ref().expect("a server that runs").signal("STOP");
    }

    /// SIGCONT: it goes on as if nothing had been.
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub fn thaw(&self) {
        self.process.as_ref().expect("a server that runs").signal("CONT");
    }

    /// Starts the killed server again, on the same data and the same port.
    ///
    /// # Panics
    ///
    /// When it runs already, or does not start, with its log.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "the server runs already");
        let deadline = Instant::now() + PATIENCE;
        while let Err(log) = self.launch() {
            assert!(Instant::now() < deadline, "NATS did not start again: {log}");
            pause();
        }
    }

    fn launch(&mut self) -> Result<(), String> {
        let folder = self.folder.path();
        let mut command = Command::new(program());
        command.args(["--addr", "127.0.0.1", "--port", &self.port.to_string(), "--jetstream"]);
        command.arg("--store_dir").arg(folder.join("data"));
        command.arg("--config").arg(folder.join("server.conf"));
        self.process = Some(Process::launch(command, &folder.join("log"), || greets(self.port))?);
        Ok(())
    }
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

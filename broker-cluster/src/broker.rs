//! What the brokers have in common: they are killed, frozen, and started again where they were.

use std::path::Path;
use std::time::Instant;

use tempfile::TempDir;

use crate::process::{PATIENCE, PORTS, Process, pause};

/// How the processes of a broker are started, on what its folder holds and on this port, until they answer.
type Launch = fn(&Path, u16) -> Result<Vec<Process>, String>;

/// A broker of the test's own, in a temporary folder and on a port of its own. It ends with the value, and its folder is removed.
#[derive(Debug)]
pub struct Broker {
    name: &'static str,
    launch: Launch,
    port: u16,
    /// None while it is killed. Ended in their order, and before the folder that they write to goes.
    processes: Vec<Process>,
    folder: TempDir,
}

impl Broker {
    /// Starts a new one on what this folder holds. A port that it cannot have is replaced by another.
    pub(crate) fn start(name: &'static str, folder: TempDir, port: fn() -> u16, launch: Launch) -> Self {
        let mut broker = Self { name, launch, port: 0, processes: Vec::new(), folder };
        let mut log = String::new();
        for _ in 0..PORTS {
            broker.port = port();
            match broker.launch() {
                Ok(()) => return broker,
                Err(said) => log = said,
            }
        }
        panic!("{name} did not start: {log}")
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// SIGKILL to all that it has started: nothing more is written, no client is told.
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub fn kill(&mut self) {
        assert!(self.runs(), "{} does not run", self.name);
        self.processes.clear();
    }

    /// SIGSTOP: connections stay open, and nobody answers.
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// SIGCONT: it goes on as if nothing had been.
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    /// Starts the killed one again, on the same data and the same port.
    ///
    /// # Panics
    ///
    /// When it runs already, or does not start, with its log.
    pub fn start_again(&mut self) {
        assert!(!self.runs(), "{} runs already", self.name);
        let deadline = Instant::now() + PATIENCE;
        while let Err(log) = self.launch() {
            assert!(Instant::now() < deadline, "{} did not start again: {log}", self.name);
            pause();
        }
    }

    /// The numbers of its first processes, for who measures them. None while it is killed.
    pub fn process_ids(&self) -> Vec<u32> {
        self.processes.iter().map(Process::id).collect()
    }

    fn runs(&self) -> bool {
        !self.processes.is_empty()
    }

    fn signal(&self, signal: &str) {
        assert!(self.runs(), "{} does not run", self.name);
        self.processes.iter().for_each(|process| process.signal(signal));
    }

    fn launch(&mut self) -> Result<(), String> {
        self.processes = (self.launch)(self.folder.path(), self.port)?;
        Ok(())
    }
}

//! The event stores, and a process of one.

use std::fs;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use crate::Result;
use crate::place::{Backend, Place};

const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

pub struct Contender {
    /// Its folder beside this one.
    pub name: &'static str,
    program: &'static str,
    /// The crates whose versions tell which it is: on SQLite, and on PostgreSQL, if it runs there.
    crates: [Option<&'static str>; 2],
    /// Its table of events on PostgreSQL.
    pub events: &'static str,
    /// Whether it is an engine of its own, with files of its own. It is measured beside those on SQLite, and is no yardstick for ours.
    pub is_engine: bool,
}

/// Ours, and the others.
pub static CONTENDERS: [Contender; 4] = [
    Contender {
        name: "ours",
        program: "ours",
        crates: [Some("event-sourcery-sqlite"), Some("event-sourcery-postgres")],
        events: "event_sourcery_events",
        is_engine: false,
    },
    Contender {
        name: "cqrs-es",
        program: "peer-cqrs-es",
        crates: [Some("sqlite-es"), Some("postgres-es")],
        events: "events",
        is_engine: false,
    },
    Contender {
        name: "eventcore",
        program: "peer-eventcore",
        crates: [Some("eventcore-sqlite"), Some("eventcore-postgres")],
        events: "eventcore_events",
        is_engine: false,
    },
    Contender {
        name: "tephra",
        program: "peer-tephra",
        crates: [Some("tephra"), None],
        events: "",
        is_engine: true,
    },
];

impl Contender {
    const fn crate_on(&self, backend: Backend) -> Option<&'static str> {
        let [sqlite, postgres] = self.crates;
        match backend {
            Backend::Sqlite => sqlite,
            Backend::Postgres => postgres,
        }
    }

    pub const fn runs_on(&self, backend: Backend) -> bool {
        self.crate_on(backend).is_some()
    }

    /// The version in its lock file.
    pub fn version(&self, backend: Backend) -> Result<String> {
        let wanted = self.crate_on(backend).ok_or_else(|| format!("{} does not run there", self.name))?;
        let lock = fs::read_to_string(format!("{PEERS}/{}/Cargo.lock", self.name))?;
        let (_, rest) = lock
            .split_once(&format!("name = \"{wanted}\"\nversion = \""))
            .ok_or_else(|| format!("{wanted} is not in the lock file of {}", self.name))?;
        let (version, _) = rest.split_once('"').ok_or("the lock file ends within a version")?;
        Ok(version.to_owned())
    }

    fn program(&self) -> PathBuf {
        PathBuf::from(format!("{PEERS}/{}/target/release/{}", self.name, self.program))
    }
}

/// A process of one, at a new place. Killed with the value.
pub struct Running {
    pub place: Place,
    /// How many milliseconds it took until its empty store was open.
    pub started_in: f64,
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Running {
    pub fn start(contender: &Contender, place: Place) -> Result<Self> {
        let began = Instant::now();
        let mut child = Command::new(contender.program())
            .args(place.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{} does not start: {error}", contender.program().display()))?;
        let orders = child.stdin.take().ok_or("no input")?;
        let answers = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let mut running = Self { place, started_in: 0.0, child, orders, answers };
        running.answer()?;
        running.started_in = began.elapsed().as_secs_f64() * 1e3;
        Ok(running)
    }

    /// Gives an order and waits for the answer.
    pub fn ask(&mut self, order: &str) -> Result<String> {
        writeln!(self.orders, "{order}")?;
        self.answer()
    }

    fn answer(&mut self) -> Result<String> {
        let answer = self.answers.next().ok_or("it has ended")??;
        match answer.strip_prefix("failed ") {
            Some(why) => Err(why.into()),
            None => Ok(answer),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

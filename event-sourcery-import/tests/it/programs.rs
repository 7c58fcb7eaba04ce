//! Programs that write with the real libraries, each in a process of its own: a bank on `eventsourcing` for Python, a shop on Emmett.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub(crate) struct Program {
    process: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Program {
    /// A bank on a file, or a database of PostgreSQL, with these settings of the library's.
    pub(crate) fn bank(address: &str, settings: &[&str]) -> Self {
        let mut python = Command::new(brought("imports/bin/python"));
        python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bank.py")).arg(address).args(settings);
        python.env("PYTHONDONTWRITEBYTECODE", "1");
        Self::start(python)
    }

    /// A shop on a file, or a database of PostgreSQL.
    pub(crate) fn shop(address: &str) -> Self {
        let database = if address.starts_with("postgres") { "postgresql" } else { "sqlite" };
        let mut node = Command::new("node");
        node.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shop.mjs"));
        node.arg(brought(&format!("imports-{database}"))).arg(address);
        Self::start(node)
    }

    fn start(mut command: Command) -> Self {
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = started.unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let commands = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().unwrap());
        Self { process, commands, answers }
    }

    /// Sends a command, and waits for its answer.
    pub(crate) fn told(&mut self, command: &str) -> String {
        writeln!(self.commands.as_mut().unwrap(), "{command}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the program has ended: its last words are above");
        line.trim_end().to_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.commands = None;
        let _ = self.process.wait();
    }
}

/// What the scripts have brought.
pub(crate) fn brought(path: &str) -> PathBuf {
    let brought = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target")).join(path);
    assert!(brought.exists(), "there is no {}: run scripts/test, which brings it", brought.display());
    brought
}

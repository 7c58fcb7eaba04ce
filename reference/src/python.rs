//! The Python process: commands go in, answers come out, each a line of JSON.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use event_sourcery::{Position, StreamId, Version};
use serde_json::{Value, json};

use crate::answers::{Loaded, Published, Refusal};
use crate::commands::{Expected, append, place};

/// Event Sourcery for Python at work on a database. Dropping it waits until the process has ended.
pub struct Python {
    process: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Python {
    /// Starts the reference on a database, which it is told of as SQLAlchemy spells it: `sqlite:///folder/file.db`.
    pub fn start(url: &str) -> Self {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/python/reference.py");
        let mut process = Command::new(interpreter())
            .arg(program)
            .arg(url)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let commands = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().expect("its output is piped"));
        Self { process, commands, answers }
    }

    /// Sends a command, and does not wait for the answer.
    pub fn send(&mut self, command: &Value) {
        let commands = self.commands.as_mut().expect("the process is open");
        writeln!(commands, "{command}").expect("the process takes commands");
    }

    /// Waits for the answer to the first command that has none yet.
    pub fn answer(&mut self) -> Result<Value, Refusal> {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the answer is text");
        assert!(!line.is_empty(), "the Python process has ended: its last words are above");
        let mut answer: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match answer.get("error") {
            Some(error) => Err(Refusal { error: text(error), message: text(&answer["message"]) }),
            None => Ok(answer["ok"].take()),
        }
    }

    /// Sends a command, and waits for its answer.
    pub fn ask(&mut self, command: &Value) -> Result<Value, Refusal> {
        self.send(command);
        self.answer()
    }

    /// The answer to a command that has to succeed.
    pub fn told(&mut self, command: &Value) -> Value {
        self.ask(command)
            .unwrap_or_else(|refusal| panic!("{command}: {}: {}", refusal.error, refusal.message))
    }

    /// Makes the tables, as an application of the reference does.
    pub fn create_all(&mut self) {
        self.told(&json!({"do": "create_all"}));
    }

    /// Begins a transaction: what follows is committed by [`commit`](Self::commit).
    pub fn begin(&mut self) {
        self.told(&json!({"do": "begin"}));
    }

    /// Commits what was done since [`begin`](Self::begin).
    pub fn commit(&mut self) {
        self.told(&json!({"do": "commit"}));
    }

    /// Takes back what was done since [`begin`](Self::begin).
    pub fn rollback(&mut self) {
        self.told(&json!({"do": "rollback"}));
    }

    /// Appends to a stream.
    pub fn append(&mut self, stream: &StreamId, expected: Expected, events: &[Value]) -> Result<(), Refusal> {
        self.ask(&append(stream, expected, events)).map(drop)
    }

    /// Creates a stream.
    pub fn create(&mut self, stream: &StreamId, events: &[Value]) {
        self.told(&append(stream, Expected::Version(0), events));
    }

    /// The events of a stream; from a snapshot on, where there is one.
    pub fn load(&mut self, stream: &StreamId) -> Vec<Loaded> {
        self.loaded(&json!({"do": "load", "stream": place(stream)}))
    }

    /// The events that a command of one's own loads.
    pub fn loaded(&mut self, command: &Value) -> Vec<Loaded> {
        serde_json::from_value(self.told(command)).expect("loaded events")
    }

    /// Deletes a stream.
    pub fn delete(&mut self, stream: &StreamId) {
        self.told(&json!({"do": "delete", "stream": place(stream)}));
    }

    /// Takes a snapshot for a version.
    pub fn snapshot(&mut self, stream: &StreamId, version: Version, event: &Value) {
        self.told(&json!({"do": "snapshot", "stream": place(stream), "version": version, "event": event}));
    }

    /// The last position in the store, as the reference tells it.
    pub fn position(&mut self) -> Position {
        Position::from_i64(self.told(&json!({"do": "position"})).as_i64().expect("a position"))
    }

    /// The next events after a position, as the reference's subscription hands them out.
    pub fn subscribe(&mut self, after: Position, size: usize) -> Vec<Published> {
        let records = self.told(&json!({"do": "subscribe", "after": after, "size": size}));
        serde_json::from_value(records).expect("records")
    }

    /// What the reference's outbox publishes.
    pub fn publish(&mut self) -> Vec<Published> {
        serde_json::from_value(self.told(&json!({"do": "publish"}))).expect("records")
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        self.commands = None;
        let _ = self.process.wait();
    }
}

fn interpreter() -> PathBuf {
    if let Some(given) = std::env::var_os("EVENT_SOURCERY_PYTHON") {
        return given.into();
    }
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/python/bin/python");
    assert!(
        made.exists(),
        "there is no {}: run scripts/test, which makes the virtual environment, or name a Python that has Event Sourcery in \
         EVENT_SOURCERY_PYTHON",
        made.display()
    );
    made
}

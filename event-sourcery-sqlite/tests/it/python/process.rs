//! The Python process: commands go in, answers come out, each a line of JSON.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use event_sourcery::{Event, Position, StreamId, Version};
use serde_json::{Value, json};

use super::invoicing::{Loaded, Published};

/// Event Sourcery for Python at work on a file.
pub(super) struct Python {
    process: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// What the reference answered a refused command with.
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    /// The exception's class.
    pub(super) error: String,
    pub(super) message: String,
}

/// What the reference expects of a stream that it appends to.
#[derive(Clone, Copy)]
pub(super) enum Expected {
    Version(Version),
    NoVersioning,
}

impl Python {
    /// Starts the reference on a file.
    pub(super) fn start(file: &Path) -> Self {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/reference.py");
        let mut process = Command::new(interpreter())
            .arg(program)
            .arg(file)
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
    pub(super) fn send(&mut self, command: &Value) {
        let commands = self.commands.as_mut().expect("the process is open");
        writeln!(commands, "{command}").expect("the process takes commands");
    }

    /// Waits for the answer to the command sent last.
    pub(super) fn answer(&mut self) -> Result<Value, Refusal> {
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

    pub(super) fn ask(&mut self, command: &Value) -> Result<Value, Refusal> {
        self.send(command);
        self.answer()
    }

    /// The answer to a command that has to succeed.
    pub(super) fn told(&mut self, command: &Value) -> Value {
        self.ask(command)
            .unwrap_or_else(|refusal| panic!("{command}: {}: {}", refusal.error, refusal.message))
    }

    pub(super) fn create_all(&mut self) {
        self.told(&json!({"do": "create_all"}));
    }

    pub(super) fn append(
        &mut self,
        stream: &StreamId,
        expected: Expected,
        events: &[Value],
    ) -> Result<(), Refusal> {
        self.ask(&append(stream, expected, events)).map(drop)
    }

    /// Creates a stream.
    pub(super) fn create(&mut self, stream: &StreamId, events: &[Value]) {
        self.told(&append(stream, Expected::Version(0), events));
    }

    pub(super) fn load(&mut self, stream: &StreamId) -> Vec<Loaded> {
        self.loaded(&json!({"do": "load", "stream": place(stream)}))
    }

    pub(super) fn loaded(&mut self, command: &Value) -> Vec<Loaded> {
        serde_json::from_value(self.told(command)).expect("loaded events")
    }

    pub(super) fn delete(&mut self, stream: &StreamId) {
        self.told(&json!({"do": "delete", "stream": place(stream)}));
    }

    pub(super) fn snapshot(&mut self, stream: &StreamId, version: Version, event: &Value) {
        self.told(&json!({"do": "snapshot", "stream": place(stream), "version": version, "event": event}));
    }

    pub(super) fn position(&mut self) -> Position {
        Position::from_i64(self.told(&json!({"do": "position"})).as_i64().expect("a position"))
    }

    /// The next events after a position, as the reference's subscription hands them out.
    pub(super) fn subscribe(&mut self, after: Position, size: usize) -> Vec<Published> {
        let records = self.told(&json!({"do": "subscribe", "after": after, "size": size}));
        serde_json::from_value(records).expect("records")
    }

    /// What the reference's outbox publishes.
    pub(super) fn publish(&mut self) -> Vec<Published> {
        serde_json::from_value(self.told(&json!({"do": "publish"}))).expect("records")
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        self.commands = None;
        let _ = self.process.wait();
    }
}

/// The command to append.
pub(super) fn append(stream: &StreamId, expected: Expected, events: &[Value]) -> Value {
    let expected = match expected {
        Expected::Version(version) => json!(version),
        Expected::NoVersioning => json!("no_versioning"),
    };
    json!({"do": "append", "stream": place(stream), "expected_version": expected, "events": events})
}

/// A command, with one more word in it.
pub(super) fn with(mut command: Value, word: &str, value: impl Into<Value>) -> Value {
    command[word] = value.into();
    command
}

/// A stream as the reference is told of it: by its name where there is one, so that it finds the UUID itself.
pub(super) fn place(stream: &StreamId) -> Value {
    let mut place = match stream.name() {
        Some(name) => json!({"name": name}),
        None => json!({"uuid": stream.uuid()}),
    };
    if let Some(category) = stream.category() {
        place["category"] = category.as_str().into();
    }
    place
}

/// An event of ours as the reference is told to write it.
pub(super) fn event<E: Event>(event: &E) -> Value {
    let name = event.event_name();
    let class = name.rsplit('.').next().unwrap_or_default();
    let fields: Value = serde_json::from_str(&event.encode().expect("the event encodes")).expect("JSON");
    json!({"type": class, "fields": fields})
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

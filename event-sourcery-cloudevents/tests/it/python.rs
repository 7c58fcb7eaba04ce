//! The library for Python, in a process: messages go in, and what it reads comes out.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use event_sourcery_cloudevents::Message;
use serde_json::{Map, Value, json};

pub(crate) struct Python {
    process: Child,
    messages: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Python {
    pub(crate) fn start() -> Self {
        let mut process = Command::new(interpreter())
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/read.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let messages = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().unwrap());
        Self { process, messages, answers }
    }

    /// What it reads in a message of this binding: the attributes, and the payload.
    pub(crate) fn reads(&mut self, binding: &str, message: &Message) -> (Map<String, Value>, Value) {
        let headers: Map<String, Value> =
            message.headers.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
        let message = json!({
            "binding": binding,
            "content_type": message.content_type,
            "headers": headers,
            "body": message.body,
        });
        writeln!(self.messages.as_mut().unwrap(), "{message}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "Python has ended: its last words are above");
        let mut answer: Value = serde_json::from_str(&line).unwrap();
        let attributes = answer["attributes"].as_object().unwrap().clone();
        (attributes, answer["data"].take())
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        self.messages = None;
        let _ = self.process.wait();
    }
}

fn interpreter() -> PathBuf {
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/cloudevents/bin/python");
    assert!(
        made.exists(),
        "there is no {}: run scripts/test, which makes the virtual environment",
        made.display()
    );
    made
}

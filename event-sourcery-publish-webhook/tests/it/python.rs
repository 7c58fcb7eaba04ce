//! The Standard Webhooks library for Python.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::scene::Got;

/// Whether it takes the request for one that was signed with this secret.
pub(crate) fn verifies(got: &Got, secret: &str) -> bool {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/verify.py");
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/webhooks/bin/python");
    assert!(
        python.exists(),
        "there is no {}: run scripts/test, which makes the virtual environment",
        python.display()
    );
    let mut process = Command::new(python).arg(program).stdin(Stdio::piped()).spawn().unwrap();
    let request = json!({
        "secret": secret,
        "body": got.body,
        "headers": {
            "webhook-id": got.header("webhook-id"),
            "webhook-timestamp": got.header("webhook-timestamp"),
            "webhook-signature": got.header("webhook-signature"),
        },
    });
    process.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
    match process.wait().unwrap().code() {
        Some(0) => true,
        Some(3) => false,
        other => panic!("Python ended with {other:?}: its words are above"),
    }
}

//! An OpenBao server.

use std::env;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{PATIENCE, PORTS, Process, pause, random_port};

/// An OpenBao server of the test's own, with the transit engine at `transit/`, and its data in a temporary folder. It is set up and
/// unsealed when it is started first, and sealed when it is started again. It ends with the value, and its folder is removed.
#[derive(Debug)]
pub struct OpenBao {
    /// Dropped before the folder that it writes to.
    process: Option<Process>,
    folder: TempDir,
    port: u16,
    unseals: String,
    root: String,
}

impl OpenBao {
    /// Starts a new server, with a transit engine that has no keys, and makes none by encrypting.
    ///
    /// # Panics
    ///
    /// When the server does not start, with its log.
    pub fn start() -> Self {
        let folder = TempDir::with_prefix("openbao-").expect("a temporary folder");
        let (unseals, root) = (String::new(), String::new());
        let mut openbao = Self { process: None, folder, port: 0, unseals, root };
        let mut log = String::new();
        for _ in 0..PORTS {
            openbao.port = random_port();
            openbao.configure();
            match openbao.launch() {
                Ok(()) => return openbao.set_up(),
                Err(said) => log = said,
            }
        }
        panic!("OpenBao did not start: {log}")
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The token that may do everything.
    pub fn root_token(&self) -> &str {
        &self.root
    }

    /// A token that may do what this policy says; from then on, so do all that were made before.
    ///
    /// # Panics
    ///
    /// When the server does not make it.
    pub fn token(&self, policy: &str) -> String {
        self.done("PUT", "sys/policies/acl/of-the-test", &json!({ "policy": policy }));
        let asked = json!({ "policies": ["of-the-test"] });
        text(&self.done("POST", "auth/token/create", &asked)["auth"]["client_token"])
    }

    /// Calls its interface as root: the status, and the answer, `null` where there is none.
    ///
    /// # Panics
    ///
    /// When it does not answer.
    pub fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let answer = request(self.port, &self.root, method, path, &body.to_string());
        let (status, answer) = answer.unwrap_or_else(|| panic!("OpenBao does not answer: {}", self.log()));
        (status, serde_json::from_str(&answer).unwrap_or_default())
    }

    /// The same for what has to succeed.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub fn done(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.call(method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// Seals it: it answers, and does nothing.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub fn seal(&self) {
        self.done("PUT", "sys/seal", &json!({}));
    }

    /// Unseals it, and waits until it is at work.
    ///
    /// # Panics
    ///
    /// When it does not start to work.
    pub fn unseal(&self) {
        self.done("PUT", "sys/unseal", &json!({ "key": self.unseals }));
        let deadline = Instant::now() + PATIENCE;
        while self.call("GET", "sys/health", &json!({})).0 != 200 {
            assert!(Instant::now() < deadline, "OpenBao is not at work: {}", self.log());
            pause();
        }
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

    /// Starts the killed server again, on the same data and the same port, sealed.
    ///
    /// # Panics
    ///
    /// When it runs already, or does not start, with its log.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "the server runs already");
        let deadline = Instant::now() + PATIENCE;
        while let Err(log) = self.launch() {
            assert!(Instant::now() < deadline, "OpenBao did not start again: {log}");
            pause();
        }
    }

    fn configure(&self) {
        let (data, port) = (self.folder.path().join("data"), self.port);
        fs::create_dir_all(&data).expect("a folder of ours");
        // A cluster of one, which elects itself as soon as may be.
        let configuration = format!(
            "storage \"raft\" {{\n  path = \"{}\"\n  node_id = \"one\"\n  performance_multiplier = 1\n}}\n\
             listener \"tcp\" {{\n  address = \"127.0.0.1:{port}\"\n  tls_disable = true\n}}\n\
             api_addr = \"http://127.0.0.1:{port}\"\ncluster_addr = \"https://127.0.0.1:{}\"\n",
            data.display(),
            port + 1
        );
        fs::write(self.folder.path().join("server.hcl"), configuration).expect("a folder of ours");
    }

    fn launch(&mut self) -> Result<(), String> {
        let folder = self.folder.path();
        let mut command = Command::new(program());
        command.arg("server").arg("-config").arg(folder.join("server.hcl")).env("HOME", folder);
        let answers = || request(self.port, "", "GET", "sys/seal-status", "").is_some();
        self.process = Some(Process::launch(command, &folder.join("log"), answers)?);
        Ok(())
    }

    fn set_up(mut self) -> Self {
        let keys = self.done("PUT", "sys/init", &json!({ "secret_shares": 1, "secret_threshold": 1 }));
        self.unseals = text(&keys["keys"][0]);
        self.root = text(&keys["root_token"]);
        self.unseal();
        self.done("POST", "sys/mounts/transit", &json!({ "type": "transit" }));
        self.done("POST", "transit/config/keys", &json!({ "disable_upsert": true }));
        self
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("OpenBao has answered no text, but {value}")).to_owned()
}

/// Asks in HTTP 1.0, in which an answer comes in one piece, and ends with the connection.
fn request(port: u16, token: &str, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).ok()?;
    connection.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    let head =
        format!("{method} /v1/{path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n");
    let token = if token.is_empty() { String::new() } else { format!("X-Vault-Token: {token}\r\n") };
    let request = format!("{head}{token}Content-Length: {}\r\n\r\n{body}", body.len());
    connection.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some((status, body.to_owned()))
}

/// What `scripts/test` has brought, or the one that is named.
fn program() -> PathBuf {
    if let Some(given) = env::var_os("EVENT_SOURCERY_OPENBAO_SERVER") {
        return given.into();
    }
    let brought = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/openbao/bin/bao");
    assert!(
        brought.exists(),
        "there is no {}: run scripts/test, which brings it, or name a bao in EVENT_SOURCERY_OPENBAO_SERVER",
        brought.display()
    );
    brought
}

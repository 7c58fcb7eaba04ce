//! The invoicing service as a process, on a port and a database of its own.

use std::env;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use postgres_cluster::{Database, Server};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::http::{Answer, request};

/// How long the service may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(120);

/// The example as a command, with nothing in its environment. It stands beside the folder of the test binaries;
/// `cargo nextest` builds it, `cargo test` may not.
pub(super) fn invoicing() -> Command {
    let tests = env::current_exe().unwrap();
    let target = tests.parent().unwrap().parent().unwrap();
    let example: PathBuf = target.join("examples/invoicing").with_extension(env::consts::EXE_EXTENSION);
    assert!(example.exists(), "{} is missing: run `cargo build --examples` first", example.display());
    let mut command = Command::new(example);
    command.env_clear().kill_on_drop(true);
    command
}

pub(super) struct Service {
    process: Child,
    address: String,
    pub(super) database: Database,
}

impl Service {
    /// On the shared server.
    pub(super) async fn start() -> Self {
        Self::start_on(Server::shared().create_database()).await
    }

    pub(super) async fn start_on(database: Database) -> Self {
        let mut command = invoicing();
        command.env("DATABASE_URL", database.url()).env("LISTEN", "127.0.0.1:0");
        let (process, address) = started(command).await;
        Self { process, address, database }
    }

    /// With an invoice of 50.00, at version 1.
    pub(super) async fn with_invoice(number: &str) -> Self {
        let service = Self::start().await;
        service.issue(number).await.assert_status(201);
        service
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        request(&self.address, "GET", path, &[], None).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, &[], &body.to_string()).await
    }

    pub(super) async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers = [&[("Content-Type", "application/json")], headers].concat();
        request(&self.address, "POST", path, &headers, Some(body)).await
    }

    pub(super) async fn issue(&self, number: &str) -> Answer {
        let invoice = json!({ "number": number, "customer": "ACME", "total_cents": 5000 });
        self.post("/invoices", &invoice).await
    }

    pub(super) async fn pay(&self, number: &str, cents: i64, expected_version: u64) -> Answer {
        let payment = json!({ "amount_cents": cents, "expected_version": expected_version });
        self.post(&format!("/invoices/{number}/payments"), &payment).await
    }

    /// Sends a request, and hangs up before it is answered.
    pub(super) async fn hang_up(&self, path: &str, body: &Value, after: Duration) {
        let body = body.to_string();
        let headers = [("Content-Type", "application/json")];
        let _ = timeout(after, request(&self.address, "POST", path, &headers, Some(&body))).await;
    }

    /// SIGKILL. Returns once the database knows.
    pub(super) async fn kill(mut self) -> Database {
        self.process.kill().await.unwrap();
        let connected =
            format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{}'", self.database.name());
        while Server::shared().psql("postgres", &connected) != "0" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.database
    }

    /// What is kept, as the database tells it: every row of the service's, and every event of the store's.
    pub(super) fn kept(&self) -> String {
        self.database.psql(
            "SELECT number, customer, total_cents, paid_cents, status FROM invoices ORDER BY number;
             SELECT s.name, e.version, e.name, e.data FROM event_sourcery_events e
             JOIN event_sourcery_streams s ON s.id = e.db_stream_id ORDER BY e.id;",
        )
    }

    /// Whether it takes another connection.
    pub(super) async fn takes_connections(&self) -> bool {
        TcpStream::connect(&self.address).await.is_ok()
    }

    /// The database, after the service has ended.
    pub(super) fn into_database(self) -> Database {
        self.database
    }

    /// Tells it to end.
    pub(super) async fn terminate(&self) {
        terminate(&self.process).await;
    }

    pub(super) async fn ended(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.process.wait()).await.expect("the service ends").unwrap()
    }
}

/// Tells a process to end.
pub(super) async fn terminate(process: &Child) {
    let id = process.id().unwrap().to_string();
    assert!(Command::new("sh").args(["-c", "kill -TERM $0", &id]).status().await.unwrap().success());
}

/// The process, and the address that it prints.
pub(super) async fn started(mut command: Command) -> (Child, String) {
    let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let line = timeout(PATIENCE, lines.next_line()).await.expect("the service starts").unwrap();
    let line = line.expect("the service says where it listens");
    let address = line.strip_prefix("listening on http://").unwrap_or_else(|| panic!("{line}"));
    let address = address.to_owned();
    (process, address)
}

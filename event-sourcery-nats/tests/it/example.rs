//! The example, run as its users run it: as a program.

use std::env;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use broker_cluster::NatsCluster;
use event_sourcery::uuid::Uuid;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::scene::{DURABLE, PATIENCE};

/// The example as a command. It stands beside the folder of the test binaries; `cargo nextest` builds it, `cargo test` may not.
fn invoicing() -> Command {
    let tests = env::current_exe().unwrap();
    let target = tests.parent().unwrap().parent().unwrap();
    let example = target.join("examples/invoicing-on-nats").with_extension(env::consts::EXE_EXTENSION);
    assert!(example.exists(), "{} is missing: run `cargo build --examples` first", example.display());
    Command::new(example)
}

/// The service as a process.
struct Service {
    process: Child,
    address: String,
}

impl Service {
    async fn start(mut command: Command) -> Self {
        command.env("LISTEN", "127.0.0.1:0").stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = timeout(2 * PATIENCE, lines.next_line()).await.expect("the service starts").unwrap();
        let line = line.expect("the service says where it listens");
        let address =
            line.strip_prefix("listening on http://").unwrap_or_else(|| panic!("{line}")).to_owned();
        Self { process, address }
    }

    /// The status and the body of an answer.
    async fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let (address, body) = (&self.address, body.to_string());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("not HTTP: {answer:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// Pays one cent for the version that was seen, again with the same id where the service says so.
    async fn pay(&self, seen: u64) {
        let (id, began) = (Uuid::now_v7(), Instant::now());
        let payment = json!({ "amount_cents": 1, "expected_version": seen, "id": id });
        loop {
            match self.ask("POST", "/invoices/1003/payments", &payment).await {
                (200, invoice) => {
                    assert_eq!(invoice["version"], seen + 1, "{invoice}");
                    return;
                }
                (503 | 504, _) => assert!(began.elapsed() < 2 * PATIENCE, "it goes on"),
                (status, body) => panic!("{status} {body}"),
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Tells it to end.
    async fn terminate(&self) {
        let id = self.process.id().unwrap().to_string();
        assert!(Command::new("sh").args(["-c", "kill -TERM $0", &id]).status().await.unwrap().success());
    }
}

fn invoice() -> Value {
    json!({ "number": "1003", "customer": "ACME", "total_cents": 5000 })
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_while_its_servers_are_killed_one_after_the_other() {
    let mut cluster = NatsCluster::start_with(DURABLE);
    let mut command = invoicing();
    command.env_clear().env("NATS_URL", cluster.urls().join(","));
    let service = Service::start(command).await;
    let (status, issued) = service.ask("POST", "/invoices", &invoice()).await;
    assert_eq!((status, &issued["version"]), (201, &json!(1)));
    let mut version = 1;
    for node in ["node0", "node1", "node2"] {
        cluster.node(node).kill();
        for _ in 0..5 {
            service.pay(version).await;
            version += 1;
        }
        cluster.node(node).start_again();
        service.pay(version).await;
        version += 1;
    }
    let (status, shown) = service.ask("GET", "/invoices/1003", &Value::Null).await;
    let expected =
        json!({ "number": "1003", "customer": "ACME", "total_cents": 5000, "paid_cents": 18, "version": 19 });
    assert_eq!((status, shown), (200, expected));
}

/// As its first lines say, without `cargo run`.
#[tokio::test]
async fn it_runs_on_servers_that_the_script_starts_for_it() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/with-nats");
    let mut command = Command::new(script);
    command.arg(invoicing().as_std().get_program()).env_remove("NATS_URL");
    let mut service = Service::start(command).await;

    let (status, _) = service.ask("GET", "/invoices/1003", &Value::Null).await;
    assert_eq!(status, 404);
    let (status, _) = service.ask("POST", "/invoices", &invoice()).await;
    assert_eq!(status, 201);
    let paid_too_much = json!({ "amount_cents": 5001, "expected_version": 1 });
    let (status, problem) = service.ask("POST", "/invoices/1003/payments", &paid_too_much).await;
    assert_eq!((status, &problem["error"]), (422, &json!("amount_cents: 5001 is more than the 5000 open")));
    let (status, _) = service.ask("POST", "/invoices", &invoice()).await;
    assert_eq!(status, 409);

    service.terminate().await;
    assert!(timeout(2 * PATIENCE, service.process.wait()).await.expect("it ends").unwrap().success());
}

#[tokio::test]
async fn it_says_what_it_lacks() {
    let mut command = invoicing();
    let output = command.env_clear().output().await.unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint.starts_with("invoicing: NATS_URL is not set"), "{complaint}");
}

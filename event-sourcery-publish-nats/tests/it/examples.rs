//! The example of two services: all three of its processes are killed at random, and every order is entered once, and in order.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use broker_cluster::Nats;
use event_sourcery_sqlite::rusqlite::{Connection, OpenFlags, Result};

const CUSTOMERS: u64 = 3;
const PATIENCE: Duration = Duration::from_secs(240);

/// The example stands beside the folder of the test binaries; `cargo nextest` builds it, `cargo test` may not.
fn program() -> PathBuf {
    let tests = env::current_exe().unwrap();
    let target = tests.parent().unwrap().parent().unwrap();
    let example = target.join("examples").join("two_services").with_extension(env::consts::EXE_EXTENSION);
    assert!(example.exists(), "{} is missing: run `cargo build --examples` first", example.display());
    example
}

/// A service that is started again when it was killed.
struct Service {
    arguments: Vec<String>,
    process: Child,
}

impl Service {
    fn start(arguments: &[&str]) -> Self {
        let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let process = started(&arguments);
        Self { arguments, process }
    }

    fn kill_and_start_again(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.process = started(&self.arguments);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn started(arguments: &[String]) -> Child {
    let mut service = Command::new(program());
    service.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
}

/// The customers and numbers of the orders, in the order in which they were entered.
fn entered(folder: &Path) -> Result<Vec<(String, u64)>> {
    // Who only looks does not make the file.
    let books = Connection::open_with_flags(folder.join("books.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut sales = books.prepare("SELECT customer, number FROM sales ORDER BY id")?;
    sales.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

#[test]
fn killed_at_random_no_order_is_lost_none_is_entered_twice_and_the_order_holds() {
    const ORDERS: u64 = 40;
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    let mut nats = Nats::start();
    let url = nats.url();
    let mut shop = Service::start(&["shop", place, &url, &ORDERS.to_string()]);
    let mut books = Service::start(&["books", place, &url]);
    let kills = env::var("EVENT_SOURCERY_KILLS").map_or(12, |kills| kills.parse().unwrap());
    for _ in 0..kills {
        sleep(Duration::from_millis(fastrand::u64(0..250)));
        match fastrand::u8(0..5) {
            0 | 1 => shop.kill_and_start_again(),
            2 | 3 => books.kill_and_start_again(),
            _ => {
                nats.kill();
                nats.start_again();
            }
        }
    }
    let deadline = Instant::now() + PATIENCE;
    let all = loop {
        let all = entered(folder.path()).unwrap_or_default();
        if all.len() as u64 >= CUSTOMERS * ORDERS {
            break all;
        }
        assert!(Instant::now() < deadline, "{} orders of {} are entered", all.len(), CUSTOMERS * ORDERS);
        sleep(Duration::from_millis(20));
    };
    for customer in ["ada", "alan", "grace"] {
        let numbers: Vec<_> =
            all.iter().filter(|(of, _)| of == customer).map(|(_, number)| *number).collect();
        assert_eq!(numbers, (1..=ORDERS).collect::<Vec<_>>(), "{customer}");
    }
}

#[test]
fn one_command_starts_all_of_it_and_tells_what_was_entered() {
    let ran = Command::new(program()).args(["both", "3"]).stdin(Stdio::null()).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let told = String::from_utf8(ran.stdout).unwrap();
    for customer in ["ada", "alan", "grace"] {
        assert!(told.contains(&format!("{customer} has placed 3 orders, of 600 cents")), "{told}");
    }
}

#[test]
fn wrong_arguments_are_told_how_it_is_called() {
    let ran = Command::new(program()).args(["shop", ".", "nats://localhost", "many"]).output().unwrap();
    assert_eq!(ran.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ran.stderr).starts_with("usage: "));
}

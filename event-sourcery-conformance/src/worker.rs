//! Other processes that take part in a case: the test binary again, told to run the same test, as a worker.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::subject::Subject;

/// Holds the store's address in a worker's environment.
const ADDRESS: &str = "EVENT_SOURCERY_CONFORMANCE_WORKER";
/// Tells a worker's answers from what the test harness prints.
const MARK: &str = "event-sourcery worker: ";
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The store's address, if this process is a worker.
pub(super) fn address() -> Option<String> {
    std::env::var(ADDRESS).ok()
}

/// A worker, as the process that started it sees it. It ends with its standard input.
pub(super) struct Worker {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Worker {
    /// Starts a process that runs the subject's test on the subject's store.
    pub(super) fn start(subject: &Subject) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("the test binary is known"))
            .args([&subject.test, "--exact", "--nocapture"])
            .env(ADDRESS, subject.address())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the test binary starts again");
        let orders = child.stdin.take().expect("its input is a pipe");
        let answers = BufReader::new(child.stdout.take().expect("its output is a pipe")).lines();
        Self { child, orders, answers }
    }

    pub(super) async fn order(&mut self, order: &str) {
        self.orders.write_all(format!("{order}\n").as_bytes()).await.expect("the worker takes orders");
    }

    pub(super) async fn answer(&mut self) -> String {
        loop {
            let line = timeout(PATIENCE, self.answers.next_line()).await.expect("the worker answers in time");
            let line = line
                .expect("the worker's output is text")
                .expect("the worker goes on until it is told to end");
            // The harness does not end its own line before the first answer.
            if let Some((_, answer)) = line.split_once(MARK) {
                return answer.to_owned();
            }
        }
    }

    /// Ends the worker, and fails with it.
    pub(super) async fn end(self) {
        let Self { mut child, orders, mut answers } = self;
        drop(orders);
        let ended = async {
            while let Ok(Some(_)) = answers.next_line().await {}
            child.wait().await
        };
        let status =
            timeout(PATIENCE, ended).await.expect("the worker ends in time").expect("the worker ran");
        assert!(status.success(), "a worker failed: {status}; its message is above");
    }
}

/// The next order, in a worker; `None` when it is to end.
pub(super) fn next_order() -> Option<String> {
    let mut order = String::new();
    let length = std::io::stdin().read_line(&mut order).expect("orders are text");
    (length > 0).then(|| order.trim_end().to_owned())
}

/// Answers an order, in a worker.
pub(super) fn answer(answer: &str) {
    // Not `println!`, which the test harness may keep to itself.
    use std::io::Write as _;
    let mut output = std::io::stdout();
    writeln!(output, "{MARK}{answer}").and_then(|()| output.flush()).expect("somebody listens");
}

//! The process that is killed: the test binary again, appending as fast as it can and telling of each answer.

use std::io::{BufRead as _, BufReader, Write as _, stdout};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio, exit};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Instant;

use event_sourcery::EventStore;
use event_sourcery_conformance::history::Acknowledged;
use event_sourcery_sqlite::{SqliteBackend, SqliteOptions};

use crate::appender::{Appender, Kind, make_own_table};
use crate::process::once_more;

/// Holds the store's path in the worker's environment.
const PATH: &str = "EVENT_SOURCERY_KILL_WORKER";
/// Tells answers from what the test harness prints.
const MARK: &str = "acknowledged: ";
const TASKS: usize = 12;

/// The store's path, if this process is a worker.
pub(super) fn path() -> Option<PathBuf> {
    std::env::var_os(PATH).map(PathBuf::from)
}

/// What the worker does. It ends when nobody listens any more.
pub(super) fn append_until_killed(path: &Path) {
    append_with(SqliteOptions::new(path));
}

/// The same on a store that is opened so.
pub(super) fn append_with(options: SqliteOptions) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = EventStore::new(options.open().await.expect("the worker's store opens"));
        make_own_table(&store).await.expect("the worker's own table is made");
        let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(append_without_end(store.clone()))).collect();
        for task in tasks {
            task.await.expect("a worker's task goes on");
        }
    });
}

async fn append_without_end(store: EventStore<SqliteBackend>) {
    let mut appender = Appender::new(&store);
    loop {
        let kind = fastrand::choice(Kind::ALL).expect("there are kinds");
        let acknowledged = appender.append(kind).await.map_err(|refused| refused.error);
        let acknowledged = acknowledged.expect("nothing refuses a worker's append");
        let line = format!("{MARK}{}\n", serde_json::to_string(&acknowledged).unwrap());
        let mut output = stdout().lock();
        if output.write_all(line.as_bytes()).and_then(|()| output.flush()).is_err() {
            exit(0);
        }
    }
}

/// What a line tells. One that was cut off, or is the harness's own, tells nothing.
fn acknowledged(line: &str) -> Option<Acknowledged> {
    let (_, facts) = line.strip_suffix('\n')?.split_once(MARK)?;
    Some(serde_json::from_str(facts).unwrap())
}

/// The worker, as the process that is to kill it sees it.
pub(super) struct Worker {
    child: Child,
    answers: Receiver<Acknowledged>,
    heard: Vec<Acknowledged>,
}

impl Worker {
    /// Starts this binary again, with this test only.
    pub(super) fn start(test: &str, path: &Path) -> Self {
        let mut child = once_more(test)
            .env(PATH, path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the test binary starts again");
        let (output, (tell, answers)) = (child.stdout.take().unwrap(), channel());
        thread::spawn(move || tell_answers(output, &tell));
        Self { child, answers, heard: Vec::new() }
    }

    /// Waits for an answer; tells whether there was one by then.
    pub(super) fn answered_by(&mut self, deadline: Instant) -> bool {
        let answer = self.answers.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        self.heard.extend(answer.ok());
        !self.heard.is_empty()
    }

    /// Takes in answers until then.
    pub(super) fn listen_until(&mut self, deadline: Instant) {
        while let Ok(answer) = self.answers.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.heard.push(answer);
            if Instant::now() >= deadline {
                return;
            }
        }
    }

    /// Kills the worker, which must not have ended before, and gives back all that it was answered.
    pub(super) fn kill(mut self) -> Vec<Acknowledged> {
        assert_eq!(self.child.try_wait().unwrap(), None, "the worker ended by itself; its message is above");
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        // What it told before it died is still in the pipe.
        self.heard.extend(self.answers);
        self.heard
    }
}

fn tell_answers(output: ChildStdout, tell: &Sender<Acknowledged>) {
    let mut output = BufReader::new(output);
    let mut text = String::new();
    while output.read_line(&mut text).is_ok_and(|length| length > 0) {
        if let Some(answer) = acknowledged(&text)
            && tell.send(answer).is_err()
        {
            return;
        }
        text.clear();
    }
}

//! SIGKILL to a client at random moments, again and again: the process is this test binary once more.

use std::io::{BufRead as _, BufReader, Write as _, stdout};
use std::process::{Child, ChildStdout, Stdio, exit};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use event_sourcery_conformance::history::Acknowledged;
use postgres_cluster::Server;

use super::appender::{Appender, Attempt, Kind, OWN_TABLE};
use super::survived::Survived;
use crate::process::{once_more_on, store_url};
use crate::scene::{Scene, Store, from_environment, open, until};

/// How often to kill: `EVENT_SOURCERY_KILLS`, or 30.
const KILLS: &str = "EVENT_SOURCERY_KILLS";
/// A database this often killed over is left for a new one, so that checking it does not take ever longer.
const KILLS_A_DATABASE: u64 = 10;
/// Tells answers from what the test harness prints.
const MARK: &str = "acknowledged: ";
/// What a worker's connections call themselves.
const WORKER: &str = "worker";
const TASKS: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_client_has_lost_nothing_acknowledged_and_left_nothing_half() {
    if let Some(url) = store_url() {
        return append_until_killed(&url).await;
    }
    let test =
        concat!(module_path!(), "::a_killed_client_has_lost_nothing_acknowledged_and_left_nothing_half");
    let (mut kills, mut acknowledged, mut survived) = (from_environment(KILLS, 30), 0, 0);
    while kills > 0 {
        let scene = Scene::new().await;
        scene.run(OWN_TABLE).await;
        let mut known = Vec::new();
        for _ in 0..kills.min(KILLS_A_DATABASE) {
            let url = format!("{}?application_name={WORKER}", scene.database.url());
            let mut worker = Worker::start(test, &url);
            worker.is_answered();
            worker.listen_for(Duration::from_micros(fastrand::u64(..60_000)));
            known.extend(worker.kill());
            until_its_connections_are_closed(&scene).await;
            Survived::read(&scene).await.check(&known);
            kills -= 1;
        }
        acknowledged += known.len();
        survived += Survived::read(&scene).await.appends.len();
    }
    println!("{acknowledged} acknowledged, {} more survived", survived - acknowledged);
}

/// The server ends what it is at, and may commit it, before it finds out that nobody listens.
async fn until_its_connections_are_closed(scene: &Scene) {
    let connections = format!(
        "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = '{WORKER}' AND datname = '{}'",
        scene.database.name()
    );
    until(async || Server::shared().psql("postgres", &connections) == "t").await;
}

/// What the worker does. It ends when nobody listens any more.
async fn append_until_killed(url: &str) {
    let store = open(url).await;
    let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(append_without_end(store.clone()))).collect();
    for task in tasks {
        task.await.expect("a worker's task goes on");
    }
}

async fn append_without_end(store: Store) {
    let mut appender = Appender::new(&store);
    loop {
        let attempt = Attempt::new(fastrand::choice(Kind::ALL).unwrap());
        let acknowledged = appender.attempt(&attempt).await.expect("nothing refuses a worker's append");
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
struct Worker {
    child: Child,
    answers: Receiver<Acknowledged>,
    heard: Vec<Acknowledged>,
}

impl Worker {
    fn start(test: &str, url: &str) -> Self {
        let mut command = once_more_on(test, url);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the test binary starts again");
        let (output, (tell, answers)) = (child.stdout.take().unwrap(), channel());
        thread::spawn(move || {
            let tell = |answer| tell.send(answer).is_ok();
            tell_answers(output, tell);
        });
        Self { child, answers, heard: Vec::new() }
    }

    /// Waits for the first answer.
    fn is_answered(&mut self) {
        let first = self.answers.recv_timeout(Duration::from_secs(60));
        self.heard.push(first.expect("the worker appends"));
    }

    fn listen_for(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while let Ok(answer) = self.answers.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.heard.push(answer);
        }
    }

    /// Kills the worker, which must not have ended before, and gives back all that it was answered.
    fn kill(mut self) -> Vec<Acknowledged> {
        assert_eq!(self.child.try_wait().unwrap(), None, "the worker ended by itself; its message is above");
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        // What it told before it died is still in the pipe.
        self.heard.extend(self.answers);
        self.heard
    }
}

fn tell_answers(output: ChildStdout, tell: impl Fn(Acknowledged) -> bool) {
    let mut output = BufReader::new(output);
    let mut text = String::new();
    while output.read_line(&mut text).is_ok_and(|length| length > 0) {
        if acknowledged(&text).is_some_and(|answer| !tell(answer)) {
            return;
        }
        text.clear();
    }
}

//! Servers that are killed, or restarted, under load. The store is not opened again: it recovers by itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use event_sourcery::{Error, Result};
use event_sourcery_conformance::history::Acknowledged;
use postgres_cluster::Cluster;

use super::appender::{Appender, Attempt, Kind, OWN_TABLE};
use super::survived::Survived;
use crate::scene::{Scene, Store, from_environment, until};

const TASKS: usize = 12;

/// How often to kill the server: `EVENT_SOURCERY_SERVER_KILLS`, or 3 times.
const KILLS: &str = "EVENT_SOURCERY_SERVER_KILLS";

/// What the tasks were answered.
#[derive(Debug, Default)]
struct Answers {
    acknowledged: Vec<Acknowledged>,
    /// How many each task got.
    of_tasks: [usize; TASKS],
    errors: BTreeMap<&'static str, usize>,
    longest: Duration,
}

struct Load {
    answers: Arc<Mutex<Answers>>,
    ends: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn on(store: &Store) -> Self {
        let (answers, ends) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let tasks = (0..TASKS)
            .map(|task| {
                tokio::spawn(append_until(store.clone(), task, Arc::clone(&answers), Arc::clone(&ends)))
            })
            .collect();
        Self { answers, ends, tasks }
    }

    /// Returns when every task was answered so many times more.
    async fn until_all_are_answered(&self, more: usize) {
        let before = self.answers.lock().unwrap().of_tasks;
        until(async || {
            assert!(self.tasks.iter().all(|task| !task.is_finished()), "a task ended; its message is above");
            let now = self.answers.lock().unwrap().of_tasks;
            now.iter().zip(&before).all(|(now, before)| *now >= before + more)
        })
        .await;
    }

    async fn end(self) -> Answers {
        self.ends.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        Arc::into_inner(self.answers).unwrap().into_inner().unwrap()
    }
}

/// Whatever gets no answer is repeated with the same ids until it gets one.
async fn append_until(store: Store, task: usize, answers: Arc<Mutex<Answers>>, ends: Arc<AtomicBool>) {
    let mut appender = Appender::new(&store);
    while !ends.load(Ordering::Relaxed) {
        let attempt = Attempt::new(fastrand::choice(Kind::ALL).unwrap());
        loop {
            let began = Instant::now();
            let answer = appender.attempt(&attempt).await;
            if answers.lock().unwrap().note(task, answer, began.elapsed()) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Answers {
    /// Tells whether the append is done.
    fn note(&mut self, task: usize, answer: Result<Acknowledged>, took: Duration) -> bool {
        self.longest = self.longest.max(took);
        let name = match answer {
            Ok(acknowledged) => {
                self.acknowledged.push(acknowledged);
                self.of_tasks[task] += 1;
                return true;
            }
            Err(Error::Unavailable { .. }) => "Unavailable",
            Err(Error::OutcomeUnknown { .. }) => "OutcomeUnknown",
            // No two write to one versioned stream: nothing else can be wrong.
            Err(other) => panic!("{other:?}"),
        };
        *self.errors.entry(name).or_default() += 1;
        false
    }
}

/// Interrupts the server under load, again and again.
async fn under_load(interrupt: impl Fn(&mut Cluster)) {
    let mut cluster = Cluster::start(&[]);
    let scene = Scene::on(cluster.create_database()).await;
    scene.run(OWN_TABLE).await;
    let load = Load::on(&scene.store);
    for _ in 0..from_environment(KILLS, 3) {
        load.until_all_are_answered(5).await;
        tokio::task::block_in_place(|| {
            interrupt(&mut cluster);
            cluster.start_again();
        });
        load.until_all_are_answered(5).await;
    }
    let answers = load.end().await;
    let Answers { acknowledged, errors, longest, .. } = &answers;
    println!("{} acknowledged, errors {errors:?}, the longest call {longest:?}", acknowledged.len());
    assert!(errors.values().sum::<usize>() > 0, "it was interrupted");
    // What is left in the pool is from before the restart.
    let scene = Scene::on(scene.database).await;
    let survived = Survived::read(&scene).await;
    survived.check(acknowledged);
    assert_eq!(survived.appends.len(), acknowledged.len(), "each was answered in the end, and is there once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_killed_under_load_has_lost_nothing_acknowledged_and_the_store_goes_on() {
    under_load(Cluster::kill).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_restarted_under_load_has_lost_nothing_acknowledged_and_the_store_goes_on() {
    under_load(Cluster::stop_fast).await;
}

//! SIGKILL at random moments, again and again, on one file.

use std::path::Path;
use std::time::{Duration, Instant};

use event_sourcery::EventStore;
use event_sourcery_conformance::history::Flaw;
use event_sourcery_sqlite::SqliteBackend;
use tempfile::TempDir;

use super::kill_worker::{self, Worker};
use crate::survived::Survived;

/// How often to kill: `EVENT_SOURCERY_KILLS`, or 50.
const KILLS: &str = "EVENT_SOURCERY_KILLS";
/// What the moments are drawn from: `EVENT_SOURCERY_SEED`, or a random one.
const SEED: &str = "EVENT_SOURCERY_SEED";
/// A file this often killed over is left for a new one, so that checking it does not take ever longer.
const KILLS_A_FILE: u64 = 100;

/// What the whole run came to.
#[derive(Debug, Default)]
struct Figures {
    kills: u64,
    before_the_first_answer: u64,
    acknowledged: usize,
    survived_unanswered: usize,
}

#[test]
fn a_killed_process_has_lost_nothing_acknowledged_and_left_nothing_half() {
    if let Some(path) = kill_worker::path() {
        return kill_worker::append_until_killed(&path);
    }
    let test =
        concat!(module_path!(), "::a_killed_process_has_lost_nothing_acknowledged_and_left_nothing_half");
    let (kills, mut dice, mut figures) = (number(KILLS).unwrap_or(50), dice(), Figures::default());
    while figures.kills < kills {
        let on_this_file = KILLS_A_FILE.min(kills - figures.kills);
        kill_over_one_file(test, on_this_file, &mut figures, |worker| {
            let at_work = dice.bool() && worker.answered_by(Instant::now() + Duration::from_secs(30));
            let longest = if at_work { 60_000 } else { 90_000 };
            worker.listen_until(Instant::now() + Duration::from_micros(dice.u64(0..longest)));
        });
    }
    println!("{figures:?}");
    assert!(figures.acknowledged > 0, "the workers appended");
}

#[test]
fn a_process_killed_while_it_makes_a_new_store_leaves_one_that_opens() {
    if let Some(path) = kill_worker::path() {
        return kill_worker::append_until_killed(&path);
    }
    let test = concat!(module_path!(), "::a_process_killed_while_it_makes_a_new_store_leaves_one_that_opens");
    let (mut dice, mut figures) = (dice(), Figures::default());
    for _ in 0..25 {
        kill_over_one_file(test, 1, &mut figures, |worker| {
            worker.listen_until(Instant::now() + Duration::from_micros(dice.u64(0..30_000)));
        });
    }
    println!("{figures:?}");
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|number| number.parse().expect("a number"))
}

fn dice() -> fastrand::Rng {
    let seed = number(SEED).unwrap_or_else(|| fastrand::u64(..));
    println!("{SEED}={seed}");
    fastrand::Rng::with_seed(seed)
}

/// Starts a worker and kills it, so many times, once `moment` has come; looks at the file each time.
fn kill_over_one_file(test: &str, kills: u64, figures: &mut Figures, mut moment: impl FnMut(&mut Worker)) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("events.db");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut survived = Survived::default();
    for _ in 0..kills {
        let mut worker = Worker::start(test, &path);
        moment(&mut worker);
        let acknowledged = worker.kill();
        survived = runtime.block_on(async {
            let store = EventStore::new(SqliteBackend::open(&path).await.expect("it opens after a kill"));
            Survived::read_on(&store, &survived).await.expect("it is intact after a kill")
        });
        assert_eq!(survived.missing(&acknowledged), Vec::<Flaw>::new(), "nothing acknowledged is missing");
        figures.kills += 1;
        figures.before_the_first_answer += u64::from(acknowledged.is_empty());
        figures.acknowledged += acknowledged.len();
        figures.survived_unanswered += survived.order.len() - acknowledged.len();
    }
    runtime.block_on(check_all_of_it(&path, survived.events));
}

async fn check_all_of_it(path: &Path, events: usize) {
    let store = EventStore::new(SqliteBackend::open(path).await.unwrap());
    assert_eq!(Survived::read(&store).await.expect("it is intact").events, events);
}

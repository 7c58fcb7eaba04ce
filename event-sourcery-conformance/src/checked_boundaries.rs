//! Clause 17.3 at random: many writers append in every way there is, and the log is read in its order. It tells whether each boundary
//! held that an append was let through by. How boundaries are made, nothing here knows.
//!
//! `EVENT_SOURCERY_BOUNDARY_APPENDS` sets how many appends are made, in rounds of a store each; `EVENT_SOURCERY_MODEL_SEED`, what the
//! writers do. When they do it is another matter.

mod fault;
mod happened;
mod judge;
mod writer;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use event_sourcery::Position;
use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::time::timeout;
use uuid::Uuid;

pub use self::fault::Fault;
use self::happened::{History, Logged};
pub use self::judge::Violation;
use self::judge::judge;
use self::writer::Writer;
use super::fixture::Fixture;
use super::fuzz::Random;
use super::ledger::Ledgers as _;
use super::model::{SEED, environment};
use super::subject::Subject;

/// How many appends to make, unless it is said otherwise. Those that are refused do not count.
const APPENDS: usize = 200;
const VARIABLE: &str = "EVENT_SOURCERY_BOUNDARY_APPENDS";
/// What is tried on one store at most: whoever reads everything reads not too much.
const ROUND: usize = 1_000;
const WRITERS: usize = 12;
/// A round that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(300);

pub(super) async fn clause_17_3_each_boundary_that_let_an_append_through_held_in_the_log(subject: Subject) {
    let appends = environment(VARIABLE).unwrap_or(APPENDS);
    let seed = environment(SEED).unwrap_or_else(|| Uuid::new_v4().as_u64_pair().1);
    // However many rounds there are, no one of them hangs.
    tokio::task::block_in_place(|| Handle::current().block_on(rounds(Arc::new(subject), appends, seed)));
}

async fn rounds(subject: Arc<Subject>, appends: usize, mut seed: u64) {
    let mut figures = Figures::default();
    // Many are refused: one round does for few appends.
    let size = ROUND.min(3 * appends);
    while figures.written < appends {
        let is_first = figures.written == 0;
        let stage = if is_first { Arc::clone(&subject) } else { Arc::new(subject.fresh().await) };
        let (found, history) = play(&stage, size, seed, None).await;
        if !is_first {
            stage.remover().await;
        }
        figures.add(&history);
        assert!(found.is_empty(), "{found:?}\nthe writers did what {SEED}={seed} says, in one round");
        seed = seed.wrapping_add(1);
    }
    println!("{figures:?}, each as the log says");
    assert!(figures.by_boundaries > 0 && figures.refused > 0, "they met: {figures:?}");
}

/// What is wrong with what the log says of a round of writers, this many appends or deletions in all, that work on a store with this
/// fault, as it were.
pub async fn violations_with<F: Fixture>(fault: Fault, appends: usize, seed: u64) -> Vec<Violation> {
    let subject = Arc::new(Subject::create::<F>(String::new()).await);
    let (found, _) = play(&subject, appends, seed, Some(fault)).await;
    subject.remover().await;
    found
}

/// One round: what is wrong, and what was done.
async fn play(
    subject: &Arc<Subject>,
    appends: usize,
    seed: u64,
    fault: Option<Fault>,
) -> (Vec<Violation>, History) {
    let handles = [subject.store(), subject.another_store().await];
    let clock = Arc::new(AtomicU64::new(0));
    let writers = (0..WRITERS).map(|number| {
        let random = Random::new(seed.wrapping_mul(WRITERS as u64).wrapping_add(number as u64));
        let store = handles[number % handles.len()].clone();
        let writer = Writer::new(Arc::clone(subject), store, Arc::clone(&clock), random, fault);
        tokio::spawn(timeout(PATIENCE, writer.write(appends.div_ceil(WRITERS))))
    });
    let mut history = History::default();
    for written in join_all(writers).await {
        history.add(written.unwrap().expect("the writers come to an end in time"));
    }
    let store = subject.store();
    if let Some(last) = history.last() {
        store.settled(last).await;
    }
    let log = store.records_after(Position::START).await;
    let log: Vec<_> = log.iter().map(Logged::new).collect();
    (judge(&history, &log), history)
}

/// What rounds came to.
#[derive(Debug, Default)]
struct Figures {
    written: usize,
    by_boundaries: usize,
    refused: usize,
    deletions: usize,
}

impl Figures {
    fn add(&mut self, history: &History) {
        let written = || history.attempts.iter().filter(|attempt| attempt.is_written());
        self.written += written().count();
        self.by_boundaries += written().filter(|attempt| !attempt.conditions.is_empty()).count();
        self.refused += history.attempts.iter().filter(|attempt| attempt.is_refused()).count();
        self.deletions += history.deletions.len();
    }
}

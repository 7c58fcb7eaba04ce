//! Random sequences of operations, run on the store and on a [model](books) of plain maps, which have to agree on every
//! result, every refusal and its facts, and every event.

mod attempt;
mod books;
mod compare;
mod facts;
mod operations;
mod play;

use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};

use super::subject::Subject;

/// Overrides how many sequences are run.
const CASES: &str = "EVENT_SOURCERY_MODEL_CASES";
/// Repeats the sequences of an earlier run.
pub(super) const SEED: &str = "EVENT_SOURCERY_MODEL_SEED";

/// A number that is set in the environment.
pub(super) fn environment<T: std::str::FromStr>(variable: &str) -> Option<T> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {value:?}")))
}

/// How random sequences are run, unless it is said otherwise so many, and the seed that they are made of.
pub(super) fn config(cases: u32) -> (Config, u64) {
    let seed = environment(SEED).unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    let config = Config {
        cases: environment(CASES).unwrap_or(cases),
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 5_000,
        max_shrink_time: 60_000,
        ..Config::default()
    };
    (config, seed)
}

/// The store that sequences are played on, one after the other, each with names of its own.
struct Stage {
    subject: Subject,
    played: u64,
    /// Whether the last sequence ended as it should. After one that did not, the store may be broken.
    is_sound: bool,
}

impl Stage {
    async fn play(&mut self, operations: &[operations::Operation]) -> Result<(), String> {
        if !self.is_sound {
            self.subject.remover().await;
            self.subject = self.subject.fresh().await;
        }
        self.is_sound = false;
        self.played += 1;
        play::play(&self.subject, self.played, operations).await?;
        self.is_sound = true;
        Ok(())
    }
}

pub(super) async fn clause_1_to_7_any_sequence_of_operations_does_what_the_model_does(subject: Subject) {
    let (config, seed) = config(subject.model_cases);
    let sequences = proptest::collection::vec(operations::operation(subject.capabilities()), 1..50);
    let mut stage = Stage { subject: subject.fresh().await, played: 0, is_sound: true };
    let runtime = tokio::runtime::Handle::current();
    let outcome = tokio::task::block_in_place(|| {
        let stage = std::cell::RefCell::new(&mut stage);
        TestRunner::new(config).run(&sequences, |operations| {
            let mut stage = stage.borrow_mut();
            runtime.block_on(stage.play(&operations)).map_err(TestCaseError::fail)
        })
    });
    stage.subject.remover().await;
    if let Err(TestError::Fail(reason, operations)) = outcome {
        panic!("{reason}\nafter the operations {operations:#?}\nrun it again with {SEED}={seed}");
    }
    outcome.unwrap();
}

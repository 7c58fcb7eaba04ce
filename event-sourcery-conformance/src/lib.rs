//! The contract as tests: one macro call runs every clause on a backend.
//!
//! Each case is a test of its own, named after its clause, such as `clause_2_3_exactly_one_of_n_writers_wins`. A case
//! that is added here reaches every backend by itself.
//!
//! The author of a backend writes a [`Fixture`], which makes stores, in an integration test:
//!
//! ```
//! use event_sourcery::{Durable, Event, Listening, MemoryBackend, RawEvent};
//! use event_sourcery_conformance::{self as conformance, Answer, Ear, Ending, FaultyBackend, Fixture, Reaction, Step};
//!
//! struct MemoryFixture(MemoryBackend);
//!
//! impl Fixture for MemoryFixture {
//!     type Backend = MemoryBackend;
//!
//!     async fn create() -> Self {
//!         Self(MemoryBackend::new())
//!     }
//!
//!     async fn connect(&self) -> MemoryBackend {
//!         self.0.clone()
//!     }
//!
//!     // Because this backend declares transactions.
//!     async fn transaction(
//!         &self,
//!         backend: &MemoryBackend,
//!         steps: Vec<Step>,
//!         ending: Ending,
//!     ) -> event_sourcery::Result<Vec<event_sourcery::Result<Answer>>> {
//!         conformance::run_steps(backend, steps, ending).await
//!     }
//!
//!     // Because of them, too.
//!     async fn run_exactly_once(
//!         durable: Durable<FaultyBackend<MemoryBackend>, RawEvent>,
//!         reaction: Reaction,
//!     ) -> event_sourcery::Result<()> {
//!         conformance::run_in_transaction(durable, reaction).await
//!     }
//!
//!     // Because it declares listeners.
//!     fn listen<E: Event>(backend: &MemoryBackend, ear: Ear<E>) -> event_sourcery::Result<Listening> {
//!         conformance::listen_in_transaction(backend, ear)
//!     }
//! }
//!
//! event_sourcery_conformance::conformance!(MemoryFixture);
//! ```
//!
//! What a backend does not declare in its [`Capabilities`](event_sourcery::backend::Capabilities) it is exempt from: the case
//! prints so, and the test `exemptions` prints the whole list (`cargo test exemptions -- --nocapture`).
//!
//! Two cases run random sequences: of operations, against a model; and of what is told of people who are shredded in between. A
//! failure is shrunk to a short sequence and prints its seed. `EVENT_SOURCERY_MODEL_CASES` sets how many sequences are run,
//! `EVENT_SOURCERY_MODEL_SEED` runs those of an earlier run again. A third has many writers append by boundaries, and judges the log
//! they leave: `EVENT_SOURCERY_BOUNDARY_APPENDS` sets how many appends they make.
//!
//! Some cases start the test binary again as another process, and tell it to run the same test: do not change the name
//! of the generated tests, nor wrap them.
//!
//! Clauses kept by the type system have compile-fail tests in the library. [`FaultyBackend`] is the library's, with its feature
//! `testing`: it loses acknowledgements, and serves tests of code that has to bear that.
//!
//! In tests of your own in which processes, servers or nodes die, [`history`] judges what clients saw.
//!
//! What a publisher promises is in [`publisher`]. The page [*write a backend*](event_sourcery::guide::write_a_backend) of the guide
//! has a backend with its tests.
//!
//! # Versions
//!
//! A case that is added may fail on a backend that was right by the cases so far. So it comes with a new minor version, and never
//! with a patch: say which one a backend passes.

// A case that is missing in the list is dead code.
#![deny(dead_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::indexing_slicing,
    reason = "this is test code: a panic is a failed test"
)]

#[macro_use]
mod cases;
mod ear;
mod feeding;
mod fixture;
#[doc(hidden)]
pub mod fuzz;
#[macro_use]
mod ledger;
mod reaction;
mod run;
mod running;
mod steps;
mod subject;
mod tally;
mod worker;

mod aggregates;
mod appending;
#[doc(hidden)]
pub mod attack;
mod batches;
mod beyond;
mod boundaries;
mod boundaries_within;
#[doc(hidden)]
pub mod checked_boundaries;
mod command_keys;
mod contexts;
mod copying;
mod customers;
mod decisions;
mod deleting;
mod deployments;
mod dropping;
mod durability;
mod durable;
mod dying;
mod errors;
mod evolution;
mod exactly_once;
mod expected_versions;
mod failing;
mod fairness;
mod fetching_keys;
mod following;
mod gone;
pub mod history;
mod joining;
mod large;
mod leases;
mod listening;
mod listening_anywhere;
mod long;
mod long_deletions;
mod looking;
mod looking_after;
mod looking_back;
mod many;
mod masks;
mod mending;
mod model;
mod narrowing;
#[doc(hidden)]
pub mod ordered;
mod outbox;
mod own_deletions;
mod paging;
mod parked;
mod payloads;
mod positions;
mod post;
mod presences;
mod privacy;
mod projecting;
pub mod publisher;
mod publishing;
mod race;
mod reaching;
mod reacting;
mod reading;
mod repeats;
mod retrying;
mod rolling;
mod rotating;
mod routing;
mod several_streams;
mod sharing;
mod shredded_writers;
mod shredding;
mod shredding_race;
mod snapshots;
#[doc(hidden)]
pub mod spoiled;
mod states;
mod stopping;
mod streams;
mod subscribing;
mod tagged_subscriptions;
mod tagging;
mod tagging_later;
mod tenants;
mod together;
mod unbent;
mod unreadable;
mod upcasting;
mod verifying;
mod vouching;
mod watching;

pub use event_sourcery::testing::{Fault, FaultyBackend};

pub use self::ear::{Ear, listen_in_transaction, listen_within};
pub use self::feeding::Feeding;
pub use self::fixture::Fixture;
pub use self::reaction::{Reaction, run_in_transaction, run_within};
#[doc(hidden)]
pub use self::run::{print_exemptions, run};
pub use self::steps::{Answer, Ending, Step, run_joined_steps, run_steps};

/// Generates a test for each case of the contract, run on the backend of a [`Fixture`](crate::Fixture).
///
/// See the [module](crate) for what a fixture is, and for an example.
#[macro_export]
macro_rules! conformance {
    ($fixture:ty) => {
        $crate::__for_each_case! { $crate::__conformance_tests { $fixture } }

        /// Prints the cases that this backend is exempt from.
        #[test]
        fn exemptions() {
            $crate::print_exemptions::<$fixture>();
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    ({ $fixture:ty } $($subject:ident { $($case:ident $([$($need:ident),+])?),* $(,)? })*) => {$($(
        #[test]
        fn $case() {
            $crate::run::<$fixture>(stringify!($case), module_path!());
        }
    )*)*};
}

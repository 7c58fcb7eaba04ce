//! Runs one case on one backend, or says that the backend is exempt from it.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::Pin;
use std::time::Duration;

use event_sourcery::backend::Capabilities;
use futures_util::FutureExt as _;

use super::cases::CASES;
use super::fixture::Fixture;
use super::subject::Subject;
use super::worker;

/// A case that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(300);

/// A test of one sentence of the contract.
pub(super) struct Case {
    /// It begins with the clause: `clause_2_3_..`.
    pub(super) name: &'static str,
    /// What a backend has to declare for the case to make sense.
    pub(super) needs: &'static [Need],
    pub(super) run: fn(Subject) -> Pin<Box<dyn Future<Output = ()>>>,
}

/// A capability that a case needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(
    non_camel_case_types,
    reason = "named after the fields of `Capabilities`, as the list of cases spells them"
)]
pub(super) enum Need {
    several_streams,
    transactions,
    durable,
    shared,
    listeners,
    outbox,
    presences,
    keys,
    tags,
    inspect,
    version_holes,
    ids_across_streams,
}

impl Need {
    fn is_met(self, by: Capabilities) -> bool {
        match self {
            Self::several_streams => by.several_streams,
            Self::transactions => by.transactions,
            Self::durable => by.durable,
            Self::shared => by.shared,
            Self::listeners => by.listeners,
            Self::outbox => by.outbox,
            Self::presences => by.presences,
            Self::keys => by.keys,
            Self::tags => by.tags,
            Self::inspect => by.inspect,
            Self::version_holes => by.version_holes,
            Self::ids_across_streams => by.ids_across_streams,
        }
    }

    const fn lacking(self) -> &'static str {
        match self {
            Self::several_streams => "an append goes to one stream",
            Self::transactions => "no transactions",
            Self::durable => "not durable",
            Self::shared => "not shared between processes",
            Self::listeners => "no listeners",
            Self::outbox => "no outbox",
            Self::presences => "no presences",
            Self::keys => "no keys of data subjects",
            Self::tags => "no tags",
            Self::inspect => "it cannot be looked into",
            Self::version_holes => "no holes in versions",
            Self::ids_across_streams => "ids are recognised in their own streams",
        }
    }
}

impl Case {
    /// `2.3` for `clause_2_3_exactly_one_of_n_writers_wins`.
    fn clause(&self) -> String {
        let numbers = self.name.split('_').skip(1);
        numbers.take_while(|word| word.parse::<u32>().is_ok()).take(2).collect::<Vec<_>>().join(".")
    }

    /// The line that is printed where a backend lacks what the case needs.
    fn exemption(&self, backend: &str, capabilities: Capabilities) -> Option<String> {
        let unmet = self.needs.iter().find(|need| !need.is_met(capabilities))?;
        Some(format!("exempt: clause {} on {backend}: {} ({})", self.clause(), unmet.lacking(), self.name))
    }
}

/// Runs a case; [`conformance!`](crate::conformance!) generates the calls.
#[doc(hidden)]
pub fn run<F: Fixture>(name: &str, module: &str) {
    let case = CASES.iter().find(|case| case.name == name).expect("the macro names listed cases");
    let test = match module.split_once("::") {
        Some((_crate, modules)) => format!("{modules}::{name}"),
        None => name.to_owned(),
    };
    in_runtime(async move {
        let subject = match worker::address() {
            Some(address) => Subject::at_address::<F>(address, test).await,
            None => Subject::create::<F>(test).await,
        };
        let remover = subject.remover();
        let outcome = AssertUnwindSafe(run_or_exempt(case, subject)).catch_unwind().await;
        remover.await;
        outcome.unwrap_or_else(|panic: Box<dyn Any + Send>| resume_unwind(panic));
    });
}

async fn run_or_exempt(case: &Case, subject: Subject) {
    match case.exemption(subject.backend().name(), subject.capabilities()) {
        Some(exemption) => eprintln!("{exemption}"),
        None => tokio::time::timeout(PATIENCE, (case.run)(subject))
            .await
            .expect("the case came to an end in time"),
    }
}

/// Prints what a backend is exempt from; [`conformance!`](crate::conformance!) generates the call.
#[doc(hidden)]
pub fn print_exemptions<F: Fixture>() {
    in_runtime(async {
        let subject = Subject::create::<F>(String::new()).await;
        let backend = subject.backend().name();
        let exemptions: Vec<_> =
            CASES.iter().filter_map(|case| case.exemption(backend, subject.capabilities())).collect();
        eprintln!("{backend} is exempt from {} of {} cases", exemptions.len(), CASES.len());
        for exemption in exemptions {
            eprintln!("{exemption}");
        }
        subject.remover().await;
    });
}

fn in_runtime(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    let outcome = runtime.block_on(AssertUnwindSafe(case).catch_unwind());
    // A case that failed may have left tasks that never end.
    runtime.shutdown_background();
    outcome.unwrap_or_else(|panic| resume_unwind(panic));
}

//! Runs one case on one database.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::cases::CASES;
use crate::shared_database::SharedDatabase;

/// A case that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(300);

/// The database of a case, whatever it is: the cases are compiled once for all backends.
pub(crate) type Database = Box<dyn SharedDatabase>;

/// A test of something that has to hold between the two languages.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) run: fn(Database) -> Pin<Box<dyn Future<Output = ()>>>,
}

/// Runs a case; [`both_languages!`](crate::both_languages!) generates the calls.
#[doc(hidden)]
pub fn run<D: SharedDatabase>(name: &str) {
    let case = CASES.iter().find(|case| case.name == name).expect("the macro names listed cases");
    // More than one thread: a case blocks its own while it waits for Python, which may wait for a lock of ours.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime starts").block_on(async {
        let database: Database = Box::new(D::create().await);
        let ended = tokio::time::timeout(PATIENCE, (case.run)(database)).await;
        ended.expect("the case came to an end in time");
    });
}

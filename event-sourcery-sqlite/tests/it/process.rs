//! Other processes: the test binary again.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Holds the store's path in the environment of a process that was started to take part in a test.
const PATH: &str = "EVENT_SOURCERY_TEST_STORE";

/// This binary again, with one test only. Takes the test's path, the binary's name first.
pub(crate) fn once_more(test: &str) -> Command {
    let (_, test) = test.split_once("::").expect("the binary's name comes first");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]).stdin(Stdio::null());
    command
}

/// This binary again, with one test only, which finds the store's path in [`store_path`].
pub(crate) fn once_more_on(test: &str, path: impl Into<PathBuf>) -> Command {
    let mut command = once_more(test);
    command.env(PATH, path.into()).stdout(Stdio::null());
    command
}

/// The store's path, in a process that was started to take part in a test.
pub(crate) fn store_path() -> Option<PathBuf> {
    std::env::var_os(PATH).map(PathBuf::from)
}

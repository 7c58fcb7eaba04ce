//! Other processes: the test binary again.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Holds the store's path in the environment of a process that was started to take part in a test.
const PATH: &str = "EVENT_SOURCERY_TEST_STORE";

/// This binary again, with one test only. Takes the test's path, the binary's name first.
pub(crate) fn once_more(test: &str) -> Command {
    once_more_from(&std::env::current_exe().unwrap(), test)
}

fn once_more_from(program: &Path, test: &str) -> Command {
    let (_, test) = test.split_once("::").expect("the binary's name comes first");
    let mut command = Command::new(program);
    command.args([test, "--exact", "--nocapture"]).stdin(Stdio::null());
    command
}

/// A copy of this binary, from where everybody can run it, with one test only, which finds the store's path in
/// [`store_path`].
pub(crate) fn copy_on(copy: &Path, test: &str, path: impl Into<PathBuf>) -> Command {
    std::fs::copy(std::env::current_exe().unwrap(), copy).unwrap();
    on(once_more_from(copy, test), path)
}

/// This binary again, with one test only, which finds the store's path in [`store_path`].
pub(crate) fn once_more_on(test: &str, path: impl Into<PathBuf>) -> Command {
    on(once_more(test), path)
}

fn on(mut command: Command, path: impl Into<PathBuf>) -> Command {
    command.env(PATH, path.into()).stdout(Stdio::null());
    command
}

/// The store's path, in a process that was started to take part in a test.
pub(crate) fn store_path() -> Option<PathBuf> {
    std::env::var_os(PATH).map(PathBuf::from)
}

//! Other processes: the test binary again.

use std::process::{Command, Stdio};

/// Holds the database's address in the environment of a process that was started to take part in a test.
const URL: &str = "EVENT_SOURCERY_TEST_STORE";

/// This binary again, with one test only, which finds the database's address in [`store_url`]. Takes the test's path, the
/// binary's name first.
pub(crate) fn once_more_on(test: &str, url: &str) -> Command {
    let (_, test) = test.split_once("::").expect("the binary's name comes first");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]).env(URL, url);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Which pooler stands between all stores and the server, in the environment of a process that runs tests behind one.
const POOLER: &str = "EVENT_SOURCERY_TEST_POOLER";

/// This binary again, with the tests whose paths begin so, whose stores are behind the pooler at this port; `told` is whether
/// they are told that it is in transaction mode.
pub(crate) fn once_more_behind_a_pooler(tests: &[&str], port: u16, told: bool) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(tests).args(["--test-threads", "2"]).env(POOLER, format!("{port} {told}"));
    command
}

/// The port of the pooler that all stores are to be behind, and whether they are told of it.
pub(crate) fn pooler() -> Option<(u16, bool)> {
    let pooler = std::env::var(POOLER).ok()?;
    let (port, told) = pooler.split_once(' ')?;
    Some((port.parse().ok()?, told.parse().ok()?))
}

/// The database's address, in a process that was started to take part in a test.
pub(crate) fn store_url() -> Option<String> {
    std::env::var(URL).ok()
}

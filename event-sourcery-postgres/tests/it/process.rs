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

/// The database's address, in a process that was started to take part in a test.
pub(crate) fn store_url() -> Option<String> {
    std::env::var(URL).ok()
}

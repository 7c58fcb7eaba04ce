//! The examples, run as their users run them: as programs.

mod bank;
mod courses;
mod customers;
mod git;
mod git_history;
mod git_history_follow;
mod invoices;

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The examples stand beside the folder of the test binaries; `cargo nextest` builds them, `cargo test` may not.
fn example(name: &str) -> PathBuf {
    let tests = env::current_exe().unwrap();
    let target = tests.parent().unwrap().parent().unwrap();
    let example = target.join("examples").join(name).with_extension(env::consts::EXE_EXTENSION);
    assert!(example.exists(), "{} is missing: run `cargo build --examples` first", example.display());
    example
}

fn run(name: &str, folder: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
    Command::new(example(name)).current_dir(folder).args(arguments).output().unwrap()
}

/// What a program printed, and nothing went wrong.
#[track_caller]
fn printed(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What a program complained about, orderly: with an exit code, and without a panic.
#[track_caller]
fn complaint(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(1 | 2)), "{}: {errors}", output.status);
    assert!(!errors.contains("panicked"), "{errors}");
    errors
}

//! The test kit for users: what passes, what fails, and what it says then.

mod commands;
mod decisions;
mod histories;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a test says that fails.
#[track_caller]
fn failure(test: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(test)).expect_err("a test that is to fail");
    *panic.downcast::<String>().expect("a failed test says why")
}

//! Event Sourcery for Python, the package itself, driven from Rust: both languages work on one database.
//!
//! [`Python`] is the reference at work, in a process of its own. Its tables are ours, so each has to bear what the other
//! writes; [`both_languages!`] generates the tests of that for a database that a backend supplies as a [`SharedDatabase`].
//! What is about one database only is tested beside its backend, with the same words.
//!
//! It needs the virtual environment that `scripts/test` makes, or another Python that `EVENT_SOURCERY_PYTHON` names.

// A case that is missing in the list is dead code.
#![deny(dead_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code: a panic is a failed test"
)]

mod answers;
mod cases;
mod commands;
pub mod invoicing;
mod python;
mod run;
mod shared_database;
mod unreadable;

pub use self::answers::{Loaded, Published, Refusal, payments_in_python};
pub use self::cases::fill;
pub use self::commands::{Expected, append, event, place, with};
pub use self::python::Python;
#[doc(hidden)]
pub use self::run::run;
pub use self::shared_database::{Rows, SharedDatabase, in_a_word};
pub use self::unreadable::{Unreadable, assert_names, errors_of_reading};

/// Generates a test for each thing that has to hold between the two languages, run on a [`SharedDatabase`], in a module
/// for each subject.
#[macro_export]
macro_rules! both_languages {
    ($database:ty) => {
        $crate::__for_each_case! { $crate::__both_languages_tests { $database } }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __both_languages_tests {
    ({ $database:ty } $($subject:ident { $($case:ident),* $(,)? })*) => {$(
        mod $subject {
            #[allow(unused_imports, reason = "the database's type may be named by a path of its own")]
            use super::*;

            $(
                #[test]
                fn $case() {
                    $crate::run::<$database>(stringify!($case));
                }
            )*
        }
    )*};
}

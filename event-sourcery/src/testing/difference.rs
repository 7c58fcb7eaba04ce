//! What was expected beside what came, line by line.

use std::fmt::{Debug, Write as _};

use similar::{ChangeTag, TextDiff};

/// The difference between two values, as `{:#?}` prints them: what is missing with a minus, what is too much with a plus.
pub(super) fn between<T: Debug + ?Sized>(expected: &T, actual: &T) -> String {
    let (expected, actual) = (format!("{expected:#?}\n"), format!("{actual:#?}\n"));
    let mut text = String::new();
    for change in TextDiff::from_lines(&expected, &actual).iter_all_changes() {
        let sign = match change.tag() {
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
            ChangeTag::Equal => ' ',
        };
        // Writing to a string cannot fail.
        let _ = write!(text, "{sign} {change}");
    }
    text
}

/// Fails a test where two values differ.
#[track_caller]
pub(super) fn assert_equal<T: Debug + PartialEq + ?Sized>(what: &str, given: &str, expected: &T, actual: &T) {
    if expected != actual {
        let difference = between(expected, actual);
        panic!("{what} is not what was expected\n{given}difference (- expected, + actual):\n{difference}");
    }
}

/// What was given, for the message of a failed test.
pub(super) fn given<T: Debug>(given: &[T]) -> String {
    if given.is_empty() {
        return "given: nothing\n".to_owned();
    }
    let lines = given.iter().map(|event| format!("  {event:?}\n"));
    format!("given:\n{}", lines.collect::<String>())
}

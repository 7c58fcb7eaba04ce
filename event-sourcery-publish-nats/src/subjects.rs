//! Subjects: which one a message gets, and whether a stream takes it.

use event_sourcery::{RawEvent, Recorded};
use event_sourcery_cloudevents::token;

/// The longest: with the rest of its line it stays below the 4,096 bytes for which a server closes the connection.
const LONGEST: usize = 3_000;

/// A subject that no message can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the subject {shown:?} of {bytes} bytes is none: give one of at most 3000 bytes, whose tokens are not empty and hold no space, \
     star or angle; `event_sourcery_cloudevents::token` makes one of a name"
)]
pub struct UnfitSubject {
    /// Its beginning.
    shown: String,
    bytes: usize,
}

/// The subject where nothing else is said: `prefix.category.type`, with `-` where there is no category.
pub(crate) fn usual(prefix: &str, recorded: &Recorded<RawEvent>) -> String {
    let category = recorded.stream_id.category().map_or_else(|| "-".to_owned(), |it| token(it.as_str()));
    format!("{prefix}.{category}.{}", token(recorded.event().name()))
}

/// Refuses what a server would take for something else, or close the connection for.
pub(crate) fn check(subject: String) -> Result<String, UnfitSubject> {
    let is_fit = |token: &str| !token.is_empty() && token.bytes().all(is_of_a_token);
    if subject.len() <= LONGEST && subject.split('.').all(is_fit) {
        return Ok(subject);
    }
    Err(UnfitSubject { bytes: subject.len(), shown: subject.chars().take(40).collect() })
}

const fn is_of_a_token(byte: u8) -> bool {
    byte > b' ' && byte != 0x7F && byte != b'*' && byte != b'>'
}

/// Whether a message of this subject is one of those that a stream takes by this pattern.
pub(crate) fn matches(pattern: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for expected in pattern.split('.') {
        match (expected, tokens.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (expected, Some(token)) if expected == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

#[cfg(test)]
mod tests {
    use event_sourcery::{Position, StreamId, WrappedEvent};

    use super::*;

    fn recorded(name: &str, category: &str) -> Recorded<RawEvent> {
        let event = WrappedEvent::new(RawEvent::new(name.to_owned(), "{}").unwrap());
        let stream = StreamId::random().in_category(category).unwrap();
        Recorded::new(event, stream, Position::from_i64(1))
    }

    #[test]
    fn names_are_tokens_whatever_they_hold() {
        assert_eq!(usual("shop", &recorded("Paid", "invoices")), "shop.invoices.Paid");
        assert_eq!(usual("shop", &recorded("a.b > *", "")), "shop.-.a%2Eb%20%3E%20%2A");
        let most = usual("shop", &recorded(&"x".repeat(200), &"y".repeat(255)));
        assert_eq!(check(most.clone()), Ok(most));
    }

    #[test]
    fn what_is_no_subject_is_refused() {
        let long = "x".repeat(LONGEST + 1);
        for subject in ["", "a..b", ".a", "a.", "a b", "a.*", "a.>", "a\r\nb", "a\0", &long] {
            assert!(check(subject.to_owned()).is_err(), "{subject:?}");
        }
        assert_eq!(check("shop.größe".to_owned()), Ok("shop.größe".to_owned()));
    }

    #[test]
    fn a_pattern_takes_what_the_server_would() {
        for (pattern, subject, is_taken) in [
            ("shop.>", "shop.a", true),
            ("shop.>", "shop.a.b", true),
            ("shop.>", "shop", false),
            ("shop.*", "shop.a", true),
            ("shop.*", "shop.a.b", false),
            ("shop.*.b", "shop.a.b", true),
            ("shop", "shop", true),
            ("shop.a", "shop", false),
            ("shop", "books", false),
            (">", "shop", true),
        ] {
            assert_eq!(matches(pattern, subject), is_taken, "{pattern} {subject}");
        }
    }
}

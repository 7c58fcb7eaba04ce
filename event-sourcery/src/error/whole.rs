//! An error with its causes, in words.

use super::quoting::shortened;
use crate::panics;

/// The most characters that are kept of an error: a handler's may hold anything.
pub(crate) const KEPT: usize = 4_000;

/// The most causes of an error that are told: whoever makes errors may make a circle of them.
const CAUSES: usize = 32;

/// An error with its causes. One that panics while it is put into words is told by the panic. Errors of others may print their
/// cause and return it too: what ends with it already does not say it again.
pub(crate) fn whole(error: &dyn std::error::Error) -> String {
    let text = panics::caught(|| {
        let mut text = error.to_string();
        for cause in std::iter::successors(error.source(), |cause| cause.source()).take(CAUSES) {
            let cause = cause.to_string();
            if !text.ends_with(&cause) {
                text = format!("{text}: {cause}");
            }
        }
        text
    });
    shortened(&text.unwrap_or_else(|panic| format!("an error that cannot be put into words: {panic}")), KEPT)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::whole;
    use crate::error::{DecodeError, Error, PayloadError, Source};

    /// An error of somebody's who prints the cause that it returns.
    #[derive(Debug, thiserror::Error)]
    #[error("the letter was not sent: {source}")]
    struct NotSent {
        source: io::Error,
    }

    #[test]
    fn every_cause_is_told_and_none_twice() {
        let outage = Error::unavailable(io::Error::other("no route to host"));
        let told = "the store's server cannot be reached: try again when it is back: no route to host";
        assert_eq!(whole(&outage), told);
        assert_eq!(
            whole(&NotSent { source: io::Error::other("no paper") }),
            "the letter was not sent: no paper"
        );
    }

    /// Whoever reports an error prints it, and then its sources one by one.
    #[test]
    fn no_error_prints_a_source_that_it_returns() {
        let words = || -> Source { "words of a source".into() };
        let json = || serde_json::from_str::<u8>("words of a source").unwrap_err();
        let errors: [Source; 11] = [
            Error::serialization_failure(words()).into(),
            Error::unavailable(words()).into(),
            Error::outcome_unknown(words()).into(),
            Error::rolled_back(words()).into(),
            Error::storage_full(words()).into(),
            Error::backend("any", words()).into(),
            Error::ListenerFailed {
                name: "Paid".to_owned(),
                stream: crate::StreamId::random(),
                version: None,
                source: words(),
            }
            .into(),
            Error::InvalidPayload { name: "Paid".to_owned(), problem: json().into() }.into(),
            PayloadError::from(json()).into(),
            DecodeError::from(json()).into(),
            DecodeError::UpcastFailed { from: 1, problem: words() }.into(),
        ];
        for error in errors {
            let printed = error.to_string();
            for source in std::iter::successors(error.source(), |source| source.source()) {
                assert!(!printed.contains(&source.to_string()), "{printed}: {source}");
            }
        }
    }
}

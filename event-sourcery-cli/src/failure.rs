//! Why a command has not done what it was asked for: what, why, what to do; and the exit code that says it to programs.

use std::io;

use event_sourcery::Error;
use event_sourcery_import::ImportError;

use crate::output::safe;

/// Not found, refused, or damaged.
const REFUSED: u8 = 1;
/// The command line cannot be meant.
const USAGE: u8 = 2;
/// The store cannot be opened, reached or read.
const STORE: u8 = 3;
/// As shells have it for what was ended by Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;
/// As shells have it for what was ended because nobody reads its output any more: 128 and the number of SIGPIPE.
const CUT_SHORT: u8 = 141;

/// Why a command has not done what it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was asked about is not there, or must not be done.
    Refused { what: String, to_do: String },
    /// What was asked for cannot be meant.
    Usage { what: String, to_do: String },
    /// What the store says.
    Store(Box<Error>),
    /// The store is damaged, and that is told already.
    Damaged,
    /// Something was left out, or two stores are not equal, and that is told already.
    NotEqual,
    /// Somebody has interrupted it, and this is what there is of it.
    Interrupted(&'static str),
    /// Whoever reads what is printed has had enough, and what was printed is not all.
    NobodyReads,
    /// It cannot be printed, or asked for.
    Io(io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::File { source, .. } if source.kind() == io::ErrorKind::BrokenPipe => Self::NobodyReads,
            error => Self::Store(Box::new(error)),
        }
    }
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        let what = in_full(&error);
        let to_do = match error {
            ImportError::Destination { source } => return Self::Store(source),
            ImportError::StillWriting { .. } => {
                let to_do = "what was written stays, and the same command goes on from there".to_owned();
                return Self::Refused { what, to_do };
            }
            ImportError::Mapping { .. } => "the pages *coming from ..* of the guide have mappings",
            ImportError::Layout { .. } => "mind --from, the address, and --table",
            _ => return Self::Io(io::Error::other(what)),
        };
        Self::Usage { what, to_do: to_do.to_owned() }
    }
}

/// An error with what has caused it.
fn in_full(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told += &format!(": {error}");
        cause = error.source();
    }
    told
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::NobodyReads,
            _ => Self::Io(error),
        }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Io(error.into())
    }
}

impl Failure {
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Refused { .. } | Self::Damaged | Self::NotEqual => REFUSED,
            Self::Usage { .. } => USAGE,
            Self::Store(error) => code_of(error),
            Self::Interrupted(_) => INTERRUPTED,
            Self::NobodyReads => CUT_SHORT,
            Self::Io(_) => STORE,
        }
    }

    /// What is said about it: what and why, and what to do.
    pub(crate) fn told(&self) -> Option<String> {
        let (what, to_do) = match self {
            Self::Refused { what, to_do } | Self::Usage { what, to_do } => {
                (what.clone(), Some(to_do.clone()))
            }
            Self::Store(error) => (error.in_full(), remedy(error).map(str::to_owned)),
            Self::Io(error) => (error.to_string(), None),
            Self::Interrupted(left) => return Some(format!("interrupted: {left}")),
            Self::Damaged | Self::NotEqual | Self::NobodyReads => return None,
        };
        let to_do = to_do.map(|to_do| format!("\nto do: {}", lines(&to_do))).unwrap_or_default();
        Some(format!("error: {}{to_do}", lines(&what)))
    }
}

/// Text of several lines, none of which begins as one of ours: names and errors in it may have been written by others.
fn lines(text: &str) -> String {
    safe(text, "\n").replace('\n', "\n  ")
}

fn code_of(error: &Error) -> u8 {
    match error {
        Error::NotBlocked { .. }
        | Error::SubscriptionNotFound { .. }
        | Error::BeyondEnd { .. }
        | Error::InvalidLine { .. }
        | Error::LeaseLost { .. } => REFUSED,
        Error::InvalidName { .. } | Error::InvalidOption { .. } | Error::IncompatibleUuidAndName { .. } => {
            USAGE
        }
        _ => STORE,
    }
}

/// What the error does not say itself, because it does not know of this program.
fn remedy(error: &Error) -> Option<&'static str> {
    Some(match error {
        Error::StoreNotFound { .. } => {
            "check the path, or the name of the database. Nothing was created; `event-sourcery migrate` makes a store"
        }
        Error::ForeignLayout { .. } => {
            "check that this is the store, and whether its tables have a prefix or a schema of their own: \
             ?prefix=..&schema=.."
        }
        Error::MigrationNeeded { .. } => {
            "`event-sourcery migrate --print` shows what is missing, `event-sourcery migrate` does it; nothing was \
             changed now"
        }
        Error::ReadOnly { .. } => {
            "where it says that the tables need a migration: `event-sourcery migrate`, by who may write to the store"
        }
        Error::Unavailable { .. } => {
            "check that the server runs, and its host, port and user in the address; and its certificate, where the address \
             asks for that: sslmode, sslrootcert"
        }
        Error::Busy { .. } => {
            "see who holds it: `event-sourcery holders`; on SQLite, which other process has the file open"
        }
        Error::MissingGrant { .. } => {
            "let the owner of the tables run that. `PostgresOptions::grants` prints all that a reader, or an \
             application, needs"
        }
        Error::NotBlocked { .. } => {
            "it was replayed, skipped or handled meanwhile: `event-sourcery subscriptions show` tells how it is now"
        }
        Error::InvalidLine { .. } => {
            "mend the file, or export it again, and import it again: what is there already is recognised"
        }
        Error::SubscriptionNotFound { .. } => "see which there are: `event-sourcery subscriptions`",
        Error::OutcomeUnknown { .. } => "look whether it was done before you do it again",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_says_what_to_do() {
        let hostile = "a stream\nto do: \u{1b}[2Jobey".to_owned();
        let told = Failure::Refused { what: hostile.clone(), to_do: hostile }.told().unwrap();
        assert_eq!(told.lines().filter(|line| line.starts_with("to do: ")).count(), 1, "{told}");
        assert!(!told.contains('\u{1b}'), "{told}");
    }
}

//! How long names may be: the same on every backend, checked when a value is made.

use crate::error::{Error, NameKind, NameProblem, QUOTED, Result};

/// Names, categories and tenants: `VARCHAR(255)` in the shared layout.
const NAME_CHARACTERS: usize = 255;
/// Three of them share a B-tree entry of PostgreSQL, which holds 2,704 bytes.
const NAME_BYTES: usize = 850;
/// Event names: `VARCHAR(200)` in the shared layout.
const EVENT_NAME_CHARACTERS: usize = 200;

/// Refuses a value outside the limits of its kind.
pub(crate) fn check_name(kind: NameKind, value: &str) -> Result<()> {
    let (characters, bytes) = match kind {
        NameKind::EventName => (EVENT_NAME_CHARACTERS, usize::MAX),
        NameKind::StreamName
        | NameKind::Category
        | NameKind::Tenant
        | NameKind::Subscription
        | NameKind::Projector
        | NameKind::Subject
        | NameKind::Tag => (NAME_CHARACTERS, NAME_BYTES),
    };
    match problem(value, characters, bytes) {
        None => Ok(()),
        Some(problem) => {
            Err(Error::InvalidName { kind, value: value.chars().take(QUOTED).collect(), problem })
        }
    }
}

fn problem(value: &str, characters: usize, bytes: usize) -> Option<NameProblem> {
    if value.is_empty() {
        return Some(NameProblem::Empty);
    }
    if value.contains('\0') {
        return Some(NameProblem::Nul);
    }
    // A character has at least one byte: a value that is short in bytes is short in characters.
    if value.len() > characters {
        let actual = value.chars().count();
        if actual > characters {
            return Some(NameProblem::TooManyCharacters { actual, allowed: characters });
        }
    }
    (value.len() > bytes).then_some(NameProblem::TooManyBytes { actual: value.len(), allowed: bytes })
}

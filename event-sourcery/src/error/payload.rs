//! Why a payload cannot be stored, or was not decoded.

use super::Source;
use super::quoting::{said, without_values};

/// Why a payload cannot be stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// It is a scalar or an array.
    #[error("it has to be a JSON object: give the type named fields")]
    NotAnObject,
    /// It holds NaN or an infinity, which JSON cannot hold.
    #[error("it holds a number that is not finite (NaN or an infinity), which JSON cannot hold")]
    NotFinite,
    /// It is nested too deeply to be read back.
    #[error("it is nested deeper than {deepest} levels")]
    TooDeep {
        /// The deepest nesting that can be stored.
        deepest: usize,
    },
    /// It holds something that this backend's database cannot hold.
    #[error("the database cannot hold it: {problem}")]
    NotStorable {
        /// What it is.
        problem: String,
    },
    /// The type's own serialisation failed.
    #[error("{0}")]
    Serialize(#[source] serde_json::Error),
}

/// It quotes at most 40 characters of a value.
impl From<serde_json::Error> for PayloadError {
    fn from(error: serde_json::Error) -> Self {
        Self::Serialize(without_values(error))
    }
}

/// Why a stored payload was not decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The type does not decode events of this name.
    #[error("the type does not decode events of this name")]
    UnknownName,
    /// The payload is not a JSON object.
    #[error("the payload is not a JSON object")]
    NotAnObject,
    /// The payload does not fit the type, or is not JSON.
    #[error("{0}")]
    Invalid(#[source] serde_json::Error),
    /// The payload is in a form that is newer than this program: a newer one wrote it.
    #[error(
        "it is in the form of version {found}, which a newer program wrote, and this one knows the forms up to version \
         {known}: bring this one up to date"
    )]
    NewerForm {
        /// The version of the form that it is in.
        found: u32,
        /// The newest version that the type knows.
        known: u32,
    },
    /// An upcaster failed on the older form that the payload is in.
    #[error("the upcaster from the form of version {from} failed: {problem}")]
    UpcastFailed {
        /// The version that it was to turn into the next.
        from: u32,
        /// What it failed with.
        problem: Source,
    },
}

/// It quotes at most 40 characters of a value, and of what a type says in its own words, 200.
impl From<serde_json::Error> for DecodeError {
    fn from(error: serde_json::Error) -> Self {
        Self::Invalid(without_values(error))
    }
}

impl DecodeError {
    /// What it says, with no more of a value than that, whoever has made it.
    pub(crate) fn words(self) -> String {
        match self {
            Self::Invalid(error) => without_values(error).to_string(),
            Self::UpcastFailed { from, problem } => {
                Self::UpcastFailed { from, problem: said(&problem.to_string()).into() }.to_string()
            }
            other => other.to_string(),
        }
    }
}

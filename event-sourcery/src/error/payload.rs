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
    /// A key stands twice in one of its objects: in a flattened map, say, a user has chosen the name of a field.
    #[error(
        "the key {key:?} stands twice in one object{}: refuse such a key where it comes in, or keep the map in a field of its own",
        at(place)
    )]
    KeyTwice {
        /// The key, cut to 40 characters.
        key: String,
        /// Where the object stands: the keys and places on the way to it, with dots between; empty for the payload itself.
        place: String,
    },
    /// It holds a number that has too many digits when its exponent is written out, as databases do.
    #[error(
        "it holds a number of more than {most} digits, written out{}: store such a number as a text",
        at(place)
    )]
    NumberTooLong {
        /// The most digits.
        most: usize,
        /// Where it stands: the keys and places on the way to it, with dots between.
        place: String,
    },
    /// Its type does not read it back equal. What serde buffers (enums with a `tag` or `untagged`, structs with `flatten`) takes
    /// no integer keys of maps and no 128-bit integers; and PostgreSQL's JSONB changes the order of keys, so that serde
    /// buffers what stands in front of a tag, and writes exponents out, so that 1e16 looks like an integer. What one backend
    /// could not give back is refused by all: events can be copied from one to another.
    #[error(
        "its type would not read it back equal{}: {problem}: give it keys that are texts, integers of 64 bits or texts, a tag \
         for each variant, lists where order counts; or write such a value as a text",
        at(place)
    )]
    NotReadBack {
        /// Where the difference is: the keys and places on the way to it, with dots between; empty where it cannot be told.
        place: String,
        /// What reading ends with, cut to 120 characters.
        problem: String,
    },
    /// It is too large, or makes its append too large: the limits are the same on every backend.
    #[error(
        "it has {bytes} bytes, and {most} is the most: store what is large elsewhere, or in several events and appends"
    )]
    TooLarge {
        /// The bytes of its JSON, numbers written out; or, where each event is small enough, of all payloads and contexts of
        /// the append.
        bytes: usize,
        /// The most that they may be: 67,108,864 for a payload or a context, 536,870,912 for all of an append.
        most: usize,
    },
    /// It holds something that this backend's database cannot hold.
    #[error("the database cannot hold it: {problem}")]
    NotStorable {
        /// What it is.
        problem: String,
    },
    /// The type's own serialisation failed.
    #[error(transparent)]
    Serialize(serde_json::Error),
}

impl PayloadError {
    /// The same without words that may quote a value, or a key within one.
    pub(crate) fn without_words(self) -> Self {
        let withheld = "in words that are left out, for they may quote what is to be encrypted";
        match self {
            Self::NotReadBack { place, .. } => {
                let problem = format!("reading it ends {withheld}");
                Self::NotReadBack { place: field_of(&place), problem }
            }
            Self::KeyTwice { place, .. } if !place.is_empty() => {
                Self::KeyTwice { key: "..".to_owned(), place: field_of(&place) }
            }
            Self::NumberTooLong { most, place } => Self::NumberTooLong { most, place: field_of(&place) },
            Self::Serialize(_) => {
                Self::NotStorable { problem: format!("its own serialisation fails, {withheld}") }
            }
            other => other,
        }
    }
}

/// It quotes at most 40 characters of a value.
impl From<serde_json::Error> for PayloadError {
    fn from(error: serde_json::Error) -> Self {
        Self::Serialize(without_values(error))
    }
}

/// The field of the payload that a place is in: it is encrypted, if it is, behind its own name.
fn field_of(place: &str) -> String {
    place.split('.').next().unwrap_or_default().to_owned()
}

fn at(place: &str) -> String {
    if place.is_empty() { String::new() } else { format!(" (at {place})") }
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
    #[error(transparent)]
    Invalid(serde_json::Error),
    /// The payload is in a form that is newer than this program: a newer one wrote it.
    #[error(
        "a newer program wrote it, in the form of version {found}, and this program knows forms up to version {known}: update this \
         program"
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

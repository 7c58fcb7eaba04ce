//! What must not be, in words that say what to do.

use std::fmt;

use super::problem::Problem;
use super::sample::Sample;
use crate::error::DecodeError;

/// Something that must not be.
#[derive(Debug)]
pub(super) enum Finding {
    SharedName {
        name: String,
        owners: [String; 2],
    },
    Removed {
        name: String,
    },
    Unreadable {
        sample: Sample,
        reader: &'static str,
        problem: Problem,
    },
    NotReadBack {
        sample: Sample,
        owner: &'static str,
        problem: Problem,
    },
    /// The type panics on something that it may well be given.
    Panicked {
        name: String,
        schema_version: u32,
        owner: &'static str,
        panic: Panicked,
    },
    Untraced {
        name: String,
        owner: &'static str,
        places: Vec<String>,
    },
    BadSample {
        sample: Sample,
        problem: String,
    },
}

/// A panic, and what has led to it.
#[derive(Debug, Clone)]
pub(super) struct Panicked {
    /// What was given, as JSON.
    pub(super) given: String,
    /// Where in the payload; empty for the whole of it.
    pub(super) place: String,
    pub(super) words: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SharedName { name, owners: [one, other] } => write!(
                f,
                "{name:?} is a name of two events, {one} and {other}: what is stored could be either. Give one of them \
                 another name, `#[event(name = \"..\")]`, or leave out the alias"
            ),
            Self::Removed { name } => write!(
                f,
                "{name:?} is decoded by no type any more, and events of it may be stored. Keep its type; or make it an alias, \
                 `#[event(alias = {name:?})]`, or a split name, `#[event(upcast({name:?} = ..))]`, of what it has become. If \
                 no store holds such an event, take it out of the file"
            ),
            Self::Unreadable { sample: Sample { name, schema_version, json }, reader, problem } => write!(
                f,
                "{name:?} in form {schema_version} is not read by {reader} any more: {problem}\n    stored, it looks like \
                 {json}\n    {}",
                remedy(problem)
            ),
            Self::NotReadBack { sample: Sample { name, schema_version, json }, owner, problem } => write!(
                f,
                "{name:?} in form {schema_version} is written by {owner}, which does not read it back: {problem}\n    stored, \
                 it looks like {json}\n    give a field that may be left out a default, `#[serde(default)]`, and let \
                 `Deserialize` take all that `Serialize` writes"
            ),
            Self::Panicked { name, schema_version, owner, panic: Panicked { given, place, words } } => {
                let at = at(std::slice::from_ref(place));
                write!(
                    f,
                    "{name:?} in form {schema_version} ({owner}) panics: {words}\n    it was given {given}{at}\n    {NO_PANIC}"
                )
            }
            Self::Untraced { name, owner, places } => write!(
                f,
                "{name:?} ({owner}) could not be traced{}: give samples of what it stores, `.sample({name:?}, version, json)`",
                at(places)
            ),
            Self::BadSample { sample: Sample { name, schema_version, json }, problem } => {
                let given = format!("the sample that was given for {name:?} in form {schema_version}");
                write!(f, "{given} is not read: {problem}\n    it is {json}")
            }
        }
    }
}

fn at(places: &[String]) -> String {
    let named: Vec<_> = places.iter().filter(|place| !place.is_empty()).map(String::as_str).collect();
    if named.is_empty() { String::new() } else { format!(" at {}", named.join(", ")) }
}

const NO_PANIC: &str = "let it return an error where it cannot go on, from `checked_mul` or `try_from`, say";

fn remedy(problem: &Problem) -> &'static str {
    match problem {
        Problem::Panic(_) => NO_PANIC,
        Problem::Decode(DecodeError::NewerForm { .. }) => {
            "the file knows a newer form than the types: an upcaster was taken away, and has to stay"
        }
        Problem::Decode(DecodeError::UpcastFailed { .. }) => {
            "mend the upcaster: it has to take every form that was ever stored. If no store can hold such an event, take the \
             sample out of the file"
        }
        _ => {
            "give a new field a default, `#[serde(default)]`, a renamed one its former name, `#[serde(alias = \"..\")]`, or \
             turn the old form into the new one with an upcaster, `#[event(upcast(..))]`"
        }
    }
}

//! What a comparison finds, in words that say what to do.

use std::collections::BTreeMap;
use std::fmt;

use super::file::LockedForm;
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
        name: String,
        schema_version: u32,
        sample: String,
        reader: &'static str,
        problem: DecodeError,
    },
    NotReadBack {
        name: String,
        schema_version: u32,
        sample: String,
        owner: &'static str,
        problem: String,
    },
    Untraced {
        name: String,
        owner: &'static str,
        places: Vec<String>,
    },
    BadSample {
        name: String,
        schema_version: u32,
        problem: String,
    },
}

/// What is not in the file yet: a form, samples of one, or a name that only reads what others have written. One that no
/// type reads any more is found by it.
#[derive(Debug)]
pub(super) struct Addition {
    pub(super) name: String,
    pub(super) form: Option<LockedForm>,
    pub(super) change: Change,
}

/// How an event is stored in another way than the file knows.
#[derive(Debug)]
pub(super) enum Change {
    New,
    /// Its fields were these.
    Fields {
        before: BTreeMap<String, String>,
    },
    /// The fields are the same, what is written is not.
    Samples,
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
            Self::Unreadable { name, schema_version, sample, reader, problem } => write!(
                f,
                "{name:?} in form {schema_version} is not read by {reader} any more: {problem}\n    stored, it looks like \
                 {sample}\n    {}",
                remedy(problem)
            ),
            Self::NotReadBack { name, schema_version, sample, owner, problem } => write!(
                f,
                "{name:?} in form {schema_version} is written by {owner}, which does not read it back: {problem}\n    stored, \
                 it looks like {sample}\n    give a field that may be left out a default, `#[serde(default)]`, and let \
                 `Deserialize` take all that `Serialize` writes"
            ),
            Self::Untraced { name, owner, places } => write!(
                f,
                "{name:?} ({owner}) could not be traced{}: give samples of what it stores, `.sample({name:?}, version, json)`",
                at(places)
            ),
            Self::BadSample { name, schema_version, problem } => {
                write!(
                    f,
                    "the sample that was given for {name:?} in form {schema_version} is not read: {problem}"
                )
            }
        }
    }
}

fn at(places: &[String]) -> String {
    let named: Vec<_> = places.iter().filter(|place| !place.is_empty()).map(String::as_str).collect();
    if named.is_empty() { String::new() } else { format!(" at {}", named.join(", ")) }
}

fn remedy(problem: &DecodeError) -> &'static str {
    match problem {
        DecodeError::NewerForm { .. } => {
            "the file knows a newer form than the types: an upcaster was taken away, and has to stay"
        }
        DecodeError::UpcastFailed { .. } => {
            "mend the upcaster: it has to take every form that was ever stored"
        }
        _ => {
            "give a new field a default, `#[serde(default)]`, a renamed one its former name, `#[serde(alias = \"..\")]`, or \
             turn the old form into the new one with an upcaster, `#[event(upcast(..))]`"
        }
    }
}

impl fmt::Display for Addition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        let Some(LockedForm { schema_version, fields, samples }) = &self.form else {
            return write!(f, "{name:?}: a former name, which is still read");
        };
        write!(f, "{name:?}, form {schema_version}: ")?;
        match &self.change {
            Change::New => f.write_str("new"),
            Change::Fields { before } => {
                f.write_str("its fields have changed")?;
                only_in(before, fields).try_for_each(|(name, kind)| write!(f, "\n    - {name}: {kind}"))?;
                only_in(fields, before).try_for_each(|(name, kind)| write!(f, "\n    + {name}: {kind}"))
            }
            Change::Samples => {
                f.write_str("it is written in another way than before")?;
                samples.iter().try_for_each(|sample| write!(f, "\n    + {sample}"))
            }
        }
    }
}

fn only_in<'f>(
    one: &'f BTreeMap<String, String>,
    other: &'f BTreeMap<String, String>,
) -> impl Iterator<Item = (&'f String, &'f String)> {
    one.iter().filter(|(name, kind)| other.get(*name) != Some(*kind))
}

//! The check: whether the types of today read every form that may be stored.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;

use super::Registered;
use super::file::{LockFile, LockedForm};
use super::forms::{Form, Forms};
use crate::error::DecodeError;
use crate::payload;

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

/// A form that is not in the file, or a name that only reads what others have written: one that no type reads any more is
/// found by it.
#[derive(Debug)]
pub(super) struct Addition {
    pub(super) name: String,
    pub(super) form: Option<LockedForm>,
    /// The fields of the form before it, of the same event.
    before: Option<BTreeMap<String, String>>,
}

/// What a comparison with the file has found.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) findings: Vec<Finding>,
    pub(super) additions: Vec<Addition>,
}

/// A sample that a caller gives for a form: its name, its version, its payload.
pub(super) type GivenSample = (String, u32, String);

pub(super) fn compare(locked: &LockFile, types: &[Registered], given: &[GivenSample]) -> Comparison {
    let mut forms = Forms::default();
    types.iter().for_each(|registered| (registered.forms)(&mut forms));
    let mut comparison = Comparison::default();
    comparison.look_for_shared_names(&forms);
    comparison.look_for_what_is_not_read(locked, types);
    comparison.check_given_samples(types, given);
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for form in &forms.found {
        if !seen.contains(&(form.name(), form.owner)) {
            seen.push((form.name(), form.owner));
            comparison.look_for_additions(locked, form, given);
        }
    }
    comparison.look_for_former_names(locked, types);
    comparison
}

impl Comparison {
    fn look_for_shared_names(&mut self, forms: &Forms) {
        // A variant is told apart from others of its enum by its name.
        let of_forms = forms.found.iter().flat_map(|form| {
            form.names.iter().map(move |name| (*name, format!("{} ({})", form.owner, form.name())))
        });
        let of_splits = forms.splits.iter().map(|(name, owner)| (*name, format!("{owner} (split)")));
        let mut owners: BTreeMap<&str, String> = BTreeMap::new();
        for (name, owner) in of_forms.chain(of_splits) {
            match owners.get(name) {
                Some(other) if *other != owner => {
                    let owners = [other.clone(), owner];
                    self.findings.push(Finding::SharedName { name: name.to_owned(), owners });
                }
                Some(_) => {}
                None => _ = owners.insert(name, owner),
            }
        }
    }

    fn look_for_what_is_not_read(&mut self, locked: &LockFile, types: &[Registered]) {
        for (name, forms) in &locked.events {
            let mut readers =
                types.iter().filter(|registered| registered.names.contains(&name.as_str())).peekable();
            if readers.peek().is_none() {
                self.findings.push(Finding::Removed { name: name.clone() });
                continue;
            }
            for reader in readers {
                self.findings.extend(forms.iter().filter_map(|form| unreadable(name, form, reader)));
            }
        }
    }

    fn check_given_samples(&mut self, types: &[Registered], given: &[GivenSample]) {
        for (name, schema_version, sample) in given {
            let reader = types.iter().find(|registered| registered.names.contains(&name.as_str()));
            let problem = match reader {
                None => Some("no type that was given decodes events of this name".to_owned()),
                Some(reader) => {
                    (reader.decode)(name, *schema_version, sample).err().map(|problem| problem.to_string())
                }
            };
            if let Some(problem) = problem {
                let (name, schema_version) = (name.clone(), *schema_version);
                self.findings.push(Finding::BadSample { name, schema_version, problem });
            }
        }
    }

    fn look_for_additions(&mut self, locked: &LockFile, form: &Form, given: &[GivenSample]) {
        let (name, schema_version, shape) = (form.name(), form.schema_version, form.shape());
        let mut samples = form.samples(&shape);
        let of_this_form = |(of, version, _): &&GivenSample| of == name && *version == schema_version;
        let given: Vec<_> = given.iter().filter(of_this_form).collect();
        samples.extend(given.iter().map(|(_, _, sample)| sample.clone()));
        let samples: Vec<Box<RawValue>> =
            samples.into_iter().filter_map(|sample| RawValue::from_string(sample).ok()).collect();
        let places = shape.untraced();
        // A list of what cannot be traced is sampled as an empty one, which says nothing of its items.
        if samples.is_empty() || (given.is_empty() && !places.is_empty()) {
            let name = name.to_owned();
            self.findings.push(Finding::Untraced { name, owner: form.owner, places });
            return;
        }
        let (fields, known) = (shape.fields(), locked.events.get(name));
        let has = |known: &LockedForm, given: &str| {
            known.samples.iter().any(|sample| payload::equal_json(sample.get(), given))
        };
        let is_known = |known: &LockedForm| {
            let is_this_form = known.schema_version == schema_version && known.fields == fields;
            is_this_form && given.iter().all(|(_, _, sample)| has(known, sample))
        };
        if !known.is_some_and(|forms| forms.iter().any(is_known)) {
            let before = known.and_then(|forms| forms.last()).map(|form| form.fields.clone());
            let form = Some(LockedForm { schema_version, fields, samples });
            self.additions.push(Addition { name: name.to_owned(), form, before });
        }
    }

    /// Aliases, and names that were split.
    fn look_for_former_names(&mut self, locked: &LockFile, types: &[Registered]) {
        for name in types.iter().flat_map(|registered| registered.names) {
            let is_added = self.additions.iter().any(|addition| addition.name == *name);
            let is_untraced = self
                .findings
                .iter()
                .any(|finding| matches!(finding, Finding::Untraced { name: of, .. } if of == name));
            if !locked.events.contains_key(*name) && !is_added && !is_untraced {
                self.additions.push(Addition { name: (*name).to_owned(), form: None, before: None });
            }
        }
    }
}

/// The first sample of a form that is not read.
fn unreadable(name: &str, form: &LockedForm, reader: &Registered) -> Option<Finding> {
    let schema_version = form.schema_version;
    form.samples.iter().find_map(|sample| {
        let problem = (reader.decode)(name, schema_version, sample.get()).err()?;
        let (name, sample) = (name.to_owned(), sample.get().to_owned());
        Some(Finding::Unreadable { name, schema_version, sample, reader: reader.type_name, problem })
    })
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
        let Some(LockedForm { schema_version, fields, .. }) = &self.form else {
            return write!(f, "{name:?}: a former name, which is still read");
        };
        let Some(before) = &self.before else {
            return write!(f, "{name:?}, form {schema_version}: new");
        };
        write!(f, "{name:?}, form {schema_version}: its fields have changed")?;
        let only_in = |one: &BTreeMap<String, String>, other: &BTreeMap<String, String>| {
            let fields = one.iter().filter(|(name, kind)| other.get(*name) != Some(*kind));
            fields.map(|(name, kind)| format!("{name}: {kind}")).collect::<Vec<_>>()
        };
        only_in(before, fields).iter().try_for_each(|field| write!(f, "\n    - {field}"))?;
        only_in(fields, before).iter().try_for_each(|field| write!(f, "\n    + {field}"))
    }
}

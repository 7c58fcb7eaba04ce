//! The check: whether the types of today read every form that may be stored.

use std::collections::{BTreeMap, HashSet};

use serde_json::value::RawValue;

use super::Registered;
use super::file::{LockFile, LockedForm};
use super::findings::{Addition, Change, Finding};
use super::forms::{Form, Forms};
use super::outline::outline;
use crate::payload;

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
        let samples = match form.samples(&shape) {
            Ok(samples) => samples,
            Err(finding) => return self.findings.push(finding),
        };
        let of_this_form = |(of, version, _): &&GivenSample| of == name && *version == schema_version;
        let given: Vec<_> = given.iter().filter(of_this_form).map(|(_, _, sample)| sample.clone()).collect();
        let places = shape.untraced();
        // A list of what cannot be traced is sampled as an empty one, which says nothing of its items.
        if given.is_empty() && (samples.is_empty() || !places.is_empty()) {
            let name = name.to_owned();
            self.findings.push(Finding::Untraced { name, owner: form.owner, places });
            return;
        }
        let fields = shape.fields();
        let known = locked.events.get(name).map_or(&[][..], Vec::as_slice);
        let has_these_fields =
            |known: &&LockedForm| known.schema_version == schema_version && known.fields == fields;
        let change = match (known.iter().find(has_these_fields), known.last()) {
            (Some(_), _) => Change::Samples,
            (None, Some(last)) => Change::Fields { before: last.fields.clone() },
            (None, None) => Change::New,
        };
        let known: Vec<&str> = known.iter().filter(has_these_fields).flat_map(LockedForm::texts).collect();
        let samples = unknown(&known, samples, given);
        if !samples.is_empty() {
            let form = LockedForm { schema_version, fields, samples };
            self.additions.push(Addition { name: name.to_owned(), form: Some(form), change });
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
                self.additions.push(Addition { name: (*name).to_owned(), form: None, change: Change::New });
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

/// The samples that a form does not have yet: of those that were made, the ones whose outline is new, since their values are
/// arbitrary; of those that were given, each.
fn unknown(known: &[&str], made: Vec<String>, given: Vec<String>) -> Vec<Box<RawValue>> {
    let outlines: HashSet<String> = known.iter().map(|sample| outline(sample)).collect();
    let mut samples = made;
    samples.retain(|sample| !outlines.contains(&outline(sample)));
    for sample in given {
        let mut others = known.iter().copied().chain(samples.iter().map(String::as_str));
        if !others.any(|other| payload::equal_json(other, &sample)) {
            samples.push(sample);
        }
    }
    samples.into_iter().filter_map(|sample| RawValue::from_string(sample).ok()).collect()
}

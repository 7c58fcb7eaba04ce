//! The check: whether the types of today read every form that may be stored.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Registered;
use super::additions::{Addition, Change, Current};
use super::ends;
use super::file::{LockFile, LockedForm};
use super::findings::Finding;
use super::forms::{Form, Forms};
use super::marked::latest;
use super::problem::Problem;
use super::sample::{GivenSamples, Sample};
use super::shape::Shape;

/// What a comparison with the file has found.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) findings: Vec<Finding>,
    pub(super) additions: Vec<Addition>,
}

pub(super) fn compare(locked: &LockFile, types: &[Registered], given: &[Sample]) -> Comparison {
    let mut forms = Forms::default();
    types.iter().for_each(|registered| (registered.forms)(&mut forms));
    let (samples, findings) = GivenSamples::read(given, types);
    let mut comparison = Comparison { findings, additions: Vec::new() };
    comparison.look_for_shared_names(&forms);
    comparison.look_for_what_is_not_read(locked, types);
    let mut seen: Vec<(&str, u32, &str)> = Vec::new();
    for form in &forms.found {
        let this = (form.name(), form.schema_version, form.owner);
        if !seen.contains(&this) {
            seen.push(this);
            comparison.look_at_form(locked, form, &samples);
        }
    }
    comparison.look_for_untraced_names(&forms, &samples);
    comparison.look_at_samples_of_other_forms(locked, &forms, &samples);
    comparison.look_for_former_names(locked, types);
    comparison
}

impl Comparison {
    fn look_for_shared_names(&mut self, forms: &Forms) {
        // A variant is told apart from others of its enum by its name.
        let of_forms = forms.found.iter().flat_map(|form| {
            form.names.iter().map(move |name| (*name, format!("{} ({})", form.owner, form.name())))
        });
        let of_untraced = forms.untraced.iter().map(|(name, owner)| (*name, format!("{owner} ({name})")));
        let of_splits = forms.splits.iter().map(|(name, owner)| (*name, format!("{owner} (split)")));
        let mut owners: BTreeMap<&str, String> = BTreeMap::new();
        for (name, owner) in of_forms.chain(of_untraced).chain(of_splits) {
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

    fn look_at_form(&mut self, locked: &LockFile, form: &Form, samples: &GivenSamples<'_>) {
        let (name, schema_version) = (form.name(), form.schema_version);
        let shape = match form.shape() {
            Ok(shape) => shape,
            Err(finding) => return self.findings.push(finding),
        };
        let fields = shape.fields();
        let (given, written_of_given) = samples.of(name, schema_version);
        let parsed_all =
            |samples: &[&Sample]| samples.iter().filter_map(|sample| parsed(&sample.json)).collect();
        let mut payloads: Vec<Value> = parsed_all(&given);
        let made_of = payloads.clone();
        payloads.extend::<Vec<_>>(parsed_all(&written_of_given));
        let shape = shape.filled(&payloads.iter().collect::<Vec<_>>());
        let mut made = match form.samples(&shape, &made_of) {
            Ok(made) => made,
            Err(finding) => return self.findings.push(finding),
        };
        payloads.extend(made.served.iter().filter_map(|served| parsed(served)));
        let mut places = shape.untraced();
        for place in std::mem::take(&mut made.untraced) {
            if !places.contains(&place) {
                places.push(place);
            }
        }
        if places.is_empty() {
            // A type may refuse what is made of values that it takes one by one.
            places = shape.missing_variants(&payloads.iter().collect::<Vec<_>>());
        }
        if !places.is_empty() || payloads.is_empty() {
            let name = name.to_owned();
            return self.findings.push(Finding::Untraced { name, owner: form.owner, places });
        }
        made.stored.extend(written_of_given.iter().map(|sample| sample.json.clone()));
        let before = form.names.iter().find_map(|name| latest(locked.forms(name), schema_version));
        let (encrypted, written) = (form.encrypted(), made.stored);
        let current = Current { name, schema_version, fields, encrypted, before, written, given };
        self.additions.extend(current.addition(locked.forms(name)));
    }

    /// An event that was written by hand is known by its samples only.
    fn look_for_untraced_names(&mut self, forms: &Forms, samples: &GivenSamples<'_>) {
        let names: BTreeSet<_> = forms.untraced.iter().collect();
        for (name, owner) in names {
            if samples.iter().all(|sample| sample.name != *name) {
                self.findings.push(Finding::Untraced { name: (*name).to_owned(), owner, places: Vec::new() });
            }
        }
    }

    /// Samples of names and versions that no type has as its current form: they have forms of their own.
    fn look_at_samples_of_other_forms(
        &mut self,
        locked: &LockFile,
        forms: &Forms,
        samples: &GivenSamples<'_>,
    ) {
        let mut others: BTreeSet<(&str, u32)> =
            samples.iter().map(|sample| (&*sample.name, sample.schema_version)).collect();
        for form in &forms.found {
            others.remove(&(form.name(), form.schema_version));
        }
        for (name, schema_version) in others {
            let known = locked.forms(name);
            let same_version = known.iter().rfind(|form| form.schema_version == schema_version);
            let fields = same_version.map_or_else(|| Shape::Untraced.fields(), |form| form.fields.clone());
            // Nobody tells: as it was.
            let encrypted = latest(known, schema_version).map(|form| form.encrypted.clone());
            let encrypted = encrypted.unwrap_or_default();
            let (given, written) = samples.of(name, schema_version);
            let written = written.into_iter().map(|sample| sample.json.clone()).collect();
            let before = None;
            let current = Current { name, schema_version, fields, encrypted, before, written, given };
            self.additions.extend(current.addition(known));
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
                let (name, change) = ((*name).to_owned(), Change::New);
                self.additions.push(Addition { name, form: None, change, encrypted_before: None });
            }
        }
    }
}

/// The first sample of a form that is not read.
fn unreadable(name: &str, form: &LockedForm, reader: &Registered) -> Option<Finding> {
    let schema_version = form.schema_version;
    form.samples.iter().find_map(|sample| {
        let sample = Sample { name: name.to_owned(), schema_version, json: sample.get().to_owned() };
        let (sample, problem) = refused(sample, reader)?;
        Some(Finding::Unreadable { sample, reader: reader.type_name, problem })
    })
}

/// A sample that is not read, and why. An upcaster may refuse the ends of number types: it is asked what it says to those
/// that are nearer to zero.
fn refused(sample: Sample, reader: &Registered) -> Option<(Sample, Problem)> {
    let with = |json: &str| Sample { json: json.to_owned(), ..sample.clone() };
    let is_refused =
        |json: &str| (reader.decode)(&with(json)).is_err_and(|problem| problem.is_upcasters_own());
    let problem = (reader.decode)(&sample).err()?;
    let nearer = problem.is_upcasters_own().then(|| ends::nearer(&sample.json, is_refused)).flatten();
    match nearer {
        None => Some((sample, problem)),
        Some(nearer) => (reader.decode)(&with(&nearer)).err().map(|problem| (with(&nearer), problem)),
    }
}

fn parsed(json: &str) -> Option<Value> {
    serde_json::from_str(json).ok()
}

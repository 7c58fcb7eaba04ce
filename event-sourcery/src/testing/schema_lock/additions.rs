//! What the file does not have yet.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde_json::value::RawValue;

use super::file::LockedForm;
use super::outline::outline;
use super::sample::Sample;
use crate::payload;

/// What is not in the file yet: a form, samples of one, or a name that only reads what others have written. One that no
/// type reads any more is found by it.
#[derive(Debug)]
pub(super) struct Addition {
    pub(super) name: String,
    pub(super) form: Option<LockedForm>,
    pub(super) change: Change,
    /// What was encrypted before, if that is not the same.
    pub(super) encrypted_before: Option<BTreeMap<String, String>>,
}

/// How an event is stored in another way than the file knows.
#[derive(Debug)]
pub(super) enum Change {
    New,
    /// Its fields were these.
    Fields {
        before: BTreeMap<String, String>,
    },
    /// The fields are the same, what is encrypted of them is not.
    Marked,
    /// The fields are the same, what is written is not.
    Written,
    /// A caller gives more samples of it.
    Given,
}

/// A form, as the types of today store it.
pub(super) struct Current<'c> {
    pub(super) name: &'c str,
    pub(super) schema_version: u32,
    pub(super) fields: BTreeMap<String, String>,
    pub(super) encrypted: BTreeMap<String, String>,
    /// What was stored before, under this name or a former one.
    pub(super) before: Option<&'c LockedForm>,
    /// What the types write.
    pub(super) written: Vec<String>,
    /// What a caller says is stored.
    pub(super) given: Vec<&'c Sample>,
}

impl Current<'_> {
    /// What the file, which knows these forms of the name, does not have of this one.
    pub(super) fn addition(self, known: &[LockedForm]) -> Option<Addition> {
        let before = self.before.filter(|before| before.encrypted != self.encrypted);
        let encrypted_before = before.map(|before| before.encrypted.clone());
        let has_fields = known.iter().any(|known| self.has_fields_of(known));
        // What is encrypted in another way than last is not known, whatever was before that.
        let same = known.iter().filter(|known| encrypted_before.is_none() && self.is(known));
        let same: Vec<_> = same.collect();
        let texts: Vec<&str> = same.iter().flat_map(|form| form.texts()).collect();
        let written = self.of_new_outlines(&texts);
        let change = match known.last() {
            _ if encrypted_before.is_some() && has_fields => Change::Marked,
            _ if !same.is_empty() && written.is_empty() => Change::Given,
            _ if !same.is_empty() => Change::Written,
            Some(last) if last.fields != self.fields => Change::Fields { before: last.fields.clone() },
            _ => Change::New,
        };
        let mut samples = written;
        for sample in self.given.iter().map(|sample| &*sample.json) {
            if !texts.iter().chain(&samples).any(|other| payload::equal_json(other, sample)) {
                samples.push(sample);
            }
        }
        if samples.is_empty() {
            return None;
        }
        let raw = |sample: &str| RawValue::from_string(sample.to_owned()).ok();
        let samples = samples.into_iter().filter_map(raw).collect();
        let (name, Self { schema_version, fields, encrypted, .. }) = (self.name.to_owned(), self);
        let form = LockedForm { schema_version, fields, encrypted, samples };
        Some(Addition { name, form: Some(form), change, encrypted_before })
    }

    fn is(&self, known: &LockedForm) -> bool {
        self.has_fields_of(known) && known.encrypted == self.encrypted
    }

    fn has_fields_of(&self, known: &LockedForm) -> bool {
        known.schema_version == self.schema_version && known.fields == self.fields
    }

    /// What is written and has an outline that is new. The values mean nothing.
    fn of_new_outlines(&self, known: &[&str]) -> Vec<&str> {
        let known: HashSet<String> = known.iter().map(|sample| outline(sample)).collect();
        let mut seen = HashSet::new();
        let written = self.written.iter().map(String::as_str);
        written.filter(|sample| seen.insert(*sample) && !known.contains(&outline(sample))).collect()
    }
}

impl fmt::Display for Addition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        let Some(LockedForm { schema_version, fields, encrypted, samples }) = &self.form else {
            return write!(f, "{name:?}: a former name, which is still read");
        };
        write!(f, "{name:?}, form {schema_version}: ")?;
        match &self.change {
            Change::New => f.write_str("new")?,
            Change::Fields { before } => {
                f.write_str("its fields have changed")?;
                write_difference(f, before, fields)?;
            }
            Change::Marked => f.write_str("its fields are the same")?,
            Change::Written | Change::Given => {
                let is_written = matches!(self.change, Change::Written);
                f.write_str(if is_written {
                    "it is written in another way than before"
                } else {
                    "more samples are given"
                })?;
                samples.iter().try_for_each(|sample| write!(f, "\n    + {sample}"))?;
            }
        }
        let Some(before) = &self.encrypted_before else { return Ok(()) };
        let says = "what is encrypted has changed, and what is stored already stays as it was written:";
        write!(f, "\n    {says}")?;
        write_difference(f, before, encrypted)
    }
}

fn write_difference(
    f: &mut fmt::Formatter<'_>,
    before: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
) -> fmt::Result {
    only_in(before, now).try_for_each(|(name, what)| write!(f, "\n    - {name}: {what}"))?;
    only_in(now, before).try_for_each(|(name, what)| write!(f, "\n    + {name}: {what}"))
}

fn only_in<'f>(
    one: &'f BTreeMap<String, String>,
    other: &'f BTreeMap<String, String>,
) -> impl Iterator<Item = (&'f String, &'f String)> {
    one.iter().filter(|(name, kind)| other.get(*name) != Some(*kind))
}

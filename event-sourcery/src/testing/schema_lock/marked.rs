//! Which fields of a form are encrypted: what derived code tells of them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::file::LockedForm;

/// The fields of a form that are encrypted, each by its place: for whom, and what it reads as once that subject was shredded.
#[derive(Debug, Default)]
pub struct MarkedFields {
    pub(super) found: BTreeMap<String, String>,
    /// Where the value at hand stands.
    at: String,
    /// The types around it.
    within: Vec<&'static str>,
}

#[doc(hidden)]
impl MarkedFields {
    /// The place of a field of the value at hand.
    #[must_use]
    pub fn place(&self, field: &str) -> String {
        if self.at.is_empty() { field.to_owned() } else { format!("{}.{field}", self.at) }
    }

    /// What is in the value that stands at this key of the one at hand.
    pub fn within(&mut self, field: &str, inner: impl FnOnce(&mut Self)) {
        let place = self.place(field);
        let around = std::mem::replace(&mut self.at, place);
        inner(self);
        self.at = around;
    }

    /// What is in a value of this type. One that stands within itself is not followed again.
    pub fn of_type(&mut self, name: &'static str, inner: impl FnOnce(&mut Self)) {
        if self.within.contains(&name) {
            return;
        }
        self.within.push(name);
        inner(self);
        self.within.pop();
    }

    /// The value at hand is encrypted.
    pub fn encrypted<T: Serialize + ?Sized>(&mut self, subject: &str, mask: &T) {
        let mask = serde_json::to_string(mask);
        let mask = mask.as_deref().unwrap_or("what cannot be written as JSON");
        self.found.insert(self.at.clone(), format!("for {subject}, reads as {mask}"));
    }
}

/// Of the forms that are known, the one that was current before one of this version, or is.
pub(super) fn latest(known: &[LockedForm], schema_version: u32) -> Option<&LockedForm> {
    // Of equal ones, the last.
    known.iter().filter(|form| form.schema_version <= schema_version).max_by_key(|form| form.schema_version)
}

//! The file: for each event the forms that may be stored, with their samples, one line each.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::marked::latest;
use super::trace::quoted;

const FORMAT: u32 = 1;

/// What a lock file holds.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct LockFile {
    format: u32,
    /// By stored name.
    pub(super) events: BTreeMap<String, Vec<LockedForm>>,
}

/// A form that may be stored.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct LockedForm {
    pub(super) schema_version: u32,
    pub(super) fields: BTreeMap<String, String>,
    /// Those that were encrypted, or fields within them: for whom, and what each reads as once that subject was shredded.
    #[serde(default)]
    pub(super) encrypted: BTreeMap<String, String>,
    pub(super) samples: Vec<Box<RawValue>>,
}

impl Default for LockFile {
    fn default() -> Self {
        Self { format: FORMAT, events: BTreeMap::new() }
    }
}

impl LockFile {
    /// `None` where there is no file.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, String> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("it cannot be read: {error}")),
        };
        let file: Self =
            serde_json::from_str(&text).map_err(|error| format!("it is no lock file: {error}"))?;
        if file.format == FORMAT {
            Ok(Some(file))
        } else {
            Err(format!("it has the format {}, and this version of the library reads {FORMAT}", file.format))
        }
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), String> {
        std::fs::write(path, self.text()).map_err(|error| format!("it cannot be written: {error}"))
    }

    /// The forms of a name, the oldest first.
    pub(super) fn forms(&self, name: &str) -> &[LockedForm] {
        self.events.get(name).map_or(&[], Vec::as_slice)
    }

    /// Adds a name, and a form of it; samples of a form that is there already go to it.
    pub(super) fn add(&mut self, name: String, form: Option<LockedForm>) {
        let forms = self.events.entry(name).or_default();
        let Some(form) = form else { return };
        // What was encrypted once, is not, and is again, is a form anew: the last one tells what is encrypted now.
        let is_marked_alike =
            latest(forms, form.schema_version).is_none_or(|latest| latest.encrypted == form.encrypted);
        let is_this = |known: &&mut LockedForm| {
            is_marked_alike
                && known.schema_version == form.schema_version
                && known.fields == form.fields
                && known.encrypted == form.encrypted
        };
        match forms.iter_mut().find(is_this) {
            Some(known) => known.samples.extend(form.samples),
            None => forms.push(form),
        }
    }

    fn text(&self) -> String {
        let events = self.events.iter().map(|(name, forms)| {
            let forms: Vec<_> = forms.iter().map(LockedForm::text).collect();
            if forms.is_empty() {
                return format!("    {}: []", quoted(name));
            }
            format!("    {}: [\n{}\n    ]", quoted(name), forms.join(",\n"))
        });
        let events: Vec<_> = events.collect();
        format!("{{\n  \"format\": {FORMAT},\n  \"events\": {{\n{}\n  }}\n}}\n", events.join(",\n"))
    }
}

impl LockedForm {
    /// Its samples, as they are stored.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.samples.iter().map(|sample| sample.get())
    }

    fn text(&self) -> String {
        let mut text = format!("      {{\n        \"schema_version\": {},\n", self.schema_version);
        let fields = self.fields.iter().map(|(name, kind)| format!("{}: {}", quoted(name), quoted(kind)));
        let encrypted = self.encrypted.iter().map(|(at, how)| format!("{}: {}", quoted(at), quoted(how)));
        let samples = self.texts().map(str::to_owned);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "        \"fields\": {},", list('{', fields, '}'));
        if !self.encrypted.is_empty() {
            let _ = writeln!(text, "        \"encrypted\": {},", list('{', encrypted, '}'));
        }
        let _ = write!(text, "        \"samples\": {}\n      }}", list('[', samples, ']'));
        text
    }
}

/// One line each.
fn list(open: char, lines: impl Iterator<Item = String>, close: char) -> String {
    let lines: Vec<_> = lines.map(|line| format!("          {line}")).collect();
    if lines.is_empty() {
        format!("{open}{close}")
    } else {
        format!("{open}\n{}\n        {close}", lines.join(",\n"))
    }
}

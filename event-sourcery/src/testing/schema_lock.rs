//! The schema lock: a file under version control with the forms in which events may be stored.

mod additions;
mod buffered;
mod compare;
mod coverage;
mod ends;
mod file;
mod findings;
mod forms;
mod marked;
mod orders;
mod outline;
mod probe;
mod problem;
mod sample;
mod shape;
#[cfg(test)]
mod tests;
mod texts;
mod trace;
mod unserved;

use std::any::type_name;
use std::fmt::Display;
use std::path::PathBuf;

use self::compare::{Comparison, compare};
use self::file::LockFile;
#[doc(hidden)]
pub use self::forms::{Forms, NotTraced, ReadBySerde, Traced};
#[doc(hidden)]
pub use self::marked::MarkedFields;
use self::problem::Problem;
use self::sample::{Rewrite, Sample};
use crate::event::Event;

/// Set to 1, it lets [`SchemaLock::check`] add new forms to the file.
const UPDATE: &str = "EVENT_SOURCERY_UPDATE_LOCK";

/// A test that what is stored stays readable: it compares your event types with a file that is under version control.
///
/// The file holds, for each stored name, every form that may be in a store: its fields with their kinds, and samples of
/// what the type writes. It is made from the types themselves: each is read from a probe that finds out what it asks for,
/// field by field, in nested structs and enums too. Numbers are sampled at both ends of their type. Where a text is parsed
/// (times, UUIDs, amounts), usual ones are tried.
///
/// [`check`](Self::check) fails when
/// - a sample in the file is not decoded any more, whatever its form: defaults, aliases and upcasters count;
/// - a stored name is decoded by no type any more, or two types share a name or an alias;
/// - a type writes what it does not read back, or would not read back from one of the backends, such as a map that keeps the
///   order of its keys: an append refuses it ([`PayloadError::NotReadBack`](crate::PayloadError::NotReadBack));
/// - the types store a form that is not in the file yet: other fields, or the same ones written in another way, with other
///   keys or other kinds of values. Run the test with `EVENT_SOURCERY_UPDATE_LOCK=1`, and commit the
///   file. Forms are added and never dropped, because they may be stored. One that never got into a store you can delete
///   by hand;
/// - a field becomes encrypted, or stops being so, or its data subject or mask changes: the message names it. It asks for the same
///   update, for all that is stored is still read; but what is stored already stays as it was written, in the clear or not. See
///   [*data privacy*](crate::guide::data_privacy);
/// - code of yours panics: an upcaster, `Deserialize` or `Serialize`. The message says on what, and the rest is checked.
///
/// An upcaster may refuse the ends of number types, as `checked_mul` does. Where it returns an error of its own, the numbers
/// that it refuses are tried nearer to zero, a digit less each time. What it takes then has to be read, so that a type that
/// became narrower is still found. A panic is no such refusal, nor is the error of [`StoredForm::read`](crate::StoredForm::read)
/// or of serde where the upcaster itself reads a narrower type. A sample that you give has to be taken as it is.
///
/// A sample that no store can hold, such as a negative balance, you can delete from the file by hand, too. It stays away while
/// another one with the same keys and kinds of values is there. Nothing proves then that such an event could be read.
///
/// Inside enums with `#[serde(tag = "..")]` and structs with `#[serde(flatten)]`, an optional field is found by what is written.
/// One that is left out when it is empty is not: give a [sample](Self::sample) that has it. One that takes nothing of what is
/// tried asks for a sample.
///
/// What it does not see: a change of meaning, such as from euros to cents in one field; an integer that became a float; a
/// field that was renamed and has a default, which loses what was stored (the message shows it as one field less and one
/// more). And where a type cannot be traced (an untagged enum, an `Event` written by hand), it asks for
/// [samples](Self::sample).
///
/// ```
/// use event_sourcery::Event;
/// use event_sourcery::testing::SchemaLock;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// struct InvoicePaid {
///     number: String,
///     cents: u64,
/// }
///
/// # let folder = std::env::temp_dir().join(format!("schema-lock-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let path = folder.join("events.lock");
/// # SchemaLock::new(&path).events::<InvoicePaid>().update();
/// // In a #[test]:
/// SchemaLock::new(&path).events::<InvoicePaid>().check();
///
/// assert!(std::fs::read_to_string(&path)?.contains(r#"{"number":"text","cents":18446744073709551615}"#));
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing is checked until `check` is called"]
pub struct SchemaLock {
    path: PathBuf,
    types: Vec<Registered>,
    samples: Vec<Sample>,
}

/// An event type that takes part.
#[derive(Debug)]
struct Registered {
    type_name: &'static str,
    names: &'static [&'static str],
    forms: fn(&mut Forms),
    decode: fn(&Sample) -> Result<(), Problem>,
    rewrite: Rewrite,
}

impl SchemaLock {
    /// A lock kept in this file. A relative path counts from where tests run: the folder of the crate's `Cargo.toml`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), types: Vec::new(), samples: Vec::new() }
    }

    /// Adds an event type: a struct, or an enum with all that it gathers.
    pub fn events<E: Event>(mut self) -> Self {
        self.types.push(Registered {
            type_name: type_name::<E>(),
            names: E::NAMES,
            forms: E::forms,
            decode: |sample| sample.decoded::<E>().map(drop),
            rewrite: |sample| sample.rewritten::<E>(),
        });
        self
    }

    /// Adds a sample of what is stored under a name, in the form of a version: for what cannot be traced, or for a case that
    /// the lock's own samples leave out, such as a former form of which it does not know. It has to be decoded, and goes into
    /// the file under its name and version. So does what the type stores of it now, where that looks different.
    ///
    /// A place that cannot be traced needs a value there in one of the samples; it goes with all that the other places may
    /// hold. What else the type takes there the lock cannot see: of an untagged enum, give a sample of each variant. A variant
    /// that the type refuses in every sample of the lock, because it checks its fields together, needs one as well, and a type
    /// whose `Event` is written by hand one for each of its names.
    pub fn sample(mut self, name: &str, schema_version: u32, json: &str) -> Self {
        self.samples.push(Sample { name: name.to_owned(), schema_version, json: json.to_owned() });
        self
    }

    /// Compares the types with the file.
    ///
    /// # Panics
    ///
    /// Where they do not agree; the message says what to do. With `EVENT_SOURCERY_UPDATE_LOCK=1` in the environment, new
    /// forms are added to the file instead.
    #[track_caller]
    #[allow(clippy::panic, reason = "it fails the caller's test")]
    pub fn check(self) {
        let updates = std::env::var(UPDATE).is_ok_and(|value| value == "1");
        if let Err(message) = self.run(updates) {
            panic!("{message}");
        }
    }

    /// Adds the forms that are not in the file yet, as [`check`](Self::check) does with `EVENT_SOURCERY_UPDATE_LOCK=1`.
    ///
    /// # Panics
    ///
    /// As `check`, where what is in the file could not be read any more. Nothing is written then.
    #[track_caller]
    #[allow(clippy::panic, reason = "it fails the caller's test")]
    pub fn update(self) {
        if let Err(message) = self.run(true) {
            panic!("{message}");
        }
    }

    fn run(&self, updates: bool) -> Result<(), String> {
        let path = self.path.display();
        let failed = |problem: String| format!("the schema lock {path} cannot be used: {problem}");
        let found = LockFile::read(&self.path).map_err(failed)?;
        let is_missing = found.is_none();
        let mut locked = found.unwrap_or_default();
        let Comparison { findings, additions } = compare(&locked, &self.types, &self.samples);
        if !findings.is_empty() {
            return Err(format!("the schema lock {path} does not allow this:\n{}", listed(&findings)));
        }
        if additions.is_empty() && !is_missing {
            return Ok(());
        }
        if !updates {
            let what = if is_missing { "is not there yet" } else { "does not know all that is stored now" };
            return Err(format!(
                "the schema lock {path} {what}. What is in it stays readable. Run this test again with {UPDATE}=1, and commit \
                 the file:\n{}",
                listed(&additions)
            ));
        }
        for addition in additions {
            locked.add(addition.name, addition.form);
        }
        locked.write(&self.path).map_err(failed)
    }
}

fn listed(lines: &[impl Display]) -> String {
    lines.iter().map(|line| format!("  {line}\n")).collect()
}

//! Samples: events as they are stored.

use super::Registered;
use super::findings::Finding;
use super::problem::Problem;
use crate::event::Event;
use crate::panics::caught;

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) schema_version: u32,
    pub(super) json: String,
}

/// What reads an event and stores it again.
pub(super) type Rewrite = fn(&Sample) -> Result<Sample, Problem>;

impl Sample {
    /// What a type reads of this.
    pub(super) fn decoded<E: Event>(&self) -> Result<E, Problem> {
        let read = || E::decode_stored(&self.name, self.schema_version, &self.json);
        Ok(caught(read).map_err(Problem::Panic)??)
    }

    /// What a type stores of this.
    pub(super) fn rewritten<E: Event>(&self) -> Result<Self, Problem> {
        let event = self.decoded::<E>()?;
        let write = || {
            let json = event.encode().map_err(Problem::from)?;
            let (name, schema_version) = (event.event_name().into_owned(), event.schema_version());
            Ok(Self { name, schema_version, json })
        };
        caught(write).map_err(Problem::Panic)?
    }

    /// This, which a type has written, if the type reads it back.
    pub(super) fn read_back(self, rewrite: Rewrite, owner: &'static str) -> Result<Self, Finding> {
        match rewrite(&self) {
            Ok(_) => Ok(self),
            Err(problem) => Err(Finding::NotReadBack { sample: self, owner, problem }),
        }
    }
}

/// The samples that a caller gives, and what the types store of them.
#[derive(Debug)]
pub(super) struct GivenSamples<'s> {
    given: &'s [Sample],
    written: Vec<Sample>,
}

impl<'s> GivenSamples<'s> {
    /// Reads and writes what is given, and tells what is wrong with it.
    pub(super) fn read(given: &'s [Sample], types: &[Registered]) -> (Self, Vec<Finding>) {
        let (mut written, mut findings) = (Vec::new(), Vec::new());
        for sample in given {
            match written_of(sample, types) {
                Ok(sample) => written.extend(sample),
                Err(finding) => findings.push(finding),
            }
        }
        (Self { given, written }, findings)
    }

    /// Those of one form: given ones, and written ones.
    pub(super) fn of(&self, name: &str, schema_version: u32) -> (Vec<&Sample>, Vec<&Sample>) {
        let is_of = |sample: &&Sample| sample.name == name && sample.schema_version == schema_version;
        (self.given.iter().filter(is_of).collect(), self.written.iter().filter(is_of).collect())
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Sample> {
        self.given.iter().chain(&self.written)
    }
}

/// What is written of a sample; nothing of what is only read by now.
fn written_of(given: &Sample, types: &[Registered]) -> Result<Option<Sample>, Finding> {
    let bad = |problem: String| Finding::BadSample { sample: given.clone(), problem };
    let reader = types.iter().find(|registered| registered.names.contains(&given.name.as_str()));
    let reader =
        reader.ok_or_else(|| bad("no type that was given decodes events of this name".to_owned()))?;
    (reader.decode)(given).map_err(|problem| bad(problem.to_string()))?;
    match (reader.rewrite)(given) {
        Ok(written) => written.read_back(reader.rewrite, reader.type_name).map(Some),
        Err(Problem::Panic(words)) => Err(bad(Problem::Panic(words).to_string())),
        Err(problem) if problem.is_not_read_back() => {
            Err(Finding::NotReadBack { sample: given.clone(), owner: reader.type_name, problem })
        }
        Err(_) => Ok(None),
    }
}

//! What event types tell about the forms that they store.

use std::any::type_name;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::findings::{Finding, Panicked};
use super::marked::MarkedFields;
use super::orders;
use super::probe::{Probe, Stop, Target};
use super::problem::Problem;
use super::sample::{Rewrite, Sample};
use super::shape::Shape;
use super::trace::trace;
use super::unserved::Unserved;
use crate::derive_support::deserialize_variant;
use crate::event::Event;

/// How far fields are followed that show up in what is written, one within the other.
const DEEPEST: usize = 2;

/// What event types tell about the forms that they store. The derive calls it.
#[derive(Debug, Default)]
pub struct Forms {
    pub(super) found: Vec<Form>,
    /// Names of events whose payloads cannot be traced, each with its type.
    pub(super) untraced: Vec<(&'static str, &'static str)>,
    /// Former names that are split, each with the type that splits it.
    pub(super) splits: Vec<(&'static str, &'static str)>,
}

/// The current form of one event.
#[derive(Clone)]
pub(super) struct Form {
    /// The type that stores it.
    pub(super) owner: &'static str,
    /// Its name, and its former ones.
    pub(super) names: &'static [&'static str],
    pub(super) schema_version: u32,
    shape: ShapeOf,
    marked: Marked,
    rewrite: Rewrite,
}

/// What tells which fields are encrypted.
type Marked = fn(&mut MarkedFields);

#[derive(Clone, Copy)]
enum ShapeOf {
    Fields(fn(Probe<'_>) -> Result<(), Stop>),
    Variant(fn(u32, Probe<'_>) -> Result<(), Stop>, u32),
    NoFields,
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}, form {}", self.owner, self.names, self.schema_version)
    }
}

#[doc(hidden)]
impl Forms {
    /// A type whose `Event` was written by hand: its payloads cannot be traced.
    pub fn written_by_hand<E: Event>(&mut self) {
        self.untraced.extend(E::NAMES.iter().map(|name| (*name, type_name::<E>())));
    }

    /// An event without fields.
    pub fn no_fields<E: Event>(&mut self, names: &'static [&'static str], schema_version: u32) {
        self.add::<E>(names, schema_version, ShapeOf::NoFields, |_| {});
    }

    /// Former names that are split.
    pub fn split<E: Event>(&mut self, names: &'static [&'static str]) {
        self.splits.extend(names.iter().map(|name| (*name, type_name::<E>())));
    }

    fn add<E: Event>(
        &mut self,
        names: &'static [&'static str],
        schema_version: u32,
        shape: ShapeOf,
        marked: Marked,
    ) {
        let rewrite = |sample: &Sample| sample.rewritten::<E>();
        self.found.push(Form { owner: type_name::<E>(), names, schema_version, shape, marked, rewrite });
    }
}

/// Samples that were made.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// What a type was served and has taken.
    pub(super) served: Vec<String>,
    /// What it stores of that.
    pub(super) stored: Vec<String>,
    /// Places that show up in what is stored, and take nothing that is tried or given.
    pub(super) untraced: Vec<String>,
}

impl Form {
    /// The name that it is stored under.
    pub(super) fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }

    /// Its fields that are encrypted, by their places.
    pub(super) fn encrypted(&self) -> BTreeMap<String, String> {
        let mut fields = MarkedFields::default();
        (self.marked)(&mut fields);
        fields.found
    }

    pub(super) fn shape(&self) -> Result<Shape, Finding> {
        let trace_with = |read: &dyn Fn(Probe<'_>) -> Result<(), Stop>| {
            let target = Target::new(read);
            let shape = trace(&target);
            target.panicked().map_or(Ok(shape), |panic| Err(self.panicked(panic)))
        };
        match self.shape {
            ShapeOf::Fields(fields) => trace_with(&|probe| fields(probe)),
            ShapeOf::Variant(variant, index) => trace_with(&|probe| variant(index, probe)),
            ShapeOf::NoFields => Ok(Shape::Object(Vec::new())),
        }
    }

    /// Samples that are made from a shape, and of what shows up in them. Where nothing is taken that is tried, the values of
    /// what a caller gives are.
    pub(super) fn samples(&self, shape: &Shape, given: &[Value]) -> Result<Made, Finding> {
        let mut made = Made::default();
        let panicked = RefCell::new(None);
        let takes = |json: &str| {
            let problem = self.rewrite(json).err();
            if let Some(Problem::Panic(words)) = &problem {
                panicked.borrow_mut().get_or_insert_with(|| self.panicked_at(json, words.clone()));
            }
            problem.map_or(Ok(()), |problem| Err(problem.to_string()))
        };
        let mut unserved = Unserved::new(&takes, given);
        let mut payloads = shape.samples();
        for depth in 0..=DEEPEST {
            let mut filled = Vec::new();
            for served in payloads {
                let Some(stored) = self.stored(&served)? else { continue };
                if depth < DEEPEST {
                    filled.extend(unserved.filled(&served, &stored));
                }
                made.served.push(served);
                made.stored.push(stored);
            }
            payloads = filled;
        }
        made.untraced = unserved.untraced;
        // Nothing shows up in this one that the trace does not know.
        made.stored.extend(shape.least().map(|json| self.stored(&json)).transpose()?.flatten());
        made.stored.iter().try_for_each(|stored| self.takes_keys_in_any_order(stored))?;
        panicked.take().map_or(Ok(made), Err)
    }

    /// What is stored of a payload. A type may check more than its fields: what it refuses is no sample.
    fn stored(&self, json: &str) -> Result<Option<String>, Finding> {
        match self.rewrite(json) {
            Ok(stored) => Ok(Some(stored.read_back(self.rewrite, self.owner)?.json)),
            Err(Problem::Panic(words)) => Err(self.panicked_at(json, words)),
            Err(problem) if problem.is_not_read_back() => Err(self.not_read_back(json, problem)),
            Err(_) => Ok(None),
        }
    }

    /// A map that keeps the order of its keys has one of its own in these, which JSONB would change.
    fn takes_keys_in_any_order(&self, stored: &str) -> Result<(), Finding> {
        let enlarged = orders::with_more_keys(stored);
        let refused = enlarged.into_iter().find_map(|json| {
            let problem = self.rewrite(&json).err().filter(Problem::is_not_read_back)?;
            Some(self.not_read_back(&json, problem))
        });
        refused.map_or(Ok(()), Err)
    }

    fn not_read_back(&self, json: &str, problem: Problem) -> Finding {
        let (name, json) = (self.name().to_owned(), json.to_owned());
        let sample = Sample { name, schema_version: self.schema_version, json };
        Finding::NotReadBack { sample, owner: self.owner, problem }
    }

    fn panicked_at(&self, json: &str, words: String) -> Finding {
        self.panicked(Panicked { given: json.to_owned(), place: String::new(), words })
    }

    fn panicked(&self, panic: Panicked) -> Finding {
        let name = self.name().to_owned();
        Finding::Panicked { name, schema_version: self.schema_version, owner: self.owner, panic }
    }

    fn rewrite(&self, json: &str) -> Result<Sample, Problem> {
        let (name, json) = (self.name().to_owned(), json.to_owned());
        (self.rewrite)(&Sample { name, schema_version: self.schema_version, json })
    }
}

/// A type that is read through serde. Where it turns out not to be, the derive reports that, and this says nothing: the
/// second trait takes the calls that the first one's bounds refuse.
#[derive(Debug)]
pub struct ReadBySerde<E>(PhantomData<fn() -> E>);

impl<E> ReadBySerde<E> {
    /// For derived code.
    #[allow(clippy::new_without_default, reason = "only derived code makes one")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// For what serde reads.
pub trait Traced {
    /// A struct with fields.
    fn fields(
        &self,
        forms: &mut Forms,
        names: &'static [&'static str],
        schema_version: u32,
        marked: fn(&mut MarkedFields),
    );

    /// A variant with named fields; `index` as serde counts.
    fn variant(
        &self,
        forms: &mut Forms,
        names: &'static [&'static str],
        schema_version: u32,
        index: u32,
        marked: fn(&mut MarkedFields),
    );
}

impl<E: Event + DeserializeOwned> Traced for ReadBySerde<E> {
    fn fields(
        &self,
        forms: &mut Forms,
        names: &'static [&'static str],
        schema_version: u32,
        marked: fn(&mut MarkedFields),
    ) {
        let of = ShapeOf::Fields(|probe| E::deserialize(probe).map(drop));
        forms.add::<E>(names, schema_version, of, marked);
    }

    fn variant(
        &self,
        forms: &mut Forms,
        names: &'static [&'static str],
        schema_version: u32,
        index: u32,
        marked: fn(&mut MarkedFields),
    ) {
        let of = ShapeOf::Variant(|index, probe| deserialize_variant::<E, _>(index, probe).map(drop), index);
        forms.add::<E>(names, schema_version, of, marked);
    }
}

/// For what serde does not read: it does not compile anyway.
pub trait NotTraced {
    /// Nothing.
    fn fields(&self, _: &mut Forms, _: &'static [&'static str], _: u32, _: fn(&mut MarkedFields)) {}

    /// Nothing.
    fn variant(&self, _: &mut Forms, _: &'static [&'static str], _: u32, _: u32, _: fn(&mut MarkedFields)) {}
}

impl<E> NotTraced for &ReadBySerde<E> {}

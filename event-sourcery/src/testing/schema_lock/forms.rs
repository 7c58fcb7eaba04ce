//! What event types tell about the forms that they store.

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use super::findings::Finding;
use super::probe::{Probe, Stop, Target};
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
    rewrite: Rewrite,
}

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
        self.add::<E>(names, schema_version, ShapeOf::NoFields);
    }

    /// Former names that are split.
    pub fn split<E: Event>(&mut self, names: &'static [&'static str]) {
        self.splits.extend(names.iter().map(|name| (*name, type_name::<E>())));
    }

    fn add<E: Event>(&mut self, names: &'static [&'static str], schema_version: u32, shape: ShapeOf) {
        let rewrite = |sample: &Sample| sample.rewritten::<E>();
        self.found.push(Form { owner: type_name::<E>(), names, schema_version, shape, rewrite });
    }
}

/// Samples that were made.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// What a type was served and has taken.
    pub(super) served: Vec<String>,
    /// What it stores of that.
    pub(super) stored: Vec<String>,
}

impl Form {
    /// The name that it is stored under.
    pub(super) fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }

    pub(super) fn shape(&self) -> Shape {
        let trace_with = |target: Target<'_>| trace(target);
        match self.shape {
            ShapeOf::Fields(fields) => trace_with(&|probe| fields(probe)),
            ShapeOf::Variant(variant, index) => trace_with(&|probe| variant(index, probe)),
            ShapeOf::NoFields => Shape::Object(Vec::new()),
        }
    }

    /// Samples that are made from a shape, and of what shows up in them.
    pub(super) fn samples(&self, shape: &Shape) -> Result<Made, Finding> {
        let mut made = Made::default();
        let takes = |json: &str| self.rewrite(json).map(drop);
        let mut unserved = Unserved::new(&takes);
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
        // Nothing shows up in this one that the trace does not know.
        made.stored.extend(shape.least().map(|json| self.stored(&json)).transpose()?.flatten());
        Ok(made)
    }

    /// What is stored of a payload. A type may check more than its fields: what it refuses is no sample.
    fn stored(&self, json: &str) -> Result<Option<String>, Finding> {
        let Ok(stored) = self.rewrite(json) else { return Ok(None) };
        Ok(Some(stored.read_back(self.rewrite, self.owner)?.json))
    }

    fn rewrite(&self, json: &str) -> Result<Sample, String> {
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
    fn fields(&self, forms: &mut Forms, names: &'static [&'static str], schema_version: u32);

    /// A variant with named fields; `index` as serde counts.
    fn variant(&self, forms: &mut Forms, names: &'static [&'static str], schema_version: u32, index: u32);
}

impl<E: Event + DeserializeOwned> Traced for ReadBySerde<E> {
    fn fields(&self, forms: &mut Forms, names: &'static [&'static str], schema_version: u32) {
        forms.add::<E>(names, schema_version, ShapeOf::Fields(|probe| E::deserialize(probe).map(drop)));
    }

    fn variant(&self, forms: &mut Forms, names: &'static [&'static str], schema_version: u32, index: u32) {
        let of = ShapeOf::Variant(|index, probe| deserialize_variant::<E, _>(index, probe).map(drop), index);
        forms.add::<E>(names, schema_version, of);
    }
}

/// For what serde does not read: it does not compile anyway.
pub trait NotTraced {
    /// Nothing.
    fn fields(&self, _: &mut Forms, _: &'static [&'static str], _: u32) {}

    /// Nothing.
    fn variant(&self, _: &mut Forms, _: &'static [&'static str], _: u32, _: u32) {}
}

impl<E> NotTraced for &ReadBySerde<E> {}

//! Fields that a type writes and was not served: optional ones that it buffers before it reads them, so that the trace does
//! not see them. What is written shows their names, and trying shows what they take.

use std::collections::{BTreeMap, HashSet};

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::coverage::within;
use super::{buffered, texts};

/// A step to a place in a payload.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Step {
    Key(String),
    Item(usize),
}

/// Finds such fields, each once for every variant that has it.
pub(super) struct Unserved<'t> {
    takes: buffered::Takes<'t>,
    /// Samples that a caller gives: they stand in where no value is taken that is tried.
    given: &'t [Value],
    /// The places that have a value in none of them either.
    pub(super) untraced: Vec<String>,
    seen: HashSet<(Vec<Step>, String)>,
}

impl<'t> Unserved<'t> {
    pub(super) fn new(takes: buffered::Takes<'t>, given: &'t [Value]) -> Self {
        Self { takes, given, untraced: Vec::new(), seen: HashSet::new() }
    }

    /// Payloads in which the fields that were written though they were not served have other values.
    pub(super) fn filled(&mut self, served: &str, written: &str) -> Vec<String> {
        let values = (serde_json::from_str(served), serde_json::from_str(written));
        let (Ok(served), Ok(value)) = values else { return Vec::new() };
        let mut places = Vec::new();
        self.find(&served, &value, &mut Vec::new(), &mut places);
        places.iter().flat_map(|place| self.filled_at(place, written)).collect()
    }

    fn filled_at(&mut self, place: &[Step], written: &str) -> Vec<String> {
        let with = |value: &str| replaced(written, place, value);
        let takes = |value: &str| (self.takes)(&with(value).ok_or("it has no such place")?);
        let given: Vec<_> = self.given.iter().flat_map(|payload| values_at(payload, place)).collect();
        let shape = buffered::value(&takes).filled(&given);
        self.untraced.extend(within(&name_of(place), shape.untraced()));
        shape.samples().iter().filter_map(|value| with(value)).collect()
    }

    fn find(&mut self, served: &Value, written: &Value, at: &mut Vec<Step>, found: &mut Vec<Vec<Step>>) {
        match (served, written) {
            (Value::Object(served_fields), Value::Object(fields)) => {
                for (key, value) in fields {
                    at.push(Step::Key(key.clone()));
                    match served_fields.get(key) {
                        Some(served) => self.find(served, value, at, found),
                        None if self.seen.insert((at.clone(), texts(served_fields))) => {
                            found.push(at.clone());
                        }
                        None => {}
                    }
                    at.pop();
                }
            }
            (Value::Array(served), Value::Array(items)) => {
                for (place, (served, item)) in served.iter().zip(items).enumerate() {
                    at.push(Step::Item(place));
                    self.find(served, item, at, found);
                    at.pop();
                }
            }
            _ => {}
        }
    }
}

/// What a place is called, whatever its place in a list.
fn name_of(place: &[Step]) -> String {
    let keys = place.iter().filter_map(|step| match step {
        Step::Key(key) => Some(key.as_str()),
        Step::Item(_) => None,
    });
    keys.collect::<Vec<_>>().join(".")
}

/// The values at a place, and at those like it: of every item of a list, and under every key of a map.
fn values_at<'v>(value: &'v Value, place: &[Step]) -> Vec<&'v Value> {
    let Some((step, rest)) = place.split_first() else { return vec![value] };
    let inner: Vec<_> = match (step, value) {
        (Step::Item(_), Value::Array(items)) => items.iter().collect(),
        (Step::Key(key), Value::Object(fields)) => match fields.get(key) {
            Some(field) => vec![field],
            // The key that maps are sampled with.
            None if key == texts::PLAIN => fields.values().collect(),
            None => Vec::new(),
        },
        _ => Vec::new(),
    };
    inner.into_iter().flat_map(|value| values_at(value, rest)).collect()
}

/// The texts of an object, which tell one variant from another.
fn texts(fields: &Map<String, Value>) -> String {
    let texts = fields.iter().filter(|(_, value)| value.is_string());
    texts.map(|(name, value)| format!("{name}: {value}, ")).collect()
}

/// A JSON text with another value at a place, all else as it stands: numbers beyond 64 bits stay what they are.
fn replaced(json: &str, place: &[Step], value: &str) -> Option<String> {
    let below =
        |json: &RawValue, rest: &[Step]| RawValue::from_string(replaced(json.get(), rest, value)?).ok();
    match place {
        [] => Some(value.to_owned()),
        [Step::Key(key), rest @ ..] => {
            let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(json).ok()?;
            let field = fields.get_mut(key)?;
            *field = below(field, rest)?;
            serde_json::to_string(&fields).ok()
        }
        [Step::Item(at), rest @ ..] => {
            let mut items: Vec<Box<RawValue>> = serde_json::from_str(json).ok()?;
            let item = items.get_mut(*at)?;
            *item = below(item, rest)?;
            serde_json::to_string(&items).ok()
        }
    }
}

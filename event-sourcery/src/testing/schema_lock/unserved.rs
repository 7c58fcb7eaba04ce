//! Fields that a type writes and was not served: optional ones that it buffers before it reads them, so that the trace does
//! not see them. What is written shows their names, and trying shows what they take.

use std::collections::{BTreeMap, HashSet};

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::buffered;

/// A step to a place in a payload.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Step {
    Key(String),
    Item(usize),
}

/// Finds such fields, each once for every variant that has it.
pub(super) struct Unserved<'t> {
    takes: buffered::Takes<'t>,
    seen: HashSet<(Vec<Step>, String)>,
}

impl<'t> Unserved<'t> {
    pub(super) fn new(takes: buffered::Takes<'t>) -> Self {
        Self { takes, seen: HashSet::new() }
    }

    /// Payloads in which the fields that were written though they were not served have other values.
    pub(super) fn filled(&mut self, served: &str, written: &str) -> Vec<String> {
        let values = (serde_json::from_str(served), serde_json::from_str(written));
        let (Ok(served), Ok(value)) = values else { return Vec::new() };
        let mut places = Vec::new();
        self.find(&served, &value, &mut Vec::new(), &mut places);
        let takes = self.takes;
        let fill = |place: Vec<Step>| {
            let with = |value: &str| replaced(written, &place, value);
            let takes = |value: &str| takes(&with(value).ok_or("it has no such place")?);
            buffered::value(&takes).samples().iter().filter_map(|value| with(value)).collect::<Vec<_>>()
        };
        places.into_iter().flat_map(fill).collect()
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

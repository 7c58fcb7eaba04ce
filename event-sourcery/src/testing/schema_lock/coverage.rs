//! Which of the places that could not be traced are shown by samples.

use serde_json::Value;

use super::shape::Shape;

impl Shape {
    /// The places that could not be traced, and at which none of these payloads has a value.
    pub(super) fn not_covered(&self, payloads: &[&Value]) -> Vec<String> {
        match self {
            Self::Untraced if payloads.is_empty() => vec![String::new()],
            Self::Untraced | Self::Leaf { .. } | Self::Again(_) => Vec::new(),
            Self::Optional(inner) => inner.not_covered(&which(payloads, |value| !value.is_null())),
            Self::List(inner) => inner.not_covered(&below(payloads, items)),
            Self::Map { value, .. } => within("{}", value, &below(payloads, entries)),
            Self::Tuple(shapes) => {
                let item = |(place, shape): (usize, &Self)| shape.not_covered(&at(payloads, place));
                shapes.iter().enumerate().flat_map(item).collect()
            }
            Self::OneOf(shapes) => shapes.iter().flat_map(|shape| shape.not_covered(payloads)).collect(),
            Self::Object(fields) => {
                let fields = fields.iter().map(|field| (&*field.name, &field.shape));
                fields.flat_map(|(name, shape)| within(name, shape, &at(payloads, name))).collect()
            }
            Self::Choice(variants) => {
                let contents = variants.iter().filter_map(|(name, shape)| Some((*name, shape.as_ref()?)));
                contents.flat_map(|(name, shape)| within(name, shape, &at(payloads, name))).collect()
            }
        }
    }
}

fn within(name: &str, shape: &Shape, values: &[&Value]) -> Vec<String> {
    let places = shape.not_covered(values).into_iter();
    places.map(|place| if place.is_empty() { name.to_owned() } else { format!("{name}.{place}") }).collect()
}

fn which<'v>(values: &[&'v Value], condition: impl Fn(&Value) -> bool) -> Vec<&'v Value> {
    values.iter().copied().filter(|value| condition(value)).collect()
}

/// The values under a key or at a place of a list, of those that have it.
fn at<'v>(values: &[&'v Value], place: impl serde_json::value::Index) -> Vec<&'v Value> {
    values.iter().filter_map(|value| value.get(&place)).collect()
}

fn below<'v>(values: &[&'v Value], parts: fn(&'v Value) -> Vec<&'v Value>) -> Vec<&'v Value> {
    values.iter().copied().flat_map(parts).collect()
}

fn items(value: &Value) -> Vec<&Value> {
    value.as_array().into_iter().flatten().collect()
}

fn entries(value: &Value) -> Vec<&Value> {
    value.as_object().into_iter().flat_map(|entries| entries.values()).collect()
}

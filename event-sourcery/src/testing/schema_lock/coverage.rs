//! What samples show of a shape: values for the places that could not be traced, and variants that occur.

use serde_json::Value;

use super::shape::{Field, Shape};
use super::trace::quoted;

impl Shape {
    /// This shape with the values that payloads have where it could not be traced.
    pub(super) fn filled(self, payloads: &[&Value]) -> Self {
        let boxed = |shape: Box<Self>, payloads: Vec<&Value>| Box::new(shape.filled(&payloads));
        match self {
            Self::Untraced => Self::leaf("given", payloads.iter().map(ToString::to_string).collect()),
            Self::Leaf { .. } | Self::Again(_) => self,
            Self::Optional(inner) => Self::Optional(boxed(inner, present(payloads))),
            Self::List(inner) => Self::List(boxed(inner, items(payloads))),
            Self::Map { key, mut keys, value } => {
                if keys.is_empty() {
                    let given = payloads.iter().filter_map(|payload| payload.as_object());
                    keys = given.flat_map(|entries| entries.keys().map(|key| quoted(key))).collect();
                }
                Self::Map { key, keys, value: boxed(value, entries(payloads)) }
            }
            Self::Tuple(shapes) => {
                let shapes = shapes.into_iter().enumerate();
                Self::Tuple(shapes.map(|(place, shape)| shape.filled(&at(payloads, place))).collect())
            }
            Self::OneOf(shapes) => {
                let fill = |shape: Self| {
                    let payloads = shape.those_told_by(payloads);
                    shape.filled(&payloads)
                };
                Self::OneOf(shapes.into_iter().map(fill).collect())
            }
            Self::Object(fields) => {
                let fill = |field: Field| {
                    let shape = field.shape.filled(&at(payloads, &*field.name));
                    Field { shape, ..field }
                };
                Self::Object(fields.into_iter().map(fill).collect())
            }
            Self::Choice(variants) => {
                let fill = |(name, content): (&'static str, Option<Self>)| {
                    (name, content.map(|content| content.filled(&at(payloads, name))))
                };
                Self::Choice(variants.into_iter().map(fill).collect())
            }
        }
    }

    /// The variants that occur in none of these payloads.
    pub(super) fn missing_variants(&self, payloads: &[&Value]) -> Vec<String> {
        match self {
            Self::Untraced | Self::Leaf { .. } | Self::Again(_) => Vec::new(),
            Self::Optional(inner) => inner.missing_variants(&present(payloads)),
            Self::List(inner) => inner.missing_variants(&items(payloads)),
            Self::Map { value, .. } => within("{}", value.missing_variants(&entries(payloads))),
            Self::Tuple(shapes) => {
                let item = |(place, shape): (usize, &Self)| shape.missing_variants(&at(payloads, place));
                shapes.iter().enumerate().flat_map(item).collect()
            }
            Self::OneOf(shapes) => {
                let variant = |shape: &Self| match shape.those_told_by(payloads) {
                    none if none.is_empty() => vec![shape.told()],
                    payloads => shape.missing_variants(&payloads),
                };
                shapes.iter().flat_map(variant).collect()
            }
            Self::Object(fields) => {
                let field = |field: &Field| {
                    within(&field.name, field.shape.missing_variants(&at(payloads, &*field.name)))
                };
                fields.iter().flat_map(field).collect()
            }
            Self::Choice(variants) => {
                let variant = |(name, content): &(&'static str, Option<Self>)| {
                    let values = at(payloads, *name);
                    match content {
                        _ if payloads.iter().any(|payload| payload.as_str() == Some(name)) => Vec::new(),
                        Some(content) if !values.is_empty() => {
                            within(name, content.missing_variants(&values))
                        }
                        _ => vec![(*name).to_owned()],
                    }
                };
                variants.iter().flat_map(variant).collect()
            }
        }
    }
}

impl Shape {
    /// Those of the payloads that have what tells this variant from others.
    fn those_told_by<'v>(&self, payloads: &[&'v Value]) -> Vec<&'v Value> {
        let is_this = |payload: &&'v Value| {
            self.tags().all(|(name, tag)| {
                payload.get(name).and_then(Value::as_str).map(quoted).as_deref() == Some(tag)
            })
        };
        payloads.iter().copied().filter(is_this).collect()
    }

    /// How a variant is called that fields tell.
    fn told(&self) -> String {
        self.tags().map(|(name, tag)| format!("{name}: {tag}")).collect::<Vec<_>>().join(", ")
    }

    /// The fields that hold one text and no other.
    fn tags(&self) -> impl Iterator<Item = (&str, &str)> {
        let fields = if let Self::Object(fields) = self { fields.as_slice() } else { &[] };
        fields.iter().filter_map(|field| match &field.shape {
            Self::Leaf { kind, values } if kind.starts_with('"') && values.contains(kind) => {
                Some((&*field.name, &**kind))
            }
            _ => None,
        })
    }
}

/// Places, as they are called from around them.
pub(super) fn within(name: &str, places: Vec<String>) -> Vec<String> {
    let place = |place: String| if place.is_empty() { name.to_owned() } else { format!("{name}.{place}") };
    places.into_iter().map(place).collect()
}

fn present<'v>(values: &[&'v Value]) -> Vec<&'v Value> {
    values.iter().copied().filter(|value| !value.is_null()).collect()
}

/// The values under a key or at a place of a list, of those that have it.
fn at<'v>(values: &[&'v Value], place: impl serde_json::value::Index) -> Vec<&'v Value> {
    values.iter().filter_map(|value| value.get(&place)).collect()
}

fn items<'v>(values: &[&'v Value]) -> Vec<&'v Value> {
    values.iter().filter_map(|value| value.as_array()).flatten().collect()
}

fn entries<'v>(values: &[&'v Value]) -> Vec<&'v Value> {
    values.iter().filter_map(|value| value.as_object()).flat_map(|entries| entries.values()).collect()
}

//! The shape of a payload, as its type reads it, and the samples that are made from it.

use std::collections::{BTreeMap, HashSet};

use super::coverage::within;
use super::trace::quoted;

/// What a type reads at one place.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    /// One value, of these that it takes, as JSON.
    Leaf {
        kind: String,
        values: Vec<String>,
    },
    Optional(Box<Shape>),
    List(Box<Shape>),
    Tuple(Vec<Shape>),
    /// The keys that it takes, as JSON.
    Map {
        key: String,
        keys: Vec<String>,
        value: Box<Shape>,
    },
    Object(Vec<Field>),
    /// The variants of an enum; those without fields are texts.
    Choice(Vec<(&'static str, Option<Shape>)>),
    /// Forms that a field tells apart.
    OneOf(Vec<Shape>),
    /// A type within itself.
    Again(&'static str),
    /// It was not found out what is read here.
    Untraced,
}

/// A field of an object.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) required: bool,
    pub(super) shape: Shape,
}

impl Shape {
    pub(super) fn leaf(kind: impl Into<String>, values: Vec<String>) -> Self {
        if values.is_empty() { Self::Untraced } else { Self::Leaf { kind: kind.into(), values } }
    }

    /// Its text, field by field.
    pub(super) fn fields(&self) -> BTreeMap<String, String> {
        match self {
            Self::Object(fields) => fields.iter().map(|field| (field.label(), field.shape.text())).collect(),
            other => BTreeMap::from([("*".to_owned(), other.text())]),
        }
    }

    /// The places that could not be traced.
    pub(super) fn untraced(&self) -> Vec<String> {
        match self {
            Self::Untraced => vec![String::new()],
            Self::Leaf { .. } | Self::Again(_) => Vec::new(),
            Self::Optional(inner) | Self::List(inner) => inner.untraced(),
            Self::Map { value, .. } => within("{}", value.untraced()),
            Self::Tuple(shapes) | Self::OneOf(shapes) => shapes.iter().flat_map(Self::untraced).collect(),
            Self::Object(fields) => {
                fields.iter().flat_map(|field| within(&field.name, field.shape.untraced())).collect()
            }
            Self::Choice(variants) => {
                let contents = variants.iter().filter_map(|(name, shape)| Some((name, shape.as_ref()?)));
                contents.flat_map(|(name, shape)| within(name, shape.untraced())).collect()
            }
        }
    }

    fn text(&self) -> String {
        let joined = |texts: Vec<String>, by: &str| texts.join(by);
        match self {
            Self::Leaf { kind, .. } => kind.clone(),
            Self::Optional(inner) => format!("{} | null", inner.text()),
            Self::List(inner) => format!("[{}, ..]", inner.text()),
            Self::Tuple(shapes) => format!("[{}]", joined(shapes.iter().map(Self::text).collect(), ", ")),
            Self::Map { key, value, .. } => format!("{{[{key}]: {}}}", value.text()),
            Self::Object(fields) => {
                let fields = fields.iter().map(|field| format!("{}: {}", field.label(), field.shape.text()));
                format!("{{{}}}", joined(fields.collect(), ", "))
            }
            Self::Choice(variants) => {
                let variant = |(name, content): &(&str, Option<Self>)| match content {
                    None => quoted(name),
                    Some(content) => format!("{{{name}: {}}}", content.text()),
                };
                joined(variants.iter().map(variant).collect(), " | ")
            }
            Self::OneOf(shapes) => joined(shapes.iter().map(Self::text).collect(), " | "),
            Self::Again(name) => format!("{name} again"),
            Self::Untraced => "not traced".to_owned(),
        }
    }

    /// Samples in which every value, variant and option occurs.
    pub(super) fn samples(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        let samples = (0..self.count()).filter_map(|round| self.sample(round));
        samples.filter(|sample| seen.insert(sample.clone())).collect()
    }

    /// In how many rounds everything occurs: no more than there are values at all of its places.
    fn count(&self) -> usize {
        match self {
            Self::Leaf { values, .. } => values.len(),
            Self::Optional(inner) => inner.count() + 1,
            Self::List(inner) => inner.count().max(1),
            Self::Map { keys, value, .. } => value.count().max(keys.len()),
            Self::Tuple(shapes) => shapes.iter().map(Self::count).max().unwrap_or(1),
            Self::Object(fields) => fields.iter().map(|field| field.shape.count()).max().unwrap_or(1),
            Self::Choice(variants) => variants.iter().map(variant_count).sum(),
            Self::OneOf(shapes) => shapes.iter().map(Self::count).sum(),
            Self::Again(_) | Self::Untraced => 0,
        }
    }

    /// The sample of a round, as JSON; `None` where there is none.
    pub(super) fn sample(&self, round: usize) -> Option<String> {
        let round = round.checked_rem(self.count())?;
        let of = |shape: &Self| shape.sample(round);
        match self {
            Self::Leaf { values, .. } => values.get(round).cloned(),
            Self::Optional(inner) if round == inner.count() => Some("null".to_owned()),
            Self::Optional(inner) => inner.sample(round),
            Self::List(inner) => Some(format!("[{}]", of(inner).unwrap_or_default())),
            Self::Tuple(shapes) => {
                Some(format!("[{}]", shapes.iter().map(of).collect::<Option<Vec<_>>>()?.join(",")))
            }
            Self::Map { keys, value, .. } => {
                let key = keys.get(round.checked_rem(keys.len())?)?;
                Some(
                    of(value).map_or_else(|| "{}".to_owned(), |value| format!("{{{}:{value}}}", as_key(key))),
                )
            }
            Self::Object(fields) => object(fields.iter(), of),
            Self::Choice(variants) => {
                let (place, round) = pick(round, variants.iter().map(variant_count))?;
                variant_sample(variants.get(place)?, |content| content.sample(round))
            }
            Self::OneOf(shapes) => {
                let (place, round) = pick(round, shapes.iter().map(Self::count))?;
                shapes.get(place)?.sample(round)
            }
            Self::Again(_) | Self::Untraced => None,
        }
    }

    /// The sample with only what is required.
    pub(super) fn least(&self) -> Option<String> {
        match self {
            Self::Leaf { values, .. } => values.last().cloned(),
            Self::Optional(_) => Some("null".to_owned()),
            Self::List(_) => Some("[]".to_owned()),
            Self::Map { .. } => Some("{}".to_owned()),
            Self::Tuple(shapes) => {
                Some(format!("[{}]", shapes.iter().map(Self::least).collect::<Option<Vec<_>>>()?.join(",")))
            }
            Self::Object(fields) => object(fields.iter().filter(|field| field.required), Self::least),
            Self::Choice(variants) => {
                variants.iter().find_map(|variant| variant_sample(variant, Self::least))
            }
            Self::OneOf(shapes) => shapes.iter().find_map(Self::least),
            Self::Again(_) | Self::Untraced => None,
        }
    }
}

impl Field {
    fn label(&self) -> String {
        format!("{}{}", self.name, if self.required { "" } else { "?" })
    }
}

/// An object of these fields; an optional one without a sample is left out.
pub(super) fn object<'f>(
    fields: impl Iterator<Item = &'f Field>,
    sample: impl Fn(&Shape) -> Option<String>,
) -> Option<String> {
    let mut texts = Vec::new();
    for Field { name, required, shape } in fields {
        match sample(shape) {
            Some(value) => texts.push(format!("{}:{value}", quoted(name))),
            None if *required => return None,
            None => {}
        }
    }
    Some(format!("{{{}}}", texts.join(",")))
}

fn variant_count((_, content): &(&'static str, Option<Shape>)) -> usize {
    content.as_ref().map_or(1, Shape::count)
}

fn variant_sample(
    (name, content): &(&'static str, Option<Shape>),
    sample: impl Fn(&Shape) -> Option<String>,
) -> Option<String> {
    match content {
        None => Some(quoted(name)),
        Some(content) => Some(format!("{{{}:{}}}", quoted(name), sample(content)?)),
    }
}

/// Which of the alternatives a round falls to, and which round of it that is.
fn pick(mut round: usize, counts: impl Iterator<Item = usize>) -> Option<(usize, usize)> {
    for (place, count) in counts.enumerate() {
        if round < count {
            return Some((place, round));
        }
        round -= count;
    }
    None
}

/// A key of a JSON object is a text, whatever it stands for.
pub(super) fn as_key(json: &str) -> String {
    if json.starts_with('"') { json.to_owned() } else { quoted(json) }
}

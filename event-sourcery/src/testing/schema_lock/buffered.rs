//! Values that are buffered before they are read: serde's tagged enums, structs with a flattened field, and what stands in
//! them.
//!
//! Nothing can be asked of their type. But values can be tried, and what is missing from an object or does not fit, the type
//! names: an object is made to grow by what is said against it.

use super::shape::{Field, Shape};
use super::texts;
use super::trace::quoted;

/// More fields than this are not looked for.
const MOST_FIELDS: usize = 64;

/// How many enums and lists are looked into, one within the other.
const DEEPEST: usize = 4;

/// A value of each kind but text.
const KINDS: &[&str] = &["1", "1.5", "true", "[]", "{}", "null"];

/// Whether a value is taken; an error says why not.
pub(super) type Takes<'t> = &'t dyn Fn(&str) -> Result<(), String>;

/// The shape of a value.
pub(super) fn value(takes: Takes<'_>) -> Shape {
    value_within(takes, &[])
}

/// The shape of an object that is taken, or of several that a field tells apart; `None` where none was found.
pub(super) fn object(takes: Takes<'_>) -> Option<Shape> {
    grow(takes, Vec::new(), &[], &[])
}

/// The shape of a text, which may be read as something else.
pub(super) fn text(takes: Takes<'_>) -> Shape {
    let plain = quoted(texts::PLAIN);
    let Err(problem) = takes(&plain) else { return Shape::leaf("text", vec![plain]) };
    let variants: Vec<_> = variants(&problem, &plain).iter().map(|variant| quoted(variant)).collect();
    if !variants.is_empty() {
        return choice(takes, &variants);
    }
    let mut values = taken_texts(takes, texts::NUMBERS);
    // One of a kind is enough: what reads a date in one way mostly reads it in others.
    values.extend(taken_texts(takes, texts::OTHERS).into_iter().take(3));
    let kind = values.first().map_or_else(String::new, |first| format!("text like {first}"));
    Shape::leaf(kind, values)
}

/// An enum, of which some variants may hold more than their name.
fn choice(takes: Takes<'_>, variants: &[String]) -> Shape {
    let names = taken(takes, variants.iter().map(String::as_str));
    let is_whole = names.len() == variants.len();
    let names = Shape::leaf(format!("one of {}", variants.join(", ")), names);
    if is_whole { names } else { Shape::OneOf(vec![names, Shape::Untraced]) }
}

/// Those of the values that are taken.
pub(super) fn taken<'v>(takes: Takes<'_>, values: impl IntoIterator<Item = &'v str>) -> Vec<String> {
    values.into_iter().filter(|value| takes(value).is_ok()).map(str::to_owned).collect()
}

fn taken_texts(takes: Takes<'_>, texts: &[&str]) -> Vec<String> {
    let quoted: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
    taken(takes, quoted.iter().map(String::as_str))
}

fn value_within(takes: Takes<'_>, within: &[String]) -> Shape {
    let plain = quoted(texts::PLAIN);
    let values = taken(takes, [&*plain].into_iter().chain(KINDS.iter().copied()));
    let has = |value: &str| values.iter().any(|taken| taken == value);
    if has(&plain) {
        return Shape::leaf("any", values);
    }
    if has("null") && takes(&plain).is_err_and(|problem| problem.contains("expected unit")) {
        return Shape::leaf("null", vec!["null".to_owned()]);
    }
    let inner = if has("{}") {
        open_object(takes, within)
    } else if let Some(object) = grow(takes, Vec::new(), &[], within) {
        object
    } else if has("[]") {
        list(takes, within)
    } else if has("1") || has("1.5") || has("true") {
        let numbers = [taken(takes, texts::NUMBERS.iter().copied()), taken_texts(takes, texts::NUMBERS)];
        return Shape::leaf("any", [values, numbers.concat()].concat());
    } else {
        text(takes)
    };
    if has("null") { Shape::Optional(Box::new(inner)) } else { inner }
}

/// An object that is taken empty: a map, or a struct that can do without its fields and says nothing to one more.
fn open_object(takes: Takes<'_>, within: &[String]) -> Shape {
    let takes_value = |value: &str| takes(&format!("{{{}:{value}}}", quoted(texts::PLAIN)));
    let is_unknown = |value: &str| takes_value(value).is_err_and(|problem| problem.contains("unknown field"));
    let mut kinds = KINDS.iter().chain(&["\"text\""]);
    if within.len() >= DEEPEST || is_unknown("1") || kinds.all(|value| takes_value(value).is_ok()) {
        return Shape::Object(Vec::new());
    }
    let value = value_within(&takes_value, &[within, &["a map".to_owned()]].concat());
    Shape::Map { key: "text".to_owned(), keys: vec![quoted(texts::PLAIN)], value: Box::new(value) }
}

fn list(takes: Takes<'_>, within: &[String]) -> Shape {
    if within.len() >= DEEPEST {
        return Shape::leaf("list", vec!["[]".to_owned()]);
    }
    let takes_item = |item: &str| takes(&format!("[{item}]"));
    Shape::List(Box::new(value_within(&takes_item, &[within, &["a list".to_owned()]].concat())))
}

/// Goes on from these fields, of which some have told variants apart; `within` is what the object stands in.
fn grow(
    takes: Takes<'_>,
    mut fields: Vec<(String, String)>,
    enums: &[String],
    within: &[String],
) -> Option<Shape> {
    let candidates = candidates();
    let mut untried: &[String] = &[];
    for _ in 0..MOST_FIELDS * candidates.len() {
        let Err(problem) = takes(&text_of(&fields)) else {
            return Some(shape(takes, &fields, &[within, enums].concat()));
        };
        let missing = named(&problem, "missing field `");
        if let Some(name) = missing.filter(|name| fields.iter().all(|(known, _)| known != name)) {
            let (first, rest) = candidates.split_first()?;
            fields.push((name.to_owned(), first.clone()));
            untried = rest;
            continue;
        }
        let (tag, value) = fields.last_mut()?;
        let variants = variants(&problem, value);
        if !variants.is_empty() {
            let all = variants.join(" | ");
            if within.contains(&all) {
                return Some(Shape::Again("enum"));
            }
            let enums = [enums, &[all]].concat();
            let (tag, before) = (tag.clone(), fields.len() - 1);
            fields.truncate(before);
            let with_tag = |variant: &String| {
                let tagged = fields.iter().cloned().chain([(tag.clone(), quoted(variant))]).collect();
                grow(takes, tagged, &enums, within)
            };
            let shapes = variants.iter().map(with_tag).collect::<Option<Vec<_>>>()?;
            return Some(Shape::OneOf(shapes));
        }
        let (next, rest) = untried.split_first()?;
        next.clone_into(value);
        untried = rest;
    }
    None
}

fn candidates() -> Vec<String> {
    let texts = texts::NUMBERS.iter().chain(texts::OTHERS).map(|text| quoted(text));
    let others = KINDS.iter().map(|&value| value.to_owned());
    [quoted(texts::PLAIN)].into_iter().chain(others).chain(texts).collect()
}

fn text_of(fields: &[(String, String)]) -> String {
    let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
    format!("{{{}}}", fields.join(","))
}

/// What stands in backticks behind these words.
fn named<'p>(problem: &'p str, words: &str) -> Option<&'p str> {
    problem.split_once(words)?.1.split_once('`').map(|(name, _)| name)
}

/// The variants that are expected instead of this value.
fn variants(problem: &str, value: &str) -> Vec<String> {
    let unknown = named(problem, "unknown variant `").is_some_and(|unknown| quoted(unknown) == value);
    match problem.split_once("`, expected ") {
        Some((_, expected)) if unknown => expected.split('`').skip(1).step_by(2).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

fn shape(takes: Takes<'_>, fields: &[(String, String)], within: &[String]) -> Shape {
    let field = |(place, (name, value)): (usize, &(String, String))| {
        let takes_instead = |instead: &str| {
            let mut with = fields.to_vec();
            if let Some((_, value)) = with.get_mut(place) {
                instead.clone_into(value);
            }
            takes(&text_of(&with))
        };
        let shape = match &**value {
            "1" => Shape::leaf("number", taken(&takes_instead, texts::NUMBERS.iter().copied())),
            "[]" => list(&takes_instead, within),
            "{}" => open_object(&takes_instead, within),
            plain if takes_instead("\"another\"").is_ok() => Shape::leaf("text", vec![plain.to_owned()]),
            // A text that was not tried out is one of the enum's own.
            other if other.starts_with('"') && candidates().iter().any(|tried| tried == other) => {
                Shape::leaf(format!("text like {other}"), vec![other.to_owned()])
            }
            other => Shape::leaf(other, vec![other.to_owned()]),
        };
        Field { name: name.clone(), required: true, shape }
    };
    Shape::Object(fields.iter().enumerate().map(field).collect())
}

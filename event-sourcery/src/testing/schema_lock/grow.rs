//! Objects of which a type does not say what they hold: serde's tagged enums, and structs with a flattened field.
//!
//! They are buffered before they are read, so nothing can be asked of the type. But what is missing or does not fit, it
//! names: an object is made to grow by what is said against it.

use super::shape::{Field, Shape};
use super::texts;
use super::trace::quoted;

/// More fields than this are not looked for.
const MOST_FIELDS: usize = 64;

type Takes<'t> = &'t dyn Fn(&str) -> Result<(), String>;

/// The shape of an object that is taken, or of several that a field tells apart; `None` where none was found.
pub(super) fn object(takes: Takes<'_>) -> Option<Shape> {
    grow(takes, Vec::new())
}

fn grow(takes: Takes<'_>, mut fields: Vec<(String, String)>) -> Option<Shape> {
    let candidates = candidates();
    let mut untried: &[String] = &[];
    for _ in 0..MOST_FIELDS * candidates.len() {
        let Err(problem) = takes(&text(&fields)) else { return Some(shape(takes, &fields)) };
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
            let (tag, before) = (tag.clone(), fields.len() - 1);
            fields.truncate(before);
            let with_tag = |variant: &String| {
                let tagged = fields.iter().cloned().chain([(tag.clone(), quoted(variant))]).collect();
                grow(takes, tagged)
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
    let others = ["1", "1.5", "true", "[]", "{}", "null"].map(str::to_owned);
    [quoted(texts::PLAIN)].into_iter().chain(others).chain(texts).collect()
}

fn text(fields: &[(String, String)]) -> String {
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

fn shape(takes: Takes<'_>, fields: &[(String, String)]) -> Shape {
    let field = |(place, (name, value)): (usize, &(String, String))| {
        let mut with = fields.to_vec();
        let mut takes_instead = |instead: &str| {
            if let Some((_, value)) = with.get_mut(place) {
                instead.clone_into(value);
            }
            takes(&text(&with)).is_ok()
        };
        let shape = match &**value {
            "1" => {
                let numbers = texts::NUMBERS.iter().filter(|number| takes_instead(number));
                Shape::leaf("number", numbers.map(|number| (*number).to_owned()).collect())
            }
            plain if takes_instead("\"another\"") => Shape::leaf("text", vec![plain.to_owned()]),
            other => Shape::leaf(other, vec![other.to_owned()]),
        };
        Field { name: name.clone(), required: true, shape }
    };
    Shape::Object(fields.iter().enumerate().map(field).collect())
}

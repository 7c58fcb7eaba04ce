//! Finds out what a type reads, place by place.

use super::buffered;
use super::probe::{Request, Step, Target, request, takes};
use super::shape::{Field, Shape, object};

/// The deepest nesting that is looked into.
const DEEPEST: usize = 24;

/// The shape of what a type reads.
pub(super) fn trace(target: &Target<'_>) -> Shape {
    Tracer { target, within: Vec::new() }.shape(&mut Vec::new())
}

/// A JSON text.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

struct Tracer<'t> {
    target: &'t Target<'t>,
    /// The types around the place that is looked at.
    within: Vec<(&'static str, &'static [&'static str])>,
}

impl Tracer<'_> {
    fn shape(&mut self, path: &mut Vec<Step>) -> Shape {
        if path.len() > DEEPEST {
            return Shape::Untraced;
        }
        let Some(request) = request(self.target, path) else { return self.any(path) };
        match request {
            Request::Bool => Shape::leaf("bool", self.taken(path, ["true", "false"])),
            Request::Integer { kind, most, least } => {
                let extremes = self.taken(path, [most, least]);
                if extremes.len() == 2 {
                    return Shape::leaf(kind, extremes);
                }
                let between = ["1", "0", "-1", "2", "10", "50", "100", "1000", "2024"];
                Shape::leaf(kind, [extremes, self.taken(path, between)].concat())
            }
            Request::Float(kind) => {
                Shape::leaf(kind, self.taken(path, ["1.5", "-1.5", "0.5", "1e30", "0.0", "1.0"]))
            }
            Request::Char => Shape::leaf("char", self.taken(path, ["\"x\"", "\"X\"", "\"1\""])),
            Request::Text => buffered::text(&|text| self.takes(path, text)),
            Request::Bytes => Shape::leaf("bytes", self.taken(path, ["[1,255]", "\"text\"", "[]"])),
            Request::Unit => Shape::leaf("null", self.taken(path, ["null"])),
            Request::Option => Shape::Optional(Box::new(self.below(path, Step::Some))),
            Request::List => Shape::List(Box::new(self.below(path, Step::Item(Vec::new())))),
            Request::Newtype => self.below(path, Step::Inner),
            Request::Tuple(len) => self.tuple(path, len),
            Request::Map => self.map(path),
            Request::Struct(name, fields) => self.inside(name, fields, |tracer| tracer.object(path, fields)),
            Request::Enum(name, variants) => {
                self.inside(name, variants, |tracer| tracer.choice(path, variants))
            }
            Request::Any => self.any(path),
        }
    }

    fn below(&mut self, path: &mut Vec<Step>, step: Step) -> Shape {
        path.push(step);
        let shape = self.shape(path);
        path.pop();
        shape
    }

    /// A type that is met within itself is not followed again.
    fn inside(
        &mut self,
        name: &'static str,
        parts: &'static [&'static str],
        look: impl FnOnce(&mut Self) -> Shape,
    ) -> Shape {
        if !name.is_empty() && self.within.contains(&(name, parts)) {
            return Shape::Again(name);
        }
        self.within.push((name, parts));
        let shape = look(self);
        self.within.pop();
        shape
    }

    /// Those of the values that are taken.
    fn taken<'v>(&self, path: &[Step], values: impl IntoIterator<Item = &'v str>) -> Vec<String> {
        buffered::taken(&|text| self.takes(path, text), values)
    }

    fn takes(&self, path: &[Step], text: &str) -> Result<(), String> {
        match path {
            // The fields of a variant stand in an object under its name.
            [before @ .., Step::Variant(name)] => {
                takes(self.target, before, &format!("{{{}:{text}}}", quoted(name)))
            }
            path => takes(self.target, path, text),
        }
    }

    /// What asks for anything: a JSON value, a number that is also read from a text, or one of serde's forms of an enum.
    fn any(&self, path: &[Step]) -> Shape {
        buffered::value(&|text| self.takes(path, text))
    }

    fn tuple(&mut self, path: &mut Vec<Step>, len: usize) -> Shape {
        let (mut shapes, mut before) = (Vec::new(), Vec::new());
        for _ in 0..len {
            let shape = self.below(path, Step::Item(before.clone()));
            let Some(sample) = shape.sample(0) else { return Shape::Untraced };
            before.push(sample);
            shapes.push(shape);
        }
        Shape::Tuple(shapes)
    }

    /// A map, or a struct with a flattened field, which reads as one and names its other fields only when they are missing.
    fn map(&mut self, path: &mut Vec<Step>) -> Shape {
        if self.takes(path, "{}").is_err()
            && let Some(grown) = buffered::object(&|text| self.takes(path, text))
        {
            return grown;
        }
        let key = self.below(path, Step::Key);
        let keys = key.samples();
        let value = match keys.first() {
            Some(key) => self.below(path, Step::Value(key.clone())),
            None => Shape::Untraced,
        };
        let key = key.fields().into_values().next().unwrap_or_default();
        Shape::Map { key, keys, value: Box::new(value) }
    }

    fn object(&mut self, path: &mut Vec<Step>, names: &[&'static str]) -> Shape {
        if let Some(tagged) = self.tagged(path, names) {
            return tagged;
        }
        let mut fields = Vec::new();
        for name in names {
            let shape = self.below(path, Step::Field(name));
            if shape.sample(0).is_none_or(|value| self.is_name_of_field(path, name, &value)) {
                fields.push(Field { name: (*name).to_owned(), required: true, shape });
            }
        }
        let all = |without: Option<&str>| {
            let with = fields.iter().filter(|field| without != Some(&*field.name));
            let with = with.filter(|field| field.shape.sample(0).is_some());
            object(with, |shape| shape.sample(0)).unwrap_or_default()
        };
        let can_leave_out = |name: &str| self.takes(path, &all(Some(name))).is_ok();
        let optional: Vec<bool> = fields.iter().map(|field| can_leave_out(&field.name)).collect();
        for (field, optional) in fields.iter_mut().zip(optional) {
            field.required = !optional;
        }
        Shape::Object(fields)
    }

    /// What serde makes of a `tag` with `content`: one field tells the variant, and only then the other one can be read.
    fn tagged(&mut self, path: &mut Vec<Step>, names: &[&'static str]) -> Option<Shape> {
        let &[tag, content] = names else { return None };
        let Shape::Choice(variants) = self.below(path, Step::Field(tag)) else { return None };
        if variants.iter().any(|(_, content)| content.is_some()) {
            return None;
        }
        // Anything, if it is kept until the tag is known.
        let untold = self.below(path, Step::Field(content)).sample(0)?;
        let takes = |variant: &str, value: Option<&String>| {
            let content = value.map_or_else(String::new, |value| format!(",{}:{value}", quoted(content)));
            self.takes(path, &format!("{{{}:{}{content}}}", quoted(tag), quoted(variant))).is_ok()
        };
        let is_whole = |variant: &str| takes(variant, None);
        if variants.iter().all(|(variant, _)| is_whole(variant) || takes(variant, Some(&untold))) {
            return None;
        }
        let whole: Vec<bool> = variants.iter().map(|(variant, _)| is_whole(variant)).collect();
        let mut shapes = Vec::new();
        for ((variant, _), is_whole) in variants.into_iter().zip(whole) {
            let field = |name: &str, shape| Field { name: name.to_owned(), required: true, shape };
            let mut fields = vec![field(tag, Shape::leaf(quoted(variant), vec![quoted(variant)]))];
            if !is_whole {
                fields.push(field(content, self.below(path, Step::Content { tag, variant, content })));
            }
            shapes.push(Shape::Object(fields));
        }
        Some(Shape::OneOf(shapes))
    }

    /// serde lists the aliases of a field among the fields. Given twice, a field is called by its name.
    fn is_name_of_field(&self, path: &[Step], name: &str, value: &str) -> bool {
        let key = quoted(name);
        match self.takes(path, &format!("{{{key}:{value},{key}:{value}}}")) {
            Err(problem) if problem.starts_with("duplicate field `") => {
                problem.starts_with(&format!("duplicate field `{name}`"))
            }
            _ => true,
        }
    }

    fn choice(&mut self, path: &mut Vec<Step>, names: &[&'static str]) -> Shape {
        let mut variants = Vec::new();
        for name in names {
            path.push(Step::Variant(name));
            let content = match request(self.target, path) {
                Some(Request::Unit) => None,
                Some(_) => Some(self.shape(path)),
                None => Some(Shape::Untraced),
            };
            path.pop();
            variants.push((*name, content));
        }
        Shape::Choice(variants)
    }
}

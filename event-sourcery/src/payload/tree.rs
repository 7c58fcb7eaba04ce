//! A JSON value as its text has it: keys in their order, numbers digit by digit.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::number;

/// A JSON value.
#[derive(Clone)]
pub(super) enum Node<'t> {
    Object(Vec<(String, Node<'t>)>),
    List(Vec<Node<'t>>),
    /// With its quotes and escapes.
    Text(&'t str),
    Number(&'t str),
    /// `true`, `false` or `null`.
    Word(&'t str),
}

/// A way from a value to one within it.
#[derive(Clone)]
pub(super) enum Step {
    Key(String),
    Item(usize),
}

impl<'t> Node<'t> {
    pub(super) fn parse(text: &'t str) -> Result<Self, serde_json::Error> {
        let text = text.trim_ascii();
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let Entries(entries) = serde_json::from_str(text)?;
                let inner = entries
                    .into_iter()
                    .map(|(key, value)| Self::parse(value.get()).map(|value| (key, value)));
                Self::Object(inner.collect::<Result<_, _>>()?)
            }
            Some(b'[') => {
                let items: Vec<&'t RawValue> = serde_json::from_str(text)?;
                Self::List(items.into_iter().map(|item| Self::parse(item.get())).collect::<Result<_, _>>()?)
            }
            Some(b'"') => Self::Text(text),
            Some(b't' | b'f' | b'n') => Self::Word(text),
            _ => Self::Number(text),
        })
    }

    /// The text, keys in their order.
    pub(super) fn verbatim(&self) -> String {
        self.text(false, |number| Cow::Borrowed(number))
    }

    /// The text that PostgreSQL's JSONB gives back: keys by their length, then by their bytes; numbers written out.
    pub(super) fn as_jsonb(&self) -> String {
        self.text(true, number::written_out)
    }

    fn text(&self, is_sorted: bool, number: fn(&str) -> Cow<'_, str>) -> String {
        let mut text = String::new();
        self.write(is_sorted, number, &mut text);
        text
    }

    fn write(&self, is_sorted: bool, number: fn(&str) -> Cow<'_, str>, to: &mut String) {
        match self {
            Self::Object(entries) => {
                let mut entries: Vec<_> = entries.iter().collect();
                if is_sorted {
                    entries.sort_by(|(one, _), (other, _)| (one.len(), one).cmp(&(other.len(), other)));
                }
                to.push('{');
                for (place, (key, value)) in entries.into_iter().enumerate() {
                    to.push_str(if place == 0 { "" } else { "," });
                    to.push_str(&serde_json::Value::from(&**key).to_string());
                    to.push(':');
                    value.write(is_sorted, number, to);
                }
                to.push('}');
            }
            Self::List(items) => {
                to.push('[');
                for (place, item) in items.iter().enumerate() {
                    to.push_str(if place == 0 { "" } else { "," });
                    item.write(is_sorted, number, to);
                }
                to.push(']');
            }
            Self::Number(digits) => to.push_str(&number(digits)),
            Self::Text(text) | Self::Word(text) => to.push_str(text),
        }
    }

    /// The keys of an object, in their order.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        let entries = if let Self::Object(entries) = self { entries.as_slice() } else { &[] };
        entries.iter().map(|(key, _)| &**key)
    }

    /// What stands at the end of a way.
    pub(super) fn at(&self, way: &[Step]) -> Option<&Self> {
        way.iter().try_fold(self, |node, step| match (node, step) {
            (Self::Object(entries), Step::Key(wanted)) => {
                entries.iter().find_map(|(key, value)| (key == wanted).then_some(value))
            }
            (Self::List(items), Step::Item(place)) => items.get(*place),
            _ => None,
        })
    }

    pub(super) fn at_mut(&mut self, way: &[Step]) -> Option<&mut Self> {
        way.iter().try_fold(self, |node, step| match (node, step) {
            (Self::Object(entries), Step::Key(wanted)) => {
                entries.iter_mut().find_map(|(key, value)| (key == wanted).then_some(value))
            }
            (Self::List(items), Step::Item(place)) => items.get_mut(*place),
            _ => None,
        })
    }

    /// Where another value differs from this one. The order of keys does not count, nor does that of a list whose items are
    /// the same: of a set they come in any. Texts are taken to be the same: nothing changes them but the caller's type, which
    /// may have its reasons.
    pub(super) fn differs(&self, other: &Self, numbers: fn(&str, &str) -> bool) -> Option<Vec<Step>> {
        let here = |is_equal: bool| (!is_equal).then(Vec::new);
        match (self, other) {
            (Self::Object(ours), Self::Object(theirs)) if ours.len() == theirs.len() => {
                ours.iter().find_map(|(key, value)| {
                    let step = Step::Key(key.clone());
                    let way = match other.at(std::slice::from_ref(&step)) {
                        Some(theirs) => value.differs(theirs, numbers)?,
                        None => Vec::new(),
                    };
                    Some(std::iter::once(step).chain(way).collect())
                })
            }
            (Self::List(ours), Self::List(theirs)) if ours.len() == theirs.len() => {
                let mut pairs = ours.iter().zip(theirs).enumerate();
                let way = pairs.find_map(|(place, (ours, theirs))| {
                    let way = ours.differs(theirs, numbers)?;
                    Some(std::iter::once(Step::Item(place)).chain(way).collect())
                });
                way.filter(|_| canonical(ours) != canonical(theirs))
            }
            (Self::Number(ours), Self::Number(theirs)) => here(numbers(ours, theirs)),
            (Self::Text(_), Self::Text(_)) => None,
            (Self::Word(ours), Self::Word(theirs)) => here((*ours == "null") == (*theirs == "null")),
            _ => here(false),
        }
    }
}

/// The items of a list, whatever their order and that of their keys.
fn canonical(items: &[Node<'_>]) -> Vec<String> {
    let mut items: Vec<_> = items.iter().map(canonical_text).collect();
    items.sort_unstable();
    items
}

fn canonical_text(node: &Node<'_>) -> String {
    match node {
        Node::List(items) => format!("[{}]", canonical(items).join(",")),
        Node::Object(entries) => {
            let entry = |(key, value): &(String, Node<'_>)| format!("{key:?}:{}", canonical_text(value));
            let mut entries: Vec<_> = entries.iter().map(entry).collect();
            entries.sort_unstable();
            format!("{{{}}}", entries.join(","))
        }
        Node::Number(text) | Node::Text(text) | Node::Word(text) => (*text).to_owned(),
    }
}

/// The entries of an object, in their order.
struct Entries<'t>(Vec<(String, &'t RawValue)>);

impl<'de: 't, 't> Deserialize<'de> for Entries<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_map(InOrder).map(Self)
    }
}

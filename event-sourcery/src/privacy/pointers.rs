//! Places in a JSON text, by their pointers (RFC 6901): what stands there is exchanged, and all else stays as it is written.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The number of a pointer among those that are looked for: nothing stands there, or within another one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missing(pub(super) usize);

/// Adds a step to a pointer.
pub(super) fn push(pointer: &mut String, step: &str) {
    pointer.push('/');
    for character in step.chars() {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}

/// The text with other JSON at these places, and what stood there, in the order given.
pub(super) fn replace(text: &str, places: &[(&str, &str)]) -> Result<(String, Vec<String>), Missing> {
    let mut found = vec![None; places.len()];
    find(text, text, places.iter().map(|(pointer, _)| *pointer).enumerate(), &mut found);
    let mut ranges = Vec::with_capacity(places.len());
    for (number, range) in found.into_iter().enumerate() {
        ranges.push((range.ok_or(Missing(number))?, number));
    }
    let at = |range: &Range<usize>| text.get(range.clone()).unwrap_or_default().to_owned();
    let before = ranges.iter().map(|(range, _)| at(range)).collect();
    ranges.sort_unstable_by_key(|(range, _)| range.start);
    let longest = places.iter().fold(text.len(), |sum, (_, with)| sum + with.len());
    let (mut replaced, mut end) = (String::with_capacity(longest), 0);
    for (range, number) in ranges {
        let kept = text.get(end..range.start).ok_or(Missing(number))?;
        replaced.push_str(kept);
        replaced.push_str(places.get(number).map_or("null", |(_, with)| *with));
        end = range.end;
    }
    replaced.push_str(text.get(end..).unwrap_or_default());
    Ok((replaced, before))
}

/// A pointer that goes on: its first step, its number, and the rest of it.
type Step<'p> = (Cow<'p, str>, usize, &'p str);

/// Finds pointers, each by its number, in a part of a text: the first place of each, should a key stand twice. What is no JSON, no object and no list has nothing in it.
fn find<'p>(
    whole: &str,
    part: &str,
    wanted: impl Iterator<Item = (usize, &'p str)>,
    found: &mut [Option<Range<usize>>],
) {
    let mut steps: Vec<Step<'p>> = Vec::with_capacity(wanted.size_hint().0);
    for (number, pointer) in wanted {
        match pointer.strip_prefix('/') {
            Some(pointer) => {
                let (step, rest) = pointer.split_at(pointer.find('/').unwrap_or(pointer.len()));
                steps.push((unescaped(step), number, rest));
            }
            None => {
                let start = part.as_ptr().addr() - whole.as_ptr().addr();
                if let Some(place) = found.get_mut(number) {
                    place.get_or_insert(start..start + part.len());
                }
            }
        }
    }
    if steps.is_empty() {
        return;
    }
    steps.sort_unstable_by(|(one, ..), (other, ..)| one.cmp(other));
    let children = Children(&steps).deserialize(&mut serde_json::Deserializer::from_str(part));
    for (steps, child) in children.unwrap_or_default() {
        // A list, so that whoever goes deeper does not become another type each time.
        let wanted: Vec<_> = steps.iter().map(|(_, number, rest)| (*number, *rest)).collect();
        find(whole, child.get(), wanted.into_iter(), found);
    }
}

fn unescaped(step: &str) -> Cow<'_, str> {
    if step.contains('~') { step.replace("~1", "/").replace("~0", "~").into() } else { step.into() }
}

/// Those values of an object, or a list, that are wanted: with all that is wanted of each.
struct Children<'w, 'p>(&'w [Step<'p>]);

impl<'w, 'p> Children<'w, 'p> {
    fn of(&self, key: &str) -> &'w [Step<'p>] {
        let begin = self.0.partition_point(|(step, ..)| **step < *key);
        let end = self.0.partition_point(|(step, ..)| **step <= *key);
        self.0.get(begin..end).unwrap_or_default()
    }
}

impl<'de, 'w, 'p> DeserializeSeed<'de> for Children<'w, 'p> {
    type Value = Vec<(&'w [Step<'p>], &'de RawValue)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, 'w, 'p> Visitor<'de> for Children<'w, 'p> {
    type Value = Vec<(&'w [Step<'p>], &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut children = Vec::with_capacity(self.0.len());
        while let Some(wanted) = map.next_key_seed(Key(&self))? {
            if wanted.is_empty() {
                map.next_value::<IgnoredAny>()?;
            } else {
                children.push((wanted, map.next_value()?));
            }
        }
        Ok(children)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut children = Vec::with_capacity(self.0.len());
        let mut number = 0_usize;
        while let Some(item) = items.next_element::<&'de RawValue>()? {
            let wanted = self.of(&number.to_string());
            if !wanted.is_empty() {
                children.push((wanted, item));
            }
            number += 1;
        }
        Ok(children)
    }
}

/// What is wanted of the value of a key, which is looked at where it stands.
struct Key<'c, 'w, 'p>(&'c Children<'w, 'p>);

impl<'de, 'w, 'p> DeserializeSeed<'de> for Key<'_, 'w, 'p> {
    type Value = &'w [Step<'p>];

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'w, 'p> Visitor<'_> for Key<'_, 'w, 'p> {
    type Value = &'w [Step<'p>];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.of(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(text: &str, places: &[(&str, &str)]) -> Option<(String, Vec<String>)> {
        replace(text, places).ok()
    }

    #[test]
    fn what_stands_at_a_place_is_exchanged_and_all_else_stays_as_it_is_written() {
        let text = r#"{ "a" : "\u00e9" , "b":{"c":[1 ,{"d":-0.0}],"x":1e3}, "e":null}"#;
        let places = [("/e", "1"), ("/b/c/1/d", "[2]"), ("/a", "\"x\"")];
        let (masked, before) = replaced(text, &places).unwrap();
        assert_eq!(masked, r#"{ "a" : "x" , "b":{"c":[1 ,{"d":[2]}],"x":1e3}, "e":1}"#);
        assert_eq!(before, ["null", "-0.0", r#""\u00e9""#]);
        let back: Vec<_> = places.iter().zip(&before).map(|((at, _), with)| (*at, with.as_str())).collect();
        assert_eq!(replaced(&masked, &back).unwrap().0, text);
    }

    #[test]
    fn keys_may_hold_whatever_they_like() {
        for key in ["", "/", "~", "~1", "a/b~c", "\u{e9}\"\\", "0"] {
            let text = serde_json::json!({ "x": 1, key: { key: 7 } }).to_string();
            let mut pointer = String::new();
            push(&mut pointer, key);
            push(&mut pointer, key);
            let (masked, before) = replaced(&text, &[(&pointer, "8")]).unwrap();
            assert_eq!(before, ["7"], "{key:?}");
            assert_eq!(masked, text.replacen('7', "8", 1));
        }
    }

    #[test]
    fn where_nothing_stands_nothing_is_exchanged() {
        let text = r#"{"a":{"b":[1]},"c":"text"}"#;
        for pointer in ["/x", "/a/x", "/a/b/1", "/a/b/x", "/c/0", "/a/b/0/0"] {
            assert_eq!(replace(text, &[("/c", "0"), (pointer, "0")]), Err(Missing(1)), "{pointer}");
        }
        assert!(replace(text, &[("/a", "0"), ("/a/b", "0")]).is_err(), "one within another");
        assert!(replace("no json", &[("/a", "0")]).is_err());
    }
}

//! Places in a JSON text, by their pointers (RFC 6901): what stands there is exchanged, and all else stays as it is written.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
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
    let wanted = places.iter().enumerate().map(|(number, (pointer, _))| (number, *pointer)).collect();
    find(text, text, wanted, &mut found);
    let mut ranges = Vec::with_capacity(places.len());
    for (number, range) in found.into_iter().enumerate() {
        ranges.push((range.ok_or(Missing(number))?, number));
    }
    let at = |range: &Range<usize>| text.get(range.clone()).unwrap_or_default().to_owned();
    let before = ranges.iter().map(|(range, _)| at(range)).collect();
    ranges.sort_unstable_by_key(|(range, _)| range.start);
    let (mut replaced, mut end) = (String::with_capacity(text.len()), 0);
    for (range, number) in ranges {
        let kept = text.get(end..range.start).ok_or(Missing(number))?;
        replaced.push_str(kept);
        replaced.push_str(places.get(number).map_or("null", |(_, with)| *with));
        end = range.end;
    }
    replaced.push_str(text.get(end..).unwrap_or_default());
    Ok((replaced, before))
}

/// Pointers, each by its number, as far as they go on from here.
type Wanted<'p> = Vec<(usize, &'p str)>;

/// Finds what is wanted in a part of a text. What is no JSON, no object and no list has nothing in it.
fn find(whole: &str, part: &str, wanted: Wanted<'_>, found: &mut [Option<Range<usize>>]) {
    let mut deeper: BTreeMap<String, Wanted<'_>> = BTreeMap::new();
    for (number, pointer) in wanted {
        match pointer.strip_prefix('/') {
            Some(rest) => {
                let end = rest.find('/').unwrap_or(rest.len());
                let (step, rest) = rest.split_at(end);
                deeper.entry(step.replace("~1", "/").replace("~0", "~")).or_default().push((number, rest));
            }
            None => {
                let start = part.as_ptr().addr() - whole.as_ptr().addr();
                if let Some(place) = found.get_mut(number) {
                    *place = Some(start..start + part.len());
                }
            }
        }
    }
    if deeper.is_empty() {
        return;
    }
    let children = Children(&deeper).deserialize(&mut serde_json::Deserializer::from_str(part));
    for (step, child) in children.unwrap_or_default() {
        if let Some(wanted) = deeper.remove(&step) {
            find(whole, child.get(), wanted, found);
        }
    }
}

/// Those values of an object, or a list, that are wanted.
struct Children<'w, 'p>(&'w BTreeMap<String, Wanted<'p>>);

impl<'de> DeserializeSeed<'de> for Children<'_, '_> {
    type Value = Vec<(String, &'de RawValue)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Children<'_, '_> {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut children = Vec::with_capacity(self.0.len());
        while let Some(key) = map.next_key::<String>()? {
            if self.0.contains_key(&key) {
                children.push((key, map.next_value()?));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(children)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut children = Vec::with_capacity(self.0.len());
        let mut number = 0_usize;
        while let Some(item) = items.next_element::<&'de RawValue>()? {
            children.push((number.to_string(), item));
            number += 1;
        }
        Ok(children)
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

//! Whether two texts stand for one JSON value, however deep it is: nothing here calls itself.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use serde_json::value::RawValue;

use super::number::Decimal;

/// Whether they do. A text that is no JSON stands for no value.
pub(super) fn same_value(left: &str, right: &str) -> bool {
    let mut values = Values::default();
    values.number_of(left).is_some_and(|left| values.number_of(right) == Some(left))
}

/// A value whose parts are told by their numbers, so that two of them are compared without going down.
#[derive(PartialEq, Eq, Hash)]
enum Value<'t> {
    /// `true`, `false`, `null`, and a number that is compared as it is written.
    Word(&'t str),
    Number(Decimal),
    Text(Cow<'t, str>),
    Array(Vec<usize>),
    Object(BTreeMap<Cow<'t, str>, usize>),
}

/// An array or an object that has not ended.
enum Open<'t> {
    Array(Vec<usize>),
    /// And the key whose value comes next.
    Object(BTreeMap<Cow<'t, str>, usize>, Option<Cow<'t, str>>),
}

/// Every value that was seen, with a number of its own: equal values have the same one.
#[derive(Default)]
struct Values<'t>(HashMap<Value<'t>, usize>);

impl<'t> Values<'t> {
    /// The number of the value that a text stands for.
    fn number_of(&mut self, text: &'t str) -> Option<usize> {
        // From here on it is known to be JSON, and separators may be passed over.
        let mut rest = serde_json::from_str::<&RawValue>(text).ok()?.get();
        let mut open: Vec<Open<'t>> = Vec::new();
        loop {
            rest = rest.trim_start_matches([' ', '\t', '\r', '\n', ',', ':']);
            let value = if let Some(behind) = rest.strip_prefix('{') {
                rest = behind;
                open.push(Open::Object(BTreeMap::new(), None));
                continue;
            } else if let Some(behind) = rest.strip_prefix('[') {
                rest = behind;
                open.push(Open::Array(Vec::new()));
                continue;
            } else if let Some(behind) = rest.strip_prefix(['}', ']']) {
                rest = behind;
                match open.pop()? {
                    Open::Array(parts) => Value::Array(parts),
                    Open::Object(fields, _) => Value::Object(fields),
                }
            } else if rest.starts_with('"') {
                let (quoted, behind) = rest.split_at_checked(length_of_text(rest)?)?;
                rest = behind;
                let text = unescaped(quoted)?;
                match open.last_mut() {
                    Some(Open::Object(_, key @ None)) => {
                        *key = Some(text);
                        continue;
                    }
                    _ => Value::Text(text),
                }
            } else {
                let end = rest.find([',', '}', ']', ' ', '\t', '\r', '\n']).unwrap_or(rest.len());
                let (word, behind) = rest.split_at_checked(end)?;
                rest = behind;
                Decimal::of(word).map_or(Value::Word(word), Value::Number)
            };
            let next = self.0.len();
            let number = *self.0.entry(value).or_insert(next);
            match open.last_mut() {
                None => return Some(number),
                Some(Open::Array(parts)) => parts.push(number),
                // Of a key that stands twice, the last counts.
                Some(Open::Object(fields, key)) => drop(fields.insert(key.take()?, number)),
            }
        }
    }
}

/// How long the text is that these begin with, its quotes included.
fn length_of_text(text: &str) -> Option<usize> {
    let mut escaped = false;
    let ends = |(_, byte): &(usize, u8)| {
        let is_end = !escaped && *byte == b'"';
        escaped = !escaped && *byte == b'\\';
        is_end
    };
    text.bytes().enumerate().skip(1).find(ends).map(|(end, _)| end + 1)
}

fn unescaped(quoted: &str) -> Option<Cow<'_, str>> {
    match quoted.strip_prefix('"')?.strip_suffix('"')? {
        plain if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
        _ => serde_json::from_str(quoted).ok().map(Cow::Owned),
    }
}

#[cfg(test)]
mod tests {
    use super::same_value;

    #[test]
    fn values_are_compared_at_any_depth() {
        let deep = 200_000;
        let arrays = |levels, value| format!("{}{value}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(same_value(&arrays(deep, "1"), &arrays(deep, " 1.0 ")));
        assert!(!same_value(&arrays(deep, "1"), &arrays(deep, "2")));
        assert!(!same_value(&arrays(deep, "1"), &arrays(deep + 1, "1")));
        let objects = |value| format!("{}{value}{}", r#"{"a":"#.repeat(deep), "}".repeat(deep));
        assert!(same_value(&objects("[]"), &objects("[ ]")));
        assert!(!same_value(&objects("[]"), &objects("{}")));
    }

    #[test]
    fn what_looks_alike_is_told_apart() {
        for (one, other) in [
            ("{}", "[]"),
            ("[]", "[[]]"),
            ("[[],[]]", "[[[]]]"),
            (r#"["a","b"]"#, r#"{"a":"b"}"#),
            (r#""true""#, "true"),
            (r#""1""#, "1"),
            ("null", "false"),
            (r#"["a,b"]"#, r#"["a","b"]"#),
            (r#"["\\","a"]"#, r#"["\",a"]"#),
            ("[1", "[1"),
            ("1e99999999999999999999", "1e99999999999999999998"),
        ] {
            assert!(!same_value(one, other), "{one} {other}");
        }
        assert!(same_value(r#"{"k\u0065y": ["\"", "}"]}"#, r#"{"key":["\u0022","}"]}"#));
        assert!(same_value("[1e99999999999999999999]", "[ 1e99999999999999999999 ]"));
    }
}

//! Payloads: from a caller's type to the text of a JSON object and back, refusing what would not come back equal.

mod equality;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{DecodeError, PayloadError};
use crate::finite;

/// The deepest nesting that serde_json reads back.
const DEEPEST: usize = 127;

/// The text of a JSON object for `value`.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<String, PayloadError> {
    let text = check(serde_json::to_string(value)?)?;
    // serde_json writes NaN and the infinities as `null`: only a text with a `null` in it can hide one.
    if text.contains("null") {
        finite::check(value)?;
    }
    Ok(text)
}

/// A value of the caller's type from a stored payload.
pub(crate) fn decode<T: DeserializeOwned>(data: &str) -> Result<T, DecodeError> {
    expect_object(data)?;
    Ok(serde_json::from_str(data)?)
}

/// Refuses what is not an object, and what is nested deeper than can be read back.
pub(crate) fn check(text: String) -> Result<String, PayloadError> {
    if !text.trim_start().starts_with('{') {
        return Err(PayloadError::NotAnObject);
    }
    if is_too_deep(&text) {
        return Err(PayloadError::TooDeep { deepest: DEEPEST });
    }
    Ok(text)
}

/// A payload is an object; serde_json would also fill a struct from an array.
pub(crate) fn expect_object(data: &str) -> Result<(), DecodeError> {
    if data.trim_start().starts_with('{') { Ok(()) } else { Err(DecodeError::NotAnObject) }
}

/// Whether two texts stand for one JSON value, whatever the order of keys, spacing, escapes and the way in which a number
/// is written: a database may write all of these its own way. Numbers are compared digit by digit, not as floats.
pub(crate) fn equal_json(left: &str, right: &str) -> bool {
    left == right || equality::same_value(left, right)
}

fn is_too_deep(text: &str) -> bool {
    // Each level has an opening and a closing bracket.
    if text.len() <= 2 * DEEPEST {
        return false;
    }
    let opening = text.bytes().filter(|byte| matches!(byte, b'{' | b'[')).count();
    opening > DEEPEST && nesting(text) > DEEPEST
}

fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    #[test]
    fn braces_inside_strings_do_not_count_as_nesting() {
        assert_eq!(nesting(r#"{"a":"[[[\"[[","b":[1]}"#), 2);
    }

    #[test]
    fn integers_beyond_64_bits_are_told_apart() {
        let holding = |number: u128| format!("{{\"n\": {number}}}");
        assert!(equal_json(&holding(u128::MAX), &format!(" {} ", holding(u128::MAX))));
        assert!(!equal_json(&holding(u128::MAX), &holding(u128::MAX - 1)));
    }

    #[test]
    fn a_database_may_write_a_value_its_own_way() {
        for (ours, theirs) in [
            (r#"{"a":1,"bb":[2]}"#, r#"{"bb": [2], "a": 1}"#),
            (r#"{"n":1e20}"#, r#"{"n":100000000000000000000}"#),
            (r#"{"n":-0.0}"#, r#"{"n":0.0}"#),
            (r#"{"n":1.50}"#, r#"{"n":15e-1}"#),
            (r#"{"t":"\u00e9\n"}"#, "{\"t\":\"é\\n\"}"),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
        ] {
            assert!(equal_json(ours, theirs), "{ours} {theirs}");
        }
        for (one, other) in [
            (r#"{"n":1}"#, r#"{"n":"1"}"#),
            (r#"{"n":1}"#, r#"{"n":-1}"#),
            (r#"{"n":1}"#, r#"{"n":10}"#),
            (r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#),
            (r#"{"a":null}"#, r#"{}"#),
            (r#"{"a":true}"#, r#"{"a":false}"#),
        ] {
            assert!(!equal_json(one, other), "{one} {other}");
        }
    }

    #[test]
    fn nesting_is_allowed_as_deep_as_it_can_be_read_back() {
        let nested = |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
        let deepest = check(nested(DEEPEST - 1)).unwrap();
        assert!(serde_json::from_str::<Value>(&deepest).is_ok());
        assert!(matches!(check(nested(DEEPEST)), Err(PayloadError::TooDeep { .. })));
        assert!(serde_json::from_str::<Value>(&nested(DEEPEST)).is_err());
    }

    #[test]
    fn numbers_that_json_cannot_hold_are_refused_wherever_they_stand() {
        let nan = BTreeMap::from([("a", vec![Some(f64::NAN)])]);
        assert!(matches!(encode(&nan), Err(PayloadError::NotFinite)));
        let none = BTreeMap::from([("a", vec![None::<f64>])]);
        assert_eq!(encode(&none).unwrap(), r#"{"a":[null]}"#);
    }
}

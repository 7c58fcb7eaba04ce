//! Payloads: from a caller's type to the text of a JSON object and back, refusing what would not come back equal.

mod equality;
mod number;
mod read_back;
mod scan;
mod seen;
mod tree;
mod watch;

use serde::Serialize;
use serde::de::DeserializeOwned;

use self::scan::Scanned;
use self::seen::Seen;
use self::watch::Watched;
use crate::error::{DecodeError, PayloadError, Source};
use crate::panics::caught;

/// The deepest nesting that serde_json reads back.
const DEEPEST: usize = 127;

/// The most bytes of a payload, a context or a kept state, its numbers written out: the same on every backend. PostgreSQL
/// holds up to 255 MB in a JSONB, some of which is its own, and gives back no text of more than 1 GB.
const MOST_BYTES: usize = 64 * 1_024 * 1_024;

/// A payload that is longer is looked through, whatever its shape.
const LONG: usize = 1_024 * 1_024;

/// How much of a key an error shows.
const SHOWN_CHARACTERS: usize = 40;

/// Reads a payload as the caller's type, and writes it again.
pub(crate) type Again<'r> = &'r dyn Fn(&str) -> Result<String, Source>;

fn shown(key: &str) -> String {
    key.chars().take(SHOWN_CHARACTERS).collect()
}

/// The text of a JSON object for a value that its type reads back equal, from every backend.
pub(crate) fn encode<T: Serialize + DeserializeOwned>(value: &T) -> Result<String, PayloadError> {
    encode_with(value, &|text| Ok(rewritten(&decode::<T>(text)?)?))
}

/// The text of a JSON object for a value; `again` reads such a text and writes it again.
///
/// Reading back costs more than writing: it is done once for each shape that values of the type have.
pub(crate) fn encode_with<T: Serialize>(value: &T, again: Again<'_>) -> Result<String, PayloadError> {
    let seen = Seen::default();
    let text = written(value, &seen)?;
    if !seen.is_open() && text.len() <= LONG && seen::is_known(seen.whole_shape(&[])) {
        return Ok(text);
    }
    let scanned = look_through(&text)?;
    let shape = seen.whole_shape(&scanned.would_sort);
    if !seen::is_known(shape) {
        read_back(&text, &seen, again)?;
        seen::remember(shape);
    }
    Ok(text)
}

fn written<T: Serialize>(value: &T, seen: &Seen) -> Result<String, PayloadError> {
    match serde_json::to_string(&Watched::new(value, seen)) {
        Err(_) if seen.is_not_finite() => Err(PayloadError::NotFinite),
        written => Ok(written?),
    }
}

/// The text of a value that was read; the same code writes it as wrote the first one.
pub(crate) fn rewritten<T: Serialize>(value: &T) -> serde_json::Result<String> {
    serde_json::to_string(&Watched::new(value, &Seen::default()))
}

/// A text that was written by hand, if it can be read back.
pub(crate) fn check_by_hand(text: String, again: Again<'_>) -> Result<String, PayloadError> {
    look_through(&text)?;
    read_back(&text, &Seen::default(), again)?;
    Ok(text)
}

fn read_back(text: &str, seen: &Seen, again: Again<'_>) -> Result<(), PayloadError> {
    let again = |text: &str| match caught(|| again(text)) {
        Ok(read) => read.map_err(|problem| problem.to_string()),
        Err(words) => Err(format!("it panics: {words}")),
    };
    read_back::check(text, &seen.maps(), seen.has_others_json(), &again)
}

/// A value of the caller's type from a stored payload.
pub(crate) fn decode<T: DeserializeOwned>(data: &str) -> Result<T, DecodeError> {
    expect_object(data)?;
    Ok(serde_json::from_str(data)?)
}

/// Refuses the text of what is not an object, what is nested deeper than can be read back, keys that stand twice, and what
/// is too long.
pub(crate) fn check(text: String) -> Result<String, PayloadError> {
    look_through(&text)?;
    Ok(text)
}

fn look_through(text: &str) -> Result<Scanned, PayloadError> {
    if !text.trim_start().starts_with('{') {
        return Err(PayloadError::NotAnObject);
    }
    // What is too long is not looked through.
    let scanned = if text.len() > MOST_BYTES { Scanned::default() } else { scan::scan(text)? };
    let bytes = text.len().saturating_add(scanned.growth);
    if bytes > MOST_BYTES {
        return Err(PayloadError::TooLarge { bytes, most: MOST_BYTES });
    }
    Ok(scanned)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

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
        let nan = BTreeMap::from([("a".to_owned(), vec![Some(f64::NAN)])]);
        assert!(matches!(encode(&nan), Err(PayloadError::NotFinite)));
        let none = BTreeMap::from([("a".to_owned(), vec![None::<f64>])]);
        assert_eq!(encode(&none).unwrap(), r#"{"a":[null]}"#);
    }
}

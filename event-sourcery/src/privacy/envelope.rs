//! How it stands in a store what was encrypted of an event: in its context, under the empty key.
//!
//! For each data subject, there is each of its fields by its JSON pointer. What has no pointer under that key is somebody else's; an
//! envelope that was damaged is still one. In the payload the field's mask stands in its place. So a
//! payload is one that its type reads, whatever becomes of the keys; and no payload, whatever is in it, is taken for an envelope.
//! The empty key is the first of an object on every backend, JSONB too, which sorts keys by their length: to look at the first
//! bytes of a context tells whether anything is encrypted.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::Value;
use uuid::Uuid;

use crate::error::{Error, Result};

/// The fields of each subject, each by its JSON pointer.
pub(super) type Envelope<'t> = BTreeMap<&'t str, BTreeMap<&'t str, String>>;

/// One that was read.
pub(super) type Found = BTreeMap<String, BTreeMap<String, String>>;

/// How a context begins that holds one, as it is written.
const BEGINS: &str = r#"{"":"#;

/// What stands behind the empty key of a context that begins with it. Others may have put space between, in a file that is imported.
#[inline]
fn behind_the_empty_key(context: &str) -> Option<&str> {
    let key = context.trim_start().strip_prefix('{')?.trim_start().strip_prefix("\"\"")?;
    key.trim_start().strip_prefix(':')
}

/// Whether something of an event with this context may be encrypted: a look at how it begins.
#[inline]
pub(crate) fn may_be_sealed(context: &str) -> bool {
    behind_the_empty_key(context).is_some()
}

/// Whether something of an event with this context is encrypted, though it may be that nobody can read any more what.
#[inline]
pub(crate) fn is_sealed(context: &str) -> bool {
    behind_the_empty_key(context).is_some_and(|text| {
        let value = serde_json::Deserializer::from_str(text).into_iter::<Value>().next();
        value.is_some_and(|value| value.is_ok_and(|value| is_one(&value)))
    })
}

/// Whether a value under the empty key would be taken for an envelope, or for what is left of one: a field of it.
pub(crate) fn is_one(value: &Value) -> bool {
    let has_field = |fields: &Value| {
        fields.as_object().is_some_and(|fields| fields.keys().any(|pointer| pointer.starts_with('/')))
    };
    value.as_object().is_some_and(|subjects| subjects.values().any(has_field))
}

fn has_fields(envelope: &Found) -> bool {
    let has_fields = |fields: &BTreeMap<String, String>| {
        !fields.is_empty() && fields.keys().all(|pointer| pointer.starts_with('/'))
    };
    !envelope.is_empty() && envelope.values().all(has_fields)
}

/// The context with an envelope.
pub(super) fn put_into(context: &str, envelope: &Envelope<'_>) -> Result<String> {
    let envelope = serde_json::to_string(envelope)
        .map_err(|_| Error::bug("what was encrypted cannot be written as JSON"))?;
    let rest = context.trim_start().strip_prefix('{').unwrap_or("}").trim_start();
    let comma = if rest.starts_with('}') { "" } else { "," };
    Ok([BEGINS, &envelope, comma, rest].concat())
}

/// The envelope of a context, and the context without it; `None` where it is not one.
pub(super) fn take_from(context: &str) -> Option<(Found, Cow<'static, str>)> {
    let text = behind_the_empty_key(context)?;
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Found>();
    let envelope = values.next()?.ok().filter(has_fields)?;
    let rest = text.get(values.byte_offset()..)?.trim_start();
    let rest = match rest.strip_prefix(',') {
        Some(rest) => Cow::Owned(format!("{{{}", rest.trim_start())),
        None => Cow::Borrowed("{}"),
    };
    Some((envelope, rest))
}

/// A ciphertext as it stands in an envelope.
pub(super) fn written(format: &str, key: Uuid, sealed: &[u8]) -> String {
    let mut text = String::with_capacity(format.len() + 34 + sealed.len().div_ceil(3) * 4);
    text.push_str(format);
    text.push('.');
    text.push_str(key.simple().encode_lower(&mut Uuid::encode_buffer()));
    text.push('.');
    STANDARD_NO_PAD.encode_string(sealed, &mut text);
    text
}

/// Its format, the id of its key, and its bytes.
pub(super) fn read(text: &str) -> Option<(&str, Uuid, Vec<u8>)> {
    let (format, rest) = text.split_once('.')?;
    let (key, sealed) = rest.split_once('.')?;
    Some((format, Uuid::try_parse(key).ok()?, STANDARD_NO_PAD.decode(sealed).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_comes_out_as_it_went_in() {
        let fields = BTreeMap::from([("/email", "1.x.y".to_owned())]);
        let envelope = Envelope::from([("}, \"17\"", fields)]);
        let as_found = serde_json::to_value(&envelope).unwrap();
        let found: Found = serde_json::from_value(as_found).unwrap();
        for context in ["{}", r#"{"correlation_id":"x"}"#, r#"{"components":{"":{"a":1}}}"#] {
            let sealed = put_into(context, &envelope).unwrap();
            assert!(is_sealed(&sealed) && !is_sealed(context));
            assert_eq!(take_from(&sealed).unwrap(), (found.clone(), Cow::Borrowed(context)));
            // As JSONB writes it, and as others may in a file that is imported.
            let spaced = sealed.replacen(':', ": ", 1).replacen("}},", "}}, ", 1);
            let apart = sealed.replacen("{\"\":", " {\n  \"\" : ", 1);
            for text in [spaced, apart] {
                assert!(is_sealed(&text), "a mask would be read: {text}");
                assert_eq!(take_from(&text).unwrap(), (found.clone(), Cow::Borrowed(context)));
            }
        }
    }

    #[test]
    fn what_is_none_is_not_taken_for_one() {
        let others =
            [r#"{"":5}"#, r#"{"":{}}"#, r#"{"":{"a":1}}"#, r#"{"":{"a":{}}}"#, r#"{"":{"a":{"b":"c"}}}"#];
        for context in ["", "{}", r#"{"":"#, r#"{"a":{}}"#].into_iter().chain(others) {
            assert!(take_from(context).is_none() && !is_sealed(context), "{context}");
        }
        for context in others {
            let value: Value = serde_json::from_str(context).unwrap();
            assert!(!is_one(&value[""]), "{context}");
        }
        assert!(is_one(&serde_json::json!({ "17": { "/email": "1.x.y" } })));
        for damaged in [
            r#"{"":{"17":{"/email":null}}}"#,
            r#"{"":{"17":{"/email":"1.x.y","born":"1.x.y"}}}"#,
            r#"{"":{"17":{"/email":"1.x.y"},"18":{}},"a":1}"#,
        ] {
            assert!(take_from(damaged).is_none() && is_sealed(damaged), "a mask would be read: {damaged}");
        }
        for text in ["", "1", "1.", "1.x.y", "1..", ".00000000000000000000000000000000"] {
            assert!(read(text).is_none(), "{text}");
        }
        let key = Uuid::now_v7();
        assert_eq!(read(&written("1", key, b"\xff\x00.")), Some(("1", key, b"\xff\x00.".to_vec())));
    }
}

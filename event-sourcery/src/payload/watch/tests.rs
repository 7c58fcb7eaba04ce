//! Numbers that JSON cannot hold are found, in every kind of value; and what is watched is written as it would be anyway.

use std::collections::BTreeMap;

use super::super::written;
use super::*;
use crate::error::PayloadError;

fn check<T: Serialize>(value: &T) -> Result<String, PayloadError> {
    written(value, &Seen::default())
}

#[derive(Serialize)]
struct Newtype(f64);

#[derive(Serialize)]
struct Pair(u8, f64);

#[derive(Serialize)]
struct Named {
    value: f64,
}

#[derive(Serialize)]
enum Shape {
    Unit,
    Newtype(f64),
    Tuple(u8, f64),
    Struct { value: f64 },
}

/// A map with a number as its key, which Rust's own maps cannot have.
struct Keyed(f64);

impl Serialize for Keyed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(self.0, ())])
    }
}

#[track_caller]
fn assert_only_finite<T: Serialize>(value: impl Fn(f64) -> T) {
    assert!(check(&value(f64::MAX)).is_ok());
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(matches!(check(&value(number)), Err(PayloadError::NotFinite)), "{number} was let through");
    }
}

#[test]
fn a_number_is_found_in_every_kind_of_value() {
    assert_only_finite(|number| number);
    #[expect(clippy::cast_possible_truncation, reason = "f64::MAX is to stay finite as an f32 too")]
    assert_only_finite(|number| (number / 1e300) as f32);
    assert_only_finite(Some);
    assert_only_finite(|number| vec![0.0, number]);
    assert_only_finite(|number| (1, number));
    assert_only_finite(|number| BTreeMap::from([("key", number)]));
    assert_only_finite(Keyed);
    assert_only_finite(Newtype);
    assert_only_finite(|number| Pair(1, number));
    assert_only_finite(|value| Named { value });
    assert_only_finite(Shape::Newtype);
    assert_only_finite(|number| Shape::Tuple(1, number));
    assert_only_finite(|value| Shape::Struct { value });
}

#[test]
fn a_number_is_found_at_any_depth() {
    assert_only_finite(|value| {
        BTreeMap::from([("key", vec![Some(Shape::Newtype(1.0)), Some(Shape::Struct { value })])])
    });
}

#[test]
fn everything_else_passes() {
    let numbers =
        (i8::MIN, i16::MIN, i32::MIN, i64::MIN, i128::MIN, u8::MAX, u16::MAX, u32::MAX, u64::MAX, u128::MAX);
    assert!(check(&numbers).is_ok());
    assert!(check(&(true, 'c', "text", b"bytes", None::<f64>, ())).is_ok());
    assert!(check(&(Shape::Unit, uuid::Uuid::nil(), jiff::Timestamp::UNIX_EPOCH)).is_ok());
}

#[test]
fn a_failing_serialisation_is_reported_as_what_it_is() {
    struct Fails;
    impl Serialize for Fails {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(ser::Error::custom("no"))
        }
    }
    assert!(matches!(check(&Fails), Err(PayloadError::Serialize(error)) if error.to_string() == "no"));
}

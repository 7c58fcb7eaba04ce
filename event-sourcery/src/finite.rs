//! Finds the numbers that JSON cannot hold: NaN and the infinities, at any depth.
//!
//! serde_json writes them as `null`, in text and as a `Value`, so that only a serialiser of our own can tell. This one
//! walks through a value and writes nothing.

use std::fmt::Display;

use serde::Serialize;
use serde::ser::{self, Serializer};

use crate::error::PayloadError;

/// Refuses a value that holds a number which is not finite.
pub(crate) fn check<T: Serialize + ?Sized>(value: &T) -> Result<(), PayloadError> {
    value.serialize(Walk).map_err(|Refused(source)| source)
}

#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Refused(PayloadError);

impl ser::Error for Refused {
    fn custom<T: Display>(message: T) -> Self {
        Self(serde_json::Error::custom(message).into())
    }
}

type Walked<T = ()> = Result<T, Refused>;

/// The serialiser, and whatever it says about sequences, maps and structs: nothing is kept between two numbers.
struct Walk;

fn finite(is_finite: bool) -> Walked {
    if is_finite { Ok(()) } else { Err(Refused(PayloadError::NotFinite)) }
}

macro_rules! pass {
    ($($method:ident($($argument:ty),*))*) => {$(
        fn $method(self, $(_: $argument),*) -> Walked {
            Ok(())
        }
    )*};
}

macro_rules! enter {
    ($($method:ident($($argument:ty),*))*) => {$(
        fn $method(self, $(_: $argument),*) -> Walked<Self> {
            Ok(self)
        }
    )*};
}

impl Serializer for Walk {
    type Ok = ();
    type Error = Refused;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    fn serialize_f32(self, value: f32) -> Walked {
        finite(value.is_finite())
    }

    fn serialize_f64(self, value: f64) -> Walked {
        finite(value.is_finite())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Walked {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Walked {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Walked {
        value.serialize(self)
    }

    fn collect_str<T: Display + ?Sized>(self, _: &T) -> Walked {
        Ok(())
    }

    pass! {
        serialize_bool(bool) serialize_char(char) serialize_str(&str) serialize_bytes(&[u8])
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) serialize_i128(i128)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) serialize_u128(u128)
        serialize_none() serialize_unit() serialize_unit_struct(&'static str)
        serialize_unit_variant(&'static str, u32, &'static str)
    }

    enter! {
        serialize_seq(Option<usize>) serialize_map(Option<usize>) serialize_tuple(usize)
        serialize_tuple_struct(&'static str, usize) serialize_struct(&'static str, usize)
        serialize_tuple_variant(&'static str, u32, &'static str, usize)
        serialize_struct_variant(&'static str, u32, &'static str, usize)
    }
}

macro_rules! parts {
    ($($compound:ident { $($method:ident($($key:ty)?))* })*) => {$(
        impl ser::$compound for Walk {
            type Ok = ();
            type Error = Refused;

            $(fn $method<T: Serialize + ?Sized>(&mut self, $(_: $key,)? value: &T) -> Walked {
                value.serialize(Walk)
            })*

            fn end(self) -> Walked {
                Ok(())
            }
        }
    )*};
}

parts! {
    SerializeSeq { serialize_element() }
    SerializeTuple { serialize_element() }
    SerializeTupleStruct { serialize_field() }
    SerializeTupleVariant { serialize_field() }
    SerializeMap { serialize_key() serialize_value() }
    SerializeStruct { serialize_field(&'static str) }
    SerializeStructVariant { serialize_field(&'static str) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serializer;

    use super::*;

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
            assert!(
                matches!(check(&value(number)), Err(PayloadError::NotFinite)),
                "{number} was let through"
            );
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
        let numbers = (
            i8::MIN,
            i16::MIN,
            i32::MIN,
            i64::MIN,
            i128::MIN,
            u8::MAX,
            u16::MAX,
            u32::MAX,
            u64::MAX,
            u128::MAX,
        );
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
}

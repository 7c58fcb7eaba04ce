//! One variant of an enum as a payload of its own: the object of its fields, without serde's tag.
//!
//! The enum derives `Serialize` and `Deserialize` with serde's default, external tag. Writing leaves that tag out;
//! reading hands serde the variant's index in its place, so that a name that serde knows plays no part.

use std::fmt::Display;

use serde::de::value::U32Deserializer;
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, VariantAccess, Visitor,
};
use serde::ser::{self, Impossible, Serialize, SerializeStruct, SerializeStructVariant, Serializer};

use super::Fields;
use crate::error::{DecodeError, PayloadError};
use crate::payload;

/// The payload of a variant with named fields. `index` counts the variants that serde deserialises, from 0.
///
/// # Errors
///
/// [`PayloadError`], for what could not be read back equal.
pub fn encode_variant<T: Fields>(index: u32, event: &T) -> Result<String, PayloadError> {
    payload::encode_with(&Untagged(event), &|text| {
        Ok(payload::rewritten(&Untagged(&decode_variant::<T>(index, text)?))?)
    })
}

/// A variant with named fields from its payload. `index` counts the variants that serde deserialises, from 0.
///
/// # Errors
///
/// [`DecodeError`], for what does not fit.
pub fn decode_variant<T: Fields>(index: u32, data: &str) -> Result<T, DecodeError> {
    payload::expect_object(data)?;
    let mut fields = serde_json::Deserializer::from_str(data);
    let event = deserialize_variant(index, &mut fields)?;
    fields.end()?;
    Ok(event)
}

/// A variant with named fields from the deserialiser of its fields.
pub(crate) fn deserialize_variant<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    index: u32,
    fields: D,
) -> Result<T, D::Error> {
    T::deserialize(Variant { index, fields })
}

/// An enum, or the serialiser that one is written to.
struct Untagged<T>(T);

impl<T: Serialize> Serialize for Untagged<&T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Untagged(serializer))
    }
}

fn not_a_variant<E: ser::Error>() -> E {
    E::custom(
        "an event enum has to derive `Serialize`, with serde's external tag: its variant has named fields",
    )
}

macro_rules! refuse {
    ($($method:ident($($argument:ty),*) $(-> $compound:ident)?;)*) => {$(
        fn $method(self, $(_: $argument),*) -> Result<refuse!(@ok $($compound)?), S::Error> {
            Err(not_a_variant())
        }
    )*};
    (@ok) => { S::Ok };
    (@ok $compound:ident) => { Self::$compound };
}

impl<S: Serializer> Serializer for Untagged<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Impossible<S::Ok, S::Error>;
    type SerializeTuple = Impossible<S::Ok, S::Error>;
    type SerializeTupleStruct = Impossible<S::Ok, S::Error>;
    type SerializeTupleVariant = Impossible<S::Ok, S::Error>;
    type SerializeMap = Impossible<S::Ok, S::Error>;
    type SerializeStruct = Impossible<S::Ok, S::Error>;
    type SerializeStructVariant = Untagged<S::SerializeStruct>;

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        self.0.serialize_struct(variant, len).map(Untagged)
    }

    /// What serde makes of a variant with a flattened field.
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        fields: &T,
    ) -> Result<S::Ok, S::Error> {
        self.0.serialize_newtype_struct(variant, fields)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<S::Ok, S::Error> {
        Err(not_a_variant())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: &T,
    ) -> Result<S::Ok, S::Error> {
        Err(not_a_variant())
    }

    fn collect_str<T: Display + ?Sized>(self, _: &T) -> Result<S::Ok, S::Error> {
        Err(not_a_variant())
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }

    refuse! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_f32(f32);
        serialize_f64(f64);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
        serialize_seq(Option<usize>) -> SerializeSeq;
        serialize_tuple(usize) -> SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> SerializeTupleVariant;
        serialize_map(Option<usize>) -> SerializeMap;
        serialize_struct(&'static str, usize) -> SerializeStruct;
    }
}

impl<F: SerializeStruct> SerializeStructVariant for Untagged<F> {
    type Ok = F::Ok;
    type Error = F::Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), F::Error> {
        self.0.serialize_field(key, value)
    }

    fn skip_field(&mut self, key: &'static str) -> Result<(), F::Error> {
        self.0.skip_field(key)
    }

    fn end(self) -> Result<F::Ok, F::Error> {
        self.0.end()
    }
}

/// A variant by its index, and the deserialiser of its fields.
struct Variant<D> {
    index: u32,
    fields: D,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Variant<D> {
    type Error = D::Error;

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        visitor.visit_enum(self)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, D::Error> {
        Err(de::Error::custom("an event enum has to derive `Deserialize`, with serde's external tag"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de, D: Deserializer<'de>> EnumAccess<'de> for Variant<D> {
    type Error = D::Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), D::Error> {
        let index: U32Deserializer<D::Error> = self.index.into_deserializer();
        Ok((seed.deserialize(index)?, self))
    }
}

impl<'de, D: Deserializer<'de>> VariantAccess<'de> for Variant<D> {
    type Error = D::Error;

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.fields.deserialize_struct("", fields, visitor)
    }

    /// What serde makes of a variant with a flattened field.
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, D::Error> {
        seed.deserialize(self.fields)
    }

    fn unit_variant(self) -> Result<(), D::Error> {
        Deserialize::deserialize(self.fields)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, D::Error> {
        self.fields.deserialize_tuple(len, visitor)
    }
}

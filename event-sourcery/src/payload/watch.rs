//! Watches a value while it is written: notes its shape, and refuses the numbers that JSON cannot hold. serde_json writes
//! those as `null`.

mod kinds;
#[cfg(test)]
mod tests;

use std::any::type_name;
use std::fmt::Display;

use serde::Serialize;
use serde::ser::{self, Error as _, Serializer};

use self::kinds::{EXPONENT, EXPONENT_OF_32_BITS, integer, is_json, is_plain_map, long_float};
use super::seen::{Seen, facts, folded};

/// So many different items of a list are told apart.
const ITEMS: usize = 8;

/// A value that is watched while it is written.
pub(super) struct Watched<'s, T: ?Sized> {
    value: &'s T,
    seen: &'s Seen,
    /// Whether its text is a part of the shape.
    text_counts: bool,
}

impl<'s, T: ?Sized> Watched<'s, T> {
    pub(super) const fn new(value: &'s T, seen: &'s Seen) -> Self {
        Self { value, seen, text_counts: false }
    }
}

impl<T: Serialize + ?Sized> Serialize for Watched<'_, T> {
    #[inline]
    fn serialize<S: Serializer>(&self, inner: S) -> Result<S::Ok, S::Error> {
        let Self { value, seen, text_counts } = *self;
        let type_name = type_name::<T>();
        // Each type has a name of its own, at an address of its own.
        seen.note(type_name.as_ptr().addr() as u64);
        // Serde writes the tag of an enum, and a field of a flattened struct, as a `str`; the texts of a caller's type are owned.
        let text_counts = text_counts || matches!(type_name, "str" | "&str");
        value.serialize(Watch { inner, seen, type_name, text_counts })
    }
}

/// The serialiser of a watched value.
pub(super) struct Watch<'s, S> {
    inner: S,
    seen: &'s Seen,
    type_name: &'static str,
    text_counts: bool,
}

impl<S: Serializer> Watch<'_, S> {
    fn float(&self, value: f64, exponent: f64) -> Result<(), S::Error> {
        if !value.is_finite() {
            self.seen.not_finite();
            return Err(S::Error::custom("it is not finite"));
        }
        self.seen.note(if value.abs() < exponent { facts::FLOAT } else { long_float(value) });
        Ok(())
    }

    fn variant(&self, index: u32) {
        self.seen.note(facts::VARIANT + u64::from(index));
    }
}

/// What a value consists of, while it is written.
pub(super) struct Parts<'s, C> {
    inner: C,
    seen: &'s Seen,
}

/// A list or a map, whose items are told apart and not counted.
pub(super) struct Items<'s, C> {
    inner: C,
    seen: &'s Seen,
    /// The shape in front of each item.
    start: u64,
    different: [u64; ITEMS],
    all: u64,
    /// Whether the keys are a part of the shape: in a flattened map one may be that of a field.
    keys_count: bool,
    /// The number of the object, as long as nothing tells that its order may mean something.
    object: Option<u32>,
    /// Whether the key at hand is a caller's.
    is_callers_key: bool,
}

impl<'s, C> Items<'s, C> {
    fn new(inner: C, seen: &'s Seen) -> Self {
        let (start, different, all) = (seen.shape(), [0; ITEMS], 0);
        Self { inner, seen, start, different, all, keys_count: false, object: None, is_callers_key: false }
    }

    fn start(&self) {
        self.seen.set_shape(self.start);
    }

    fn done(&mut self) {
        let item = self.seen.shape();
        for known in &mut self.different {
            if *known == item {
                return;
            }
            if *known == 0 {
                *known = item;
                break;
            }
        }
        self.all = self.all.wrapping_add(item);
    }

    fn end(self) -> C {
        self.seen.set_shape(folded(self.start, self.all ^ facts::SEVERAL));
        self.inner
    }
}

macro_rules! plain {
    ($($method:ident($value:ident: $type:ty) $fact:expr;)*) => {$(
        #[inline]
        fn $method(self, $value: $type) -> Result<S::Ok, S::Error> {
            self.seen.note($fact);
            self.inner.$method($value)
        }
    )*};
}

impl<'s, S: Serializer> Serializer for Watch<'s, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Items<'s, S::SerializeSeq>;
    type SerializeTuple = Parts<'s, S::SerializeTuple>;
    type SerializeTupleStruct = Parts<'s, S::SerializeTupleStruct>;
    type SerializeTupleVariant = Parts<'s, S::SerializeTupleVariant>;
    type SerializeMap = Items<'s, S::SerializeMap>;
    type SerializeStruct = Parts<'s, S::SerializeStruct>;
    type SerializeStructVariant = Parts<'s, S::SerializeStructVariant>;

    plain! {
        serialize_bool(value: bool) facts::OTHER;
        serialize_i8(value: i8) integer(value.into());
        serialize_i16(value: i16) integer(value.into());
        serialize_i32(value: i32) integer(value.into());
        serialize_i64(value: i64) integer(value.into());
        serialize_i128(value: i128) integer(value);
        serialize_u8(value: u8) integer(value.into());
        serialize_u16(value: u16) integer(value.into());
        serialize_u32(value: u32) integer(value.into());
        serialize_u64(value: u64) integer(value.into());
        serialize_u128(value: u128) integer(value.try_into().unwrap_or(i128::MAX));
        serialize_char(value: char) facts::TEXT;
        serialize_bytes(value: &[u8]) facts::BYTES;
        serialize_unit_struct(name: &'static str) facts::NONE;
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<S::Ok, S::Error> {
        self.seen.note(facts::TEXT);
        if self.text_counts {
            value.bytes().for_each(|byte| self.seen.note(byte.into()));
        }
        self.inner.serialize_str(value)
    }

    fn serialize_f32(self, value: f32) -> Result<S::Ok, S::Error> {
        self.float(value.into(), EXPONENT_OF_32_BITS)?;
        self.inner.serialize_f32(value)
    }

    fn serialize_f64(self, value: f64) -> Result<S::Ok, S::Error> {
        self.float(value, EXPONENT)?;
        self.inner.serialize_f64(value)
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.seen.note(facts::NONE);
        self.inner.serialize_none()
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.seen.note(facts::NONE);
        self.inner.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.seen.note(facts::SOME);
        self.inner.serialize_some(&Watched::new(value, self.seen))
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        self.variant(index);
        self.inner.serialize_unit_variant(name, index, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.seen.note(name.as_ptr().addr() as u64);
        let value = Watched { value, seen: self.seen, text_counts: self.text_counts };
        self.inner.serialize_newtype_struct(name, &value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.variant(index);
        self.seen.object();
        self.inner.serialize_newtype_variant(name, index, variant, &Watched::new(value, self.seen))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        self.seen.note(facts::LIST);
        Ok(Items::new(self.inner.serialize_seq(length)?, self.seen))
    }

    fn serialize_tuple(self, length: usize) -> Result<Self::SerializeTuple, S::Error> {
        Ok(Parts { inner: self.inner.serialize_tuple(length)?, seen: self.seen })
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleStruct, S::Error> {
        Ok(Parts { inner: self.inner.serialize_tuple_struct(name, length)?, seen: self.seen })
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        self.variant(index);
        self.seen.object();
        let inner = self.inner.serialize_tuple_variant(name, index, variant, length)?;
        Ok(Parts { inner, seen: self.seen })
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        self.seen.note(facts::MAP);
        let (object, keys_count) = (self.seen.map(), !is_plain_map(self.type_name));
        let items = Items::new(self.inner.serialize_map(length)?, self.seen);
        Ok(Items { keys_count, object: keys_count.then_some(object), ..items })
    }

    fn serialize_struct(self, name: &'static str, length: usize) -> Result<Self::SerializeStruct, S::Error> {
        if name.starts_with("$serde_json::private::") {
            self.seen.others_json();
        } else {
            self.seen.object();
            self.seen.note(name.as_ptr().addr() as u64);
        }
        Ok(Parts { inner: self.inner.serialize_struct(name, length)?, seen: self.seen })
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        self.variant(index);
        self.seen.object();
        self.seen.object();
        let inner = self.inner.serialize_struct_variant(name, index, variant, length)?;
        Ok(Parts { inner, seen: self.seen })
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.seen.note(facts::TEXT);
        self.inner.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

impl<C: ser::SerializeSeq> ser::SerializeSeq for Items<'_, C> {
    type Ok = C::Ok;
    type Error = C::Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        self.start();
        self.inner.serialize_element(&Watched::new(value, self.seen))?;
        self.done();
        Ok(())
    }

    fn end(self) -> Result<C::Ok, C::Error> {
        self.end().end()
    }
}

impl<C: ser::SerializeMap> ser::SerializeMap for Items<'_, C> {
    type Ok = C::Ok;
    type Error = C::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), C::Error> {
        self.start();
        self.is_callers_key = !matches!(type_name::<T>(), "str" | "&str");
        self.inner.serialize_key(&Watched { value: key, seen: self.seen, text_counts: self.keys_count })
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        if let Some(object) = self.object.take_if(|_| self.is_callers_key && !is_json(type_name::<T>())) {
            self.seen.may_keep_order(object, self.start);
        }
        self.inner.serialize_value(&Watched::new(value, self.seen))?;
        self.done();
        Ok(())
    }

    fn end(self) -> Result<C::Ok, C::Error> {
        self.end().end()
    }
}

macro_rules! parts {
    ($($compound:ident { $method:ident($($key:ident: $type:ty)?) $($skip:ident)? })*) => {$(
        impl<C: ser::$compound> ser::$compound for Parts<'_, C> {
            type Ok = C::Ok;
            type Error = C::Error;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, $($key: $type,)? value: &T) -> Result<(), C::Error> {
                $(self.seen.note($key.as_ptr().addr() as u64);)?
                self.inner.$method($($key,)? &Watched::new(value, self.seen))
            }

            $(fn $skip(&mut self, key: &'static str) -> Result<(), C::Error> {
                self.inner.$skip(key)
            })?

            fn end(self) -> Result<C::Ok, C::Error> {
                self.inner.end()
            }
        }
    )*};
}

parts! {
    SerializeTuple { serialize_element() }
    SerializeTupleStruct { serialize_field() }
    SerializeTupleVariant { serialize_field() }
    SerializeStruct { serialize_field(key: &'static str) skip_field }
    SerializeStructVariant { serialize_field(key: &'static str) skip_field }
}

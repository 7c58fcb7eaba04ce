//! Watches a value while it is written: notes its shape, and refuses the numbers that JSON cannot hold. serde_json writes
//! those as `null`.

#[cfg(test)]
mod tests;

use std::any::type_name;
use std::fmt::Display;

use serde::Serialize;
use serde::ser::{self, Error as _, Serializer};

use super::seen::{Seen, facts, folded};

/// From here on a float is written with an exponent, which JSONB writes out, and then it looks like an integer.
const EXPONENT: f64 = 1e16;

/// So many different items of a list are told apart.
const ITEMS: usize = 8;

/// What a float would be as an integer decides which type takes it.
#[cold]
fn long_float(value: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    facts::LONG_FLOAT
        + match value {
            value if value < -HALF => 0,
            value if value < 0.0 => 1,
            value if value < HALF => 2,
            value if value < 2.0 * HALF => 3,
            _ => 4,
        }
}

/// A value that is watched while it is written.
pub(super) struct Watched<'s, T: ?Sized> {
    value: &'s T,
    seen: &'s Seen,
}

impl<'s, T: ?Sized> Watched<'s, T> {
    pub(super) const fn new(value: &'s T, seen: &'s Seen) -> Self {
        Self { value, seen }
    }
}

impl<T: Serialize + ?Sized> Serialize for Watched<'_, T> {
    #[inline]
    fn serialize<S: Serializer>(&self, inner: S) -> Result<S::Ok, S::Error> {
        let Self { value, seen } = *self;
        let type_name = type_name::<T>();
        // Each type has a name of its own, at an address of its own.
        seen.note(type_name.as_ptr().addr() as u64);
        value.serialize(Watch { inner, seen, type_name })
    }
}

/// The serialiser of a watched value.
pub(super) struct Watch<'s, S> {
    inner: S,
    seen: &'s Seen,
    type_name: &'static str,
}

/// What stands around the name of a type that is written as the one within.
const WRAPPERS: [&str; 5] = ["&", "mut ", "alloc::boxed::Box<", "alloc::sync::Arc<", "alloc::rc::Rc<"];

impl<S: Serializer> Watch<'_, S> {
    /// Serde writes the tag of an enum as a `str`; the texts of a caller's type are owned.
    #[inline]
    fn is_tag(&self) -> bool {
        matches!(self.type_name, "str" | "&str")
    }

    /// Whether this is a JSON value, which is equal to another one whatever the order of their keys. It may keep that order
    /// all the same.
    fn is_json(&self) -> bool {
        let mut name = self.type_name;
        while let Some(inner) = WRAPPERS.iter().find_map(|wrapper| name.strip_prefix(wrapper)) {
            name = inner;
        }
        name.starts_with("serde_json::")
    }

    fn float(&self, value: f64) -> Result<(), S::Error> {
        if !value.is_finite() {
            self.seen.not_finite();
            return Err(S::Error::custom("it is not finite"));
        }
        self.seen.note(if value.abs() < EXPONENT { facts::FLOAT } else { long_float(value) });
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
}

impl<'s, C> Items<'s, C> {
    fn new(inner: C, seen: &'s Seen) -> Self {
        Self { inner, seen, start: seen.shape(), different: [0; ITEMS], all: 0 }
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
        serialize_i8(value: i8) facts::INTEGER;
        serialize_i16(value: i16) facts::INTEGER;
        serialize_i32(value: i32) facts::INTEGER;
        serialize_i64(value: i64) facts::INTEGER;
        serialize_i128(value: i128) if u64::try_from(value).is_ok() || i64::try_from(value).is_ok() {
            facts::INTEGER
        } else {
            facts::LONG_INTEGER
        };
        serialize_u8(value: u8) facts::INTEGER;
        serialize_u16(value: u16) facts::INTEGER;
        serialize_u32(value: u32) facts::INTEGER;
        serialize_u64(value: u64) facts::INTEGER;
        serialize_u128(value: u128) if u64::try_from(value).is_ok() { facts::INTEGER } else { facts::LONG_INTEGER };
        serialize_char(value: char) facts::OTHER;
        serialize_bytes(value: &[u8]) facts::OTHER;
        serialize_unit_struct(name: &'static str) facts::NONE;
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<S::Ok, S::Error> {
        if self.is_tag() {
            value.bytes().for_each(|byte| self.seen.note(byte.into()));
        }
        self.inner.serialize_str(value)
    }

    fn serialize_f32(self, value: f32) -> Result<S::Ok, S::Error> {
        self.float(value.into())?;
        self.inner.serialize_f32(value)
    }

    fn serialize_f64(self, value: f64) -> Result<S::Ok, S::Error> {
        self.float(value)?;
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
        self.inner.serialize_newtype_struct(name, &Watched::new(value, self.seen))
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
        self.seen.map(self.is_json());
        Ok(Items::new(self.inner.serialize_map(length)?, self.seen))
    }

    fn serialize_struct(self, name: &'static str, length: usize) -> Result<Self::SerializeStruct, S::Error> {
        if name.starts_with("$serde_json::private::") {
            self.seen.others_json();
        } else {
            self.seen.object();
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
        self.inner.serialize_key(&Watched::new(key, self.seen))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
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

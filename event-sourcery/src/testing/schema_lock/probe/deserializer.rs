//! What a type asks the probe for.

use serde::de::{Deserializer, Visitor};

use super::access::{Choice, Entry, Items};
use super::{Probe, Request, Step, Stop, Turn};

macro_rules! leaves {
    ($($method:ident $request:expr;)*) => {$(
        fn $method<V: Visitor<'r>>(self, visitor: V) -> Result<V::Value, Stop> {
            self.ask($request, |json| json.$method(visitor))
        }
    )*};
}

macro_rules! integer {
    ($kind:literal $most:literal $least:literal) => {
        Request::Integer { kind: $kind, most: $most, least: $least }
    };
}

impl<'r> Deserializer<'r> for Probe<'r> {
    type Error = Stop;

    leaves! {
        deserialize_any Request::Any;
        deserialize_ignored_any Request::Any;
        deserialize_bool Request::Bool;
        deserialize_u8 integer!("u8" "255" "0");
        deserialize_u16 integer!("u16" "65535" "0");
        deserialize_u32 integer!("u32" "4294967295" "0");
        deserialize_u64 integer!("u64" "18446744073709551615" "0");
        deserialize_u128 integer!("u128" "340282366920938463463374607431768211455" "0");
        deserialize_i8 integer!("i8" "127" "-128");
        deserialize_i16 integer!("i16" "32767" "-32768");
        deserialize_i32 integer!("i32" "2147483647" "-2147483648");
        deserialize_i64 integer!("i64" "9223372036854775807" "-9223372036854775808");
        deserialize_i128 integer!(
            "i128" "170141183460469231731687303715884105727" "-170141183460469231731687303715884105728"
        );
        deserialize_f32 Request::Float("f32");
        deserialize_f64 Request::Float("f64");
        deserialize_char Request::Char;
        deserialize_str Request::Text;
        deserialize_string Request::Text;
        deserialize_identifier Request::Text;
        deserialize_bytes Request::Bytes;
        deserialize_byte_buf Request::Bytes;
        deserialize_unit Request::Unit;
    }

    fn deserialize_unit_struct<V: Visitor<'r>>(self, _: &'static str, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'r>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        // serde_json's own way to hand over a text as it is.
        if name.starts_with("$serde_json") {
            return self.ask(Request::Any, |json| json.deserialize_newtype_struct(name, visitor));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'r>>(self, visitor: V) -> Result<V::Value, Stop> {
        match self.turn(Request::Option) {
            Turn::Descend(Step::Some) => self.descend(|inner| visitor.visit_some(inner)),
            _ => self.ask(Request::Option, |json| json.deserialize_option(visitor)),
        }
    }

    fn deserialize_seq<V: Visitor<'r>>(self, visitor: V) -> Result<V::Value, Stop> {
        match self.turn(Request::List) {
            Turn::Descend(Step::Item(before)) => visitor.visit_seq(Items { probe: self, before }),
            _ => self.ask(Request::List, |json| json.deserialize_seq(visitor)),
        }
    }

    fn deserialize_tuple<V: Visitor<'r>>(self, len: usize, visitor: V) -> Result<V::Value, Stop> {
        match self.turn(Request::Tuple(len)) {
            Turn::Descend(Step::Item(before)) => visitor.visit_seq(Items { probe: self, before }),
            _ => self.ask(Request::Tuple(len), |json| json.deserialize_tuple(len, visitor)),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'r>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'r>>(self, visitor: V) -> Result<V::Value, Stop> {
        match self.turn(Request::Map) {
            Turn::Descend(step) => visitor.visit_map(Entry { probe: self, step, told: false }),
            _ => self.ask(Request::Map, |json| json.deserialize_map(visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'r>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        let request = Request::Struct(name, fields);
        match self.turn(request) {
            Turn::Descend(step) => visitor.visit_map(Entry { probe: self, step, told: false }),
            _ => self.ask(request, |json| json.deserialize_struct(name, fields, visitor)),
        }
    }

    fn deserialize_enum<V: Visitor<'r>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        let request = Request::Enum(name, variants);
        match self.turn(request) {
            Turn::Descend(Step::Variant(variant)) => visitor.visit_enum(Choice { probe: self, variant }),
            _ => self.ask(request, |json| json.deserialize_enum(name, variants, visitor)),
        }
    }
}

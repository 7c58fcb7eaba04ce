//! A deserialiser that holds no data: it finds out what a type asks for, and whether it takes what it is served.
//!
//! Each run goes one way: down a path from the payload to one place in it. There it notes what is asked for, or serves a JSON
//! text, and ends. So no field of a type can hide another.

use std::cell::RefCell;
use std::fmt::{self, Display};

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor,
};

/// A step of a path.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Into an `Option`.
    Some,
    /// To an element of a list or tuple, behind these.
    Item(Vec<String>),
    /// To the key of a map.
    Key,
    /// To the value of a map, under this key, as JSON.
    Value(String),
    Field(&'static str),
    Variant(&'static str),
    /// To the content of a variant that a field before it tells.
    Content {
        tag: &'static str,
        variant: &'static str,
        content: &'static str,
    },
    /// Into the one unnamed field of a variant.
    Inner,
}

/// What a type asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    Bool,
    Integer {
        kind: &'static str,
        most: &'static str,
        least: &'static str,
    },
    Float(&'static str),
    Char,
    Text,
    Bytes,
    Option,
    Unit,
    List,
    Tuple(usize),
    Map,
    Struct(&'static str, &'static [&'static str]),
    Enum(&'static str, &'static [&'static str]),
    /// The one unnamed field of a variant.
    Newtype,
    Any,
}

/// One way down.
pub(super) struct Run<'r> {
    path: &'r [Step],
    /// What is served at the end of the path; `None`: what is asked for there is noted.
    serves: Option<&'r str>,
    request: RefCell<Option<Request>>,
    outcome: RefCell<Option<Result<(), String>>>,
}

/// A type that is probed.
pub(super) type Target<'t> = &'t dyn Fn(Probe<'_>) -> Result<(), Stop>;

impl<'r> Run<'r> {
    fn new(path: &'r [Step], serves: Option<&'r str>) -> Self {
        Self { path, serves, request: RefCell::default(), outcome: RefCell::default() }
    }
}

/// What is asked for at the end of a path; `None` where the type never gets there.
pub(super) fn request(target: Target<'_>, path: &[Step]) -> Option<Request> {
    let run = Run::new(path, None);
    let _ = target(Probe { run: &run, depth: 0 });
    run.request.take()
}

/// Whether a JSON text is taken at the end of a path; an error says why not.
pub(super) fn takes(target: Target<'_>, path: &[Step], text: &str) -> Result<(), String> {
    let run = Run::new(path, Some(text));
    let whole = target(Probe { run: &run, depth: 0 });
    let outcome = if path.is_empty() { Some(whole.map_err(|stop| stop.0)) } else { run.outcome.take() };
    outcome.unwrap_or_else(|| Err("it is never read".to_owned()))
}

/// The end of a run, or what a type says against what it was served.
#[derive(Debug)]
pub(crate) struct Stop(String);

impl Stop {
    fn here() -> Self {
        Self("the probe ends here".to_owned())
    }
}

impl Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Stop {}

impl de::Error for Stop {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

impl From<serde_json::Error> for Stop {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

/// A place on the way.
#[derive(Clone, Copy)]
pub(crate) struct Probe<'r> {
    run: &'r Run<'r>,
    depth: usize,
}

/// What is to be done at a place.
enum Turn<'r> {
    Serve(&'r str),
    Descend(&'r Step),
    Stop,
}

type Json<'r> = serde_json::Deserializer<serde_json::de::StrRead<'r>>;

impl<'r> Probe<'r> {
    fn turn(self, request: Request) -> Turn<'r> {
        match (self.run.path.get(self.depth), self.run.serves) {
            (Some(step), _) => Turn::Descend(step),
            (None, Some(text)) => Turn::Serve(text),
            (None, None) => {
                self.run.request.borrow_mut().get_or_insert(request);
                Turn::Stop
            }
        }
    }

    /// Goes one step further; behind the end of the path the run is over.
    fn descend<T>(self, visit: impl FnOnce(Self) -> Result<T, Stop>) -> Result<T, Stop> {
        let below = Self { depth: self.depth + 1, ..self };
        let visited = visit(below);
        if below.depth < below.run.path.len() {
            return visited;
        }
        let outcome = visited.map(drop).map_err(|stop| stop.0);
        self.run.outcome.borrow_mut().get_or_insert(outcome);
        Err(Stop::here())
    }

    fn ask<T>(
        self,
        request: Request,
        serve: impl FnOnce(&mut Json<'r>) -> serde_json::Result<T>,
    ) -> Result<T, Stop> {
        match self.turn(request) {
            Turn::Stop | Turn::Descend(_) => Err(Stop::here()),
            Turn::Serve(text) => {
                let mut json = serde_json::Deserializer::from_str(text);
                let served = serve(&mut json)?;
                json.end()?;
                Ok(served)
            }
        }
    }
}

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

/// The elements up to the one that the path leads to.
struct Items<'r> {
    probe: Probe<'r>,
    before: &'r [String],
}

impl<'r> SeqAccess<'r> for Items<'r> {
    type Error = Stop;

    fn next_element_seed<T: DeserializeSeed<'r>>(&mut self, seed: T) -> Result<Option<T::Value>, Stop> {
        if let [next, rest @ ..] = self.before {
            self.before = rest;
            return Ok(Some(seed.deserialize(&mut serde_json::Deserializer::from_str(next))?));
        }
        self.probe.descend(|item| seed.deserialize(item)).map(Some)
    }
}

/// The entry of a map or struct that the path leads to.
struct Entry<'r> {
    probe: Probe<'r>,
    step: &'r Step,
    /// Whether the variant, where there is one, was told.
    told: bool,
}

impl<'r> MapAccess<'r> for Entry<'r> {
    type Error = Stop;

    fn next_key_seed<K: DeserializeSeed<'r>>(&mut self, seed: K) -> Result<Option<K::Value>, Stop> {
        match self.step {
            Step::Field(name) => seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some),
            Step::Value(key) => Ok(Some(seed.deserialize(&mut serde_json::Deserializer::from_str(key))?)),
            Step::Key => self.probe.descend(|key| seed.deserialize(key)).map(Some),
            Step::Content { tag, content, .. } => {
                let name = if self.told { content } else { tag };
                seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some)
            }
            _ => Err(Stop::here()),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'r>>(&mut self, seed: V) -> Result<V::Value, Stop> {
        if let (Step::Content { variant, .. }, false) = (self.step, self.told) {
            self.told = true;
            return seed.deserialize(BorrowedStrDeserializer::new(variant));
        }
        self.probe.descend(|value| seed.deserialize(value))
    }
}

/// The variant that the path leads to, or through.
struct Choice<'r> {
    probe: Probe<'r>,
    variant: &'r str,
}

impl<'r> EnumAccess<'r> for Choice<'r> {
    type Error = Stop;
    type Variant = Probe<'r>;

    fn variant_seed<V: DeserializeSeed<'r>>(self, seed: V) -> Result<(V::Value, Probe<'r>), Stop> {
        let variant = seed.deserialize(BorrowedStrDeserializer::<Stop>::new(self.variant))?;
        Ok((variant, Probe { depth: self.probe.depth + 1, ..self.probe }))
    }
}

impl<'r> VariantAccess<'r> for Probe<'r> {
    type Error = Stop;

    fn unit_variant(self) -> Result<(), Stop> {
        de::Deserialize::deserialize(self)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'r>>(self, seed: T) -> Result<T::Value, Stop> {
        match self.turn(Request::Newtype) {
            Turn::Descend(Step::Inner) => self.descend(|inner| seed.deserialize(inner)),
            _ => Err(Stop::here()),
        }
    }

    fn tuple_variant<V: Visitor<'r>>(self, len: usize, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'r>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.deserialize_struct("", fields, visitor)
    }
}

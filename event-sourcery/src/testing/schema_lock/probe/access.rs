//! The parts of what holds others: only the one that the path leads to is there.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::{Probe, Request, Step, Stop, Turn};

/// The elements up to the one that the path leads to.
pub(super) struct Items<'r> {
    pub(super) probe: Probe<'r>,
    pub(super) before: &'r [String],
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
pub(super) struct Entry<'r> {
    pub(super) probe: Probe<'r>,
    pub(super) step: &'r Step,
    /// Whether the variant, where there is one, was told.
    pub(super) told: bool,
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
pub(super) struct Choice<'r> {
    pub(super) probe: Probe<'r>,
    pub(super) variant: &'r str,
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

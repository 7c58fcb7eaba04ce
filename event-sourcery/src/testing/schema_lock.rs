//! What event types tell about the forms that they store.

use crate::event::Event;

/// What event types tell about the forms that they store. The derive calls it.
#[derive(Debug, Default)]
#[doc(hidden)]
pub struct Forms(());

#[doc(hidden)]
impl Forms {
    pub fn written_by_hand<E: Event>(&mut self) {}

    pub fn no_fields<E: Event>(&mut self, _: &'static [&'static str], _: u32) {}

    pub fn fields<E: Event>(&mut self, _: &'static [&'static str], _: u32) {}

    pub fn variant<E: Event>(&mut self, _: &'static [&'static str], _: u32, _: u32) {}
}

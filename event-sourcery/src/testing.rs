//! What your own tests need. Switch the feature `testing` on in `[dev-dependencies]`.
//!
//! [`given`] tests the commands of an aggregate, and decisions across streams, [`history`] tests projections and handlers, in the form
//! given, when, then: no store, no runtime, and a readable difference when one fails. The guide page [*testing*](crate::guide::testing) has
//! examples of each. [`SchemaLock`] fails a test when a change of your event types could not read what is stored. [`FaultyBackend`]
//! loses answers and breaks connections, for code that has to bear that.
//!
//! ```
//! use event_sourcery::testing::given;
//! use event_sourcery::{Aggregate, Emitting, Event};
//!
//! #[derive(Event, Debug, PartialEq)]
//! enum LightEvent { TurnedOn, TurnedOff }
//!
//! #[derive(Debug, PartialEq)]
//! struct AlreadyOn;
//!
//! #[derive(Default)]
//! struct LightSwitch { is_on: bool }
//!
//! # impl Aggregate for LightSwitch {
//! #     type Event = LightEvent;
//! #     const CATEGORY: &'static str = "light_switch";
//! #     fn apply(&mut self, event: &LightEvent) {
//! #         self.is_on = matches!(event, LightEvent::TurnedOn);
//! #     }
//! # }
//! # impl LightSwitch {
//! #     fn turn_on(switch: &mut Emitting<Self>) -> Result<(), AlreadyOn> {
//! #         if switch.is_on {
//! #             return Err(AlreadyOn);
//! #         }
//! #         switch.emit(LightEvent::TurnedOn);
//! #         Ok(())
//! #     }
//! # }
//! // impl Aggregate for LightSwitch, with the command `turn_on` ..
//!
//! given([]).when(LightSwitch::turn_on).then([LightEvent::TurnedOn]);
//! given([LightEvent::TurnedOn]).when(LightSwitch::turn_on).then_error(AlreadyOn);
//! ```

#![allow(clippy::panic, reason = "this is for tests: a panic is a failed test")]

mod decided;
mod difference;
mod faulty;
mod given;
mod history;
mod schema_lock;

pub use self::decided::Decided;
pub use self::faulty::{Fault, FaultyBackend, Halt};
pub use self::given::{Given, given};
pub use self::history::{Handled, History, Projected, history};
pub use self::schema_lock::SchemaLock;
#[doc(hidden)]
pub use self::schema_lock::{Forms, MarkedFields, NotTraced, ReadBySerde, Traced};

//! Event-sourced aggregates: state that only events change, and commands that decide which events happen.

mod emitting;
mod execute;
mod key;
mod load;
mod place;
mod repository;
mod state;
mod turns;
mod wrapped;

pub use self::emitting::{Emitting, deciding};
pub(crate) use self::execute::pause;
pub use self::execute::{CommandError, Execute, Executed};
pub use self::load::LoadAggregate;
pub use self::place::Place;
pub use self::repository::{Repository, RepositoryOn};
pub use self::state::SnapshotState;
pub(crate) use self::turns::Turns;
pub use self::wrapped::WrappedAggregate;
use crate::event::Event;

/// State that is made of the events of one stream.
///
/// It begins as its [`Default`], and [`apply`](Self::apply) is the only way in which it changes. Commands are functions of
/// an [`Emitting`] aggregate: they read the state, emit events, and return a value or an error of their own. A
/// [`Repository`] loads, runs them, and appends what they emitted.
///
/// ```
/// use event_sourcery::{Aggregate, Emitting, Event, EventStore, MemoryBackend, Repository, StreamId};
///
/// #[derive(Event, Debug, PartialEq)]
/// enum LightEvent { TurnedOn, TurnedOff }
///
/// #[derive(Debug, PartialEq)]
/// struct AlreadyOn;
///
/// #[derive(Default)]
/// struct LightSwitch { is_on: bool }
///
/// impl Aggregate for LightSwitch {
///     type Event = LightEvent;
///     const CATEGORY: &'static str = "light_switch";
///
///     fn apply(&mut self, event: &LightEvent) {
///         self.is_on = matches!(event, LightEvent::TurnedOn);
///     }
/// }
///
/// impl LightSwitch {
///     fn turn_on(switch: &mut Emitting<Self>) -> Result<(), AlreadyOn> {
///         if switch.is_on {
///             return Err(AlreadyOn);
///         }
///         switch.emit(LightEvent::TurnedOn);
///         Ok(())
///     }
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let store = EventStore::new(MemoryBackend::new());
/// let switches = Repository::<LightSwitch>::new(&store);
/// let kitchen = StreamId::from_name("kitchen")?;
///
/// switches.aggregate(&kitchen, LightSwitch::turn_on).await.unwrap();
/// assert!(switches.aggregate(&kitchen, LightSwitch::turn_on).await.is_err());
/// assert!(switches.load(&kitchen).await?.is_on);
/// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an aggregate",
    note = "an aggregate implements `Aggregate` and `Default`; a command is a function of `&mut Emitting<{Self}>`"
)]
pub trait Aggregate: Default + Send + Sync + 'static {
    /// What can happen to it.
    type Event: Event;

    /// The category of its streams: up to 255 characters, at most 850 bytes, no NUL. Empty: none.
    const CATEGORY: &'static str;

    /// Changes the state by what has happened. It has happened: there is nothing to refuse.
    fn apply(&mut self, event: &Self::Event);
}

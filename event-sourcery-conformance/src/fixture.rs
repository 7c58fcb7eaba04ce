//! What the author of a backend supplies: how to make a store, and how to reach it again.

use std::future::Future;

use event_sourcery::backend::{Backend, Listening};
use event_sourcery::testing::FaultyBackend;
use event_sourcery::{Durable, Event, RawEvent, Result};

use super::ear::Ear;
use super::reaction::Reaction;
use super::steps::{Answer, Ending, Step};

/// One empty store of a backend, made for one test.
///
/// Everything here may panic: a store that cannot be made or reached fails the test. What a backend does not
/// [declare](Backend::capabilities) it need not supply: the provided methods stand for what is never called then.
///
/// ```
/// use event_sourcery::MemoryBackend;
/// use event_sourcery_conformance::Fixture;
///
/// struct MemoryFixture(MemoryBackend);
///
/// impl Fixture for MemoryFixture {
///     type Backend = MemoryBackend;
///
///     async fn create() -> Self {
///         Self(MemoryBackend::new())
///     }
///
///     async fn connect(&self) -> MemoryBackend {
///         self.0.clone()
///     }
/// }
/// ```
pub trait Fixture: Sized + Send + Sync + 'static {
    /// The backend under test.
    type Backend: Backend;

    /// Makes a new, empty store that no other test sees. What it occupies is given back by [`remove`](Fixture::remove)
    /// or when the fixture is dropped.
    fn create() -> impl Future<Output = Self> + Send;

    /// Opens the store: each call gives a handle that shares nothing with the others but the store, as another process
    /// would have it. Where the backend is durable, tests drop every handle and then connect again.
    fn connect(&self) -> impl Future<Output = Self::Backend> + Send;

    /// Where another process finds the store: a path, a URL. Needed by backends that are
    /// [shared](event_sourcery::backend::Capabilities::shared).
    fn address(&self) -> String {
        unreachable!("a shared backend's fixture implements `address`")
    }

    /// Opens the store at an [address](Fixture::address), in another process. Needed by backends that are
    /// [shared](event_sourcery::backend::Capabilities::shared).
    fn connect_to(address: String) -> impl Future<Output = Self::Backend> + Send {
        async move { unreachable!("a shared backend's fixture implements `connect_to`, to open {address:?}") }
    }

    /// Runs the steps, one after the other, in one transaction of the caller's, goes on after a refused step, and ends
    /// the transaction as told. It answers with what became of each step, or with the error of the transaction itself.
    /// Needed by backends that have [transactions](event_sourcery::backend::Capabilities::transactions).
    ///
    /// Where the backend is a [`TransactionalBackend`](event_sourcery::backend::TransactionalBackend), this is a call of
    /// [`run_steps`](super::run_steps); where it is a [`JoinableBackend`](event_sourcery::backend::JoinableBackend), of
    /// [`run_joined_steps`](super::run_joined_steps).
    fn transaction(
        &self,
        backend: &Self::Backend,
        steps: Vec<Step>,
        ending: Ending,
    ) -> impl Future<Output = Result<Vec<Result<Answer>>>> + Send {
        let _ = (backend, steps, ending);
        async { unreachable!("the fixture of a backend with transactions implements `transaction`") }
    }

    /// Runs a durable subscription whose handler writes through the subscription's transaction. Needed by backends that have
    /// [transactions](event_sourcery::backend::Capabilities::transactions).
    ///
    /// Where the backend is a [`TransactionalBackend`](event_sourcery::backend::TransactionalBackend), this is a call of
    /// [`run_in_transaction`](super::run_in_transaction); where it is a
    /// [`JoinableBackend`](event_sourcery::backend::JoinableBackend), of [`run_within`](super::run_within).
    fn run_exactly_once(
        durable: Durable<FaultyBackend<Self::Backend>, RawEvent>,
        reaction: Reaction,
    ) -> impl Future<Output = Result<()>> + Send {
        let _ = (durable, reaction);
        async { unreachable!("the fixture of a backend with transactions implements `run_exactly_once`") }
    }

    /// Registers a listener. Needed by backends that have [listeners](event_sourcery::backend::Capabilities::listeners).
    ///
    /// Where the backend is a [`TransactionalBackend`](event_sourcery::backend::TransactionalBackend), this is a call of
    /// [`listen_in_transaction`](super::listen_in_transaction); where it is a
    /// [`JoinableBackend`](event_sourcery::backend::JoinableBackend), of [`listen_within`](super::listen_within).
    fn listen<E: Event>(backend: &Self::Backend, ear: Ear<E>) -> Result<Listening> {
        let _ = (backend, ear);
        unreachable!("the fixture of a backend with listeners implements `listen`")
    }

    /// How many random sequences of operations the model test runs. `EVENT_SOURCERY_MODEL_CASES` in the environment
    /// overrides it.
    fn model_cases() -> u32 {
        2_000
    }

    /// Gives back what the store occupies, after the test, failed or not.
    fn remove(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

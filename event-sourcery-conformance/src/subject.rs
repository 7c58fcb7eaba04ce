//! The store under test, as the cases see it: whatever the backend, its type erased.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use event_sourcery::backend::{Backend, Capabilities, Listening};
use event_sourcery::privacy::Encryption;
use event_sourcery::testing::FaultyBackend;
use event_sourcery::{EventStore, RawEvent, Result};

use super::ear::Ear;
use super::fixture::Fixture;
use super::ledger::Fragile;
use super::reaction::Reaction;
use super::running::Settings;
use super::steps::{Answer, Ending, Step};

pub(super) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

type Transact = dyn Fn(Vec<Step>, Ending) -> BoxFuture<'static, Result<Vec<Result<Answer>>>> + Send + Sync;

/// One handle on the store under test.
#[derive(Clone)]
struct Connection {
    backend: Arc<dyn Backend>,
    transact: Arc<Transact>,
    listens: Arc<dyn Listens>,
}

/// A backend that listeners are registered on.
trait Listens: Send + Sync {
    fn listen(&self, ear: Ear<RawEvent>) -> Result<Listening>;
    fn listen_to_fragile(&self, ear: Ear<Fragile>) -> Result<Listening>;
}

struct ListensOf<F: Fixture>(Arc<F::Backend>);

impl<F: Fixture> Listens for ListensOf<F> {
    fn listen(&self, ear: Ear<RawEvent>) -> Result<Listening> {
        F::listen(&self.0, ear)
    }

    fn listen_to_fragile(&self, ear: Ear<Fragile>) -> Result<Listening> {
        F::listen(&self.0, ear)
    }
}

/// A handle of its own on the store under test, whose handlers can write through the subscription's transaction.
pub(super) trait Reactor: Send + Sync {
    /// Interrupts one call out of so many; see [`FaultyBackend::interrupt`].
    fn interrupt(&self, one_in: u64);

    fn run_exactly_once(
        &self,
        settings: Settings,
        until: BoxFuture<'static, ()>,
        reaction: Reaction,
    ) -> BoxFuture<'static, Result<()>>;

    fn listen(&self, ear: Ear<RawEvent>) -> Result<Listening>;

    /// The same with keys.
    fn with_encryption(&self, encryption: Encryption) -> Arc<dyn Reactor>;
}

struct ReactorOf<F: Fixture>(EventStore<FaultyBackend<F::Backend>>);

impl<F: Fixture> ReactorOf<F> {
    fn on(backend: F::Backend) -> Arc<dyn Reactor> {
        Arc::new(Self(EventStore::new(FaultyBackend::new(backend))))
    }

    fn at_address(address: String) -> BoxFuture<'static, Arc<dyn Reactor>> {
        Box::pin(async move { Self::on(F::connect_to(address).await) })
    }
}

impl<F: Fixture> Reactor for ReactorOf<F> {
    fn interrupt(&self, one_in: u64) {
        self.0.backend().interrupt(one_in);
    }

    fn run_exactly_once(
        &self,
        settings: Settings,
        until: BoxFuture<'static, ()>,
        reaction: Reaction,
    ) -> BoxFuture<'static, Result<()>> {
        Box::pin(F::run_exactly_once(settings.of(self.0.subscribe()).until(until), reaction))
    }

    fn listen(&self, ear: Ear<RawEvent>) -> Result<Listening> {
        F::listen(self.0.backend().inner(), ear)
    }

    fn with_encryption(&self, encryption: Encryption) -> Arc<dyn Reactor> {
        Arc::new(Self(self.0.clone().with_encryption(encryption).unwrap()))
    }
}

/// A fixture whose type is erased, so that the cases are compiled once for all backends.
trait AnyFixture: Send + Sync {
    fn connect(self: Arc<Self>) -> BoxFuture<'static, Connection>;
    fn connect_reactor(self: Arc<Self>) -> BoxFuture<'static, Arc<dyn Reactor>>;
    fn address(&self) -> String;
    fn remove(&self) -> BoxFuture<'_, ()>;
}

impl<F: Fixture> AnyFixture for F {
    fn connect(self: Arc<Self>) -> BoxFuture<'static, Connection> {
        Box::pin(async move {
            let backend = Arc::new(Fixture::connect(&*self).await);
            Connection {
                backend: backend.clone(),
                listens: Arc::new(ListensOf::<Self>(Arc::clone(&backend))),
                transact: Arc::new(move |steps, ending| {
                    let (fixture, backend) = (Arc::clone(&self), Arc::clone(&backend));
                    Box::pin(async move { fixture.transaction(&backend, steps, ending).await })
                }),
            }
        })
    }

    fn connect_reactor(self: Arc<Self>) -> BoxFuture<'static, Arc<dyn Reactor>> {
        Box::pin(async move { ReactorOf::<F>::on(Fixture::connect(&*self).await) })
    }

    fn address(&self) -> String {
        Fixture::address(self)
    }

    fn remove(&self) -> BoxFuture<'_, ()> {
        Box::pin(Fixture::remove(self))
    }
}

fn another_fixture<F: Fixture>() -> BoxFuture<'static, Arc<dyn AnyFixture>> {
    Box::pin(async {
        let fixture: Arc<dyn AnyFixture> = Arc::new(F::create().await);
        fixture
    })
}

/// What a case is about: an empty store, and the ways to it.
pub(super) struct Subject {
    origin: Origin,
    connection: Connection,
    /// The name of the generated test, by which the test binary can be told to run it alone.
    pub(super) test: String,
    pub(super) model_cases: u32,
    another_fixture: fn() -> BoxFuture<'static, Arc<dyn AnyFixture>>,
    reactor_at: fn(String) -> BoxFuture<'static, Arc<dyn Reactor>>,
}

/// How this process came to the store.
#[derive(Clone)]
enum Origin {
    Fixture(Arc<dyn AnyFixture>),
    /// By the address that the process of the fixture handed over.
    Address(String),
}

impl Subject {
    pub(super) async fn create<F: Fixture>(test: String) -> Self {
        let another_fixture = another_fixture::<F>;
        let fixture = another_fixture().await;
        let connection = Arc::clone(&fixture).connect().await;
        let origin = Origin::Fixture(fixture);
        let (model_cases, reactor_at) = (F::model_cases(), ReactorOf::<F>::at_address);
        Self { origin, connection, test, model_cases, another_fixture, reactor_at }
    }

    /// The same store, in another process.
    pub(super) async fn at_address<F: Fixture>(address: String, test: String) -> Self {
        let backend = Arc::new(F::connect_to(address.clone()).await);
        let connection = Connection {
            backend: backend.clone(),
            listens: Arc::new(ListensOf::<F>(backend)),
            transact: Arc::new(|_, _| Box::pin(async { unreachable!("workers open no transactions") })),
        };
        Self {
            origin: Origin::Address(address),
            connection,
            test,
            model_cases: 0,
            another_fixture: another_fixture::<F>,
            reactor_at: ReactorOf::<F>::at_address,
        }
    }

    fn fixture(&self) -> &Arc<dyn AnyFixture> {
        match &self.origin {
            Origin::Fixture(fixture) => fixture,
            Origin::Address(_) => unreachable!("the fixture is in the process that started this one"),
        }
    }

    pub(super) fn is_another_process(&self) -> bool {
        matches!(self.origin, Origin::Address(_))
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        self.connection.backend.capabilities()
    }

    pub(super) fn backend(&self) -> &Arc<dyn Backend> {
        &self.connection.backend
    }

    pub(super) fn store(&self) -> EventStore {
        EventStore::new(self.connection.backend.clone())
    }

    /// The store over a backend that can be made to fail.
    pub(super) fn faulty(&self) -> EventStore<FaultyBackend<Arc<dyn Backend>>> {
        EventStore::new(FaultyBackend::new(Arc::clone(&self.connection.backend)))
    }

    /// A handle that shares nothing with the first one but the store.
    pub(super) async fn another_store(&self) -> EventStore {
        EventStore::new(Arc::clone(self.fixture()).connect().await.backend)
    }

    /// A handle that shares nothing with the others but the store, for handlers that write through transactions.
    pub(super) async fn reactor(&self) -> Arc<dyn Reactor> {
        match &self.origin {
            Origin::Fixture(fixture) => Arc::clone(fixture).connect_reactor().await,
            Origin::Address(address) => (self.reactor_at)(address.clone()).await,
        }
    }

    /// The store after every handle on it was dropped. Handles that a case still holds are its own affair.
    pub(super) async fn reopened(self) -> Self {
        let fixture = Arc::clone(self.fixture());
        let Self { connection, .. } = self;
        drop(connection);
        let connection = fixture.connect().await;
        Self { connection, ..self }
    }

    /// Another store of the same backend, empty.
    pub(super) async fn fresh(&self) -> Self {
        let fixture = (self.another_fixture)().await;
        let connection = Arc::clone(&fixture).connect().await;
        Self { origin: Origin::Fixture(fixture), connection, test: self.test.clone(), ..*self }
    }

    pub(super) async fn transaction(&self, steps: Vec<Step>, ending: Ending) -> Result<Vec<Result<Answer>>> {
        (self.connection.transact)(steps, ending).await
    }

    /// Registers a listener on the handle that [`store`](Self::store) is about.
    pub(super) fn listen(&self, ear: Ear<RawEvent>) -> Listening {
        self.connection.listens.listen(ear).unwrap()
    }

    /// The same for one whose type's code panics on some numbers.
    pub(super) fn listen_to_fragile(&self, ear: Ear<Fragile>) -> Listening {
        self.connection.listens.listen_to_fragile(ear).unwrap()
    }

    pub(super) fn address(&self) -> String {
        self.fixture().address()
    }

    /// What gives the store back once the case is over.
    pub(super) fn remover(&self) -> impl Future<Output = ()> + 'static {
        let origin = self.origin.clone();
        async move {
            if let Origin::Fixture(fixture) = origin {
                fixture.remove().await;
            }
        }
    }
}

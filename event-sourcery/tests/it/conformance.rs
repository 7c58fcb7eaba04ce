//! The contract, kept by the memory backend.

use event_sourcery::{Durable, Event, Listening, MemoryBackend, RawEvent, Result};
use event_sourcery_conformance::{
    self as conformance, Answer, Ear, Ending, FaultyBackend, Fixture, Reaction, Step,
};

pub(crate) struct MemoryFixture(MemoryBackend);

impl Fixture for MemoryFixture {
    type Backend = MemoryBackend;

    async fn create() -> Self {
        Self(MemoryBackend::new())
    }

    async fn connect(&self) -> MemoryBackend {
        self.0.clone()
    }

    async fn transaction(
        &self,
        backend: &MemoryBackend,
        steps: Vec<Step>,
        ending: Ending,
    ) -> Result<Vec<Result<Answer>>> {
        conformance::run_steps(backend, steps, ending).await
    }

    async fn run_exactly_once(
        durable: Durable<FaultyBackend<MemoryBackend>, RawEvent>,
        reaction: Reaction,
    ) -> Result<()> {
        conformance::run_in_transaction(durable, reaction).await
    }

    fn listen<E: Event>(backend: &MemoryBackend, ear: Ear<E>) -> Result<Listening> {
        conformance::listen_in_transaction(backend, ear)
    }
}

event_sourcery_conformance::conformance!(MemoryFixture);

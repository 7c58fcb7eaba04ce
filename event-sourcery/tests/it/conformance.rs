//! The contract, kept by the memory backend.

use event_sourcery::conformance::{self, Answer, Ending, Fixture, Step};
use event_sourcery::{MemoryBackend, Result};

struct MemoryFixture(MemoryBackend);

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
}

event_sourcery::conformance!(MemoryFixture);

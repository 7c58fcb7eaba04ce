//! What keeps others from entries of the outbox: its calls fail like those of the backend.

use std::sync::Arc;

use async_trait::async_trait;

use super::faults::Faults;
use crate::backend::{HeldEntries, Hold, ProgressRequest};
use crate::error::Result;

struct FaultyHold {
    hold: Box<dyn Hold>,
    backend: &'static str,
    faults: Arc<Faults>,
}

pub(super) fn faulty(held: HeldEntries, backend: &'static str, faults: &Arc<Faults>) -> HeldEntries {
    let HeldEntries { free, taken, hold } = held;
    let faulty =
        |hold| -> Box<dyn Hold> { Box::new(FaultyHold { hold, backend, faults: Arc::clone(faults) }) };
    HeldEntries { free, taken, hold: hold.map(faulty) }
}

#[async_trait]
impl Hold for FaultyHold {
    async fn keep(self: Box<Self>, progress: &ProgressRequest) -> Result<()> {
        let Self { hold, backend, faults } = *self;
        faults.progress(faults.call(backend, hold.keep(progress))).await
    }

    async fn release(self: Box<Self>) {
        self.hold.release().await;
    }
}

//! What waits for the writer: only as long as somebody waits for the answer.

use std::sync::{Arc, Mutex, PoisonError};

use event_sourcery::backend::Seat;

/// A call's work, until the writer begins with it. Dropped by whoever waits for the answer, it is not begun any more.
pub(super) struct Waiting<W>(Slot<W>);

/// The work of a call that waits, as the writer has it.
pub(super) struct Slot<W>(Arc<Mutex<Option<(W, Seat)>>>);

/// Work that waits: for its caller, and for the writer.
pub(super) fn waiting<W>(work: W, seat: Seat) -> (Waiting<W>, Slot<W>) {
    let slot = Arc::new(Mutex::new(Some((work, seat))));
    (Waiting(Slot(Arc::clone(&slot))), Slot(slot))
}

impl<W> Slot<W> {
    /// The work, if somebody still waits for it.
    pub(super) fn take(&self) -> Option<W> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().map(|(work, _)| work)
    }
}

impl<W> Drop for Waiting<W> {
    fn drop(&mut self) {
        drop(self.0.take());
    }
}

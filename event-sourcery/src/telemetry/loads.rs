//! Loads in their spans, wherever they run.

use tracing::Instrument as _;

use super::spans;
use crate::backend::{LoadRequest, LoadSink, LoadedStream};
use crate::error::Result;
use crate::within::Reach;

/// Loads at once.
pub(crate) async fn load(on: &mut impl Reach, request: &LoadRequest) -> Result<LoadedStream> {
    let span = spans::load(request);
    let loaded = on.load(request).instrument(span.clone()).await;
    spans::loaded(&span, loaded.as_ref().map(events));
    loaded
}

/// Loads part by part. What is decoded as it comes is within the span.
pub(crate) async fn load_in_parts(
    on: &mut impl Reach,
    request: &LoadRequest,
    sink: &mut dyn LoadSink,
) -> Result<()> {
    let span = spans::load(request);
    if span.is_disabled() {
        return on.load_in_parts(request, sink).await;
    }
    let mut counting = Counting { sink, events: 0 };
    let loaded = on.load_in_parts(request, &mut counting).instrument(span.clone()).await;
    spans::loaded(&span, loaded.as_ref().map(|()| counting.events));
    loaded
}

fn events(part: &LoadedStream) -> usize {
    part.events.len() + usize::from(part.snapshot.is_some())
}

/// Counts what is loaded.
struct Counting<'s> {
    sink: &'s mut dyn LoadSink,
    events: usize,
}

impl LoadSink for Counting<'_> {
    fn take(&mut self, part: LoadedStream) -> Result<()> {
        self.events += events(&part);
        self.sink.take(part)
    }

    fn restart(&mut self) {
        self.events = 0;
        self.sink.restart();
    }
}

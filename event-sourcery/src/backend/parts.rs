//! Loads of long streams, handed over part by part.

use super::Backend;
use super::reads::{LoadRequest, LoadedStream};
use crate::error::Result;

/// How many events a part has, if they are small.
const PART: usize = 1_024;

/// Takes what a load reads, part by part: so nobody has to hold a long stream in its stored form.
pub trait LoadSink: Send {
    /// The next part, in order. The first has what stands in for the events before it. A part may have no events.
    ///
    /// # Errors
    ///
    /// Its own: they end the load, and it returns them.
    fn take(&mut self, part: LoadedStream) -> Result<()>;

    /// What was taken does not count: the load begins again.
    fn restart(&mut self);
}

/// All of it, as [`Backend::load`] answers it.
impl LoadSink for LoadedStream {
    fn take(&mut self, part: LoadedStream) -> Result<()> {
        if self.events.is_empty() && self.snapshot.is_none() {
            *self = part;
        } else {
            self.events.extend(part.events);
            self.has_more = part.has_more;
        }
        Ok(())
    }

    fn restart(&mut self) {
        *self = Self::default();
    }
}

/// Loads a stream page by page, for a backend where positions are given in the order of the commits: then what was read is what
/// the stream was when its last page was read. Where it is deleted meanwhile, it is read again.
pub(crate) async fn load_in_pages(
    backend: &dyn Backend,
    mut request: LoadRequest,
    sink: &mut dyn LoadSink,
) -> Result<()> {
    let asked = request.span;
    let mut first = None;
    request.limit = Some(PART);
    loop {
        let page = backend.load(request.clone()).await?;
        if first.is_some() && page.first_position != first {
            sink.restart();
            (request.span, first) = (asked, None);
            continue;
        }
        first = page.first_position;
        let last = page.events.last().filter(|_| page.has_more);
        let rest = last.map(|last| request.span.behind(last.position, last.version));
        sink.take(LoadedStream { has_more: false, first_position: None, ..page })?;
        match rest {
            Some(rest) => request.span = rest,
            None => return Ok(()),
        }
    }
}

//! A read that whoever asked for it may give up, and go on with.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use tokio::runtime::{self, Handle};

use crate::backend::{Backend, ScanPage, ScanRequest};
use crate::error::Result;
use crate::position::Position;
use crate::subscription::deletions::{AsOf, Deletions};

/// What is being read, if anything is. Calls that are given up again and again would never come to anything otherwise, where each has
/// less time than a read takes.
#[derive(Default)]
pub(super) struct Scanning(Option<Begun>);

struct Begun {
    /// Behind which position, and how many events: the filter stays as it is.
    asked: (Position, usize),
    /// Nobody may drive another runtime than that of whoever goes on with it.
    runtime: Option<runtime::Id>,
    as_of: AsOf,
    /// Never locked: so that a feed is `Sync`.
    page: Mutex<Reading>,
}

type Reading = Pin<Box<dyn Future<Output = Result<ScanPage>> + Send>>;

/// What was read.
pub(super) struct Scanned {
    pub(super) page: Result<ScanPage>,
    pub(super) as_of: AsOf,
    /// Whether it was begun by an earlier call: what it takes for the end may be so no more.
    pub(super) is_old: bool,
}

impl Scanning {
    /// Reads a page, or goes on with it. Dropping the future loses nothing.
    pub(super) async fn read(
        &mut self,
        backend: &Arc<dyn Backend>,
        deletions: &Deletions,
        request: ScanRequest,
    ) -> Scanned {
        let runtime = Handle::try_current().ok().map(|here| here.id());
        let asked = (request.after, request.limit);
        let begun = self.0.take().filter(|begun| begun.asked == asked && begun.runtime == runtime);
        let is_old = begun.is_some();
        self.0 = Some(begun.unwrap_or_else(|| {
            let (backend, as_of) = (Arc::clone(backend), deletions.now());
            let page: Reading = Box::pin(async move { backend.scan(request).await });
            Begun { asked, runtime, as_of, page: Mutex::new(page) }
        }));
        poll_fn(|context| {
            // A read that panics is not gone on with.
            let Some(mut begun) = self.0.take() else { return Poll::Pending };
            let reading = begun.page.get_mut().unwrap_or_else(PoisonError::into_inner);
            let Poll::Ready(page) = reading.as_mut().poll(context) else {
                self.0 = Some(begun);
                return Poll::Pending;
            };
            Poll::Ready(Scanned { page, as_of: begun.as_of, is_old })
        })
        .await
    }
}

//! Tagging what is stored already.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use crate::backend::{Backend, EventTags, Filter, ScanRequest, StoredRecord, TagRequest};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::position::Position;
use crate::retry::Retry;
use crate::store::Scope;
use crate::tag::{Tag, Tags};
use crate::wrapped_event::Recorded;

/// How many events share a commit, and are in memory at once, if they are small.
const PAGE: usize = 256;

/// What gives an event further tags.
type Further<'a, E> = Box<dyn FnMut(&Recorded<E>) -> Result<Vec<Tag>> + Send + 'a>;

/// Who is told how far it has come.
type Told<'a> = Box<dyn FnMut(&Tagged) + Send + 'a>;

/// The tagging of stored events, in the making; see [`EventStore::tag_stored`](crate::EventStore::tag_stored).
#[must_use = "nothing is tagged until this is awaited"]
pub struct TagStored<'a, E> {
    backend: &'a dyn Backend,
    /// What is read; an error where the backend has no tags.
    request: Result<ScanRequest>,
    further: Option<Further<'a, E>>,
    told: Option<Told<'a>>,
}

/// What was tagged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tagged {
    /// How many events have got tags that they had not.
    pub events: u64,
    /// Everything up to here has its tags.
    pub up_to: Position,
}

impl<'a, E: Event> TagStored<'a, E> {
    pub(crate) fn new(backend: &'a dyn Backend, scope: &Scope) -> Self {
        let tenant = (!scope.tenant.is_default()).then(|| scope.tenant.clone());
        let names = (!E::CATCH_ALL).then(|| E::NAMES.iter().map(|name| Arc::from(*name)).collect());
        let filter = Filter { tenant, names, ..Filter::default() };
        let request = ScanRequest::new(Position::START, PAGE).with_filter(filter);
        Self { backend, request: scope.check_tags().map(|()| request), further: None, told: None }
    }

    /// Only events above this position, such as the one that a run before [has told](Self::on_progress).
    pub fn after(mut self, position: Position) -> Self {
        if let Ok(request) = &mut self.request {
            request.after = position;
        }
        self
    }

    /// Gives each event these tags too, besides those that its type says. An error of it ends the run.
    pub fn by(self, tags: impl FnMut(&Recorded<E>) -> Result<Vec<Tag>> + Send + 'a) -> Self {
        Self { further: Some(Box::new(tags)), ..self }
    }

    /// Calls this after each commit, of 256 events or fewer.
    pub fn on_progress(self, told: impl FnMut(&Tagged) + Send + 'a) -> Self {
        Self { told: Some(Box::new(told)), ..self }
    }

    async fn run(self) -> Result<Tagged> {
        let Self { backend, request, mut further, mut told } = self;
        let mut request = request?;
        let mut tagged = Tagged { events: 0, up_to: request.after };
        loop {
            let page = backend.scan(request.clone()).await?;
            let (requests, problem) = lacking(&page.records, &mut further);
            for request in requests {
                tagged.events += tag(backend, request).await?;
            }
            if let Some(problem) = problem {
                return Err(problem);
            }
            (request.after, tagged.up_to) = (page.next, page.next);
            if let Some(told) = &mut told {
                told(&tagged);
            }
            if !page.has_more {
                return Ok(tagged);
            }
        }
    }
}

/// The tags that events are to have and have not, by tenant; and why it ends before the last of them, if it does.
fn lacking<E: Event>(
    records: &[StoredRecord],
    further: &mut Option<Further<'_, E>>,
) -> (Vec<TagRequest>, Option<Error>) {
    let mut requests: Vec<TagRequest> = Vec::new();
    for record in records {
        let tags = match tags_of(record, further) {
            Ok(tags) => tags,
            Err(problem) => return (requests, Some(problem)),
        };
        let StoredRecord { tenant, event, .. } = record;
        if tags.iter().all(|tag| event.tags.contains(tag)) {
            continue;
        }
        let lacking = EventTags::new(event.position, event.id, tags);
        match requests.iter_mut().find(|request| request.tenant == *tenant) {
            Some(request) => request.events.push(lacking),
            None => requests.push(TagRequest::new(tenant.clone(), vec![lacking])),
        }
    }
    (requests, None)
}

/// All tags that an event is to have.
fn tags_of<E: Event>(record: &StoredRecord, further: &mut Option<Further<'_, E>>) -> Result<Vec<Tag>> {
    let recorded = Recorded::<E>::decode(record)?;
    let mut tags = Tags::default();
    recorded.wrapped_event.tags.iter().for_each(|tag| tags.push(tag.clone()));
    recorded.event().tags(&mut tags);
    if let Some(further) = further {
        further(&recorded)?.into_iter().for_each(|tag| tags.push(tag));
    }
    tags.into_tags()
}

/// Tags, again where it may help: what is tagged stays so.
async fn tag(backend: &dyn Backend, request: TagRequest) -> Result<u64> {
    let mut attempts = 0;
    loop {
        let error = match backend.tag(request.clone()).await {
            Err(error) if error.is_retryable() || matches!(error, Error::OutcomeUnknown { .. }) => error,
            done => return done,
        };
        attempts += 1;
        let Some(pause) = Retry::default().pause(attempts) else { return Err(error) };
        tokio::time::sleep(pause).await;
    }
}

impl<'a, E: Event> IntoFuture for TagStored<'a, E> {
    type Output = Result<Tagged>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// Nothing of what is tagged.
impl<E> fmt::Debug for TagStored<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TagStored").field("request", &self.request).finish_non_exhaustive()
    }
}

//! Appends that hold while a boundary has not moved, and what they may not be sent to.

use super::{Append, Appended, Part, Plan};
use crate::backend::{AppendRequest, Boundary, Expectation, Requirement};
use crate::error::{Error, Result};
use crate::new_event::Encoded;
use crate::store::Scope;
use crate::stream_id::StreamId;
use crate::within::Reach;

impl<On, Out> Append<'_, On, Out> {
    /// Appends only while this boundary has not moved: while no event was committed that matches its query and that the read did not
    /// see, whoever wrote it. It is checked in the transaction that writes, as the expected version is, and goes together with that,
    /// with several streams, and with other boundaries. Where it has moved, read again and decide again: the same call is refused again.
    ///
    /// # Errors
    ///
    /// When it runs: [`Error::BoundaryMoved`]; [`Error::InvalidOption`] for the boundary of another tenant, or of another store;
    /// [`Error::Unsupported`] where the backend has no tags.
    pub fn unless_moved(mut self, boundary: &Boundary) -> Self {
        self.plan.requirements.push(Requirement::Boundary(boundary.clone()));
        self
    }
}

/// Refuses boundaries of another tenant; and tags and boundaries, where the backend has none.
pub(super) fn check(scope: &Scope, request: &AppendRequest) -> Result<()> {
    let mut events = request.streams.iter().flat_map(|part| &part.events);
    let mut is_tagged = events.any(|event| !event.tags.is_empty());
    for requirement in &request.requirements {
        let Requirement::Boundary(boundary) = requirement else { continue };
        is_tagged = true;
        if *boundary.tenant() != scope.tenant {
            let (theirs, ours) = (boundary.tenant(), &scope.tenant);
            let problem = format!("it was read for {theirs}, and this handle works for {ours}: read it here");
            return Err(Error::InvalidOption { option: "unless_moved", problem });
        }
    }
    if is_tagged { scope.check_tags() } else { Ok(()) }
}

/// Appends encoded events to a stream while something else holds.
pub(crate) async fn append_if(
    on: &mut impl Reach,
    scope: &Scope,
    (stream, expectation): (StreamId, Expectation),
    events: Encoded,
    requirement: Requirement,
) -> Result<Appended> {
    let parts = vec![Part { stream, expectation, events: Ok(events) }];
    Plan { parts, requirements: vec![requirement], ..Plan::new(scope) }.prepare()?.append(on).await
}

//! A read model that is kept in the store itself, so that each backend feeds it in a transaction by its own means.

use std::fmt;

use event_sourcery::__kit::{next_joined, within};
use event_sourcery::backend::{
    AppendRequest, BackendTransaction, BlockedAt, BlockedStream, Expectation, JoinedTransaction, NewRecord,
    StreamAppend,
};
use event_sourcery::{
    Error, Event, Position, Projected, Projection, Projector, RawEvent, Recorded, Result, StreamId, TenantId,
    WrappedEvent,
};
use uuid::Uuid;

use super::ledger::Noted;

/// An event that a projector is fed, as the conformance kit tells it; see [`Step::Project`](super::Step::Project).
#[derive(Clone)]
pub struct Feeding {
    pub(super) projector: &'static str,
    pub(super) recorded: Recorded<RawEvent>,
    /// What the read model decodes: every event, or notes alone.
    pub(super) decodes: Decodes,
    /// Whether it is passed over.
    pub(super) is_past: bool,
    /// The read model fails on this.
    pub(super) fails_on: Option<&'static str>,
}

/// What a read model decodes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Decodes {
    Everything,
    Notes,
}

impl fmt::Debug for Feeding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feeding").field("recorded", &self.recorded).finish_non_exhaustive()
    }
}

/// The stream in which a read model of a stream is kept: an event for each thing that it was handed.
pub(super) fn model_of(projector: &str, tenant: &TenantId, stream: &StreamId) -> StreamId {
    StreamId::from_name(format!(
        "{projector} of {stream} in {:?} of {:?}",
        stream.category(),
        tenant.as_str()
    ))
    .unwrap()
}

impl Feeding {
    pub(super) fn run(&self, transaction: &mut impl BackendTransaction) -> Result<()> {
        match self.decodes {
            Decodes::Everything => self.run_as::<RawEvent>(transaction),
            Decodes::Notes => self.run_as::<Noted>(transaction),
        }
    }

    pub(super) async fn run_joined(&self, transaction: &mut dyn JoinedTransaction) -> Result<()> {
        match self.decodes {
            Decodes::Everything => self.run_joined_as::<RawEvent>(transaction).await,
            Decodes::Notes => self.run_joined_as::<Noted>(transaction).await,
        }
    }

    fn run_as<E: Event>(&self, transaction: &mut impl BackendTransaction) -> Result<()> {
        within(transaction, |tx| {
            let mut projection = self.projection::<E>()?;
            while let Some(projected) = projection.next(tx)? {
                BackendTransaction::append(&mut **tx, &self.entry(&projected)?)?;
            }
            Ok(())
        })
    }

    async fn run_joined_as<E: Event>(&self, transaction: &mut dyn JoinedTransaction) -> Result<()> {
        let mut projection = self.projection::<E>()?;
        while let Some(projected) = next_joined(&mut projection, transaction).await? {
            let entry = self.entry(&projected)?;
            transaction.append(&entry).await?;
        }
        Ok(())
    }

    fn projection<E: Event>(&self) -> Result<Projection<E>> {
        let projector = Projector::new(self.projector)?;
        if !self.is_past {
            return Ok(projector.project(self.fed()));
        }
        let Recorded { stream_id, tenant_id, position, .. } = self.recorded.clone();
        let (at, since) = (BlockedAt::new(Position::START, position), jiff::Timestamp::UNIX_EPOCH);
        Ok(projector.pass_over(&BlockedStream::new(tenant_id, stream_id, 0, at, since)))
    }

    fn fed<E: Event>(&self) -> Recorded<E> {
        let Recorded { wrapped_event, stream_id, tenant_id, position, .. } = self.recorded.clone();
        let WrappedEvent { event, version, uuid, created_at, context, .. } = wrapped_event;
        let event = E::decode(event.name(), event.data().get()).unwrap();
        let wrapped = WrappedEvent::new(event).with_version(version).with_id(uuid);
        let wrapped = wrapped.with_created_at(created_at).with_context(context);
        Recorded::new(wrapped, stream_id, position).with_tenant_id(tenant_id)
    }

    /// What the read model writes about something.
    fn entry<E: Event>(&self, projected: &Projected<E>) -> Result<AppendRequest> {
        let Recorded { stream_id, tenant_id, .. } = &self.recorded;
        let text = match projected {
            Projected::Anew { stream_id: told, tenant_id: whose } => {
                assert_eq!((told, whose), (stream_id, tenant_id));
                "anew".to_owned()
            }
            Projected::Event(recorded) => {
                assert_eq!((&recorded.stream_id, &recorded.tenant_id), (stream_id, tenant_id));
                let data = recorded.wrapped_event.event.encode().unwrap();
                let noted = serde_json::from_str::<Noted>(&data).map(|noted| noted.number.to_string());
                noted.unwrap_or_else(|_| recorded.wrapped_event.event.event_name().into_owned())
            }
        };
        if self.fails_on.is_some_and(|fails_on| fails_on == text) {
            let source = "the read model fails, as it was told to";
            return Err(Error::backend("conformance", source));
        }
        let data = serde_json::json!({ "text": text }).to_string();
        let created_at = jiff::Timestamp::from_second(1_700_000_000).unwrap();
        let record = NewRecord::new(Uuid::now_v7(), "projected", data, created_at);
        let stream = model_of(self.projector, tenant_id, stream_id);
        let part = StreamAppend::new(stream, Expectation::NoVersioning, vec![record]);
        Ok(AppendRequest::new(TenantId::DEFAULT, vec![part]))
    }
}

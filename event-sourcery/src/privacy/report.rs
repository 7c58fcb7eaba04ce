//! What a store holds of a data subject.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::envelope;
use crate::backend::{Backend, Filter, KeysRequest, ScanRequest, StoredRecord, SubjectKey};
use crate::error::{NameKind, Result};
use crate::limits;
use crate::position::Position;
use crate::store::EventStore;
use crate::stream_id::StreamId;
use crate::version::Version;

/// How many events one call looks at.
const PAGE: usize = 1_024;

/// Which events have fields that are encrypted for a data subject, as far as a call has looked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubjectReport {
    /// What has become of the subject's key.
    pub key: KeyState,
    /// The events, in the order of their positions.
    pub mentions: Vec<Mention>,
    /// Where to go on: the store has events that were not looked at. Give it to the next call; `None`: that is all.
    pub next: Option<Position>,
}

/// What has become of the key of a data subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyState {
    /// Nothing was ever encrypted for this subject.
    NeverGiven,
    /// It is there: what is encrypted can be read.
    Stored,
    /// It was shredded: nobody can read any more what is encrypted.
    Shredded,
}

/// An event with fields that are encrypted for a data subject.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mention {
    /// Its stream.
    pub stream: StreamId,
    /// Its version, if the stream has versions.
    pub version: Option<Version>,
    /// Where it stands in the whole store.
    pub position: Position,
    /// Its id.
    pub event_id: Uuid,
    /// The stored name of its type.
    pub name: String,
    /// The fields, as JSON pointers into its payload.
    pub fields: Vec<String>,
}

impl<B: Backend> EventStore<B> {
    /// Which events of this handle's tenant have fields that are encrypted for a data subject, above a position, and what has become
    /// of the subject's key: before shredding, and after it. It decrypts nothing, and needs no keys.
    ///
    /// A call looks at 1,024 events at most, whatever it finds: a report is whole once a call has no
    /// [`next`](SubjectReport::next). No index has the subjects, because each append would pay for it, also one that is about nobody:
    /// so a report reads all events of the tenant, as a subscription that begins at the start does, in as many calls as they
    /// have thousands. On the handle of a small tenant it reads those of its streams alone. What is said of a subject in fields
    /// that are not encrypted, it does not find.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`](crate::Error::InvalidName) for no name of a subject,
    /// [`Error::Unsupported`](crate::Error::Unsupported) where the backend keeps no keys; and the backend's.
    pub async fn subject_report(&self, subject: &str, after: Position) -> Result<SubjectReport> {
        limits::check_name(NameKind::Subject, subject)?;
        let (tenant, backend) = (self.tenant_id(), self.backend());
        let keys = backend.keys(KeysRequest::new(tenant.clone(), vec![Arc::from(subject)])).await?;
        let key = match keys.first() {
            None => KeyState::NeverGiven,
            Some(SubjectKey { wrapped: Some(_), .. }) => KeyState::Stored,
            Some(_) => KeyState::Shredded,
        };
        let filter = Filter::new().with_tenant(tenant.clone());
        let page = backend.scan(ScanRequest::new(after, PAGE).with_filter(filter)).await?;
        let mentions = page.records.iter().filter_map(|record| mention(record, subject)).collect();
        Ok(SubjectReport { key, mentions, next: page.has_more.then_some(page.next) })
    }
}

fn mention(record: &StoredRecord, subject: &str) -> Option<Mention> {
    let StoredRecord { stream, event, .. } = record;
    let (mut envelope, _) = envelope::take_from(&event.context)?;
    let fields: BTreeMap<String, String> = envelope.remove(subject)?;
    Some(Mention {
        stream: stream.clone(),
        version: event.version,
        position: event.position,
        event_id: event.id,
        name: event.name.to_string(),
        fields: fields.into_keys().collect(),
    })
}

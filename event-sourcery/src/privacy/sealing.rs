//! Sealing: from what was encoded to what is stored.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::cache::{Held, HeldKeys};
use super::envelope::{self, Envelope};
use super::marks::{Mark, Whose};
use super::pointers;
use super::ring::Ring;
use super::vault::Vault;
use crate::backend::{AppendRequest, KeyRequirement, NewRecord, Requirement, SnapshotRequest, StreamAppend};
use crate::context::Context;
use crate::error::{Error, NameKind, PayloadError, Result};
use crate::limits;
use crate::stream_id::{StreamId, TenantId};

/// What a record is, and where it stands: what is sealed in it is bound to that.
pub(super) struct Place<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) stream: &'a StreamId,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Event,
    Snapshot,
}

impl Place<'_> {
    /// What each field of the event of this id is bound to. No two fields of any events have the same.
    pub(super) fn of_event(&self, event: uuid::Uuid) -> Bound {
        let kind = match self.kind {
            Kind::Event => b"event-sourcery event 1   ",
            Kind::Snapshot => b"event-sourcery snapshot 1",
        };
        let names = [self.tenant.as_str(), self.stream.stored_category()];
        let mut to = Vec::with_capacity(kind.len() + 48 + names.map(str::len).iter().sum::<usize>() + FIELD);
        to.extend_from_slice(kind);
        to.extend_from_slice(self.stream.uuid().as_bytes());
        to.extend_from_slice(event.as_bytes());
        for name in names {
            to.extend_from_slice(&(name.len() as u64).to_be_bytes());
            to.extend_from_slice(name.as_bytes());
        }
        Bound { of_event: to.len(), to }
    }
}

/// Room for the pointer of a field, as long as most are.
const FIELD: usize = 32;

/// What the fields of an event are bound to: the event, and behind that the field at hand.
pub(super) struct Bound {
    to: Vec<u8>,
    of_event: usize,
}

impl Bound {
    /// What the field at this pointer is bound to.
    pub(super) fn field(&mut self, at: &str) -> &[u8] {
        self.to.truncate(self.of_event);
        self.to.extend_from_slice(at.as_bytes());
        &self.to
    }
}

/// Refuses what cannot be sealed: without keys, or without a subject.
pub(crate) fn check(has_keys: bool, record: &NewRecord, stream: &StreamId) -> Result<()> {
    let (name, stream) = (|| record.name.to_string(), || stream.clone());
    if record.marks.is_empty() {
        return Ok(());
    }
    if !has_keys {
        return Err(Error::EncryptionMissing { name: name(), stream: stream() });
    }
    for mark in &record.marks {
        match &mark.whose {
            Whose::Subject(subject) => limits::check_name(NameKind::Subject, subject)?,
            Whose::Stream if stream().name().is_some() => {}
            Whose::Stream | Whose::Nobody => {
                return Err(Error::NoSubject { name: name(), stream: stream() });
            }
        }
    }
    Ok(())
}

/// Whether something of an append is to be sealed.
pub(super) fn is_marked(request: &AppendRequest) -> bool {
    request.streams.iter().any(|part| part.events.iter().any(|event| !event.marks.is_empty()))
}

/// Whom a field of an event in this stream is about.
fn subject(mark: &Mark, name: &str, stream: &StreamId) -> Result<Arc<str>> {
    let named = match &mark.whose {
        Whose::Subject(subject) => Some(Arc::clone(subject)),
        Whose::Stream => stream.name().map(Arc::from),
        Whose::Nobody => None,
    };
    named.ok_or_else(|| Error::NoSubject { name: name.to_owned(), stream: stream.clone() })
}

impl Vault {
    /// The append as it is stored. It holds only while the keys are there that it was sealed with.
    pub(super) async fn seal<R: Ring>(&self, ring: &mut R, request: &AppendRequest) -> Result<AppendRequest> {
        let mut subjects = BTreeSet::new();
        for StreamAppend { stream, events, .. } in &request.streams {
            for event in events {
                for mark in &event.marks {
                    subjects.insert(subject(mark, &event.name, stream)?);
                }
            }
        }
        let keys = self.for_sealing(ring, &request.tenant, subjects).await?;
        let mut streams = Vec::with_capacity(request.streams.len());
        for StreamAppend { stream, expectation, events, first_version } in &request.streams {
            let place = Place { tenant: &request.tenant, stream, kind: Kind::Event };
            let events = events.iter().map(|event| self.seal_record(&place, event, &keys));
            let part = StreamAppend::new(stream.clone(), *expectation, events.collect::<Result<_>>()?);
            streams.push(StreamAppend { first_version: *first_version, ..part });
        }
        let mut requirements = request.requirements.clone();
        requirements.extend(keys.iter().filter_map(|(subject, held)| match held {
            Held::Key(id, _) => Some(Requirement::Key(KeyRequirement::new(Arc::clone(subject), *id))),
            _ => None,
        }));
        Ok(AppendRequest::new(request.tenant.clone(), streams)
            .with_requirements(requirements)
            .with_outbox(request.outbox.clone())
            .with_shreds(request.shreds.clone()))
    }

    /// The snapshot as it is stored.
    pub(super) async fn seal_snapshot<R: Ring>(
        &self,
        ring: &mut R,
        request: &SnapshotRequest,
    ) -> Result<SnapshotRequest> {
        let SnapshotRequest { tenant, stream, version, record } = request;
        let mut subjects = BTreeSet::new();
        for mark in &record.marks {
            let subject = subject(mark, &record.name, stream)?;
            // No requirement goes with a snapshot: so what was shredded elsewhere is looked for now.
            self.cache.forget(tenant, &subject);
            subjects.insert(subject);
        }
        let keys = self.for_sealing(ring, tenant, subjects).await?;
        let place = Place { tenant, stream, kind: Kind::Snapshot };
        let record = self.seal_record(&place, record, &keys)?;
        Ok(SnapshotRequest::new(tenant.clone(), stream.clone(), *version, record))
    }

    /// The record with masks in its payload, and what they stand for in its context.
    fn seal_record(&self, place: &Place<'_>, record: &NewRecord, keys: &HeldKeys) -> Result<NewRecord> {
        if record.marks.is_empty() {
            return Ok(record.clone());
        }
        let masks: Vec<_> = record.marks.iter().map(|mark| (mark.at.as_str(), mark.mask.as_str())).collect();
        let (data, fields) =
            pointers::replace(&record.data, &masks).map_err(|missing| not_found(record, missing.0))?;
        let cipher = self.ciphers.first().ok_or(Error::bug("a vault without a cipher"))?;
        let (mut bound, mut sealed) = (place.of_event(record.id), Envelope::new());
        for (mark, field) in record.marks.iter().zip(&fields) {
            let subject = subject(mark, &record.name, place.stream)?;
            let Some((subject, Held::Key(id, key))) = keys.get_key_value(&subject) else {
                return Err(Error::bug("there is no key for a field that is to be sealed"));
            };
            let text = cipher.seal(key, bound.field(&mark.at), field.as_bytes())?;
            let text = envelope::written(cipher.format(), *id, &text);
            sealed.entry(&**subject).or_default().insert(&mark.at, text);
        }
        Context::refuse_empty_key(&record.context)?;
        let context = envelope::put_into(&record.context, &sealed)?;
        let NewRecord { id, created_at, schema_version, .. } = *record;
        let (name, tags, marks) = (record.name.clone(), record.tags.clone(), Vec::new());
        Ok(NewRecord { id, name, data, context, created_at, schema_version, tags, marks })
    }
}

/// Not even its place in an error: nothing of it was found.
fn not_found(record: &NewRecord, missing: usize) -> Error {
    let at = record.marks.get(missing).map_or("", |mark| mark.at.as_str());
    let problem = format!(
        "its encrypted field {at:?} is not where the names of its fields say, or stands within another one: let serde derive \
         `Serialize`, and leave the field where it is"
    );
    Error::InvalidPayload { name: record.name.to_string(), problem: PayloadError::NotStorable { problem } }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use uuid::Uuid;

    use super::*;

    #[test]
    fn no_two_places_are_bound_to_the_same() {
        let tenants = [TenantId::DEFAULT, TenantId::new("a").unwrap(), TenantId::new("ab").unwrap()];
        let stream = StreamId::random();
        let streams = [
            stream.clone(),
            StreamId::random(),
            stream.clone().in_category("b").unwrap(),
            stream.in_category("bc").unwrap(),
        ];
        let (mut all, mut count) = (HashSet::new(), 0);
        for tenant in &tenants {
            for stream in &streams {
                for kind in [Kind::Event, Kind::Snapshot] {
                    for event in [Uuid::from_u128(1), Uuid::from_u128(2)] {
                        for at in ["/a", "/b", "c/b", ""] {
                            all.insert(Place { tenant, stream, kind }.of_event(event).field(at).to_vec());
                            count += 1;
                        }
                    }
                }
            }
        }
        assert_eq!(all.len(), count);
    }
}

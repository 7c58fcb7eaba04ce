//! Opening: from what is stored to what its types read, whole pages at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use super::cache::{Held, HeldKeys};
use super::envelope::{self, Found};
use super::marks::{KeptMarks, Mark, Whose};
use super::pointers;
use super::ring::Ring;
use super::sealing::{Kind, Place};
use super::vault::Vault;
use crate::backend::{AppendOutcome, LoadedStream, PresentEvent, StoredEvent, StoredRecord};
use crate::error::{Error, Result};
use crate::stream_id::{StreamId, TenantId};

/// What became of an event in which something is sealed.
#[derive(Debug, Clone)]
pub(crate) enum Opening {
    /// What could be opened stands in its payload; what was shredded reads as its mask.
    Opened(KeptMarks),
    /// One of its fields: the field, and what is wrong with it.
    Broken { field: Box<str>, problem: &'static str },
    /// The key of one of its subjects.
    Wrapped { subject: Box<str>, by: Box<str>, problem: Box<str> },
}

impl Opening {
    /// The error of reading the event, if there is one.
    pub(crate) fn check(&self, stream: &StreamId, event: &StoredEvent) -> Result<()> {
        match self {
            Self::Opened(_) => Ok(()),
            Self::Broken { field, problem } => Err(Error::SealBroken {
                name: Box::from(&*event.name),
                stream: stream.clone(),
                position: event.position,
                field: field.clone(),
                problem,
            }),
            Self::Wrapped { subject, by, problem } => Err(Error::KeyNotUnwrapped {
                subject: subject.to_string(),
                by: by.to_string(),
                problem: problem.clone(),
            }),
        }
    }
}

/// An event in which something may be sealed, in its place.
struct Sealed<'e> {
    place: Place<'e>,
    event: &'e mut StoredEvent,
}

/// A field that is open again: where it stands, whose it is, what it holds.
type Plain<'e> = (&'e str, &'e Arc<str>, String);

impl Vault {
    /// Opens what is sealed in a page of records.
    pub(super) async fn open_records<R: Ring>(
        &self,
        ring: &mut R,
        records: &mut [StoredRecord],
    ) -> Result<()> {
        let mut sealed = Vec::new();
        for StoredRecord { stream, tenant, event } in records {
            if event.may_be_sealed() {
                sealed.push(Sealed { place: Place { tenant, stream, kind: Kind::Event }, event });
            }
        }
        self.open_all(ring, sealed).await
    }

    /// Opens what is sealed in the parts of a stream, and in what stands in for the events before them: all parts with one read of
    /// keys.
    pub(super) async fn open_parts<R: Ring>(
        &self,
        ring: &mut R,
        (tenant, stream): (&TenantId, &StreamId),
        parts: &mut [LoadedStream],
    ) -> Result<()> {
        let mut sealed = Vec::new();
        for LoadedStream { snapshot, events, .. } in parts {
            for event in snapshot.iter_mut().filter(|event| event.may_be_sealed()) {
                sealed.push(Sealed { place: Place { tenant, stream, kind: Kind::Snapshot }, event });
            }
            for event in events.iter_mut().filter(|event| event.may_be_sealed()) {
                sealed.push(Sealed { place: Place { tenant, stream, kind: Kind::Event }, event });
            }
        }
        self.open_all(ring, sealed).await
    }

    /// The same for a stream in one part.
    pub(super) async fn open_stream<R: Ring>(
        &self,
        ring: &mut R,
        of: (&TenantId, &StreamId),
        loaded: &mut LoadedStream,
    ) -> Result<()> {
        self.open_parts(ring, of, std::slice::from_mut(loaded)).await
    }

    /// Opens what is sealed in the events that an append would have written again.
    pub(super) async fn open_present<R: Ring>(
        &self,
        ring: &mut R,
        outcome: &mut AppendOutcome,
    ) -> Result<()> {
        let AppendOutcome::Present(present) = outcome else { return Ok(()) };
        let mut sealed = Vec::new();
        for PresentEvent { record: StoredRecord { stream, tenant, event }, .. } in present {
            if event.may_be_sealed() {
                sealed.push(Sealed { place: Place { tenant, stream, kind: Kind::Event }, event });
            }
        }
        self.open_all(ring, sealed).await
    }

    /// The keys of each tenant are asked for once.
    async fn open_all<R: Ring>(&self, ring: &mut R, sealed: Vec<Sealed<'_>>) -> Result<()> {
        if sealed.is_empty() {
            return Ok(());
        }
        let mut subjects: BTreeMap<TenantId, BTreeSet<Arc<str>>> = BTreeMap::new();
        let mut with_envelopes = Vec::with_capacity(sealed.len());
        for Sealed { place, event } in sealed {
            let Some((envelope, context)) = envelope::take_from(&event.context) else {
                if !event.is_sealed() {
                    continue;
                }
                let problem = "what was encrypted of the event cannot be read";
                event.opening = Some(Box::new(Opening::Broken { field: Box::default(), problem }));
                continue;
            };
            event.context = context;
            let of_tenant = subjects.entry(place.tenant.clone()).or_default();
            for subject in envelope.keys() {
                if !of_tenant.contains(subject.as_str()) {
                    of_tenant.insert(Arc::from(subject.as_str()));
                }
            }
            with_envelopes.push((place, event, envelope));
        }
        let mut keys = BTreeMap::new();
        for (tenant, subjects) in subjects {
            let held = self.held(ring, &tenant, subjects).await?;
            keys.insert(tenant, held);
        }
        for (place, event, envelope) in with_envelopes {
            if let Some(held) = keys.get(place.tenant) {
                self.open(&place, event, &envelope, held);
            }
        }
        Ok(())
    }

    fn open(&self, place: &Place<'_>, event: &mut StoredEvent, envelope: &Found, keys: &HeldKeys) {
        let opened = self.plain(place, event.id, envelope, keys).and_then(|plain| {
            let fields: Vec<_> = plain.iter().map(|(at, _, field)| (*at, field.as_str())).collect();
            match pointers::replace(&event.data, &fields) {
                Ok((data, masks)) => Ok((data, kept(&plain, masks))),
                Err(missing) => {
                    let at = fields.get(missing.0).map_or("", |(at, _)| *at);
                    Err(broken(at, "the payload has nothing at its place"))
                }
            }
        });
        let opening = match opened {
            Ok((data, kept)) => {
                event.data = data.into();
                Opening::Opened(kept)
            }
            Err(problem) => problem,
        };
        event.opening = Some(Box::new(opening));
    }

    /// The fields that can be opened; those of subjects that were shredded are left out.
    fn plain<'e>(
        &self,
        place: &Place<'_>,
        event: Uuid,
        envelope: &'e Found,
        keys: &'e HeldKeys,
    ) -> Result<Vec<Plain<'e>>, Opening> {
        let (mut bound, mut plain) = (place.of_event(event), Vec::new());
        for (subject, fields) in envelope {
            let (subject, id, key) = match keys.get_key_value(subject.as_str()) {
                Some((subject, Held::Key(id, key))) => (subject, id, key),
                Some((_, Held::Shredded)) => continue,
                Some((_, Held::Wrapped { by, problem })) => {
                    let (subject, by) = (Box::from(subject.as_str()), Box::from(&**by));
                    return Err(Opening::Wrapped { subject, by, problem: problem.clone() });
                }
                Some((_, Held::NeverGiven)) | None => {
                    let first = fields.keys().next().map_or("", String::as_str);
                    return Err(broken(
                        first,
                        "its data subject has no key in this store, and was not shredded",
                    ));
                }
            };
            for (at, text) in fields {
                let (format, with, sealed) = envelope::read(text)
                    .ok_or_else(|| broken(at, "its ciphertext is not in a form that is known"))?;
                if with != *id {
                    return Err(broken(at, "it was encrypted with another key than its data subject has"));
                }
                let cipher = self.ciphers.iter().find(|cipher| cipher.format() == format);
                let cipher = cipher.ok_or_else(|| broken(at, "this store does not have its cipher"))?;
                let bytes = cipher.open(key, bound.field(at), &sealed);
                let field = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
                let field = field.ok_or_else(|| {
                    broken(at, "it was changed, or was encrypted for another field, event, stream or tenant")
                })?;
                plain.push((at.as_str(), subject, field));
            }
        }
        Ok(plain)
    }
}

fn broken(field: &str, problem: &'static str) -> Opening {
    Opening::Broken { field: field.into(), problem }
}

/// The marks of what was opened. In the payload there were the masks.
fn kept(plain: &[Plain<'_>], masks: Vec<String>) -> KeptMarks {
    let marks = plain.iter().zip(masks).map(|((at, subject, _), mask)| Mark {
        at: (*at).to_owned(),
        whose: Whose::Subject(Arc::clone(subject)),
        mask,
    });
    KeptMarks(marks.collect())
}

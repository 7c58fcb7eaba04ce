//! What an append comes to on what is known of its streams: the messages to publish, each under its expectation, or why none.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use event_sourcery::backend::{AppendRequest, NewRecord, Requirement, StreamAppend};
use event_sourcery::{Error, Result, StreamId, TenantId};
use serde::ser::Error as _;
use uuid::Uuid;

use super::Streams;
use crate::NAME;
use crate::known::Known;
use crate::message::{Head, Kind};
use crate::numbers;
use crate::store::Store;

/// How many bytes of payload and context a message has, unless its only event has more.
const MESSAGE_BYTES: usize = 256 << 10;

/// What a message has beside the payloads and contexts of its events, at most: names of 850 bytes, escaped, and headers.
const BESIDE: usize = 16 << 10;

/// Which streams take names that stand for others, by the subjects of those.
type Claims = BTreeMap<String, Uuid>;

const NOT_READ: Error = Error::bug("a stream that was read is not there");

/// What an append comes to, as far as is known.
pub(super) enum Plan {
    Write(Vec<Piece>),
    /// These events are there already: in which stream, and at which place.
    Present(Vec<(String, usize, Uuid)>),
}

/// A message of an append.
pub(super) struct Piece {
    pub(super) subject: String,
    pub(super) payload: Bytes,
    pub(super) expects: Option<(String, u64)>,
    /// The part of the request that it belongs to, and which of its events.
    pub(super) of: Option<(usize, Head, Range<usize>)>,
}

impl Store {
    pub(super) fn plan(&self, request: &AppendRequest, streams: &Streams) -> Result<Plan> {
        let subjects: Vec<_> =
            request.streams.iter().map(|part| self.subject(&request.tenant, &part.stream)).collect();
        let found = |id: Uuid| {
            let mut found = subjects.iter().filter_map(|subject| {
                let place = streams.get(subject)?.place_of(id)?;
                Some((subject.clone(), place, id))
            });
            found.next()
        };
        let present: Vec<_> = request.event_ids().filter_map(found).collect();
        if !present.is_empty() {
            return Ok(Plan::Present(present));
        }
        let mut pieces = self.guards(request, streams, &subjects)?;
        let (mut claims, mut heads) = (Claims::new(), Vec::with_capacity(subjects.len()));
        for (part, subject) in request.streams.iter().zip(&subjects) {
            let known = streams.get(subject).ok_or(NOT_READ)?;
            let first = part.check(known.state())?;
            heads.push((head(&request.tenant, part, known, first.is_some()), known.sequence));
            if let Some(rightful) = self.claim(request, part, known, (streams, &claims))? {
                claims.insert(rightful, part.stream.uuid());
            }
        }
        // What is written to a stream has an expectation, and says whose its name is.
        pieces
            .retain(|guard| !guard.expects.as_ref().is_some_and(|(subject, _)| claims.contains_key(subject)));
        for (subject, holder) in claims.iter().filter(|(subject, _)| !subjects.contains(subject)) {
            let known = streams.get(subject).ok_or(NOT_READ)?;
            let payload = known.named(Some(*holder)).message(&[])?;
            let expects = Some((subject.clone(), known.sequence));
            pieces.push(Piece { subject: subject.clone(), payload, expects, of: None });
        }
        let parts = request.streams.iter().zip(&subjects).zip(heads).enumerate();
        for (number, ((part, subject), (mut head, sequence))) in parts {
            head.holder = claims.get(subject).copied().or(head.holder);
            pieces.extend(self.pieces(number, part, subject, sequence, head)?);
        }
        Ok(Plan::Write(pieces))
    }

    /// What holds for other streams has to hold when this is written.
    fn guards(&self, request: &AppendRequest, streams: &Streams, own: &[String]) -> Result<Vec<Piece>> {
        let mut guards = Vec::new();
        for requirement in &request.requirements {
            let Requirement::Stream(required) = requirement else {
                return Err(Error::unsupported(NAME, "this requirement of an append"));
            };
            let subject = self.subject(&request.tenant, &required.stream);
            let known = streams.get(&subject).ok_or(NOT_READ)?;
            required.check(known.state())?;
            // A stream that is written to has an expectation already.
            let is_guarded = guards
                .iter()
                .any(|guard: &Piece| guard.expects.as_ref().is_some_and(|(guarded, _)| *guarded == subject));
            if !own.is_empty() && !own.contains(&subject) && !is_guarded {
                let (of, expects) = (None, Some((subject, known.sequence)));
                let subject = self.subjects.guard(guards.len());
                guards.push(Piece { subject, payload: Bytes::new(), expects, of });
            }
        }
        Ok(guards)
    }

    /// The stream whose name this one takes, where it has one that stands for another UUID, and nobody has it yet: neither by what is
    /// stored nor by this append.
    fn claim(
        &self,
        request: &AppendRequest,
        part: &StreamAppend,
        known: &Known,
        (streams, claims): (&Streams, &Claims),
    ) -> Result<Option<String>> {
        let (stream, uuid) = (&part.stream, part.stream.uuid());
        let Some(name) = stream.name().filter(|_| known.name.is_none()) else { return Ok(None) };
        let taken = |holder| Err(Error::stream_name_taken(stream.clone(), name, holder));
        let Some(rightful) = rightful(stream) else {
            return known.holder.map_or(Ok(None), taken);
        };
        let subject = self.subject(&request.tenant, &rightful);
        let its = streams.get(&subject).ok_or(NOT_READ)?;
        let is_given = |part: &StreamAppend| {
            part.stream.name() == Some(name) && self.subject(&request.tenant, &part.stream) == subject
        };
        match its.holder.or(claims.get(&subject).copied()) {
            _ if its.name.as_deref() == Some(name) => taken(rightful.uuid()),
            Some(holder) if holder == uuid => Ok(None),
            Some(holder) => taken(holder),
            None if request.streams.iter().any(is_given) => taken(rightful.uuid()),
            None => Ok(Some(subject)),
        }
    }

    /// The messages of a part.
    fn pieces(
        &self,
        number: usize,
        part: &StreamAppend,
        subject: &str,
        sequence: u64,
        head: Head,
    ) -> Result<Vec<Piece>> {
        let ranges = ranges(&part.events);
        let mut pieces = Vec::with_capacity(ranges.len());
        for (place, range) in ranges.iter().enumerate() {
            let (first, follow) = (head.first + range.start as u64, (ranges.len() - 1 - place) as u64);
            let head = Head { first, follow, ..head.clone() };
            let events = part.events.get(range.clone()).unwrap_or_default();
            let payload = head.message(events)?;
            if let (Some(event), true) = (events.first(), payload.len() + BESIDE > self.max_message) {
                return Err(self.too_large(event));
            }
            let expects = (place == 0).then(|| (subject.to_owned(), sequence));
            let of = Some((number, head, range.clone()));
            pieces.push(Piece { subject: subject.to_owned(), payload, expects, of });
        }
        Ok(pieces)
    }

    fn too_large(&self, event: &NewRecord) -> Error {
        let (has, most) = (event.data.len() + event.context.len(), self.max_message.saturating_sub(BESIDE));
        let problem = serde_json::Error::custom(format!(
            "with its context it has {has} bytes, and a message of these servers has room for {most}: raise \
             `max_payload`"
        ));
        Error::InvalidPayload { name: event.name.to_string(), problem: problem.into() }
    }
}

/// The stream whose UUID a stream's name stands for, if that is another one.
pub(super) fn rightful(stream: &StreamId) -> Option<StreamId> {
    // A name beyond our limits was made by others, and stands for whatever they say.
    let rightful = StreamId::from_name(stream.name()?).ok().filter(|named| named.uuid() != stream.uuid())?;
    Some(match stream.category() {
        Some(category) => rightful.with_category(category.clone()),
        None => rightful,
    })
}

/// What the messages of a part have in common.
fn head(tenant: &TenantId, part: &StreamAppend, known: &Known, versioned: bool) -> Head {
    let name = known.name.as_deref().or(part.stream.name()).map(str::to_owned);
    let first = part.events.first().map_or(0, |event| event.created_at.as_microsecond());
    let born = if known.count() == 0 { first } else { known.born };
    let head = Head::of(Kind::Events, tenant, &part.stream);
    let holder = known.holder;
    Head { name, born, versioned, holder, life: known.life, first: known.count() + 1, ..head }
}

/// Which events share a message.
fn ranges(events: &[NewRecord]) -> Vec<Range<usize>> {
    let (mut ranges, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (number, event) in events.iter().enumerate() {
        let size = event.data.len() + event.context.len() + event.name.len();
        let is_full = bytes + size > MESSAGE_BYTES || number - start >= numbers::MOST_EVENTS;
        if number > start && is_full {
            ranges.push(start..number);
            (start, bytes) = (number, 0);
        }
        bytes += size;
    }
    if start < events.len() {
        ranges.push(start..events.len());
    }
    ranges
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn events(sizes: &[usize]) -> Vec<NewRecord> {
        let data = |size: &usize| "x".repeat(*size);
        let event = |size| NewRecord::new(Uuid::new_v4(), "n", data(size), Timestamp::UNIX_EPOCH);
        sizes.iter().map(event).collect()
    }

    #[test]
    fn events_share_a_message_as_far_as_there_is_room_and_a_large_one_has_its_own() {
        let ends = |sizes: &[usize]| ranges(&events(sizes)).iter().map(|range| range.end).collect::<Vec<_>>();
        let half = MESSAGE_BYTES / 2;
        assert!(ends(&[]).is_empty());
        assert_eq!(ends(&[10, 10, 10]), [3]);
        assert_eq!(ends(&[half, half, 10]), [1, 3]);
        assert_eq!(ends(&[10, 9 * half, 10]), [1, 2, 3]);
        let most = numbers::MOST_EVENTS;
        assert_eq!(ends(&vec![1; most + 1]), [most, most + 1]);
    }

    #[test]
    fn a_name_has_a_rightful_stream_where_its_uuid_is_another_one() {
        let named = StreamId::from_name("1").unwrap().in_category("red").unwrap();
        assert_eq!(rightful(&named), None);
        assert_eq!(rightful(&StreamId::random()), None);
        let impostor = event_sourcery::backend::stored_stream_id(Uuid::from_u128(7), Some("1"), "red");
        assert_eq!(rightful(&impostor), Some(named));
    }
}

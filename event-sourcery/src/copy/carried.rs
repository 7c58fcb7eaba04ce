//! What is carried over of an event, and whether it can be.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use crate::backend::{AppendRequest, Expectation, NewRecord, StoredEvent, StoredRecord, StreamAppend};
use crate::error::{Error, NameKind, NameProblem, Result};
use crate::event::Event as _;
use crate::limits;
use crate::new_event::storable;
use crate::payload::equal_json;
use crate::privacy::SubjectShredded;
use crate::stream_id::{Category, StreamId};
use crate::tag::Tag;
use crate::version::Version;

/// Refuses what could not be stored anywhere as it is.
pub(super) fn check(record: &StoredRecord) -> Result<()> {
    let StoredRecord { stream, tenant, event } = record;
    event.check(stream)?;
    check_length(NameKind::EventName, Some(&*event.name))?;
    check_length(NameKind::StreamName, stream.name())?;
    check_length(NameKind::Category, stream.category().map(Category::as_str))?;
    check_length(NameKind::Tenant, Some(tenant.as_str()).filter(|_| !tenant.is_default()))?;
    let refused = |problem| Err(not_carried(record, problem));
    if event.version == Some(0) {
        return refused("its version is 0, which stands for a stream without events");
    }
    if storable(event.created_at)? != event.created_at {
        return refused("its time has parts of a microsecond");
    }
    if event.schema_version == 0 || i32::try_from(event.schema_version).is_err() {
        return refused("its schema version is none");
    }
    Ok(())
}

pub(super) fn not_carried(record: &StoredRecord, problem: &'static str) -> Error {
    Error::NotCarriedOver { event_id: record.event.id, stream: record.stream.clone(), problem }
}

/// A name of more bytes than ours may have may be stored all the same: others count characters.
fn check_length(kind: NameKind, name: Option<&str>) -> Result<()> {
    match name.map_or(Ok(()), |name| limits::check_name(kind, name)) {
        Err(Error::InvalidName { problem: NameProblem::TooManyBytes { .. }, .. }) => Ok(()),
        checked => checked,
    }
}

/// How many of these events, from the first on, one append takes so that their order stays: those of one tenant, the events of each
/// stream next to each other and without a hole in their versions.
pub(super) fn batch(records: &[StoredRecord], several_streams: bool) -> usize {
    let mut streams: HashSet<&StreamId> = HashSet::new();
    let mut before: Option<&StoredRecord> = None;
    for (number, record) in records.iter().enumerate() {
        let fits = match before {
            None => true,
            Some(before) if before.tenant != record.tenant => false,
            Some(before) if before.stream == record.stream => is_next(&before.event, &record.event),
            Some(_) => several_streams && !streams.contains(&record.stream),
        };
        if !fits {
            return number;
        }
        streams.insert(&record.stream);
        before = Some(record);
    }
    records.len()
}

fn is_next(before: &StoredEvent, event: &StoredEvent) -> bool {
    event.version == before.version.map(|version| version.saturating_add(1))
}

/// The append of a [batch](batch).
pub(super) fn request(records: &[StoredRecord], with_shreds: bool) -> Option<AppendRequest> {
    let tenant = records.first()?.tenant.clone();
    let mut parts: Vec<StreamAppend> = Vec::new();
    for record in records {
        match parts.last_mut().filter(|part| part.stream == record.stream) {
            Some(part) => part.events.push(new_record(&record.event)),
            None => parts.push(part(record, expected(record))),
        }
    }
    let shreds = if with_shreds { shredded(records) } else { Vec::new() };
    Some(AppendRequest::new(tenant, parts).with_shreds(shreds))
}

/// The append of one event to a stream that is as expected, which gives it its own version.
pub(super) fn request_of_one(
    record: &StoredRecord,
    expectation: Expectation,
    with_shreds: bool,
) -> AppendRequest {
    let mut part = part(record, expectation);
    part.first_version = record.event.version.filter(|_| expectation != expected(record));
    let shreds = if with_shreds { shredded(std::slice::from_ref(record)) } else { Vec::new() };
    AppendRequest::new(record.tenant.clone(), vec![part]).with_shreds(shreds)
}

/// What the stream of an event is like right before it, if its versions have no hole there.
pub(super) fn expected(record: &StoredRecord) -> Expectation {
    let before = |version: Version| Expectation::Version(version.saturating_sub(1));
    record.event.version.map_or(Expectation::NoVersioning, before)
}

fn part(record: &StoredRecord, expectation: Expectation) -> StreamAppend {
    StreamAppend::new(record.stream.clone(), expectation, vec![new_record(&record.event)])
}

/// The event, all of it as it stands.
fn new_record(event: &StoredEvent) -> NewRecord {
    let StoredEvent { id, name, data, context, created_at, schema_version, tags, .. } = event;
    NewRecord::new(*id, Cow::Owned(name.to_string()), data.to_string(), *created_at)
        .with_context(context.to_string())
        .with_schema_version(*schema_version)
        .with_tags(tags.clone())
}

/// The subjects who were shredded with these events: their keys go with them, wherever the events come to.
fn shredded(records: &[StoredRecord]) -> Vec<Arc<str>> {
    let mut subjects: Vec<Arc<str>> = Vec::new();
    for StoredRecord { stream, event, .. } in records {
        if &*event.name == SubjectShredded::NAME
            && stream.stored_category() == SubjectShredded::CATEGORY
            && let Ok(SubjectShredded { subject }) = SubjectShredded::decode(&event.name, &event.data)
            && limits::check_name(NameKind::Subject, &subject).is_ok()
            && !subjects.iter().any(|known| **known == *subject)
        {
            subjects.push(subject.into());
        }
    }
    subjects
}

/// What of an event is another one in the copy, if anything is. Payloads and contexts are compared as JSON values.
pub(super) fn difference(source: &StoredRecord, copy: &StoredRecord) -> Option<&'static str> {
    let (ours, theirs) = (&source.event, &copy.event);
    if theirs.unreadable.is_some() {
        return Some("what is stored of it at the destination cannot be read");
    }
    let parts = [
        (source.tenant == copy.tenant && source.stream == copy.stream, "it is in another stream"),
        (source.stream.name() == copy.stream.name(), "its stream has another name"),
        (ours.version == theirs.version, "it has another version"),
        (ours.name == theirs.name, "it has another type"),
        (ours.schema_version == theirs.schema_version, "it has another schema version"),
        (ours.created_at == theirs.created_at, "it has another time"),
        (equal_json(&ours.data, &theirs.data), "it has another payload"),
        (equal_json(&ours.context, &theirs.context), "it has another context"),
        (tags(ours) == tags(theirs), "it has other tags"),
    ];
    parts.iter().find(|(is_same, _)| !is_same).map(|(_, problem)| *problem)
}

/// The tags of an event, in one order for all.
fn tags(event: &StoredEvent) -> Vec<&Tag> {
    let mut tags: Vec<_> = event.tags.iter().collect();
    tags.sort_unstable();
    tags
}

/// Takes the tags from events; tells how many had some.
pub(super) fn untag(records: &mut [StoredRecord]) -> u64 {
    let mut untagged = 0;
    for record in records.iter_mut().filter(|record| !record.event.tags.is_empty()) {
        record.event.tags.clear();
        untagged += 1;
    }
    untagged
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::position::Position;
    use crate::stream_id::TenantId;

    fn record(tenant: &TenantId, stream: &StreamId, version: Option<Version>) -> StoredRecord {
        let (id, name, now) = (Uuid::now_v7(), Arc::from("noted"), Timestamp::UNIX_EPOCH);
        let event = StoredEvent::new(Position::START, version, id, name, "{}".into(), now);
        StoredRecord::new(stream.clone(), tenant.clone(), event)
    }

    #[test]
    fn a_batch_ends_where_the_order_would_be_another() {
        let (a, b, acme) = (StreamId::random(), StreamId::random(), TenantId::new("acme").unwrap());
        let nobody = TenantId::DEFAULT;
        let first =
            || vec![record(&nobody, &a, Some(1)), record(&nobody, &a, Some(2)), record(&nobody, &b, None)];
        assert_eq!(batch(&first(), true), 3);
        assert_eq!(batch(&first(), false), 2, "one stream an append");
        let another = StreamId::random();
        for (tenant, stream, version) in [(&nobody, &a, 3), (&acme, &another, 1), (&nobody, &b, 1)] {
            let mut records = first();
            records.push(record(tenant, stream, Some(version)));
            assert_eq!(batch(&records, true), 3);
        }
        let with_a_hole = [record(&nobody, &a, Some(1)), record(&nobody, &a, Some(3))];
        assert_eq!(batch(&with_a_hole, true), 1);
        assert_eq!(batch(&[], true), 0);
    }
}

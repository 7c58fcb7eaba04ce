//! The outbox: entries are put in with their events, read, and go once they are published.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use event_sourcery::backend::{
    HeldEntries, Names, NewRecord, OutboxProgress, OutboxRequest, PageRoom, ScanPage, StoredEvent,
    StoredRecord, lost_stream_id, stored_stream_id, stored_tenant_id,
};
use event_sourcery::{Position, Result, StreamId, TenantId, Version};
use jiff::{SignedDuration, Timestamp};
use rusqlite::Row;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Operations, json_array};
use crate::rows::{self, hex};
use crate::time;

/// How many entries a page looks at, if few of them are wanted.
const FAR: usize = 16_384;

/// An entry, as both languages write it. What the reference leaves out has a default.
#[derive(Deserialize)]
struct Entry<'e> {
    #[serde(borrow)]
    uuid: Cow<'e, str>,
    #[serde(borrow)]
    stream_id: Cow<'e, str>,
    #[serde(borrow)]
    created_at: Cow<'e, str>,
    version: Option<Version>,
    #[serde(borrow)]
    name: Cow<'e, str>,
    #[serde(borrow)]
    data: &'e RawValue,
    #[serde(borrow)]
    context: &'e RawValue,
    #[serde(borrow, default)]
    tenant_id: Cow<'e, str>,
    #[serde(borrow, default)]
    category: Option<Cow<'e, str>>,
    #[serde(default = "first_form")]
    schema_version: u32,
}

const fn first_form() -> u32 {
    1
}

impl Operations<'_> {
    /// Puts an event into the outbox, which has this version, stands at this position, and is of the stream of this number.
    pub(super) fn enter(
        &self,
        record: &NewRecord,
        (tenant, stream): (&TenantId, &StreamId),
        (version, position): (Option<Version>, i64),
        number: i64,
    ) -> Result<()> {
        let text = text(record, (tenant, stream), version);
        let (now, uuid) = (time::to_text(Timestamp::now()), hex(stream.uuid()));
        self.execute(&self.sql.insert_entry, (now, text, stream.name(), number, position, uuid)).map(drop)
    }

    /// A page of entries, by the positions of their events.
    pub(crate) fn outbox(&self, request: &OutboxRequest) -> Result<ScanPage> {
        self.refuse_beyond_end(request.after)?;
        let settled = self.position()?;
        let end = request.up_to.map_or(settled, |up_to| up_to.min(settled));
        if end <= request.after {
            return Ok(ScanPage::new(Vec::new(), request.after, false));
        }
        let (after, up_to) = (request.after.to_i64(), end.to_i64());
        let mut statement;
        let mut rows = match &request.stream {
            Some((_, stream)) => {
                statement = self.statement(&self.sql.entries_of_stream)?;
                statement.query((after, up_to, hex(stream.uuid())))
            }
            None => {
                statement = self.statement(&self.sql.entries)?;
                statement.query((after, up_to))
            }
        }
        .map_err(|error| self.failed(error))?;
        let (mut room, mut names, mut records) = (PageRoom::of(request.limit), Names::default(), Vec::new());
        let (mut looked_at, mut reached) = (0, request.after);
        while let Some(row) = rows.next().map_err(|error| self.failed(error))? {
            if looked_at == FAR && request.stream.is_none() {
                return Ok(ScanPage::new(records, reached, true));
            }
            looked_at += 1;
            let record = self.entry(row, &mut names)?;
            let position = record.event.position;
            if is_wanted(request, &record) {
                if !room.take(&record.event) {
                    return Ok(ScanPage::new(records, reached, true));
                }
                records.push(record);
            }
            reached = position;
        }
        Ok(ScanPage::new(records, end, false))
    }

    /// What a row says. One that cannot be read is handed over as what it is.
    fn entry(&self, row: &Row<'_>, names: &mut Names) -> Result<StoredRecord> {
        let position = Position::from_i64(row.get(0).map_err(|error| self.failed(error))?);
        let category = || -> Result<String> {
            let found = self.first(&self.sql.category_at, [position.to_i64()], |row| row.get(0))?;
            Ok(found.unwrap_or_default())
        };
        let read = || -> Result<Result<StoredRecord, String>> {
            let text = row.get_ref(1).map_err(|error| self.failed(error))?;
            let entry = match text.as_str() {
                Ok(text) => serde_json::from_str::<Entry<'_>>(text).map_err(|problem| problem.to_string()),
                Err(problem) => Err(problem.to_string()),
            };
            let entry = match entry {
                Ok(entry) => entry,
                Err(problem) => return Ok(Err(problem)),
            };
            let category = match &entry.category {
                Some(category) => category.to_string(),
                None => category()?,
            };
            let name: Option<String> = row.get(2).unwrap_or_default();
            Ok(entry.record(position, name.as_deref(), &category))
        };
        Ok(read()?.unwrap_or_else(|problem| {
            let lost = StoredEvent::new(
                position,
                None,
                uuid::Uuid::nil(),
                names.copy_of(""),
                Box::default(),
                Timestamp::default(),
            );
            StoredRecord::new(lost_stream_id(position), stored_tenant_id(""), lost.with_unreadable(problem))
        }))
    }

    /// Those of the entries that are there. Nothing keeps others from them: who publishes them has a lease.
    pub(crate) fn held_entries(&self, positions: &[Position]) -> Result<HeldEntries> {
        let asked = json_array(positions.iter().map(|position| position.to_i64()));
        let read = |row: &Row<'_>| row.get(0).map(Position::from_i64).map_err(|error| error.to_string());
        Ok(HeldEntries::new(self.all_rows(&self.sql.waiting_entries, [asked], read)?, Vec::new()))
    }

    pub(super) fn entry_waits(&self, position: Position) -> Result<bool> {
        Ok(self.first(&self.sql.entry_waits, [position.to_i64()], |_| Ok(()))?.is_some())
    }

    /// Writes what becomes of entries.
    pub(super) fn publish(&self, progress: &OutboxProgress) -> Result<()> {
        let OutboxProgress { done, keep, .. } = progress;
        let done = json_array(done.iter().map(|position| position.to_i64()));
        let Some(keep) = keep else { return self.execute(&self.sql.delete_entries, [done]).map(drop) };
        let now = Timestamp::now();
        self.execute(&self.sql.keep_entries, (done, time::to_text(now)))?;
        let keep = SignedDuration::try_from(*keep).unwrap_or(SignedDuration::MAX);
        let Ok(since) = now.checked_sub(keep) else { return Ok(()) };
        self.execute(&self.sql.delete_kept_entries, [time::to_text(since)]).map(drop)
    }
}

impl Entry<'_> {
    fn record(&self, position: Position, name: Option<&str>, category: &str) -> Result<StoredRecord, String> {
        let uuid = rows::uuid(&self.stream_id)?;
        let event = StoredEvent::new(
            position,
            self.version,
            rows::uuid(&self.uuid)?,
            Arc::from(&*self.name),
            self.data.get().into(),
            rows::timestamp(&self.created_at)?,
        );
        let event =
            event.with_context(self.context.get().to_owned()).with_schema_version(self.schema_version);
        Ok(StoredRecord::new(
            stored_stream_id(uuid, name, category),
            stored_tenant_id(&self.tenant_id),
            event,
        ))
    }
}

fn is_wanted(request: &OutboxRequest, record: &StoredRecord) -> bool {
    let StoredRecord { stream, tenant, .. } = record;
    request.tenant.as_ref().is_none_or(|wanted| wanted == tenant)
        && request.segments.is_none_or(|segments| segments.contain(stream.uuid()))
        && request.stream.as_ref().is_none_or(|(of, wanted)| of == tenant && wanted == stream)
}

/// An entry as the reference writes it, with its category and the version of its form.
fn text(record: &NewRecord, (tenant, stream): (&TenantId, &StreamId), version: Option<Version>) -> String {
    let NewRecord { id, name, data, context, created_at, schema_version, .. } = record;
    let quoted = |text: &str| Value::from(text).to_string();
    let created_at = time::to_text(*created_at).replacen(' ', "T", 1);
    let mut text = String::with_capacity(data.len() + context.len() + 400);
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        r#"{{"uuid":"{id}","stream_id":"{}","created_at":"{created_at}","version":{},"name":{},"data":{data},"context":{context},"tenant_id":{},"category":{},"schema_version":{schema_version}}}"#,
        stream.uuid(),
        version.map_or_else(|| "null".to_owned(), |version| version.to_string()),
        quoted(name),
        quoted(tenant.as_str()),
        quoted(stream.stored_category()),
    );
    text
}

#[cfg(test)]
mod tests {
    use event_sourcery::Category;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_entry_reads_back_as_it_was_written_whatever_its_names() {
        let record = NewRecord::new(
            Uuid::now_v7(),
            "a \"name\" {}",
            r#"{"cents":1}"#.to_owned(),
            Timestamp::UNIX_EPOCH,
        )
        .with_context(r#"{"correlation_id":null}"#.to_owned())
        .with_schema_version(3);
        let category = Category::new("in \"quotes\"").unwrap();
        let stream = StreamId::random().in_category(category.as_str()).unwrap();
        let tenant = TenantId::new("acme\n").unwrap();
        let text = text(&record, (&tenant, &stream), Some(7));
        let entry: Entry<'_> = serde_json::from_str(&text).unwrap();
        let category = entry.category.clone().unwrap();
        let read = entry.record(Position::from_i64(9), None, &category).unwrap();
        assert_eq!((&read.stream, &read.tenant), (&stream, &tenant));
        assert_eq!(
            (read.event.version, read.event.id, &*read.event.name),
            (Some(7), record.id, &*record.name)
        );
        assert_eq!((&*read.event.data, &*read.event.context), (&*record.data, &*record.context));
        assert_eq!((read.event.created_at, read.event.schema_version), (record.created_at, 3));
    }

    #[test]
    fn an_entry_of_the_reference_is_read() {
        let text = r#"{"uuid": "018f3a24-0000-7000-8000-000000000001", "stream_id": "018f3a24-0000-7000-8000-000000000002",
            "created_at": "2025-03-16T10:03:02", "version": null, "name": "invoicing.Paid", "data": {"cents": 1},
            "context": {"correlation_id": null}, "tenant_id": ""}"#;
        let entry: Entry<'_> = serde_json::from_str(text).unwrap();
        assert!(entry.category.is_none());
        let read = entry.record(Position::from_i64(9), Some("invoices/1"), "invoices").unwrap();
        assert_eq!(read.stream.category().map(Category::as_str), Some("invoices"));
        assert_eq!((read.event.schema_version, read.tenant.is_default()), (1, true));
    }
}

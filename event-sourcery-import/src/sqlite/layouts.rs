//! The tables of others in a SQLite file.

use std::borrow::Cow;

use crate::source::Order;

/// Where the parts of an event are, as expressions of SQL.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) name: &'static str,
    pub(super) order: Order,
    /// As SQL has it.
    pub(super) table: Cow<'static, str>,
    pub(super) position: &'static str,
    pub(super) category: &'static str,
    pub(super) stream: &'static str,
    pub(super) partition: &'static str,
    pub(super) version: &'static str,
    id: &'static str,
    event_type: &'static str,
    payload: &'static str,
    metadata: &'static str,
    form: &'static str,
    /// Microseconds since 1970, or text as RFC 3339 writes it.
    time: &'static str,
    /// Whether a row is of the stream whose id is `?1`, category `?2` and partition `?3`.
    pub(super) stream_is: &'static str,
    pub(super) time_in_payload: Option<&'static str>,
}

impl Layout {
    /// The same in another table.
    pub(super) fn in_table(self, table: String) -> Self {
        Self { table: Cow::Owned(table), ..self }
    }

    /// Its events, as [`event`](super::event) reads them.
    pub(super) fn select(&self, rest: &str) -> String {
        let Self { table, position, category, stream, partition, version, .. } = self;
        let Self { id, event_type, payload, metadata, form, time, .. } = self;
        format!(
            "SELECT {position}, {category}, CAST({stream} AS TEXT), {partition}, {version}, {id}, {event_type}, {payload}, \
             {metadata}, {form}, {time} FROM {table} {rest}"
        )
    }
}

pub(super) const EVENTSOURCING: Layout = Layout {
    name: "a store of eventsourcing",
    order: Order::Positions,
    table: Cow::Borrowed("stored_events"),
    position: "rowid",
    category: "NULL",
    stream: "originator_id",
    partition: "NULL",
    version: "originator_version",
    id: "NULL",
    event_type: "topic",
    payload: "state",
    metadata: "NULL",
    form: "NULL",
    time: "NULL",
    stream_is: "originator_id = ?1 AND ?2 IS NULL AND ?3 IS NULL",
    time_in_payload: Some("timestamp"),
};

// `message_schema_version` holds the version that the append expected, so it is no form.
pub(super) const EMMETT: Layout = Layout {
    name: "a store of Emmett",
    order: Order::Positions,
    table: Cow::Borrowed("emt_messages"),
    position: "global_position",
    category: "CASE WHEN instr(stream_id, '-') > 1 THEN substr(stream_id, 1, instr(stream_id, '-') - 1) END",
    stream: "stream_id",
    partition: "nullif(partition, 'emt:default')",
    version: "stream_position",
    id: "message_id",
    event_type: "message_type",
    payload: "message_data",
    metadata: "CASE WHEN json_valid(message_metadata) THEN \
               json_remove(message_metadata, '$.streamName', '$.messageId', '$.streamPosition') ELSE message_metadata END",
    form: "NULL",
    time: "CAST(strftime('%s', created) AS INTEGER) * 1000000",
    stream_is: "stream_id = ?1 AND (?2 IS NULL OR ?2 IS NOT NULL) AND partition = coalesce(?3, 'emt:default')",
    time_in_payload: None,
};

pub(super) const CQRS_ES: Layout = Layout {
    name: "a store of cqrs-es",
    order: Order::Streams,
    table: Cow::Borrowed("events"),
    position: "NULL",
    category: "aggregate_type",
    stream: "aggregate_id",
    partition: "NULL",
    version: "sequence",
    id: "NULL",
    event_type: "event_type",
    payload: "payload",
    metadata: "metadata",
    form: "event_version",
    time: "NULL",
    stream_is: "aggregate_id = ?1 AND aggregate_type = ?2 AND ?3 IS NULL",
    time_in_payload: None,
};

// A stream has one category, which its first append has named; what stands beside an event is that of its own append.
pub(super) const MIRE: Layout = Layout {
    name: "a store of mire",
    order: Order::Positions,
    table: Cow::Borrowed("es_events"),
    position: "global_position",
    category: "(SELECT s.stream_category FROM es_streams AS s WHERE s.stream_id = es_events.stream_id)",
    stream: "stream_id",
    partition: "NULL",
    version: "stream_version",
    id: "NULL",
    event_type: "event_type",
    payload: "data",
    metadata: "metadata",
    form: "NULL",
    time: "created_at",
    stream_is: "stream_id = ?1 AND (?2 IS NULL OR ?2 IS NOT NULL) AND ?3 IS NULL",
    time_in_payload: None,
};

//! The tables of others in PostgreSQL.

use crate::source::Order;

/// Where the parts of an event are, as expressions of SQL.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) name: &'static str,
    pub(super) order: Order,
    /// As SQL has it, quoted where it has to be.
    pub(super) table: String,
    /// The sequence that positions come from; `None`: that of the column.
    pub(super) sequence: Option<&'static str>,
    pub(super) position: &'static str,
    pub(super) category: &'static str,
    pub(super) stream: &'static str,
    pub(super) partition: &'static str,
    pub(super) version: &'static str,
    id: &'static str,
    event_type: &'static str,
    /// As bytes.
    payload: &'static str,
    metadata: &'static str,
    form: &'static str,
    /// Since 1970; null for what is no time, or one that we do not have, so that none is too large a number.
    microseconds: &'static str,
    /// Whether a row is of the stream whose id is `$1`, category `$2` and partition `$3`.
    pub(super) stream_is: &'static str,
    /// The same, where the column of the id has the type `uuid`, so that its index serves.
    pub(super) uuid_is: Option<&'static str>,
    pub(super) time_in_payload: Option<&'static str>,
}

impl Layout {
    /// Its events, as [`event`](super::event) reads them.
    pub(super) fn select(&self, rest: &str) -> String {
        let Self { table, position, category, stream, partition, version, .. } = self;
        let Self { id, event_type, payload, metadata, form, microseconds, .. } = self;
        format!(
            "SELECT {position}, {category}, {stream}::text, {partition}, {version}, {id}, {event_type}, {payload}, {metadata}, \
             {form}, {microseconds} FROM {table} {rest}"
        )
    }

    // The id is a UUID or text, as the application has it.
    pub(super) fn eventsourcing(schema: &str, table: &str) -> Self {
        Self {
            name: "a store of eventsourcing",
            order: Order::Positions,
            table: format!("{}.{}", quoted(schema), quoted(table)),
            sequence: None,
            position: "notification_id",
            category: "NULL::text",
            stream: "originator_id",
            partition: "NULL::text",
            version: "originator_version",
            id: "NULL::text",
            event_type: "topic",
            payload: "state",
            metadata: "NULL::text",
            form: "NULL::text",
            microseconds: "NULL::bigint",
            stream_is: "originator_id = $1::text AND $2::text IS NULL AND $3::text IS NULL",
            uuid_is: Some("originator_id = $1::text::uuid AND $2::text IS NULL AND $3::text IS NULL"),
            time_in_payload: Some("timestamp"),
        }
    }

    pub(super) fn emmett() -> Self {
        Self {
            name: "a store of Emmett",
            order: Order::Positions,
            table: "emt_messages".to_owned(),
            sequence: Some("emt_global_message_position"),
            position: "global_position",
            category: "CASE WHEN strpos(stream_id, '-') > 1 THEN split_part(stream_id, '-', 1) END",
            stream: "stream_id",
            partition: "nullif(partition, 'emt:default')",
            version: "stream_position",
            id: "message_id",
            event_type: "message_type",
            payload: "convert_to(message_data::text, 'UTF8')",
            metadata: "message_metadata::text",
            form: "message_schema_version",
            microseconds: "CASE WHEN isfinite(created) AND created < '10000-01-01' \
                           THEN (extract(epoch FROM created) * 1000000)::bigint END",
            stream_is: "stream_id = $1::text AND ($2::text IS NULL OR $2::text IS NOT NULL) \
                        AND partition = coalesce($3::text, 'emt:default')",
            uuid_is: None,
            time_in_payload: None,
        }
    }

    // A null instead of a payload is kept as one, and needs a key like others that are no objects.
    pub(super) fn message_db() -> Self {
        Self {
            name: "a store of message-db",
            order: Order::Positions,
            table: "message_store.messages".to_owned(),
            sequence: None,
            position: "global_position",
            category: "split_part(stream_name, '-', 1)",
            stream: "stream_name",
            partition: "NULL::text",
            version: r#"("position" + 1)"#,
            id: "id::text",
            event_type: r#""type""#,
            payload: "convert_to(coalesce(data, 'null')::text, 'UTF8')",
            metadata: "metadata::text",
            form: "NULL::text",
            microseconds: "CASE WHEN isfinite(\"time\") AND \"time\" < '10000-01-01' \
                           THEN (extract(epoch FROM \"time\") * 1000000)::bigint END",
            stream_is: "stream_name = $1::text AND ($2::text IS NULL OR $2::text IS NOT NULL) AND $3::text IS NULL",
            uuid_is: None,
            time_in_payload: None,
        }
    }

    pub(super) fn cqrs_es(table: String) -> Self {
        Self {
            name: "a store of cqrs-es",
            order: Order::Streams,
            table,
            sequence: None,
            position: "NULL::bigint",
            category: "aggregate_type",
            stream: "aggregate_id",
            partition: "NULL::text",
            version: "sequence",
            id: "NULL::text",
            event_type: "event_type",
            payload: "convert_to(payload::text, 'UTF8')",
            metadata: "metadata::text",
            form: "event_version",
            microseconds: "NULL::bigint",
            stream_is: "aggregate_id = $1::text AND aggregate_type = $2::text AND $3::text IS NULL",
            uuid_is: None,
            time_in_payload: None,
        }
    }

    // Its own order is that of transactions, which is another one than that of versions where an older transaction appends later. A stream
    // has one category, which its first append has named; what stands beside an event is that of its own append, or null before mire
    // has filled it in.
    pub(super) fn mire() -> Self {
        Self {
            name: "a store of mire",
            order: Order::Positions,
            table: "es_events".to_owned(),
            sequence: None,
            position: "global_position",
            category: "(SELECT s.stream_category FROM es_streams AS s WHERE s.stream_id = es_events.stream_id)",
            stream: "stream_id",
            partition: "NULL::text",
            version: "stream_version",
            id: "NULL::text",
            event_type: "event_type",
            payload: "convert_to(data::text, 'UTF8')",
            metadata: "metadata::text",
            form: "NULL::text",
            microseconds: "CASE WHEN isfinite(created_at) AND created_at < '10000-01-01' \
                           THEN (extract(epoch FROM created_at) * 1000000)::bigint END",
            stream_is: "stream_id = $1::text AND ($2::text IS NULL OR $2::text IS NOT NULL) AND $3::text IS NULL",
            uuid_is: None,
            time_in_payload: None,
        }
    }
}

/// A name as SQL has it, whatever stands in it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_named_as_it_is_whatever_stands_in_its_name() {
        let layout = Layout::eventsourcing("public", "my.app-1\"_events");
        assert_eq!(layout.table, r#""public"."my.app-1""_events""#);
    }
}

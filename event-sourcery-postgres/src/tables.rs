//! The tables: which there are, with which columns, and their names: a schema and a prefix, which may be called anything that PostgreSQL
//! allows.

use event_sourcery::Error;

use crate::numbering::repair;
use crate::rights::quoted;

/// A table of the layout, whatever it is called in front.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table {
    /// Its name behind the prefix.
    pub(crate) name: &'static str,
    /// What makes it.
    pub(crate) script: &'static str,
    pub(crate) columns: &'static [Column],
    /// What a reader, and an application, need on it.
    pub(crate) rights: (&'static str, &'static str),
}

/// A column of a table. A table of our name that lacks one is somebody else's, unless that is a column that is added.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    /// The types that the store reads and writes it as, separated by bars, where others may have made it: values travel in their binary
    /// form. A time with a zone would be another time on a connection with another zone.
    pub(crate) types: Option<&'static str>,
    /// Its definition, where it is added to a table that the reference, or an earlier version of ours, has made.
    pub(crate) added: Option<&'static str>,
}

impl Column {
    const fn new(name: &'static str) -> Self {
        Self { name, types: None, added: None }
    }

    const fn of(self, types: &'static str) -> Self {
        Self { types: Some(types), ..self }
    }

    const fn added(self, definition: &'static str) -> Self {
        Self { added: Some(definition), ..self }
    }
}

const BIGINT: &str = "bigint";
const INTEGER: &str = "integer";
const JSONB: &str = "jsonb";
const TEXT: &str = "character varying|text";
const TIME: &str = "timestamp without time zone";
const UUID: &str = "uuid";

/// Makes the list of tables, each with the script of its name; of a column the types, behind a colon, and what was added, behind an
/// equals sign.
macro_rules! tables {
    ($($name:literal: [$($column:literal $(: $types:ident)? $(= $added:literal)?),+],
        $reader:literal, $application:literal;)+) => {
        /// The tables of the reference, with what we add in columns that have defaults; and those of our own.
        pub(crate) const TABLES: &[Table] = &[$(Table {
            name: $name,
            script: include_str!(concat!("layout/", $name, ".sql")),
            columns: &[$(Column::new($column)$(.of($types))?$(.added($added))?),+],
            rights: ($reader, $application),
        }),+];
    };
}

tables! {
    "streams": ["id", "uuid": UUID, "name": TEXT, "category": TEXT, "tenant_id": TEXT, "version": BIGINT],
        "SELECT", "SELECT, INSERT, UPDATE, DELETE";
    "events": ["id", "version": INTEGER, "uuid": UUID, "name": TEXT, "data": JSONB, "event_context": JSONB, "created_at": TIME,
               "db_stream_id", "schema_version" = "INTEGER NOT NULL DEFAULT 1"],
        "SELECT", "SELECT, INSERT, DELETE";
    "snapshots": ["uuid": UUID, "version": INTEGER, "name": TEXT, "data": JSONB, "event_context": JSONB, "created_at": TIME,
                  "db_stream_id", "schema_version" = "INTEGER NOT NULL DEFAULT 1"],
        "SELECT", "SELECT, INSERT, DELETE";
    "outbox_entries": ["id", "created_at": TIME, "data": JSONB, "stream_name", "position": BIGINT, "tries_left",
                       "published_at" = "TIMESTAMP WITHOUT TIME ZONE"],
        "", "SELECT, INSERT, UPDATE, DELETE";
    "projector_cursors": ["id", "name", "stream_id", "category", "version"],
        "", "SELECT, DELETE";
    "settled": ["only_row", "position"],
        "SELECT", "SELECT, UPDATE";
    "evidence": ["only_row", "run", "started", "events", "ceiling", "holders"],
        "SELECT, INSERT, UPDATE", "SELECT, INSERT, UPDATE";
    "subscriptions": ["tenant_id", "name", "kept"],
        "SELECT", "SELECT, INSERT, UPDATE, DELETE";
    "subscription_segments": ["tenant_id", "name", "segment", "position", "token", "member", "leased_until"],
        "SELECT", "SELECT, INSERT, UPDATE, DELETE";
    "subscription_members": ["tenant_id", "name", "member", "member_until",
                             "lasting_ms" = "BIGINT NOT NULL DEFAULT 0", "presence" = "BIGINT"],
        "SELECT", "SELECT, INSERT, UPDATE, DELETE";
    "subscription_presences": ["presence", "renewed"],
        "SELECT", "SELECT, INSERT, UPDATE, DELETE";
    "blocked_streams": ["stream_uuid", "id", "category", "tenant_id", "subscription_tenant_id", "subscription_name", "after_position"],
        "SELECT", "SELECT, INSERT, UPDATE, DELETE";
    "blocked_entries": ["stream_uuid", "position"],
        "", "SELECT, INSERT, DELETE";
    "projected_streams": ["stream_uuid", "category", "tenant_id", "projector", "version", "position"],
        "", "SELECT, INSERT, UPDATE, DELETE";
    "event_blocks": ["name", "block"],
        "SELECT", "SELECT, INSERT";
    "event_blocks_listed": ["only_row", "below"],
        "SELECT", "SELECT, UPDATE";
    "aggregate_snapshots": ["db_stream_id", "name", "format", "version", "event_uuid", "data", "created_at"],
        "SELECT", "SELECT, INSERT, UPDATE, DELETE";
    "outbox_of_deleted": ["position", "category", "dropped"],
        "", "SELECT, INSERT, UPDATE, DELETE";
    "subject_keys": ["tenant_id", "subject", "key_id", "wrapped_by", "wrapped", "created_at", "shredded_at"],
        "SELECT", "SELECT, INSERT, UPDATE";
    "tags": ["id", "version", "exact_from", "tenant_id", "value"],
        "SELECT", "SELECT, INSERT, UPDATE";
    "tagged_events": ["position", "tags"],
        "SELECT", "SELECT, INSERT, DELETE";
    "event_tags": ["tag_id", "position", "name"],
        "SELECT", "SELECT, INSERT, DELETE";
    "stream_deletions": ["id", "tenant_id"],
        "SELECT", "SELECT, INSERT";
    "layout": ["version"],
        "SELECT", "SELECT";
}

/// What errors about positions name.
#[derive(Debug)]
pub(crate) struct Sequence {
    /// Its full name, as PostgreSQL writes it.
    name: String,
    evidence: String,
}

impl Sequence {
    pub(crate) fn new(tables: &Tables) -> Self {
        Self { name: tables.sequence.clone(), evidence: tables.table("evidence") }
    }

    /// The error where this position was drawn last, and the highest that was given, with what tells so, is not below it.
    pub(crate) fn went_back(&self, drawn: i64, (highest, evidence): (i64, &'static str)) -> Error {
        Error::NumberingWentBack { drawn, highest, evidence, repair: repair(&self.name, highest) }
    }

    /// The error where positions are not drawn one after the other: how they are.
    pub(crate) fn out_of_order(&self, how: &str) -> Error {
        Error::ForeignLayout { place: self.name.clone(), problem: drawn_out_of_order(&self.name, how) }
    }

    /// The error where nobody has marked this run of the server, and this connection may not write.
    pub(crate) fn no_mark(&self) -> Error {
        Error::read_only(format!(
            "it may not leave evidence of what it reads in {}, and nobody else has since the server was started, so that it cannot \
                 tell whether transactions that are open will commit events below others: let it write there, or open the store \
                 once from a process that may",
            self.evidence
        ))
    }
}

/// Why a sequence is refused that draws positions in this way.
pub(crate) fn drawn_out_of_order(sequence: &str, how: &str) -> String {
    format!(
        "the sequence {sequence} has {how}, so that events could get positions below those that readers have passed: end the \
         sessions that have drawn from it, and ALTER SEQUENCE {sequence} CACHE 1 INCREMENT 1 NO CYCLE"
    )
}

/// Where the tables are.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    /// The schema's name, quoted.
    pub(crate) schema: String,
    /// What the tables' names begin with, as it is.
    pub(crate) prefix: String,
    /// Whether no statement may be prepared under a name.
    pub(crate) unnamed: bool,
    /// The full name of the sequence that positions are drawn from, as PostgreSQL writes it; empty until it is known.
    pub(crate) sequence: String,
    /// The role that the store works as, quoted, as far as it is known: a pool may give its connections others.
    pub(crate) role: String,
}

impl Tables {
    pub(crate) fn new(schema: &str, prefix: &str, role: &str) -> Self {
        Self {
            schema: quoted(schema),
            prefix: prefix.to_owned(),
            unnamed: false,
            sequence: String::new(),
            role: quoted(role),
        }
    }

    /// Statements are not prepared under names: the next one may run on another server connection.
    pub(crate) fn behind_pooler(self, unnamed: bool) -> Self {
        Self { unnamed, ..self }
    }

    /// A table's full name.
    pub(crate) fn table(&self, name: &str) -> String {
        format!("{}.{}", self.schema, self.own("*", name))
    }

    /// Whether it is a table of these, told by its schema's name and its own, as they are.
    pub(crate) fn include(&self, schema: &str, table: &str) -> bool {
        let own = table.strip_prefix(&self.prefix).filter(|_| self.schema == quoted(schema));
        own.is_some_and(|own| TABLES.iter().any(|table| table.name == own))
    }

    /// The name of an index, or of something else beside the tables, with its schema.
    pub(crate) fn beside(&self, pattern: &str) -> String {
        format!("{}.{}", self.schema, self.own(pattern, ""))
    }

    /// A name of ours as SQL spells it: the prefix stands for the star. A plain one is left as it is: other versions of this
    /// library lock and notify by this text.
    fn own(&self, pattern: &str, end: &str) -> String {
        let name = pattern.replacen('*', &self.prefix, 1) + end;
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let begins_plain = !name.starts_with(|c: char| c.is_ascii_digit());
        if begins_plain && name.chars().all(is_plain) { name } else { quoted(&name) }
    }

    /// Puts names in the place of what stands in braces: `{table}`, `{table as text}`, `{sequence}`, and `{ix_*name}` with the
    /// prefix for the star. All at once: what is put in may hold braces too.
    pub(crate) fn put_into(&self, sql: &str) -> String {
        let (mut put, mut rest) = (String::with_capacity(2 * sql.len()), sql);
        while let Some((before, behind)) = rest.split_once('{') {
            put.push_str(before);
            let named = behind.split_once('}').and_then(|(what, after)| Some((self.named(what)?, after)));
            if let Some((name, after)) = named {
                put.push_str(&name);
                rest = after;
            } else {
                put.push('{');
                rest = behind;
            }
        }
        put.push_str(rest);
        put
    }

    /// What stands for this in braces, if anything does.
    fn named(&self, what: &str) -> Option<String> {
        match what {
            "sequence" => return Some(self.sequence.clone()),
            "sequence as text" => return Some(as_text(&self.sequence)),
            _ => {}
        }
        if what.contains('*') {
            return Some(self.own(what, ""));
        }
        let table = what.strip_suffix(" as text");
        let name = table.unwrap_or(what);
        let full = TABLES.iter().any(|table| table.name == name).then(|| self.table(name))?;
        Some(if table.is_some() { as_text(&full) } else { full })
    }
}

/// A text as SQL spells it, whether backslashes stand for themselves (`standard_conforming_strings`) or not: a caller's connection may
/// be set so.
pub(crate) fn as_text(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

#[cfg(test)]
mod tests {
    use super::Tables;

    #[test]
    fn names_are_put_in_whatever_they_hold() {
        let mut tables = Tables::new("{events}", "{streams}'\" ", "role");
        tables.sequence = "{settled}".to_owned();
        assert_eq!(
            tables.put_into("{events} {events as text} {sequence} {ix_*events_uuid} '{}' {other} {"),
            r#""{events}"."{streams}'"" events" '"{events}"."{streams}''"" events"' {settled} "ix_{streams}'"" events_uuid" '{}' {other} {"#
        );
    }

    #[test]
    fn a_name_with_a_backslash_is_the_same_text_however_strings_are_read() {
        let tables = Tables::new(r"a\'b", "", "role");
        assert_eq!(tables.put_into("{events as text}"), r#"E'"a\\''b".events'"#);
    }

    #[test]
    fn plain_names_are_spelled_as_ever() {
        let tables = Tables::new("public", "event_sourcery_", "role");
        assert_eq!(
            tables.put_into("{events} {ix_*events_uuid}"),
            r#""public".event_sourcery_events ix_event_sourcery_events_uuid"#
        );
        assert_eq!(Tables::new("public", "1_", "role").table("events"), r#""public"."1_events""#);
    }
}

//! The tables: which there are, and their names: a schema, which may be called anything, and a prefix, which may not.

use event_sourcery::Error;

use crate::rights::quoted;

/// A table of the layout, whatever it is called in front.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table {
    /// Its name behind the prefix.
    pub(crate) name: &'static str,
    /// What makes it.
    pub(crate) script: &'static str,
    /// The columns that it has, whoever made it. A table of that name without them is somebody else's.
    pub(crate) columns: &'static [&'static str],
    /// What a reader, and an application, need on it.
    pub(crate) rights: (&'static str, &'static str),
}

/// Makes the list of tables, each with the script of its name.
macro_rules! tables {
    ($($name:literal: [$($column:literal),+], $reader:literal, $application:literal;)+) => {
        /// The tables of the reference, with what we add in columns that have defaults; and those of our own.
        pub(crate) const TABLES: &[Table] = &[$(Table {
            name: $name,
            script: include_str!(concat!("layout/", $name, ".sql")),
            columns: &[$($column),+],
            rights: ($reader, $application),
        }),+];
    };
}

tables! {
    "streams": ["id", "uuid", "name", "category", "tenant_id", "version"],
        "SELECT", "SELECT, INSERT, UPDATE, DELETE";
    "events": ["id", "version", "uuid", "name", "data", "event_context", "created_at", "db_stream_id"],
        "SELECT", "SELECT, INSERT, DELETE";
    "snapshots": ["uuid", "version", "name", "data", "event_context", "created_at", "db_stream_id"],
        "SELECT", "SELECT, INSERT, DELETE";
    "outbox_entries": ["id", "created_at", "data", "stream_name", "position", "tries_left"],
        "", "SELECT, UPDATE, DELETE";
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
    "subscription_members": ["tenant_id", "name", "member", "member_until"],
        "SELECT", "SELECT, INSERT, UPDATE, DELETE";
    "blocked_streams": ["stream_uuid", "category", "tenant_id", "subscription_tenant_id", "subscription_name", "after_position"],
        "SELECT", "SELECT, INSERT, UPDATE, DELETE";
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
    "layout": ["version"],
        "SELECT", "SELECT";
}

/// What errors about positions name.
#[derive(Debug)]
pub(crate) struct Sequence {
    name: String,
    evidence: String,
}

impl Sequence {
    pub(crate) fn new(tables: &Tables) -> Self {
        Self { name: tables.sequence.clone(), evidence: tables.table("evidence") }
    }

    /// The sequence's full name, as PostgreSQL writes it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The error where nobody has marked this run of the server, and this connection may not write.
    pub(crate) fn no_mark(&self) -> Error {
        Error::ReadOnly {
            problem: format!(
                "it may not leave evidence of what it reads in {}, and nobody else has since the server was started, so that it cannot \
                 tell whether transactions that are open will commit events below others: let it write there, or open the store \
                 once from a process that may",
                self.evidence
            ),
        }
    }
}

/// Where the tables are. Both names were checked or are quoted.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    /// The schema's name, quoted.
    pub(crate) schema: String,
    /// What the tables' names begin with: a plain identifier.
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
        format!("{}.{}{name}", self.schema, self.prefix)
    }

    /// Puts the tables' names in the place of `{table}`, and the prefix in the place of `{prefix}`.
    pub(crate) fn put_into(&self, sql: &str) -> String {
        let mut sql = sql.replace("{prefix}", &self.prefix).replace("{sequence}", &self.sequence);
        for Table { name: table, .. } in TABLES {
            let as_text = format!("'{}'", self.table(table).replace('\'', "''"));
            sql = sql.replace(&format!("{{{table} as text}}"), &as_text);
            sql = sql.replace(&format!("{{{table}}}"), &self.table(table));
        }
        sql
    }
}

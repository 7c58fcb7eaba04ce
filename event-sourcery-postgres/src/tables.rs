//! The tables' names: a schema, which may be called anything, and a prefix, which may not.

use event_sourcery::Error;

use crate::rights::quoted;

/// The tables' names behind the prefix.
pub(crate) const NAMES: [&str; 17] = [
    "streams",
    "events",
    "snapshots",
    "outbox_entries",
    "projector_cursors",
    "settled",
    "evidence",
    "subscriptions",
    "subscription_segments",
    "subscription_members",
    "blocked_streams",
    "projected_streams",
    "event_blocks",
    "event_blocks_listed",
    "aggregate_snapshots",
    "outbox_of_deleted",
    "layout",
];

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
        for table in NAMES {
            let as_text = format!("'{}'", self.table(table).replace('\'', "''"));
            sql = sql.replace(&format!("{{{table} as text}}"), &as_text);
            sql = sql.replace(&format!("{{{table}}}"), &self.table(table));
        }
        sql
    }
}

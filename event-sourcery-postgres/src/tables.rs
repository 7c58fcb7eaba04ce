//! The tables' names: a schema, which may be called anything, and a prefix, which may not.

/// The tables' names behind the prefix.
const NAMES: [&str; 15] = [
    "streams",
    "events",
    "snapshots",
    "outbox_entries",
    "projector_cursors",
    "settled",
    "subscriptions",
    "subscription_segments",
    "subscription_members",
    "blocked_streams",
    "projected_streams",
    "event_blocks",
    "event_blocks_listed",
    "aggregate_snapshots",
    "layout",
];

/// Where the tables are. Both names were checked or are quoted.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    /// The schema's name, quoted.
    pub(crate) schema: String,
    /// What the tables' names begin with: a plain identifier.
    pub(crate) prefix: String,
}

impl Tables {
    pub(crate) fn new(schema: &str, prefix: &str) -> Self {
        Self { schema: format!("\"{}\"", schema.replace('"', "\"\"")), prefix: prefix.to_owned() }
    }

    /// A table's full name.
    pub(crate) fn table(&self, name: &str) -> String {
        format!("{}.{}{name}", self.schema, self.prefix)
    }

    /// Puts the tables' names in the place of `{table}`, and the prefix in the place of `{prefix}`.
    pub(crate) fn put_into(&self, sql: &str) -> String {
        let mut sql = sql.replace("{prefix}", &self.prefix);
        for table in NAMES {
            let as_text = format!("'{}'", self.table(table).replace('\'', "''"));
            sql = sql.replace(&format!("{{{table} as text}}"), &as_text);
            sql = sql.replace(&format!("{{{table}}}"), &self.table(table));
        }
        sql
    }
}

//! What a role has to be allowed: the one list behind the statements that grant it, and the errors that name what is missing.

use event_sourcery::Error;

use crate::failure::Failure;
use crate::tables::{TABLES, Tables};

/// The tables whose rows are numbered by a sequence that the store draws from.
pub(crate) const NUMBERED: [&str; 6] =
    ["events", "streams", "outbox_entries", "blocked_streams", "tags", "stream_deletions"];

/// What a role of the database is to do with a store; see [`PostgresOptions::grants`](crate::PostgresOptions::grants).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rights {
    /// Loads streams, reads everything, follows from a position that it keeps itself, and looks at durable subscriptions.
    /// Nothing is written but what readers find out about the settled position.
    Reader,
    /// Everything that a store can do but make and change its tables: appends, deletes, takes snapshots, runs durable
    /// subscriptions and projectors.
    Application,
    /// Makes and changes the tables: it owns them. Open the store with it once for each new version of this library, and
    /// with `migrate(false)` otherwise.
    Migrator,
}

impl Rights {
    /// What it needs on each table of the layout.
    pub(crate) fn on_tables(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let needed = TABLES.iter().map(move |table| match self {
            Self::Reader => (table.name, table.rights.0),
            Self::Application => (table.name, table.rights.1),
            // It owns them.
            Self::Migrator => (table.name, ""),
        });
        needed.filter(|(_, rights)| !rights.is_empty())
    }

    /// What it needs on the sequence that numbers this table's rows. An identity is drawn without a right; to read it is to know
    /// whether it was set back.
    pub(crate) const fn on_sequence_of(self, table: &str) -> Option<&'static str> {
        match (self, table.as_bytes()) {
            (Self::Reader, b"events") => Some("SELECT"),
            (Self::Application, b"events" | b"streams" | b"outbox_entries") => Some("USAGE, SELECT"),
            (Self::Application, b"blocked_streams" | b"tags" | b"stream_deletions") => Some("SELECT"),
            _ => None,
        }
    }
}

/// The name of a role, or another name, as SQL spells it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A statement that grants something.
pub(crate) fn grant(rights: &str, on: &str, role: &str) -> String {
    format!("GRANT {rights} ON {on} TO {role}")
}

/// Which rights are missing, once the server has refused something.
#[derive(Debug)]
pub(crate) struct MissingRights {
    tables: Tables,
}

impl MissingRights {
    pub(crate) fn new(tables: &Tables) -> Self {
        Self { tables: tables.clone() }
    }

    pub(crate) const fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The error for a right that this role lacks; `None` for other failures, and for what a trigger of the user's may not do.
    pub(crate) fn error(&self, failure: &Failure) -> Option<Error> {
        if !failure.is_about_rights() {
            return None;
        }
        let (problem, role) = (failure.message(), &self.tables.role);
        let grant = if failure.is_about_row_security() {
            format!("ALTER ROLE {role} BYPASSRLS, or a policy that lets it")
        } else {
            let grant = self.grant_for(&problem);
            if grant.is_none() && failure.is_within_a_function() {
                return None;
            }
            grant.unwrap_or_else(|| EVERYTHING.to_owned())
        };
        Some(Error::MissingGrant { problem, grant })
    }

    /// Only the message tells what was refused, in whatever language: the name is in there as it is.
    fn grant_for(&self, problem: &str) -> Option<String> {
        let Tables { prefix, role, .. } = &self.tables;
        let is_part_of_a_word = |c: char| c.is_alphanumeric() || c == '_';
        let is_about = |table: &str| {
            let name = format!("{prefix}{table}");
            problem.match_indices(&name).any(|(at, _)| {
                let (before, after) = (problem.get(..at), problem.get(at + name.len()..));
                !before.is_some_and(|before| before.ends_with(is_part_of_a_word))
                    && !after.is_some_and(|after| after.starts_with(is_part_of_a_word))
            })
        };
        if let Some((table, rights)) = Rights::Application.on_tables().find(|(table, _)| is_about(table)) {
            return Some(grant(rights, &self.tables.table(table), role));
        }
        let table = NUMBERED.into_iter().find(|table| is_about(&format!("{table}_id_seq")))?;
        let sequence = self.tables.table(&format!("{table}_id_seq"));
        Some(grant(Rights::Application.on_sequence_of(table)?, &format!("SEQUENCE {sequence}"), role))
    }
}

/// Where nobody knows which right it is.
pub(crate) const EVERYTHING: &str = "what `PostgresOptions::grants` prints for the role";

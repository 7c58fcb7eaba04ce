//! What the store's role may do: checked before it is needed, and printed for those who grant it.

use event_sourcery::{Error, Result};

use super::schema::Schema;
use crate::at_work::answer;
use crate::rights::{NUMBERED, Rights, grant, quoted};
use crate::tables::TABLES;

/// The name of the sequence that numbers the rows of a table, as SQL spells it.
const SEQUENCE_OF: &str = "SELECT pg_get_serial_sequence($1, 'id')";

/// Those of the tables $1, each with a right in $2, that are there and that this role has no such right on.
const WITHOUT_RIGHTS: &str = "
    SELECT n.name, n.wanted FROM unnest($1::text[], $2::text[]) AS n (name, wanted)
    WHERE NOT coalesce(has_table_privilege(to_regclass(n.name), n.wanted), TRUE)";

impl Schema<'_> {
    /// A role that may not even read: better told now than by the first reader. What is missing is told as one script.
    pub(super) async fn refuse_without_rights(&mut self) -> Result<()> {
        let (schema, role) = (self.tables.schema.clone(), self.tables.role.clone());
        let sql = "SELECT EXISTS (SELECT FROM pg_namespace
                                  WHERE nspname = $1 AND NOT has_schema_privilege(oid, 'USAGE'))";
        if self.exists(sql, &self.name.clone()).await? {
            let problem = format!("the role {role} may not use the schema {schema}");
            return Err(Error::MissingGrant {
                problem,
                grant: grant("USAGE", &format!("SCHEMA {schema}"), &role),
            });
        }
        let wanted = Rights::Reader.on_tables().flat_map(|(table, rights)| {
            let name = self.tables.table(table);
            // Of several, has_table_privilege asks whether there is any.
            rights.split(", ").map(move |right| (name.clone(), right))
        });
        let (names, rights): (Vec<_>, Vec<_>) = wanted.unzip();
        let query = sqlx::query_as(WITHOUT_RIGHTS).persistent(false).bind(names).bind(rights);
        let lacking = answer(self.at_work.as_ref(), query.fetch_all(&mut *self.connection)).await;
        let lacking: Vec<(String, String)> = lacking.map_err(|error| self.failed(error))?;
        let mut missing: Vec<_> = lacking.iter().map(|(name, right)| grant(right, name, &role)).collect();
        if self.has_table("events").await? {
            let sequence = self.sequence_of("events").await?;
            for (name, right) in sequence.iter().zip(Rights::Reader.on_sequence_of("events")) {
                let query = sqlx::query_scalar("SELECT has_sequence_privilege($1, $2)")
                    .persistent(false)
                    .bind(name)
                    .bind(right);
                let has_it = answer(self.at_work.as_ref(), query.fetch_one(&mut *self.connection)).await;
                if !has_it.map_err(|error| self.failed(error))? {
                    missing.push(grant(right, &format!("SEQUENCE {name}"), &role));
                }
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let problem = format!("the role {role} may not read all of the store's tables");
        Err(Error::MissingGrant { problem, grant: missing.join("; ") })
    }

    async fn sequence_of(&mut self, table: &str) -> Result<Option<String>> {
        let query = sqlx::query_scalar(SEQUENCE_OF).persistent(false).bind(self.tables.table(table));
        let sequence = answer(self.at_work.as_ref(), query.fetch_one(&mut *self.connection)).await;
        sequence.map_err(|error| self.failed(error))
    }

    /// The statements that give a role its rights.
    pub(super) async fn grants(&mut self, role: &str, rights: Rights) -> Result<Vec<String>> {
        let (schema, role) = (self.tables.schema.clone(), quoted(role));
        if rights == Rights::Migrator {
            return self.ownership(&role).await;
        }
        let mut statements = vec![grant("USAGE", &format!("SCHEMA {schema}"), &role)];
        for (table, rights) in rights.on_tables() {
            statements.push(grant(rights, &self.tables.table(table), &role));
        }
        for table in NUMBERED {
            let Some(rights) = rights.on_sequence_of(table) else { continue };
            if let Some(sequence) = self.sequence_of(table).await? {
                statements.push(grant(rights, &format!("SEQUENCE {sequence}"), &role));
            }
        }
        Ok(statements)
    }

    /// A sequence goes with the table that owns it.
    async fn ownership(&mut self, role: &str) -> Result<Vec<String>> {
        let mut statements = vec![grant("USAGE, CREATE", &format!("SCHEMA {}", self.tables.schema), role)];
        let there = self.found().await?;
        let names = TABLES.iter().map(|table| table.name).filter(|name| there.has_table(name));
        statements
            .extend(names.map(|name| format!("ALTER TABLE {} OWNER TO {role}", self.tables.table(name))));
        Ok(statements)
    }
}

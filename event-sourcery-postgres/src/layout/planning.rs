//! What a migration would run: what is missing is made, and what Event Sourcery for Python made is added to.

use event_sourcery::{Error, Result};
use sqlx::AssertSqlSafe;

use super::schema::Schema;
use super::{INDEXES, LAYOUT};
use crate::at_work::answer;
use crate::tables::{TABLES, Table};

/// Whether a table has a primary key.
const HAS_KEY: &str =
    "SELECT EXISTS (SELECT FROM pg_index WHERE indrelid = to_regclass($1) AND indisprimary)";

impl Schema<'_> {
    /// The statements that turn what is there into what this version needs; none where nothing is to be done.
    pub(super) async fn plan(&mut self) -> Result<Vec<String>> {
        self.refuse_django().await?;
        self.refuse_relations().await?;
        self.refuse_other_columns().await?;
        let found = self.layout().await?;
        if found > LAYOUT {
            let [found, known] = [found, LAYOUT].map(|layout| u32::try_from(layout).unwrap_or(0));
            return Err(Error::NewerLayout { found, known });
        }
        let mut statements = Vec::new();
        if !self
            .exists("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", &self.name.clone())
            .await?
        {
            statements.push(format!("CREATE SCHEMA {}", self.tables.schema));
        }
        for &Table { name: table, script, .. } in TABLES {
            if !self.has_table(table).await? {
                statements.extend(self.script(script));
            } else if ["events", "snapshots"].contains(&table) {
                statements.extend(self.adopt(table).await?);
            } else if table == "outbox_entries" {
                statements.extend(self.adopt_outbox(table).await?);
            } else if table == "subscription_members" {
                statements.extend(self.adopt_members(table).await?);
            }
            // Streams are locked before events, as whoever appends does it: one would wait for the other's.
            for (_, name, script) in INDEXES.iter().filter(|(of, ..)| *of == table) {
                if !self.exists("SELECT to_regclass($1) IS NOT NULL", &self.tables.beside(name)).await? {
                    statements.extend(self.script(script));
                }
            }
        }
        if found < LAYOUT {
            let layout = self.tables.table("layout");
            // Up to layout 3 it had no key, and PostgreSQL changes no row without a key where a publication has the table.
            if found > 0 && !self.exists(HAS_KEY, &layout).await? {
                statements.push(format!("ALTER TABLE {layout} ADD PRIMARY KEY (version)"));
            }
            statements.push(format!("DELETE FROM {layout}"));
            statements.push(format!("INSERT INTO {layout} (version) VALUES ({LAYOUT})"));
        }
        Ok(statements)
    }

    /// The statements of a script of ours. The names are put in last: a schema's may hold anything.
    fn script(&self, script: &str) -> Vec<String> {
        let statements = script.split(';').map(str::trim).filter(|statement| !statement.is_empty());
        statements.map(|statement| self.tables.put_into(statement)).collect()
    }

    /// Members of the layouts 2 and 3 do not tell how long their leases last, and up to 5 they know of no presences.
    async fn adopt_members(&mut self, table: &str) -> Result<Vec<String>> {
        let (name, columns) = (self.tables.table(table), self.columns(table).await?);
        let added = [("lasting_ms", "BIGINT NOT NULL DEFAULT 0"), ("presence", "BIGINT")].into_iter();
        let missing = added.filter(|(added, _)| !columns.iter().any(|column| column == added));
        Ok(missing.map(|(column, kind)| format!("ALTER TABLE {name} ADD COLUMN {column} {kind}")).collect())
    }

    /// The outbox lacks what tells that an entry was published, and is kept.
    async fn adopt_outbox(&mut self, table: &str) -> Result<Option<String>> {
        let is_there = self.columns(table).await?.iter().any(|column| column == "published_at");
        let name = self.tables.table(table);
        let add = || format!("ALTER TABLE {name} ADD COLUMN published_at TIMESTAMP WITHOUT TIME ZONE");
        Ok((!is_there).then(add))
    }

    /// What a table of the reference lacks. No row is rewritten: a column with a default and a wider limit are entries in
    /// the catalogue.
    async fn adopt(&mut self, table: &str) -> Result<Vec<String>> {
        let mut statements = Vec::new();
        let name = self.tables.table(table);
        if !self.columns(table).await?.iter().any(|column| column == "schema_version") {
            statements
                .push(format!("ALTER TABLE {name} ADD COLUMN schema_version INTEGER NOT NULL DEFAULT 1"));
        }
        let narrow =
            "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = 'name'
                      AND atttypmod BETWEEN 0 AND 203)";
        if self.exists(narrow, &name).await? {
            statements.push(format!("ALTER TABLE {name} ALTER COLUMN name TYPE VARCHAR(200)"));
        }
        Ok(statements)
    }

    /// Tables of our names that somebody else made for something else.
    async fn refuse_other_columns(&mut self) -> Result<()> {
        for &Table { name: table, columns: needed, .. } in TABLES {
            let found = self.columns(table).await?;
            if found.is_empty() {
                continue;
            }
            let missing = needed.iter().find(|column| !found.iter().any(|found| found == *column));
            let name = self.tables.table(table);
            match missing {
                Some(missing) => {
                    return Err(self.foreign(format!("its table {name} has no column {missing}")));
                }
                None if table == "layout" && found.len() > 1 => {
                    return Err(self.foreign(format!("its table {name} is not ours")));
                }
                None => {}
            }
        }
        Ok(())
    }

    /// The layout on record; 0 where there is none.
    async fn layout(&mut self) -> Result<i32> {
        if !self.has_table("layout").await? {
            return Ok(0);
        }
        let sql = format!("SELECT coalesce(max(version), 0) FROM {}", self.tables.table("layout"));
        let query = sqlx::query_scalar(AssertSqlSafe(sql)).persistent(false);
        let found = answer(self.at_work.as_ref(), query.fetch_one(&mut *self.connection)).await;
        found.map_err(|error| self.failed(error))
    }

    /// The reference's Django backend has tables of another layout.
    async fn refuse_django(&mut self) -> Result<()> {
        let django = format!("{}.event_sourcery_django_event", self.tables.schema);
        if !self.exists("SELECT to_regclass($1) IS NOT NULL", &django).await?
            || self.has_table("events").await?
        {
            return Ok(());
        }
        let problem = "it holds the tables of the Django backend of Event Sourcery for Python, which have another layout";
        Err(self.foreign(problem.to_owned()))
    }
}

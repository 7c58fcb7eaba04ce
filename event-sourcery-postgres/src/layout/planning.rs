//! What a migration would run: what is missing is made, and what Event Sourcery for Python made is added to.

use event_sourcery::{Error, Result};
use sqlx::AssertSqlSafe;

use super::found::Found;
use super::schema::Schema;
use super::{BY_STREAM, INDEXES, LAYOUT};
use crate::at_work::answer;
use crate::tables::{Column, TABLES, Table};

/// Which of the columns $2 of the tables $1 are of none of the types that the store reads and writes ($3, separated by bars), with what they are
/// of. What a domain stands for counts. The server may have been told to quote every name.
const OTHER_TYPES: &str = "
    SELECT n.table_name, n.column_name, n.types, format_type(a.atttypid, NULL)
    FROM unnest($1::text[], $2::text[], $3::text[]) AS n (table_name, column_name, types)
    JOIN pg_attribute a ON a.attrelid = to_regclass(n.table_name) AND a.attname = n.column_name AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid
    WHERE btrim(format_type(CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END, NULL), '\"')
          <> ALL (string_to_array(n.types, '|'))
    LIMIT 1";

impl Schema<'_> {
    /// The statements that turn what is there into what this version needs; none where nothing is to be done.
    pub(super) async fn plan(&mut self) -> Result<Vec<String>> {
        let there = self.found().await?;
        self.refuse_django(&there)?;
        self.refuse_relations().await?;
        self.refuse_other_columns(&there).await?;
        let found = self.layout(&there).await?;
        if found > LAYOUT {
            let [found, known] = [found, LAYOUT].map(|layout| u32::try_from(layout).unwrap_or(0));
            return Err(Error::NewerLayout { found, known });
        }
        let mut statements = Vec::new();
        if !there.has_schema {
            statements.push(format!("CREATE SCHEMA {}", self.tables.schema));
        }
        for table in TABLES {
            if there.has_table(table.name) {
                statements.extend(self.adopt(table, &there));
            } else {
                statements.extend(self.script(table.script));
            }
            if table.name == "outbox_entries" && there.has_index(BY_STREAM) {
                statements.push(format!("DROP INDEX {}", self.tables.beside(BY_STREAM)));
            }
            // Streams are locked before events, as whoever appends does it: one would wait for the other's.
            for (_, name, script) in INDEXES.iter().filter(|(of, ..)| *of == table.name) {
                if !there.has_index(name) {
                    statements.extend(self.script(script));
                }
            }
        }
        if found < LAYOUT {
            let layout = self.tables.table("layout");
            // Up to layout 3 it had no key, and PostgreSQL changes no row without a key where a publication has the table.
            if found > 0 && !there.layout_has_key {
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

    /// What a table lacks that somebody else, or an earlier version, has made. No row is rewritten: a column with a default and a
    /// wider limit are entries in the catalogue.
    fn adopt(&self, table: &Table, there: &Found) -> Vec<String> {
        let mut changes = Vec::new();
        for &Column { name, added, .. } in table.columns {
            if let Some(definition) = added.filter(|_| !there.has_column(table.name, name)) {
                changes.push(format!("ADD COLUMN {name} {definition}"));
            }
        }
        if ["events", "snapshots"].contains(&table.name) && there.is_narrow(table.name, "name") {
            changes.push("ALTER COLUMN name TYPE VARCHAR(200)".to_owned());
        }
        let name = self.tables.table(table.name);
        changes.into_iter().map(|change| format!("ALTER TABLE {name} {change}")).collect()
    }

    /// Tables of our names that somebody else made for something else.
    async fn refuse_other_columns(&mut self, there: &Found) -> Result<()> {
        for &Table { name: table, columns, .. } in TABLES.iter().filter(|table| there.has_table(table.name)) {
            let name = self.tables.table(table);
            let mut needed = columns.iter().filter(|column| column.added.is_none());
            if let Some(missing) = needed.find(|column| !there.has_column(table, column.name)) {
                return Err(self.foreign(format!("its table {name} has no column {}", missing.name)));
            }
            if table == "layout" && there.width(table) > 1 {
                return Err(self.foreign(format!("its table {name} is not ours")));
            }
        }
        self.refuse_unfit_columns().await
    }

    /// Columns that do not hold what they are to hold, or compare it otherwise.
    pub(super) async fn refuse_unfit_columns(&mut self) -> Result<()> {
        self.refuse_other_types().await?;
        self.refuse_collations().await
    }

    /// Columns of another type: some values could not be read, and others would be read as something else.
    async fn refuse_other_types(&mut self) -> Result<()> {
        let (mut names, mut columns, mut types) = (Vec::new(), Vec::new(), Vec::new());
        for table in TABLES {
            for column in table.columns {
                if let Some(of) = column.types {
                    names.push(self.tables.table(table.name));
                    columns.push(column.name);
                    types.push(of);
                }
            }
        }
        let query = sqlx::query_as(OTHER_TYPES).persistent(false).bind(names).bind(columns).bind(types);
        let found = answer(self.at_work.as_ref(), query.fetch_optional(&mut *self.connection)).await;
        let found: Option<(String, String, String, String)> = found.map_err(|error| self.failed(error))?;
        let Some((table, column, types, found)) = found else { return Ok(()) };
        let needed = types.split('|').next().unwrap_or_default();
        Err(self.foreign(format!(
            "its column {table}.{column} is {found}: ALTER TABLE {table} ALTER COLUMN {column} TYPE {needed}"
        )))
    }

    /// The layout on record; 0 where there is none.
    async fn layout(&mut self, there: &Found) -> Result<i32> {
        if !there.has_table("layout") {
            return Ok(0);
        }
        let sql = format!("SELECT coalesce(max(version), 0) FROM {}", self.tables.table("layout"));
        let query = sqlx::query_scalar(AssertSqlSafe(sql)).persistent(false);
        let found = answer(self.at_work.as_ref(), query.fetch_one(&mut *self.connection)).await;
        found.map_err(|error| self.failed(error))
    }

    /// The reference's Django backend has tables of another layout.
    fn refuse_django(&self, there: &Found) -> Result<()> {
        if !there.has_django || there.has_table("events") {
            return Ok(());
        }
        let problem = "it holds the tables of the Django backend of Event Sourcery for Python, which have another layout";
        Err(self.foreign(problem.to_owned()))
    }
}

//! Tables of a kind for which the promises cannot hold: refused by name, with what there is to do.

use event_sourcery::{Error, Result};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::UNLOGGED;
use super::schema::Schema;
use crate::at_work::answer;
use crate::tables::TABLES;

/// What the catalogue says of our tables ($1: their names), as far as they are there. A trigger counts if it may put another row
/// in the place of one that the store writes ($2: how it does, see [`writes`]), or none; rules and triggers count unless they are
/// switched off.
const RELATIONS: &str = "
    SELECT t.number, c.relkind::text, c.relpersistence = 'u', c.relispartition,
           (SELECT i.inhparent::regclass::text FROM pg_inherits i WHERE i.inhrelid = c.oid LIMIT 1),
           (SELECT i.inhrelid::regclass::text FROM pg_inherits i WHERE i.inhparent = c.oid LIMIT 1),
           (SELECT s.subname::text FROM pg_subscription_rel r JOIN pg_subscription s ON s.oid = r.srsubid
            WHERE r.srrelid = c.oid LIMIT 1),
           row_security_active(c.oid), current_user::text,
           (SELECT r.rulename::text FROM pg_rewrite r
            WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN' AND r.ev_enabled IN ('O', 'A') LIMIT 1),
           (SELECT g.tgname::text FROM pg_trigger g
            WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgenabled IN ('O', 'A')
              AND g.tgtype & 3 = 3 AND g.tgtype & t.writes <> 0 LIMIT 1)
    FROM unnest($1::text[], $2::int[]) WITH ORDINALITY AS t (name, writes, number)
    JOIN pg_class c ON c.oid = to_regclass(t.name)
    ORDER BY t.number";

/// By which statements the store writes to a table, as the catalogue has it of a trigger: INSERT, UPDATE. Events are never changed,
/// and a trigger that sees to that is welcome.
fn writes(table: &str) -> i32 {
    if table == "events" { 4 } else { 4 | 16 }
}

impl Schema<'_> {
    /// Tables that are no ordinary tables of this server alone.
    pub(super) async fn refuse_relations(&mut self) -> Result<()> {
        let names: Vec<_> = TABLES.iter().map(|table| self.tables.table(table.name)).collect();
        let writes: Vec<_> = TABLES.iter().map(|table| writes(table.name)).collect();
        let query = sqlx::query(RELATIONS).persistent(false).bind(&names).bind(writes);
        let rows = answer(self.at_work.as_ref(), query.fetch_all(&mut *self.connection)).await;
        let rows = rows.map_err(|error| self.failed(error))?;
        for row in rows {
            let number: i64 = row.try_get(0).map_err(|error| self.failed(error))?;
            let place = usize::try_from(number - 1).unwrap_or(0);
            let (Some(table), Some(name)) = (TABLES.get(place), names.get(place)) else { continue };
            let relation = Relation::read(&row).map_err(|error| self.failed(error))?;
            if let Some(problem) = relation.problem(table.name, name) {
                return Err(self.foreign(problem));
            }
            if relation.hides_rows {
                return Err(relation.row_security(name));
            }
        }
        Ok(())
    }
}

/// What is known of a table.
struct Relation {
    kind: String,
    is_unlogged: bool,
    is_partition: bool,
    parent: Option<String>,
    child: Option<String>,
    subscription: Option<String>,
    hides_rows: bool,
    role: String,
    rule: Option<String>,
    trigger: Option<String>,
}

impl Relation {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            kind: row.try_get(1)?,
            is_unlogged: row.try_get(2)?,
            is_partition: row.try_get(3)?,
            parent: row.try_get(4)?,
            child: row.try_get(5)?,
            subscription: row.try_get(6)?,
            hides_rows: row.try_get(7)?,
            role: row.try_get(8)?,
            rule: row.try_get(9)?,
            trigger: row.try_get(10)?,
        })
    }

    /// Why it cannot be one of the store's tables, and what there is to do.
    ///
    /// What is inserted into a table by another name takes no lock on this one, so that nobody could know who may still fill a
    /// gap: that rules out partitions, children, views and subscribers. A subscription that is disabled can be enabled.
    fn problem(&self, table: &str, name: &str) -> Option<String> {
        let Self { parent, child, subscription, rule, trigger, .. } = self;
        let kind = match self.kind.as_str() {
            "r" => None,
            "p" => Some("a partitioned table"),
            "v" => Some("a view"),
            "m" => Some("a materialised view"),
            "f" => Some("a foreign table"),
            _ => Some("no table"),
        };
        if let Some(kind) = kind {
            return Some(format!("its {name} is {kind}: the store needs an ordinary table of that name"));
        }
        if self.is_partition || parent.is_some() {
            let parent = parent.as_deref().unwrap_or("another table");
            return Some(format!(
                "its table {name} is a part of {parent}: detach it, or take it out of the inheritance"
            ));
        }
        if let Some(child) = child {
            return Some(format!(
                "its table {name} has a child {child}, and what is written to that alone is not seen in time: \
                 ALTER TABLE {child} NO INHERIT {name}"
            ));
        }
        if let Some(subscription) = subscription {
            return Some(format!(
                "its table {name} is filled by logical replication, in the subscription {subscription}, where events appear \
                 in any order: read where they are written, or DROP SUBSCRIPTION {subscription} once this server is to take over"
            ));
        }
        if self.is_unlogged && table != UNLOGGED {
            return Some(format!(
                "its table {name} is unlogged, and emptied by a crash: ALTER TABLE {name} SET LOGGED"
            ));
        }
        if !self.is_unlogged && table == UNLOGGED {
            return Some(format!(
                "its table {name} is logged, and what it holds would count after a crash: ALTER TABLE {name} SET UNLOGGED"
            ));
        }
        if let Some(rule) = rule {
            return Some(format!(
                "its table {name} has a rule {rule}, and rules rewrite appends: DROP RULE {rule} ON {name}"
            ));
        }
        trigger.as_ref().map(|trigger| {
            let row = if table == "events" { "an event, its position too" } else { "a row" };
            format!(
                "its table {name} has a trigger {trigger} that may change {row}, or leave it out, before it is written: make it an \
                 AFTER trigger"
            )
        })
    }

    fn row_security(&self, name: &str) -> Error {
        let role = &self.role;
        Error::MissingGrant {
            problem: format!(
                "row-level security decides which rows of {name} the role {role} sees, and what it does not see it misses"
            ),
            grant: format!("ALTER TABLE {name} DISABLE ROW LEVEL SECURITY, or ALTER ROLE {role} BYPASSRLS"),
        }
    }
}

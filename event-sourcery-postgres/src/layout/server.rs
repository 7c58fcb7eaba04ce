//! Servers and sequences on which the promises could not be kept.

use event_sourcery::Result;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::schema::Schema;
use crate::at_work::answer;
use crate::failure::{During, Failure};
use crate::numbering::{self, NumberingSql};
use crate::operations::{BLOCK, DirectorySql};
use crate::settled;
use crate::settled_sql::SettledSql;
use crate::tables::{as_text, drawn_out_of_order};

/// The sequence that the ids of the events' table ($1) own; what type they have, and whether they are drawn from there, as it comes. The server
/// may have been told to quote every name (`quote_all_identifiers`).
const EVENT_IDS: &str = r#"
    SELECT q.seqcache, q.seqincrement, q.seqcycle, q.seqrelid::regclass::text, format_type(a.atttypid, a.atttypmod),
           pg_get_serial_sequence($1, 'id'),
           a.attidentity <> '' OR EXISTS (
               SELECT FROM pg_attrdef d JOIN pg_depend p ON p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid
               WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum
                 AND p.refclassid = 'pg_class'::regclass AND p.refobjid = q.seqrelid
                 AND pg_get_expr(d.adbin, d.adrelid) ~ '^"?nextval"?\(''([^'']|'''')*''::"?regclass"?\)$')
    FROM pg_sequence q
    JOIN pg_attribute a ON a.attrelid = to_regclass($1) AND a.attname = 'id'
    WHERE q.seqrelid = pg_get_serial_sequence($1, 'id')::regclass"#;

/// Whether the server only follows another one; how the database writes texts; with which version of its collation its indexes
/// were built, and with which the server sorts. And an operator in the search path that fits names, which are of these types, better
/// than the server's own for texts does.
const SERVER: &str = "
    SELECT pg_is_in_recovery(), getdatabaseencoding()::text, d.datcollversion, pg_database_collation_actual_version(d.oid),
           (SELECT format('%I.%s (%s, %s)', n.nspname, o.oprname, format_type(o.oprleft, NULL), format_type(o.oprright, NULL))
            FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
            WHERE n.nspname = ANY (current_schemas(false)) AND o.oprname IN ('=', '<>', '<', '<=', '>', '>=')
              AND o.oprleft IN ('varchar'::regtype, 'text'::regtype) AND o.oprright IN ('varchar'::regtype, 'text'::regtype)
              AND 'varchar'::regtype::oid IN (o.oprleft, o.oprright) LIMIT 1)
    FROM pg_database d WHERE d.datname = current_database()";

/// The first version that tells with which version of its collation a database was built.
const LEAST_VERSION: u32 = 15;

/// As a look asks for it.
const TIMELINE: &str = "SELECT pg_walfile_name(pg_current_wal_lsn())";

/// What [`SERVER`] tells.
type Server = (bool, String, Option<String>, Option<String>, Option<String>);

/// How events get their ids.
struct EventIds {
    cache: i64,
    increment: i64,
    cycles: bool,
    sequence: String,
    of_type: String,
    /// The sequence's name with its schema, whatever the search path.
    full_name: String,
    is_drawn: bool,
}

impl EventIds {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            cache: row.try_get(0)?,
            increment: row.try_get(1)?,
            cycles: row.try_get(2)?,
            sequence: row.try_get(3)?,
            of_type: row.try_get(4)?,
            full_name: row.try_get(5)?,
            is_drawn: row.try_get(6)?,
        })
    }

    fn problem(&self, events: &str) -> Option<String> {
        let Self { cache, increment, cycles, sequence, of_type, is_drawn, .. } = self;
        if of_type != "bigint" {
            return Some(format!(
                "{events}.id is {of_type}: ALTER TABLE {events} ALTER COLUMN id TYPE bigint"
            ));
        }
        if !is_drawn {
            return Some(format!(
                "{events}.id is not drawn from the sequence {sequence}, which it owns: ALTER TABLE {events} ALTER COLUMN id \
                 SET DEFAULT nextval({})",
                as_text(sequence)
            ));
        }
        if *cache == 1 && *increment > 0 && !cycles {
            return None;
        }
        let cycles = if *cycles { ", CYCLE" } else { "" };
        Some(drawn_out_of_order(sequence, &format!("CACHE {cache}, INCREMENT {increment}{cycles}")))
    }
}

/// Why a database is refused whose indexes may not fit how the server sorts. A C library that tells no version is another one.
fn sorted_otherwise(built: Option<&str>, now: Option<&str>) -> String {
    let refresh = match (built, now) {
        (Some(_), Some(_)) => "ALTER DATABASE .. REFRESH COLLATION VERSION",
        // Which the server refuses where one of them is unknown.
        _ => {
            "as a superuser UPDATE pg_database SET datcollversion = pg_database_collation_actual_version(oid) \
              WHERE datname = current_database()"
        }
    };
    let version = |version: Option<&str>| version.unwrap_or("unknown").to_owned();
    format!(
        "its indexes were built with version {} of its collation, and the server sorts by version {}, so that \
         events and streams may not be found: REINDEX DATABASE, then {refresh}",
        version(built),
        version(now)
    )
}

/// Why a server of this version is refused, as it tells its version by a number.
fn too_old(number: u32) -> Option<String> {
    let major = number / 10_000;
    let minor = if major < 10 { number / 100 % 100 } else { number % 10_000 };
    (major < LEAST_VERSION).then(|| {
        format!("its server is PostgreSQL {major}.{minor}: the store needs {LEAST_VERSION} or newer, so upgrade the server")
    })
}

impl Schema<'_> {
    /// A server on which the promises could not be kept.
    pub(super) async fn refuse_server(&mut self) -> Result<()> {
        if let Some(problem) = self.connection.server_version_num().and_then(too_old) {
            return Err(self.foreign(problem));
        }
        let query = sqlx::query_as(SERVER).persistent(false);
        let asked = answer(self.at_work.as_ref(), query.fetch_one(&mut *self.connection)).await;
        let (is_standby, encoding, built, now, operator): Server =
            asked.map_err(|error| self.failed(error))?;
        if is_standby {
            return Err(settled::refused_on_standby());
        }
        if encoding != "UTF8" {
            return Err(
                self.foreign(format!("its encoding is {encoding}, in which not every text can be stored"))
            );
        }
        if let Some(operator) = operator {
            let role = &self.tables.role;
            return Err(self.foreign(format!(
                "the operator {operator} is in the search path of the role {role}, and would be taken for the server's own where names \
                 of streams, categories and tenants are compared: drop it, or take its schema out, ALTER ROLE {role} SET search_path = .."
            )));
        }
        if built != now {
            return Err(self.foreign(sorted_otherwise(built.as_deref(), now.as_deref())));
        }
        self.refuse_without_timeline().await
    }

    /// A server that is not quite PostgreSQL, and does not tell the timeline that each look asks for.
    async fn refuse_without_timeline(&mut self) -> Result<()> {
        let query = sqlx::query(TIMELINE).persistent(false);
        let asked = answer(self.at_work.as_ref(), query.execute(&mut *self.connection)).await;
        match asked.map_err(Failure::from) {
            Err(failure) if failure.is_unsupported() => Err(self.foreign(format!(
                "the server does not tell its timeline, without which it cannot be told from another that took its place: {}",
                failure.message()
            ))),
            Err(failure) => Err(failure.into_error(During::NothingKept, self.since.elapsed())),
            Ok(_) => Ok(()),
        }
    }

    /// Ids that are not drawn, one after the other, from the sequence that the table owns: an event could get a position below
    /// one that readers have passed.
    pub(super) async fn refuse_sequence(&mut self) -> Result<()> {
        let events = self.tables.table("events");
        let query = sqlx::query(EVENT_IDS).persistent(false).bind(&events);
        let row = answer(self.at_work.as_ref(), query.fetch_optional(&mut *self.connection)).await;
        let row = row.map_err(|error| self.failed(error))?;
        let Some(row) = row else {
            return Err(
                self.foreign(format!("{events}.id has no sequence of its own to draw positions from"))
            );
        };
        let ids = EventIds::read(&row).map_err(|error| self.failed(error))?;
        if let Some(problem) = ids.problem(&events) {
            return Err(self.foreign(problem));
        }
        self.tables.sequence = ids.full_name;
        Ok(())
    }

    /// The run of the server, by its name: see [`Run`](crate::settled::Run).
    pub(super) async fn run_of_the_server(&mut self) -> Result<String> {
        let query = SettledSql::new(&self.tables).run.query().persistent(false);
        let asked = answer(self.at_work.as_ref(), query.fetch_one(&mut *self.connection)).await;
        asked.and_then(|row| row.try_get(0)).map_err(|error| self.failed(error))
    }

    /// Numbers that were given before would be given again. The highest position that was given.
    pub(super) async fn refuse_numbering(&mut self) -> Result<i64> {
        let sql = NumberingSql::new(&self.tables);
        let checked = answer(self.at_work.as_ref(), numbering::check(self.connection, &sql)).await;
        checked.unwrap_or_else(|failure| Err(failure.into_error(During::NothingKept, self.since.elapsed())))
    }

    /// A directory of names that was not made of these events: see [`DirectorySql`].
    pub(super) async fn refuse_directory(&mut self) -> Result<()> {
        let query = DirectorySql::new(&self.tables).lacks.query().persistent(false).bind(BLOCK);
        let asked = answer(self.at_work.as_ref(), query.fetch_one(&mut *self.connection)).await;
        let lacks: bool = asked.and_then(|row| row.try_get(0)).map_err(|error| self.failed(error))?;
        if !lacks {
            return Ok(());
        }
        let [directory, events, listed] =
            ["event_blocks", "events", "event_blocks_listed"].map(|name| self.tables.table(name));
        Err(self.foreign(format!(
            "its directory of event names, {directory}, lacks names of {events}, so that readers of these would pass their events by: \
             UPDATE {listed} SET below = 0"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_too_old_is_named_with_the_least_version_that_will_do() {
        for (number, named) in
            [(140_012, "PostgreSQL 14.12:"), (100_000, "PostgreSQL 10.0:"), (90_624, "PostgreSQL 9.6:")]
        {
            let problem = too_old(number).unwrap();
            assert!(problem.contains(named) && problem.contains("15 or newer"), "{problem}");
        }
        for number in [150_000, 150_018, 180_000] {
            assert_eq!(too_old(number), None);
        }
    }
}

//! A position up to which everything is there, on PostgreSQL.
//!
//! Let C be where the sequence stands. Whoever draws a number after that look gets one above C. Whoever has drawn one at or below C held
//! the lock `ROW EXCLUSIVE` on the table by then: an `INSERT` takes it when it is planned, or when a plan that is kept is run, and the
//! default of the column is evaluated afterwards. It keeps the lock until its transaction has ended, and what it has committed is visible
//! before it lets go. So the list of holders that is read after C has each of them that has not ended. Once none of that list is there
//! any more, what was committed at or below C is visible to every later statement, and nothing can be added.
//!
//! What would break it, and does not:
//! - A holder that is prepared (`PREPARE TRANSACTION`) changes its name on the list: so any prepared holder counts, whenever it appears.
//! - A savepoint that is rolled back lets go of locks that were taken under it, and of the rows too.
//! - A sequence with a cache gives numbers that were drawn long ago: it is refused.
//! - A sequence that stands below numbers that are there, as in a copy by logical replication, does not give them: it is refused.
//! - Numbers that somebody draws by hand, before the `INSERT`, are nobody's here: none of these stores does it.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, PgConnection};

use super::layouts::Layout;
use crate::error::{ImportError, Result};

/// How long those are waited for who are writing.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often is looked whether they have ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The partitions of a table have locks of their own, and an `INSERT` may name one of them.
const WRITING: &str = "
    SELECT DISTINCT virtualtransaction, coalesce(pid, 0)
    FROM pg_locks
    WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND relation IN (
          SELECT $1::text::regclass::oid
          UNION ALL SELECT relid::oid FROM pg_partition_tree($1::text::regclass)
      )";

pub(super) async fn horizon(name: &str, layout: &Layout, connection: &mut PgConnection) -> Result<i64> {
    let failed = |error: sqlx::Error| ImportError::Source { name: name.to_owned(), source: error.into() };
    let sequence = sequence(name, layout, connection).await?;
    let highest = format!("SELECT coalesce(max({}), 0) FROM {}", layout.position, layout.table);
    let highest = sqlx::query_scalar::<_, i64>(AssertSqlSafe(highest));
    let highest = highest.fetch_one(&mut *connection).await.map_err(failed)?;
    let stands = "SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END";
    let stands = format!("{stands} FROM {sequence}");
    let stands = sqlx::query_scalar::<_, i64>(AssertSqlSafe(stands));
    let ceiling = stands.fetch_one(&mut *connection).await.map_err(failed)?;
    if highest > ceiling {
        let problem = format!(
            "it has events up to position {highest}, and its sequence {sequence} stands at {ceiling}, so that it did not number \
             them: set it as high as they are, with `setval`"
        );
        return Err(ImportError::Layout { name: name.to_owned(), problem });
    }
    let first = writing(layout, connection).await.map_err(failed)?;
    let (mut left, began) = (first.clone(), Instant::now());
    while !left.is_empty() {
        if began.elapsed() > PATIENCE {
            let mut processes: Vec<_> = left.into_iter().map(|(_, process)| process).collect();
            processes.sort_unstable();
            return Err(ImportError::StillWriting { name: name.to_owned(), processes, waited: PATIENCE });
        }
        tokio::time::sleep(LOOK_EVERY).await;
        left = writing(layout, connection).await.map_err(failed)?;
        left.retain(|holder| first.contains(holder) || is_prepared(holder));
    }
    Ok(ceiling)
}

/// A transaction that has written to the table, or will, and has not ended; and its server process, 0 if it is prepared.
type Holder = (String, i32);

fn is_prepared((transaction, process): &Holder) -> bool {
    *process == 0 || transaction.starts_with("-1/")
}

async fn writing(layout: &Layout, connection: &mut PgConnection) -> Result<HashSet<Holder>, sqlx::Error> {
    let holders = sqlx::query_as::<_, Holder>(WRITING).bind(&layout.table).fetch_all(connection).await?;
    Ok(holders.into_iter().collect())
}

const HAS_CACHE: &str =
    "its sequence has a cache: `ALTER SEQUENCE .. CACHE 1`, and let its users connect anew";

/// The sequence, as SQL names it, which gives its numbers one by one.
async fn sequence(name: &str, layout: &Layout, connection: &mut PgConnection) -> Result<String> {
    let failed = |error: sqlx::Error| ImportError::Source { name: name.to_owned(), source: error.into() };
    let refused = |problem: &str| ImportError::Layout { name: name.to_owned(), problem: problem.to_owned() };
    let found = match layout.sequence {
        Some(sequence) => Some(sequence.to_owned()),
        None => {
            let of_column = sqlx::query_scalar::<_, Option<String>>("SELECT pg_get_serial_sequence($1, $2)");
            let of_column = of_column.bind(&layout.table).bind(layout.position);
            of_column.fetch_one(&mut *connection).await.map_err(failed)?
        }
    };
    let Some(sequence) = found else {
        return Err(refused("its positions come from no sequence of their column"));
    };
    let cache = "SELECT seqcache FROM pg_sequence WHERE seqrelid = $1::text::regclass";
    let cache = sqlx::query_scalar::<_, i64>(cache);
    match cache.bind(&sequence).fetch_optional(&mut *connection).await.map_err(failed)? {
        Some(1) => Ok(sequence),
        Some(_) => Err(refused(HAS_CACHE)),
        None => Err(refused("its positions come from something that is no sequence")),
    }
}

//! Who holds up the settled position, and when to say so.

use std::fmt;
use std::time::{Duration, Instant};

use sqlx::postgres::PgRow;

use crate::failure::Failure;
use crate::lease::Lease;
use crate::operations::Operations;
use crate::rows::value;
use crate::sql::Sql;

/// A position that is held up for longer than this is worth a warning; the next one comes after twice the time.
const WORTH_A_WARNING: Duration = Duration::from_secs(2);

/// An open transaction that may still commit events below others that are committed. Readers wait for it.
///
/// What the role of the store may not see of other roles' connections is `None`: grant it `pg_read_all_stats`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The server process, for `pg_terminate_backend`. A prepared transaction has none.
    pub pid: Option<i32>,
    /// The name of a prepared transaction, for `ROLLBACK PREPARED`.
    pub prepared: Option<String>,
    /// What the client calls itself.
    pub application_name: Option<String>,
    /// The client's address; `None` for a socket of the server's machine.
    pub client_address: Option<String>,
    /// For how long the transaction is open.
    pub open_for: Option<Duration>,
    /// The state of its connection, such as `idle in transaction`.
    pub state: Option<String>,
}

impl Holder {
    /// What is known of holders, by the names that the locks have for them.
    pub(crate) async fn find(
        connection: &mut Lease,
        sql: &Sql,
        names: &[String],
    ) -> Result<Vec<Self>, Failure> {
        let rows = Operations::alone(connection, sql).rows(sql.settled.holders.query().bind(names)).await?;
        Ok(rows.iter().map(Self::read).collect::<Result<_, _>>()?)
    }

    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        let open_for: Option<i64> = value(row, 4)?;
        Ok(Self {
            pid: value(row, 0)?,
            prepared: value(row, 1)?,
            application_name: value(row, 2)?,
            client_address: value(row, 3)?,
            open_for: open_for.map(|open| Duration::from_micros(u64::try_from(open).unwrap_or(0))),
            state: value(row, 5)?,
        })
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.pid, &self.prepared) {
            (Some(pid), _) => write!(f, "process {pid}")?,
            (None, Some(name)) => write!(f, "prepared transaction {name:?}")?,
            (None, None) => f.write_str("a prepared transaction")?,
        }
        let known =
            [("application", &self.application_name), ("at", &self.client_address), ("state", &self.state)];
        for (what, known) in known {
            if let Some(known) = known {
                write!(f, ", {what} {known:?}")?;
            }
        }
        match self.open_for {
            Some(open_for) => write!(f, ", open for {open_for:.1?}"),
            None => Ok(()),
        }
    }
}

/// Tells when a position that is held up is worth a warning.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    at: i64,
    since: Instant,
    /// After how long to warn next.
    warn_after: Duration,
}

impl Pace {
    /// For how long the position is held up, if that is to be said now. `None`: it is not held up.
    pub(crate) fn worth_a_warning(&mut self, at: Option<i64>, now: Instant) -> Option<Duration> {
        let Some(at) = at else {
            self.held = None;
            return None;
        };
        let held = match &mut self.held {
            Some(held) if held.at == at => held,
            other => other.insert(Held { at, since: now, warn_after: WORTH_A_WARNING }),
        };
        let held_for = now.saturating_duration_since(held.since);
        if held_for <= held.warn_after {
            return None;
        }
        held.warn_after = held_for * 2;
        Some(held_for)
    }

    /// Whether it has been held up where it is for long.
    pub(crate) fn lasts(&self, now: Instant) -> bool {
        let held_for = self.held.as_ref().map(|held| now.saturating_duration_since(held.since));
        held_for.is_some_and(|held_for| held_for > WORTH_A_WARNING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_comes_after_two_seconds_and_then_each_time_it_lasts_twice_as_long() {
        let (mut pace, began) = (Pace::default(), Instant::now());
        let mut warned = Vec::new();
        for tenths in 0..400 {
            let after = Duration::from_millis(100 * tenths);
            if pace.worth_a_warning(Some(7), began + after).is_some() {
                warned.push(tenths);
            }
        }
        assert_eq!(warned, [21, 43, 87, 175, 351]);
    }

    #[test]
    fn a_position_that_moves_on_is_not_held_up() {
        let (mut pace, began) = (Pace::default(), Instant::now());
        for second in 0..60 {
            let at = began + Duration::from_secs(second);
            let position = i64::try_from(second / 2).unwrap();
            assert_eq!(pace.worth_a_warning((second % 10 != 0).then_some(position), at), None, "{second}");
        }
    }
}

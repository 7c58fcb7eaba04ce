//! Who holds up the settled position, and when to say so.

use std::time::{Duration, Instant};

pub(crate) use event_sourcery::backend::Holder;
use sqlx::postgres::PgRow;

use crate::failure::Failure;
use crate::lease::Lease;
use crate::operations::Operations;
use crate::rows::value;
use crate::sql::Sql;

/// A position that is held up for longer than this is worth a warning; the next one comes after twice the time.
const WORTH_A_WARNING: Duration = Duration::from_secs(2);

/// What is known of holders, by the names that the locks have for them.
pub(crate) async fn find(
    connection: &mut Lease,
    sql: &Sql,
    names: &[String],
) -> Result<Vec<Holder>, Failure> {
    let rows = Operations::alone(connection, sql).rows(sql.settled.holders.query().bind(names)).await?;
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

fn read(row: &PgRow) -> Result<Holder, sqlx::Error> {
    let open_for: Option<i64> = value(row, 4)?;
    let open_for = open_for.map(|open| Duration::from_micros(u64::try_from(open).unwrap_or(0)));
    let holder = Holder::new(value(row, 0)?, value(row, 1)?);
    Ok(holder.with_client(value(row, 2)?, value(row, 3)?).with_state(open_for, value(row, 5)?))
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

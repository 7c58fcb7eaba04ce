//! What follows from a look, and from those before it in the same run of the server.
//!
//! A holder is named by its virtual transaction, which is unique in a run. A transaction that is prepared goes on under another
//! name (`-1/..`): prepared transactions that turn up when a holder has vanished take its place.

use std::collections::HashSet;

use super::look::{LOOK_AT, Look};
use crate::failure::Failure;
use crate::holders::{self, Holder};
use crate::lease::Lease;
use crate::sql::Sql;

/// What earlier looks have found.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence {
    hole: Option<Hole>,
    /// The last position that was drawn then.
    drawn: i64,
}

/// A hole below a ceiling, and who may still fill it. The ceiling was known before they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hole {
    pub(super) ceiling: i64,
    pub(super) holders: HashSet<String>,
}

impl Evidence {
    /// The last position that is known to have been drawn.
    pub(super) fn drawn(&self) -> i64 {
        self.drawn
    }

    /// The hole that holds it up.
    pub(super) fn hole(&self) -> Option<&Hole> {
        self.hole.as_ref()
    }

    /// How far it is settled, and whether looking on can help at once.
    pub(super) fn settle(&mut self, look: Look) -> (i64, bool) {
        let (from, reached, drawn) = (look.from, look.reached, look.drawn);
        let drawn_before = std::mem::replace(&mut self.drawn, drawn);
        // What was settled once, by whatever process, stays so: the rest of the look is about less.
        if look.recorded > from {
            return (look.recorded, true);
        }
        // As many as were looked at, and no hole among them: there may be a long way to go yet.
        let is_run = look.events == LOOK_AT && reached.saturating_sub(from) == LOOK_AT;
        let ceiling = look.visible().max(drawn_before);
        let Some(holders) = look.holders else {
            self.hole = None;
            return (reached, drawn > reached);
        };
        let holders: HashSet<String> = holders.into_iter().collect();
        if holders.is_empty() {
            self.hole = None;
            // What is above the newest event is looked at once more before it is handed out.
            return (ceiling, drawn > ceiling || ceiling > look.newest.map_or(0, |(newest, _)| newest));
        }
        // Nobody leaves a hole without holders, or one above what was drawn.
        let left = look.left.filter(|left| !left.holders.is_empty() && left.ceiling <= drawn);
        let known = [self.hole.take(), left].into_iter().flatten().filter(|hole| hole.ceiling > reached);
        let known: Vec<_> = known.map(|hole| hole.still(&holders)).collect();
        let ended = known.iter().filter(|hole| hole.holders.is_empty()).map(|hole| hole.ceiling).max();
        if let Some(ceiling) = ended {
            return (ceiling, true);
        }
        self.hole = Some(known.into_iter().next().unwrap_or(Hole { ceiling, holders }));
        (reached, is_run)
    }

    /// Who may still fill the hole, as far as they are still there.
    pub(super) async fn holders(&self, connection: &mut Lease, sql: &Sql) -> Result<Vec<Holder>, Failure> {
        let Some(hole) = &self.hole else { return Ok(Vec::new()) };
        let names: Vec<_> = hole.holders.iter().cloned().collect();
        holders::find(connection, sql, &names).await
    }
}

impl Hole {
    /// Who of them goes on. One that vanished may have been prepared, and then has another name.
    fn still(self, now: &HashSet<String>) -> Self {
        let is_prepared = |holder: &str| holder.starts_with("-1/");
        let ceiling = self.ceiling;
        let (goes_on, vanished): (HashSet<_>, HashSet<_>) =
            self.holders.into_iter().partition(|holder| now.contains(holder));
        if vanished.iter().all(|holder| is_prepared(holder)) {
            return Self { ceiling, holders: goes_on };
        }
        let holders = now.iter().filter(|holder| goes_on.contains(*holder) || is_prepared(holder));
        Self { ceiling, holders: holders.cloned().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::look::tests::look;
    use super::*;

    fn evidence() -> Evidence {
        Evidence::default()
    }

    #[test]
    fn a_run_without_a_hole_is_settled_whoever_writes() {
        assert_eq!(evidence().settle(look(9, 9, None)), (9, false));
    }

    #[test]
    fn positions_that_were_drawn_and_are_not_visible_are_looked_after() {
        let mut evidence = evidence();
        assert_eq!(evidence.settle(Look { drawn: 12, ..look(9, 9, None) }), (9, true));
        let again = |from| Look { drawn: 12, from, ..look(from, 9, Some(&[])) };
        assert_eq!(evidence.settle(again(9)), (12, true));
        assert_eq!(evidence.settle(Look { holders: None, ..again(12) }), (12, false));
    }

    #[test]
    fn a_hole_that_nobody_can_fill_is_settled_up_to_the_ceiling() {
        assert_eq!(evidence().settle(look(5, 9, Some(&[]))), (9, false));
    }

    #[test]
    fn a_long_run_is_settled_at_once_where_nobody_writes_and_run_by_run_where_somebody_does() {
        let run = |from: i64, holders| Look {
            events: LOOK_AT,
            from,
            ..look(from + LOOK_AT, 900_000, Some(holders))
        };
        assert_eq!(evidence().settle(run(4, &[])), (900_000, false));
        let mut evidence = evidence();
        assert_eq!(evidence.settle(run(4, &["3/1"])), (4 + LOOK_AT, true));
        // Those who wrote then have ended; others write by now.
        assert_eq!(evidence.settle(run(4 + LOOK_AT, &["5/1"])), (900_000, true));
    }

    #[test]
    fn a_hole_is_settled_once_those_who_were_there_have_ended() {
        let mut evidence = evidence();
        assert_eq!(evidence.settle(look(4, 9, Some(&["3/1", "4/1"]))), (4, false));
        assert_eq!(evidence.settle(look(4, 12, Some(&["4/1", "5/1"]))), (4, false));
        assert_eq!(evidence.settle(look(4, 20, Some(&["5/1", "6/1"]))), (9, true));
        assert!(evidence.hole.is_none());
    }

    #[test]
    fn what_others_have_left_serves_who_has_seen_nothing() {
        let left = |holders: &[&str]| {
            Some(Hole { ceiling: 7, holders: holders.iter().map(|&holder| holder.to_owned()).collect() })
        };
        let with = |left| Look { left, ..look(4, 20, Some(&["5/1", "6/1"])) };
        assert_eq!(evidence().settle(with(left(&["3/1"]))), (7, true));
        let mut evidence = evidence();
        assert_eq!(evidence.settle(with(left(&["5/1", "3/1"]))), (4, false));
        assert_eq!(evidence.hole, left(&["5/1"]), "it is the older evidence");
        // What nobody of ours would have left.
        assert_eq!(self::evidence().settle(with(left(&[]))), (4, false));
        let beyond = Hole { ceiling: 21, ..left(&["3/1"]).unwrap() };
        assert_eq!(self::evidence().settle(with(Some(beyond))), (4, false));
        // Below what is settled it says nothing.
        let mut evidence = Evidence::default();
        assert_eq!(evidence.settle(Look { reached: 7, ..with(left(&["3/1"])) }), (7, false));
        assert_eq!(evidence.hole.unwrap().ceiling, 20);
    }

    #[test]
    fn a_prepared_transaction_takes_the_place_of_the_one_that_vanished() {
        let mut evidence = evidence();
        evidence.settle(look(4, 9, Some(&["3/1"])));
        assert_eq!(evidence.settle(look(4, 9, Some(&["-1/77", "5/1"]))), (4, false));
        // Others that are prepared later cannot hold it up for ever.
        assert_eq!(evidence.settle(look(4, 9, Some(&["-1/77", "-1/78"]))), (4, false));
        assert_eq!(evidence.settle(look(4, 9, Some(&["-1/78"]))), (9, true));
    }
}

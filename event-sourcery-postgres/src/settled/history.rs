//! Whether a new run of the server goes on with the history that readers have seen.
//!
//! A crash keeps what was committed, and a standby that was promoted has a part of the log without a gap: if it has the
//! newest event that was seen, it has all that was committed before it, and draws no position below it again. What was
//! settled above that event (positions that were rolled back, or deleted) it may draw again. So that part is settled anew in
//! the new run, and if an event turns up in it, it is one of another history.
//!
//! Where the newest event is missing, it was lost, unless it was deleted just before: on the same timeline, with a sequence and a
//! log that did not go back, nothing was. A volume that is set back stays on its timeline, and its sequence may be ahead: a crash
//! moves it up by as many as 32. What was flushed of the log no crash takes back, and a server that starts writes behind it.

use sqlx::Row as _;

use super::look::{Look, Run};
use crate::failure::Failure;
use crate::lease::Lease;
use crate::operations::Operations;
use crate::sql::Sql;

/// What was seen of the history.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    /// In which run.
    run: Option<Run>,
    /// What the next run has to show.
    seen: Seen,
    /// What the last look has seen. While it is settled anew, it is not told from another history yet.
    last: Seen,
    /// From where on it is settled anew in this run.
    anew_from: Option<i64>,
}

/// What a look has seen of the history.
#[derive(Debug, Clone, Default)]
struct Seen {
    newest: Option<(i64, String)>,
    drawn: i64,
    timeline: Option<String>,
    log: Option<i64>,
}

impl Seen {
    fn of(look: &Look) -> Self {
        let (newest, timeline) = (look.newest.clone(), look.timeline.clone());
        Self { newest, drawn: look.drawn, timeline, log: look.log }
    }

    /// Whether the server of a look goes on where this one was: nothing was lost between.
    fn goes_on_at(&self, look: &Look) -> bool {
        look.timeline == self.timeline && look.drawn >= self.drawn && look.log >= self.log
    }
}

/// What a look says of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on.
    Same,
    /// The server runs anew, and it depends on the event at this position: whether it tells what it did.
    Depends(i64),
    /// It is another one.
    Another,
}

impl History {
    /// Where the next look begins, if what is settled is known up to a position.
    pub(super) fn look_from(&self, known: i64) -> i64 {
        self.anew_from.map_or(known, |from| from.min(known))
    }

    /// Whether a look is at the history that was seen, by what can be told without asking.
    pub(super) fn verdict(&self, look: &Look, known: i64) -> Verdict {
        if self.run.as_ref().is_some_and(|run| *run != look.run) {
            return match &self.seen.newest {
                Some((position, _)) => Verdict::Depends(*position),
                None if look.drawn < self.seen.drawn => Verdict::Another,
                None => Verdict::Depends(0),
            };
        }
        let turned_up = look
            .first
            .filter(|first| self.anew_from.is_some_and(|from| look.from == from) && *first <= known);
        turned_up.map_or(Verdict::Same, |_| Verdict::Another)
    }

    /// What tells the event at this position from any other, if it is there.
    pub(super) async fn tells(
        &self,
        connection: &mut Lease,
        sql: &Sql,
        position: i64,
    ) -> Result<Option<String>, Failure> {
        let row = Operations::alone(connection, sql).row(sql.settled.tells.query().bind(position)).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// Begins a new run, where the newest event that was seen tells this, or is not there. Whether it is the same history.
    pub(super) fn begin_run(&mut self, look: &Look, tells: Option<&str>) -> bool {
        match &self.seen.newest {
            Some((position, told)) if tells == Some(told) => self.anew_from = Some(*position),
            None => self.anew_from = Some(0),
            Some(_) if tells.is_none() && self.seen.goes_on_at(look) => self.anew_from = None,
            Some(_) => return false,
        }
        self.run = Some(look.run.clone());
        true
    }

    /// Whether what was seen can be evidence later on.
    pub(super) fn is_in_marked_run(&self) -> bool {
        self.run.as_ref().is_some_and(Run::is_marked)
    }

    /// Notes what was seen.
    pub(super) fn note(&mut self, look: &Look) {
        self.run = Some(look.run.clone());
        self.last = Seen::of(look);
        if self.anew_from.is_none() {
            self.seen.clone_from(&self.last);
        }
    }

    /// Notes how far it is settled in this run; `known` was settled before.
    pub(super) fn reached(&mut self, settled: i64, known: i64) {
        if settled >= known && self.anew_from.take().is_some() {
            self.seen.clone_from(&self.last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::look::tests::{look, run};
    use super::*;

    /// Settled up to 12, and the newest event at 9.
    fn seen() -> History {
        let mut history = History::default();
        history.note(&Look { drawn: 12, ..look(9, 9, None) });
        history
    }

    fn in_another_run() -> Look {
        Look { run: run("another"), drawn: 12, from: 12, ..look(12, 9, None) }
    }

    #[test]
    fn what_is_above_the_newest_event_is_settled_anew_in_a_new_run() {
        let mut history = seen();
        assert_eq!(history.verdict(&in_another_run(), 12), Verdict::Depends(9));
        assert!(history.begin_run(&in_another_run(), Some("an event")));
        assert_eq!(history.look_from(12), 9);
        let anew = Look { from: 9, first: None, ..in_another_run() };
        assert_eq!(history.verdict(&anew, 12), Verdict::Same);
        history.reached(12, 12);
        assert_eq!(history.look_from(12), 12);
    }

    /// Two runs, with one advance in between, in which others wrote.
    #[test]
    fn what_was_seen_while_it_was_settled_anew_is_what_the_next_run_has_to_show() {
        let mut history = seen();
        history.begin_run(&in_another_run(), Some("an event"));
        let anew = Look { from: 9, first: Some(13), drawn: 30, ..look(9, 30, None) };
        history.note(&Look { run: run("another"), ..anew });
        history.reached(30, 12);
        let third = Look { run: run("a third"), from: 30, drawn: 30, ..look(30, 30, None) };
        assert_eq!(history.verdict(&third, 30), Verdict::Depends(30));
    }

    #[test]
    fn an_event_where_none_was_to_come_is_of_another_history() {
        let mut history = seen();
        history.begin_run(&in_another_run(), Some("an event"));
        let anew = |first| Look { from: 9, first: Some(first), ..in_another_run() };
        assert_eq!(history.verdict(&anew(11), 12), Verdict::Another);
        assert_eq!(history.verdict(&anew(13), 12), Verdict::Same);
        // While it is not settled again, it is looked for.
        history.reached(10, 12);
        assert_eq!(history.verdict(&anew(12), 12), Verdict::Another);
    }

    #[test]
    fn a_server_without_the_newest_event_is_another_unless_the_event_was_deleted() {
        assert!(seen().begin_run(&in_another_run(), None), "same timeline, and nothing was taken back");
        assert!(!seen().begin_run(&Look { drawn: 11, ..in_another_run() }, None));
        // Appends have gone on from where the sequence was set back to, and beyond where it was.
        assert!(!seen().begin_run(&Look { drawn: 30, ..in_another_run() }, Some("another event")));
        // A volume that was set back, and has drawn as many since.
        assert!(!seen().begin_run(&Look { drawn: 44, log: Some(999), ..in_another_run() }, None));
        assert!(seen().begin_run(&Look { drawn: 44, log: Some(1_001), ..in_another_run() }, None));
        assert!(seen().begin_run(&Look { log: Some(999), ..in_another_run() }, Some("an event")));
        let promoted = || Look { timeline: Some("00000002".to_owned()), ..in_another_run() };
        assert!(!seen().begin_run(&promoted(), None));
        assert!(!seen().begin_run(&promoted(), Some("another event")));
        assert!(seen().begin_run(&promoted(), Some("an event")));
    }

    #[test]
    fn a_store_that_was_empty_is_another_where_its_positions_were_taken_back() {
        let mut history = History::default();
        history.note(&Look { newest: None, drawn: 3, ..look(3, 0, None) });
        let again = |drawn| Look { drawn, ..in_another_run() };
        assert_eq!(history.verdict(&again(2), 3), Verdict::Another);
        assert_eq!(history.verdict(&again(3), 3), Verdict::Depends(0));
    }
}

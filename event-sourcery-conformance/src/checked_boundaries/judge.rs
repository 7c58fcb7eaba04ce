//! The judge: what the log says of each append that depended on a boundary.
//!
//! The log is read in its order, as the one story that everybody can agree on. In it, no append may stand behind an event that moves its
//! boundary: one that matches the query, and that the read had not seen. Nor may one be acknowledged that was sent when such an event
//! had been acknowledged already, wherever that stands. And none may be refused for nothing.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::happened::{Attempt, Condition, Deletion, History, Logged, Outcome, Sent};

/// What the log tells of a boundary that is none. An append is named by its first event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// An append was let through although this event had moved its boundary.
    LetThrough {
        /// The append.
        append: Uuid,
        /// What it had not seen.
        despite: Uuid,
    },
    /// An append was let through although a deletion had moved its boundary.
    LetThroughAfterDeletion {
        /// The append.
        append: Uuid,
    },
    /// An append was refused although nothing can have moved its boundary.
    RefusedForNothing {
        /// The append.
        append: Uuid,
    },
    /// An event stands there that nobody has sent, or that was refused or rolled back.
    NotWritten {
        /// The event.
        event: Uuid,
    },
    /// An acknowledged event is not there.
    Lost {
        /// The event.
        event: Uuid,
    },
    /// An event is there twice.
    Twice {
        /// The event.
        event: Uuid,
    },
    /// A deleted event is there.
    NotDeleted {
        /// The event.
        event: Uuid,
    },
    /// An event has another name, or other tags.
    Altered {
        /// The event.
        event: Uuid,
    },
    /// The log is not in the order of the positions.
    OutOfOrder {
        /// The position that follows a higher one, or the same.
        position: i64,
    },
}

/// What is wrong.
pub(super) fn judge(history: &History, log: &[Logged]) -> Vec<Violation> {
    let positions = log.iter().map(|event| (event.id, event.position)).collect();
    let deletions = history.deletions.iter();
    let deleted =
        deletions.flat_map(|deletion| deletion.events.iter().map(move |event| (*event, deletion))).collect();
    let judge = Judge { history, positions, deleted };
    let mut found = judge.log(log);
    for attempt in &history.attempts {
        match attempt.outcome {
            Outcome::Written(_) => {
                let held = |condition: &Condition| judge.held(attempt, condition);
                found.extend(attempt.conditions.iter().filter_map(held));
            }
            Outcome::Moved => found.extend(judge.refused(attempt)),
            Outcome::Nothing | Outcome::Unknown => {}
        }
    }
    found
}

struct Judge<'a> {
    history: &'a History,
    positions: HashMap<Uuid, i64>,
    deleted: HashMap<Uuid, &'a Deletion>,
}

impl Judge<'_> {
    /// Whether each event is there that has to be, as it was sent, and no other.
    fn log(&self, log: &[Logged]) -> Vec<Violation> {
        let attempts = self.history.attempts.iter();
        let sent: HashMap<Uuid, (&Sent, Outcome)> = attempts
            .flat_map(|attempt| attempt.events.iter().map(move |event| (event.id, (event, attempt.outcome))))
            .collect();
        let (mut found, mut seen, mut last) = (Vec::new(), HashSet::new(), 0);
        for logged in log {
            let (event, position) = (logged.id, logged.position);
            if position <= last {
                found.push(Violation::OutOfOrder { position });
            }
            last = position;
            if !seen.insert(event) {
                found.push(Violation::Twice { event });
            }
            match sent.get(&event) {
                None | Some((_, Outcome::Moved | Outcome::Nothing)) => {
                    found.push(Violation::NotWritten { event });
                }
                Some((sent, _)) if sent.name != logged.name || sent.tags != logged.tags => {
                    found.push(Violation::Altered { event });
                }
                Some(_) if self.deleted.contains_key(&event) => found.push(Violation::NotDeleted { event }),
                Some(_) => {}
            }
        }
        let is_lost = |(event, (_, outcome)): &(&Uuid, &(&Sent, Outcome))| {
            let has_to_be = matches!(outcome, Outcome::Written(_)) && !self.deleted.contains_key(*event);
            has_to_be && !seen.contains(*event)
        };
        found.extend(sent.iter().filter(is_lost).map(|(event, _)| Violation::Lost { event: *event }));
        found
    }

    /// What an append was let through in spite of.
    fn held(&self, attempt: &Attempt, condition: &Condition) -> Option<Violation> {
        let append = name(attempt);
        let first = self.first_position(attempt);
        for other in self.history.attempts.iter().filter(|other| !std::ptr::eq(*other, attempt)) {
            let was_answered = other.is_written() && other.ended < attempt.began;
            for event in other.events.iter().filter(|event| moves(event, condition)) {
                // Where its deletion may have come before the read, it was not there to be read.
                if self.deleted.get(&event.id).is_some_and(|deletion| deletion.began < condition.ended) {
                    continue;
                }
                let stands_before = || Some(self.position(other, event)? < first?);
                if was_answered || stands_before() == Some(true) {
                    return Some(Violation::LetThrough { append, despite: event.id });
                }
            }
        }
        let is_between = |deletion: &Deletion| {
            let is_late_enough = deletion.began > condition.ended;
            is_late_enough && deletion.ended < attempt.began && self.deleted_one(deletion, condition)
        };
        let was_deleted = self.history.deletions.iter().any(is_between);
        was_deleted.then_some(Violation::LetThroughAfterDeletion { append })
    }

    /// Whether an append that was refused could not have been.
    fn refused(&self, attempt: &Attempt) -> Option<Violation> {
        let moved = |condition: &Condition| {
            let is_deleted = |deletion: &Deletion| {
                let is_late_enough = deletion.ended > condition.began;
                is_late_enough && deletion.began < attempt.ended
            };
            let is_added = |other: &Attempt| {
                let is_there = match other.outcome {
                    Outcome::Written(_) | Outcome::Unknown => other.began < attempt.ended,
                    // What was rolled back was there for its own transaction.
                    Outcome::Nothing => other.transaction == attempt.transaction,
                    Outcome::Moved => false,
                };
                is_there && other.events.iter().any(|event| moves(event, condition))
            };
            self.history.deletions.iter().any(is_deleted) || self.history.attempts.iter().any(is_added)
        };
        let for_nothing = !attempt.conditions.iter().any(moved);
        for_nothing.then(|| Violation::RefusedForNothing { append: name(attempt) })
    }

    /// Whether a deletion took an event that matches.
    fn deleted_one(&self, deletion: &Deletion, condition: &Condition) -> bool {
        let events = self.history.attempts.iter().flat_map(|attempt| &attempt.events);
        let mut deleted = events.filter(|event| deletion.events.contains(&event.id));
        deleted.any(|event| condition.query.matches(event.name, &event.tags))
    }

    /// Where an append begins, if all of it is still there.
    fn first_position(&self, attempt: &Attempt) -> Option<i64> {
        let positions: Option<Vec<_>> =
            attempt.events.iter().map(|event| self.positions.get(&event.id).copied()).collect();
        positions?.into_iter().min()
    }

    /// Where an event stands, or stood at most.
    fn position(&self, attempt: &Attempt, event: &Sent) -> Option<i64> {
        let known = self.positions.get(&event.id).copied();
        known.or(match attempt.outcome {
            Outcome::Written(last) => Some(last.to_i64()),
            _ => None,
        })
    }
}

fn name(attempt: &Attempt) -> Uuid {
    attempt.events.first().map_or(Uuid::nil(), |event| event.id)
}

fn moves(event: &Sent, condition: &Condition) -> bool {
    condition.query.matches(event.name, &event.tags) && !condition.read.contains(&event.id)
}

#[cfg(test)]
mod tests;

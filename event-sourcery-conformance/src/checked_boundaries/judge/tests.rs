//! Histories by hand: what is sound in them is let pass, and each thing that is not is found.

use std::collections::HashSet;

use event_sourcery::{AppendPosition, Query, QueryItem, Tag};
use uuid::Uuid;

use super::super::happened::{Attempt, Condition, Deletion, History, Logged, Outcome, Sent};
use super::{Violation, judge};

const NONE: [Violation; 0] = [];

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn tag(value: &str) -> Tag {
    Tag::new("course", value).unwrap()
}

fn event(number: u128, tags: &[&str]) -> Sent {
    Sent { id: id(number), name: "opened", tags: tags.iter().map(|value| tag(value)).collect() }
}

/// What asks for events with this tag, and read these at those moments.
fn condition(value: &str, read: &[u128], (began, ended): (u64, u64)) -> Condition {
    let query = Query::from(QueryItem::new().tagged(tag(value)));
    let read: HashSet<_> = read.iter().map(|number| id(*number)).collect();
    Condition { query, read, began, ended }
}

/// An append that was written up to this position, between these moments.
fn written(event: Sent, conditions: Vec<Condition>, position: i64, (began, ended): (u64, u64)) -> Attempt {
    let outcome = Outcome::Written(AppendPosition::from_i64(position));
    Attempt { events: vec![event], conditions, transaction: began, began, ended, outcome }
}

/// All that was written and not deleted, where it was said to be.
fn log_of(history: &History) -> Vec<Logged> {
    let deleted: HashSet<_> = history.deletions.iter().flat_map(|deletion| &deletion.events).collect();
    let logged = |attempt: &Attempt| match attempt.outcome {
        Outcome::Written(position) if !deleted.contains(&attempt.events[0].id) => {
            let Sent { id, name, tags } = attempt.events[0].clone();
            Some(Logged { id, name: name.to_owned(), tags, position: position.to_i64() })
        }
        _ => None,
    };
    let mut log: Vec<_> = history.attempts.iter().filter_map(logged).collect();
    log.sort_by_key(|event| event.position);
    log
}

fn judged(attempts: Vec<Attempt>, deletions: Vec<Deletion>) -> Vec<Violation> {
    let history = History { attempts, deletions };
    judge(&history, &log_of(&history))
}

fn let_through(append: u128, despite: u128) -> Vec<Violation> {
    vec![Violation::LetThrough { append: id(append), despite: id(despite) }]
}

#[test]
fn an_event_before_the_append_that_matches_has_to_have_been_read() {
    let first = || written(event(1, &["a"]), Vec::new(), 1, (0, 9));
    let second =
        |read: &[u128], value| written(event(2, &["b"]), vec![condition(value, read, (1, 2))], 2, (3, 10));
    assert_eq!(judged(vec![first(), second(&[1], "a")], Vec::new()), NONE);
    assert_eq!(judged(vec![first(), second(&[], "b")], Vec::new()), NONE);
    assert_eq!(judged(vec![first(), second(&[], "a")], Vec::new()), let_through(2, 1));
}

#[test]
fn of_two_that_would_move_each_others_boundary_one_was_let_through_in_spite_of_the_other() {
    let attempts = vec![
        written(event(1, &["b"]), vec![condition("a", &[], (0, 1))], 1, (4, 6)),
        written(event(2, &["a"]), vec![condition("b", &[], (2, 3))], 2, (5, 7)),
    ];
    assert_eq!(judged(attempts, Vec::new()), let_through(2, 1));
}

#[test]
fn what_was_acknowledged_before_the_append_was_sent_stands_before_it_wherever_it_stands() {
    let answered = |ended| {
        vec![
            written(event(1, &["b"]), vec![condition("a", &[], (0, 1))], 1, (5, 8)),
            written(event(2, &["a"]), Vec::new(), 2, (3, ended)),
        ]
    };
    assert_eq!(judged(answered(4), Vec::new()), let_through(1, 2));
    assert_eq!(judged(answered(6), Vec::new()), NONE, "at once, either order will do");
}

#[test]
fn a_deletion_between_the_read_and_the_append_moves_the_boundary() {
    let deleted = |began, ended| {
        let attempts = vec![
            written(event(1, &["a"]), Vec::new(), 1, (0, 1)),
            written(event(2, &["b"]), vec![condition("a", &[1], (4, 5))], 2, (8, 9)),
        ];
        judged(attempts, vec![Deletion { events: vec![id(1)], began, ended }])
    };
    assert_eq!(deleted(6, 7), [Violation::LetThroughAfterDeletion { append: id(2) }]);
    assert_eq!(deleted(6, 10), NONE, "it may have come after the append");
    assert_eq!(deleted(3, 10), NONE, "it may have come before the read");
}

#[test]
fn what_was_not_read_and_is_deleted_by_now_has_moved_the_boundary_if_it_was_written_since() {
    let deleted = |began| {
        let attempts = vec![
            written(event(1, &["a"]), Vec::new(), 1, (3, 4)),
            written(event(2, &["b"]), vec![condition("a", &[], (1, 2))], 2, (5, 6)),
        ];
        judged(attempts, vec![Deletion { events: vec![id(1)], began, ended: 9 }])
    };
    assert_eq!(deleted(8), let_through(2, 1));
    assert_eq!(deleted(0), NONE, "it may never have been there to be read");
}

#[test]
fn a_refusal_has_a_cause() {
    let refused = || Attempt {
        outcome: Outcome::Moved,
        ..written(event(2, &[]), vec![condition("a", &[], (1, 2))], 0, (3, 6))
    };
    let with = |other: Attempt| judged(vec![other, refused()], Vec::new());
    let for_nothing = [Violation::RefusedForNothing { append: id(2) }];
    assert_eq!(with(written(event(1, &["a"]), Vec::new(), 1, (4, 8))), NONE);
    assert_eq!(with(written(event(1, &["b"]), Vec::new(), 1, (4, 8))), for_nothing);
    assert_eq!(with(written(event(1, &["a"]), Vec::new(), 1, (7, 8))), for_nothing, "it came later");
    let rolled_back = |transaction| Attempt {
        transaction,
        outcome: Outcome::Nothing,
        ..written(event(1, &["a"]), Vec::new(), 0, (3, 6))
    };
    assert_eq!(with(rolled_back(3)), NONE, "of the same transaction");
    assert_eq!(with(rolled_back(4)), for_nothing);
    let deletion = |ended| Deletion { events: vec![id(9)], began: 0, ended };
    assert_eq!(judged(vec![refused()], vec![deletion(5)]), NONE);
    assert_eq!(judged(vec![refused()], vec![deletion(1)]), for_nothing);
}

#[test]
fn the_log_holds_what_was_acknowledged_once_and_as_it_was_sent() {
    let history = History {
        attempts: vec![
            written(event(1, &["a"]), Vec::new(), 1, (0, 1)),
            written(event(2, &["a"]), Vec::new(), 2, (2, 3)),
            Attempt { outcome: Outcome::Nothing, ..written(event(3, &[]), Vec::new(), 0, (4, 5)) },
            Attempt { outcome: Outcome::Unknown, ..written(event(4, &[]), Vec::new(), 0, (6, 7)) },
        ],
        deletions: Vec::new(),
    };
    let sound = log_of(&history);
    let changed = |change: &dyn Fn(&mut Vec<Logged>)| {
        let mut log = sound.clone();
        change(&mut log);
        judge(&history, &log)
    };
    let logged = |number, position| {
        let Sent { id, name, tags } = event(number, &[]);
        Logged { id, name: name.to_owned(), tags, position }
    };
    assert_eq!(changed(&|_| ()), NONE);
    assert_eq!(changed(&|log| log.push(logged(4, 3))), NONE, "it may be there");
    assert_eq!(changed(&|log| drop(log.remove(0))), [Violation::Lost { event: id(1) }]);
    assert_eq!(changed(&|log| log.push(logged(3, 3))), [Violation::NotWritten { event: id(3) }]);
    assert_eq!(changed(&|log| log.push(logged(9, 3))), [Violation::NotWritten { event: id(9) }]);
    assert_eq!(changed(&|log| log[1].tags.clear()), [Violation::Altered { event: id(2) }]);
    assert_eq!(changed(&|log| log[1].name.push('!')), [Violation::Altered { event: id(2) }]);
    let twice = |log: &mut Vec<Logged>| log.push(Logged { position: 3, ..log[1].clone() });
    assert_eq!(changed(&twice), [Violation::Twice { event: id(2) }]);
    assert_eq!(changed(&|log| log[1].position = 1), [Violation::OutOfOrder { position: 1 }]);
    let deletions = vec![Deletion { events: vec![id(2)], began: 8, ended: 9 }];
    let deleted = History { deletions, ..history };
    assert_eq!(judge(&deleted, &sound), [Violation::NotDeleted { event: id(2) }]);
}

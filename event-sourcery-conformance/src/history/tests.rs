//! A history that is sound, broken in each way on purpose.

use event_sourcery::{StreamId, Version};
use uuid::Uuid;

use super::{Acknowledged, Flaw, Found, History, Place};

const SOUND: [Flaw; 0] = [];

fn append(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn place(stream: u128, version: impl Into<Option<Version>>, position: i64) -> Place {
    let stream = StreamId::from_uuid(Uuid::from_u128(stream));
    Place { stream, version: version.into(), position }
}

fn found(number: u128, of: usize, place: Place) -> Found {
    Found { append: append(number), of, place }
}

/// Two events of one append, an append to two streams, one of them without versions, and one that nobody was told of.
fn log() -> Vec<Found> {
    vec![
        found(1, 2, place(1, 1, 3)),
        found(1, 2, place(1, 2, 4)),
        found(2, 2, place(1, 3, 7)),
        found(2, 2, place(2, None, 8)),
        found(3, 1, place(2, None, 9)),
    ]
}

/// What was told of it.
fn told() -> History {
    let mut history = History::default();
    history.acknowledged(Acknowledged { append: append(1), places: vec![place(1, 2, 4)] });
    let places = vec![place(1, 3, 7), place(2, None, 8)];
    history.acknowledged(Acknowledged { append: append(2), places });
    history.refused(append(4));
    history.read(log()[..3].to_vec());
    history.read(Vec::new());
    history.loaded(&place(1, 1, 0).stream, [(append(1), Some(1)), (append(1), Some(2))]);
    history
}

/// What the judge says of the history where the store holds this instead.
fn judged(change: impl FnOnce(&mut Vec<Found>)) -> Vec<Flaw> {
    let mut log = log();
    change(&mut log);
    told().judge(&log)
}

#[test]
fn a_sound_history_has_no_flaw_whether_or_not_what_nobody_was_told_of_is_there() {
    assert_eq!(judged(|_| ()), SOUND);
    assert_eq!(judged(|log| drop(log.pop())), SOUND);
}

#[test]
fn an_acknowledged_append_that_is_gone_is_lost() {
    let flaws = judged(|log| log.retain(|found| found.append != append(2)));
    assert_eq!(flaws, [Flaw::Lost { append: append(2) }, Flaw::Read { read: 0, at: 2 }]);
}

#[test]
fn an_append_of_which_a_part_is_there_or_that_is_there_twice_is_not_whole() {
    let half = judged(|log| drop(log.remove(3)));
    let place = place(2, None, 8);
    let not_whole = |found| Flaw::NotWhole { append: append(2), found, of: 2 };
    assert_eq!(half, [not_whole(1), Flaw::Misplaced { append: append(2), place: place.clone() }]);
    let twice = judged(|log| log.push(found(2, 2, Place { position: 10, ..place })));
    assert_eq!(twice, [not_whole(3)]);
}

#[test]
fn an_append_that_is_elsewhere_than_its_answer_said_is_misplaced() {
    let misplaced = judged(|log| log[3].place.stream = StreamId::from_uuid(Uuid::from_u128(9)));
    assert_eq!(misplaced, [Flaw::Misplaced { append: append(2), place: place(2, None, 8) }]);
}

#[test]
fn an_append_that_was_refused_is_not_there() {
    let refused = judged(|log| log.push(found(4, 1, place(2, None, 10))));
    assert_eq!(refused, [Flaw::Refused { append: append(4) }]);
}

#[test]
fn versions_have_no_gaps_begin_with_1_and_are_not_mixed_with_none() {
    let flawed = |new: Place| {
        let flaws = judged(|log| log.push(found(5, 1, new.clone())));
        assert_eq!(flaws, [Flaw::Version { place: new }]);
    };
    flawed(place(1, 5, 10));
    flawed(place(1, 3, 10));
    flawed(place(1, None, 10));
    flawed(place(2, 1, 10));
    flawed(place(3, 2, 10));
}

#[test]
fn positions_rise() {
    for position in [8, 9] {
        let place = place(2, None, position);
        let flaws = judged(|log| log.push(found(5, 1, place.clone())));
        assert_eq!(flaws, [Flaw::Position { place }]);
    }
}

#[test]
fn what_was_read_is_the_beginning_of_what_is_there() {
    let late = judged(|log| log.insert(0, found(5, 1, place(3, 1, 1))));
    assert_eq!(late, [Flaw::Read { read: 0, at: 0 }]);
    let mut history = told();
    history.loaded(&place(1, 1, 0).stream, [(append(1), Some(1)), (append(2), Some(2))]);
    history.read([log(), vec![found(5, 1, place(3, 1, 10))]].concat());
    assert_eq!(history.judge(&log()), [Flaw::Read { read: 3, at: 1 }, Flaw::Read { read: 4, at: 5 }]);
}

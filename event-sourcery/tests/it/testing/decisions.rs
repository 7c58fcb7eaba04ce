//! `given(..).when_deciding(..).then(..)`.

use event_sourcery::testing::{Decided, given};
use event_sourcery::{Event, Select};
use serde::{Deserialize, Serialize};

use super::failure;

#[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
enum CourseEvent {
    #[event(tags(course))]
    Opened { course: u64, seats: usize },
    #[event(tags(course, student))]
    Subscribed { course: u64, student: u64 },
}

#[derive(Debug, PartialEq)]
enum Refused {
    NotOpen,
    Full,
}

fn opened(course: u64, seats: usize) -> CourseEvent {
    CourseEvent::Opened { course, seats }
}

fn subscribed(course: u64, student: u64) -> CourseEvent {
    CourseEvent::Subscribed { course, student }
}

/// Subscribes student 9 to course 1, once; tells how many seats there were left.
fn subscribe(history: impl IntoIterator<Item = CourseEvent>) -> Decided<CourseEvent, usize, Refused> {
    let course = Select::<CourseEvent>::tagged("course", 1).fold(None, |left, event| match event {
        CourseEvent::Opened { seats, .. } => *left = Some(*seats),
        CourseEvent::Subscribed { .. } => *left = left.map(|left: usize| left - 1),
    });
    let own = Select::<CourseEvent>::tagged("course", 1).and_tagged("student", 9);
    let own = own.fold(false, |is_in, _| *is_in = true);
    given(history).when_deciding((course, own), |&(left, is_in), events| {
        if is_in {
            return Ok(left.unwrap_or(0));
        }
        match left {
            None => Err(Refused::NotOpen),
            Some(0) => Err(Refused::Full),
            Some(left) => {
                events.emit(subscribed(1, 9));
                Ok(left)
            }
        }
    })
}

#[test]
fn what_is_decided_across_streams_can_be_told() {
    subscribe([opened(1, 2), opened(2, 9), subscribed(1, 8)]).then([subscribed(1, 9)]).then_value(1);
    subscribe([opened(2, 9)]).then_error(Refused::NotOpen);
    subscribe([opened(1, 1), subscribed(1, 8)]).then_error(Refused::Full);
    subscribe([opened(1, 2), subscribed(1, 9), subscribed(2, 9)]).then_nothing().then_value(1);
}

#[test]
fn a_decision_that_is_not_as_expected_fails_and_says_why() {
    let rejected = failure(|| drop(subscribe([opened(2, 9)]).then_nothing()));
    assert!(rejected.contains("rejected: NotOpen") && rejected.contains("seats: 9"), "{rejected}");
    let accepted = failure(|| drop(subscribe([opened(1, 9)]).then_error(Refused::Full)));
    assert!(accepted.contains("was accepted") && accepted.contains("student: 9"), "{accepted}");
    let other = failure(|| drop(subscribe([opened(1, 9)]).then([subscribed(1, 8)])));
    assert!(other.contains("what the decision emitted is not what was expected"), "{other}");
    let value = failure(|| drop(subscribe([opened(1, 9)]).then_value(8)));
    assert!(value.contains("what the decision returned"), "{value}");
    let untold = failure(|| {
        let no_tag = Select::<CourseEvent>::tagged("course", "").fold((), |(), _| {});
        drop(given::<CourseEvent>([]).when_deciding(no_tag, |(), _| Ok::<_, Refused>(())));
    });
    assert!(untold.contains("could not be made") && untold.contains("it is empty"), "{untold}");
}

//! Each way that a cursor, a stream and an event can stand to each other.

use jiff::Timestamp;
use uuid::Uuid;

use super::*;
use crate::event::RawEvent;
use crate::stream_id::{StreamId, TenantId};

const ANEW: Verdict = Verdict::Anew { up_to: 5 };

fn at(position: i64) -> Position {
    Position::from_i64(position)
}

/// What becomes of the event of version 5 at position 50.
fn verdict(held: HeldCursor) -> Verdict {
    decide(held, at(50))
}

/// A cursor, and where the event of its version stands now.
fn held(version: Version, position: i64, now: Option<i64>) -> HeldCursor {
    HeldCursor {
        cursor: Some(Cursor { version, position: at(position) }),
        at_cursor: now.map(at),
        version: Some(5),
    }
}

#[test]
fn without_a_cursor_it_begins_anew() {
    let none = HeldCursor { version: Some(5), ..HeldCursor::default() };
    assert_eq!(verdict(none), ANEW);
}

#[test]
fn it_goes_on_behind_the_cursor() {
    assert_eq!(verdict(held(4, 40, Some(40))), Verdict::From { next: 5, up_to: 5 });
    assert_eq!(verdict(held(2, 20, Some(20))), Verdict::From { next: 3, up_to: 5 });
}

#[test]
fn what_was_seen_is_ignored() {
    assert_eq!(verdict(held(5, 50, Some(50))), Verdict::Ignore);
    assert_eq!(verdict(held(9, 90, Some(90))), Verdict::Ignore);
}

#[test]
fn a_stream_that_was_made_anew_is_projected_anew() {
    assert_eq!(verdict(held(4, 14, Some(40))), ANEW, "it has come further than the old one");
    assert_eq!(verdict(held(5, 15, Some(50))), ANEW, "it has come as far");
    assert_eq!(verdict(held(9, 19, None)), ANEW, "it has not come as far yet");
}

#[test]
fn a_cursor_whose_event_was_gone_when_it_was_taken_over_is_about_an_older_stream() {
    assert_eq!(verdict(held(4, 0, None)), ANEW);
    assert_eq!(verdict(held(4, 0, Some(40))), ANEW);
    assert_eq!(verdict(held(9, 0, None)), ANEW);
}

#[test]
fn an_event_whose_stream_is_gone_is_ignored() {
    assert_eq!(verdict(HeldCursor { version: None, ..held(4, 40, Some(40)) }), Verdict::Ignore);
    assert_eq!(verdict(HeldCursor::default()), Verdict::Ignore);
}

/// What a read model is given that is for the tag, of a stream of three events: the last one is handed over, the others were missed.
/// The events are told by their versions.
fn given(are_tagged: [bool; 3]) -> Vec<Version> {
    let (tag, stream) = (Tag::new("course", "c1").unwrap(), StreamId::random());
    let event = |version: Version, is_tagged: bool| {
        let (id, name, now) = (Uuid::nil(), "Happened".into(), Timestamp::UNIX_EPOCH);
        let event = StoredEvent::new(at(0), Some(version), id, name, "{}".into(), now);
        event.with_tags(if is_tagged { vec![tag.clone()] } else { Vec::new() })
    };
    let [first, second, last] = are_tagged;
    let handed = StoredRecord::new(stream, TenantId::DEFAULT, event(3, last));
    let of = ("model".into(), [tag.clone()].into());
    let mut feeding = Feeding::<RawEvent>::new(of, Recorded::decode(&handed).unwrap());
    feeding.held(HeldCursor { version: Some(3), ..HeldCursor::default() });
    let mut versions = Vec::new();
    loop {
        match feeding.ask().unwrap() {
            Ask::Hand(Projected::Event(given)) => versions.extend(given.wrapped_event.version),
            Ask::Hand(Projected::Anew { .. }) => assert!(versions.is_empty()),
            Ask::Load(_) => {
                feeding.loaded(LoadedStream::new(vec![event(1, first), event(2, second)])).unwrap();
            }
            Ask::Move(_, to) => break assert_eq!(to.version, 3, "what is passed over is passed"),
            Ask::Hold(..) | Ask::Finish(_) | Ask::Nothing => panic!("it is fed"),
        }
    }
    versions
}

#[test]
fn events_without_the_tags_are_passed_over_whether_they_were_missed_or_not() {
    assert_eq!(given([true, false, true]), [1, 3]);
    assert_eq!(given([false, true, false]), [2]);
}

//! Each way that a cursor, a stream and an event can stand to each other.

use super::*;

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

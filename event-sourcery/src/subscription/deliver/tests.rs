//! Who is to blame for what could not be kept.

use super::*;
use crate::position::Position;

#[test]
fn what_others_are_to_blame_for_is_no_failure_of_the_handler() {
    let others = [
        Error::LeaseLost { subscription: "letters".to_owned() },
        Error::OutcomeUnknown { source: "lost".into() },
        Error::SerializationFailure { source: "a deadlock".into() },
        Error::Busy { waited: Duration::from_secs(1) },
        Error::HistoryReplaced { position: Position::START },
    ];
    for error in others {
        assert!(blamed(error, 3, Duration::ZERO).is_err());
    }
    let own = || Error::Backend { backend: "postgres", source: "a deferred constraint".into() };
    assert_eq!(blamed(own(), 3, Duration::ZERO).unwrap().failed.unwrap().at, 2);
    assert!(blamed(own(), 0, Duration::ZERO).is_err(), "no event was handled");
}

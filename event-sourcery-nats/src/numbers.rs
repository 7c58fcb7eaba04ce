//! Positions of events, and sequences of messages.

use event_sourcery::Position;

/// How many events a message may hold: as many positions belong to its sequence.
pub(crate) const MOST_EVENTS: usize = 1_024;

const EACH: i64 = MOST_EVENTS as i64;

/// The position of a message's last event.
pub(crate) fn last_of(sequence: u64) -> Position {
    Position::from_i64(i64::try_from(sequence).unwrap_or(i64::MAX).saturating_mul(EACH))
}

/// The position of an event behind which so many more stand in its message.
pub(crate) fn position(sequence: u64, behind: usize) -> Position {
    let behind = i64::try_from(behind).unwrap_or(i64::MAX);
    Position::from_i64(last_of(sequence).to_i64().saturating_sub(behind))
}

/// The first message that may hold an event above a position.
pub(crate) fn first_above(position: Position) -> u64 {
    (position.to_i64().max(0) / EACH).cast_unsigned() + 1
}

/// The message to which a position belongs, and the last one that may hold an event at or below it.
pub(crate) fn of(position: Position) -> u64 {
    let position = position.to_i64().max(0);
    (position / EACH + i64::from(position % EACH != 0)).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(position: i64) -> Position {
        Position::from_i64(position)
    }

    #[test]
    fn the_positions_of_a_message_belong_to_its_sequence_and_the_last_is_settled_with_it() {
        assert_eq!((last_of(1), position(1, 0), position(1, 1_023)), (at(1_024), at(1_024), at(1)));
        assert_eq!((last_of(0), position(2, 1_023)), (Position::START, at(1_025)));
        for (position, first, own) in
            [(-5, 1, 0), (0, 1, 0), (1, 1, 1), (1_023, 1, 1), (1_024, 2, 1), (1_025, 2, 2)]
        {
            assert_eq!((first_above(at(position)), of(at(position))), (first, own), "{position}");
        }
        assert_eq!(last_of(u64::MAX), at(i64::MAX));
    }
}

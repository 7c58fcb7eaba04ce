//! Positions: where an event stands in the whole store.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where an event stands in the whole store, as a place to read on from.
///
/// Positions only grow and are never reused; there are holes between them. They are opaque: ordered and storable, with
/// no arithmetic. A reader that was handed a position is never later handed, and has not missed, an event below it.
///
/// ```
/// use event_sourcery::Position;
///
/// let saved: i64 = Position::START.to_i64();
/// assert_eq!(Position::from_i64(saved), Position::START);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(i64);

impl Position {
    /// The position behind this one.
    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The position before this one.
    pub(crate) const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// Before the first event of every store.
    pub const START: Self = Self(0);

    /// The number to keep in a table or a file.
    #[must_use]
    pub const fn to_i64(self) -> i64 {
        self.0
    }

    /// The position that a number was kept for.
    #[must_use]
    pub const fn from_i64(kept: i64) -> Self {
        Self(kept)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// From the number that [`Display`](fmt::Display) writes.
impl FromStr for Position {
    type Err = ParseIntError;

    fn from_str(number: &str) -> Result<Self, ParseIntError> {
        number.parse().map(Self)
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Position({})", self.0)
    }
}

/// The position that an append's last event got: something to wait for, not a place to read on from.
///
/// Events below it may not be visible yet, because their transactions are still open; a reader that started here would
/// miss them. Hence a type of its own, which no reading call takes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AppendPosition(i64);

impl AppendPosition {
    /// The position that a backend gave to an appended event.
    #[must_use]
    pub const fn from_i64(given: i64) -> Self {
        Self(given)
    }

    /// The number, to log it or to hand it to another process that waits for it.
    #[must_use]
    pub const fn to_i64(self) -> i64 {
        self.0
    }

    /// Whether a reader that has been handed everything up to `position` has seen this append.
    #[must_use]
    pub const fn is_covered_by(self, position: Position) -> bool {
        self.0 <= position.0
    }
}

impl fmt::Display for AppendPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// From the number that [`Display`](fmt::Display) writes.
impl FromStr for AppendPosition {
    type Err = ParseIntError;

    fn from_str(number: &str) -> Result<Self, ParseIntError> {
        number.parse().map(Self)
    }
}

impl fmt::Debug for AppendPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AppendPosition({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Position;

    #[test]
    fn beyond_the_last_position_there_is_none_nor_before_the_least() {
        for end in [i64::MIN, i64::MAX].map(Position::from_i64) {
            assert!(end.previous() <= end && end <= end.next());
        }
    }
}

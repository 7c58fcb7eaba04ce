//! The segments into which the streams of a durable subscription are divided, and the right to work on one.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use jiff::Timestamp;
use uuid::Uuid;

use crate::position::Position;

/// The most segments that a subscription can have.
pub const MOST_SEGMENTS: u16 = 64;

/// Which segments of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segments {
    of: u16,
    numbers: u64,
}

impl Segments {
    /// These segments out of this many, at most [`MOST_SEGMENTS`]; other numbers do not count.
    #[must_use]
    pub fn new(of: u16, numbers: impl IntoIterator<Item = u16>) -> Self {
        let of = of.clamp(1, MOST_SEGMENTS);
        let bits = numbers.into_iter().filter(|number| *number < of).map(|number| 1_u64 << number);
        Self { of, numbers: bits.fold(0, |all, bit| all | bit) }
    }

    /// How many segments there are.
    #[must_use]
    pub const fn of(self) -> u16 {
        self.of
    }

    /// Which of them are meant.
    pub fn numbers(self) -> impl Iterator<Item = u16> {
        (0..self.of).filter(move |number| self.numbers >> number & 1 == 1)
    }

    /// Whether this segment is one of them.
    #[must_use]
    pub const fn contains(self, number: u16) -> bool {
        number < self.of && self.numbers >> number & 1 == 1
    }

    /// Whether all of them are meant.
    #[must_use]
    pub fn are_all(self) -> bool {
        self.numbers().count() == usize::from(self.of)
    }

    /// The segment of a stream, out of this many: the sum of the 4th and the 16th byte of its UUID, modulo the count. One of
    /// the two changes from stream to stream in every version of UUID.
    #[must_use]
    pub fn number_of(stream: Uuid, of: u16) -> u16 {
        let [_, _, _, fourth, .., sixteenth] = *stream.as_bytes();
        (u16::from(fourth) + u16::from(sixteenth)) % of.max(1)
    }

    /// Whether the stream of this UUID is in one of them.
    #[must_use]
    pub fn contain(self, stream: Uuid) -> bool {
        self.contains(Self::number_of(stream, self.of))
    }
}

/// A segment as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentRecord {
    /// The checkpoint: every event of the segment up to here was handled, or belongs to a blocked stream.
    pub position: Position,
    /// Another one whenever the segment is taken over, and another for each who does so; what is written with one that it had
    /// before is refused.
    pub token: i64,
    /// Who works on it.
    pub member: Option<Uuid>,
    /// Until when it was given, by the store's clock. From there on it lasts as long as its [member](super::Member) counts: who renews
    /// his leases writes no segment. Without a member, it means nothing.
    pub leased_until: Timestamp,
}

/// How many bits of a token are those of the member that takes a segment over.
const OF_THE_MEMBER: u32 = 40;

impl SegmentRecord {
    /// A segment that nobody works on.
    #[must_use]
    pub const fn new(position: Position, token: i64) -> Self {
        Self { position, token, member: None, leased_until: Timestamp::UNIX_EPOCH }
    }

    /// The same with who works on it, if anybody, and until when.
    #[must_use]
    pub const fn with_member(self, member: Option<Uuid>, leased_until: Timestamp) -> Self {
        Self { member, leased_until, ..self }
    }

    /// The token of a segment that nobody works on any more. Tokens are compared for being the same alone: behind the highest
    /// begin the lowest, which nobody was given.
    pub(super) const fn next_token(&self) -> i64 {
        self.token.wrapping_add(1)
    }

    /// The token of whoever takes it over: another one for each member. Where a server is replaced by one that lacks the latest, the
    /// same token stands in both, and two members may take the segment over from there, one in each.
    pub(super) fn token_for(&self, member: Uuid) -> i64 {
        let mut of_the_member = DefaultHasher::new();
        member.hash(&mut of_the_member);
        let of_the_member = (of_the_member.finish() >> (u64::BITS - OF_THE_MEMBER)).cast_signed();
        self.next_token().wrapping_add(of_the_member)
    }
}

/// The right to work on a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Lease {
    /// The segment's number.
    pub segment: u16,
    /// The segment's token when the lease was given.
    pub token: i64,
}

impl Lease {
    /// The right to work on this segment, as long as it has this token.
    #[must_use]
    pub const fn new(segment: u16, token: i64) -> Self {
        Self { segment, token }
    }
}

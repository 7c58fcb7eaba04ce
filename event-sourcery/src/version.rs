//! Versions: the numbers of the events within a stream.

/// The number of an event in its stream: 1 for the first, then one more for each. 0 stands for "no events yet".
///
/// A plain number, because callers do arithmetic on it; positions, on which nobody should, are a
/// [type of their own](crate::Position).
pub type Version = u64;

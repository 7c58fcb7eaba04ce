//! Blocked streams that are to be tried again by now. They go round: whoever was tried waits for all the others that wait by then.
//! What is blocked later, behind them, belongs to the next round: or those that go on failing would never let this one end.

use std::collections::{HashSet, VecDeque};

use tokio::time::Instant;

use super::session::{Key, LOOK};
use crate::backend::BlockedStream;
use crate::position::Position;

/// How many are listed at once.
const LISTED: usize = 256;

/// How many events of one of them are handled in a row.
const RETRIED: usize = 16;

/// Those that were listed and not tried yet.
pub(super) struct Due {
    streams: VecDeque<BlockedStream>,
    listed: Instant,
    /// Where the last one stood that was tried: the next ones stand behind it, or there.
    tried: Position,
    /// Those that stood there and were tried.
    tried_there: HashSet<Key>,
    /// Where the last one stood that was blocked when the round began.
    end: Option<Position>,
    /// Whether there are no more behind those that were listed.
    is_last: bool,
    /// How many events of the first one were handled in a row.
    in_a_row: usize,
    /// Whether the next round begins at once: one of this round goes on, or others have come behind it.
    goes_on: bool,
}

impl Due {
    pub(super) fn new() -> Self {
        let (streams, listed) = (VecDeque::new(), Instant::now());
        let (tried, tried_there) = (Position::START, HashSet::new());
        Self { streams, listed, tried, tried_there, end: None, is_last: false, in_a_row: 0, goes_on: false }
    }

    /// Whether there are any. What was listed long ago may have been replayed or skipped meanwhile: that is listed again.
    pub(super) fn is_known(&mut self) -> bool {
        if self.listed.elapsed() > LOOK {
            if let Some(begun) = self.streams.pop_front().filter(|_| self.in_a_row > 0) {
                self.note_tried(&begun);
                self.goes_on = true;
            }
            self.streams.clear();
        }
        !self.streams.is_empty()
    }

    /// Behind which position none was tried: the first ones of a round are listed from the beginning.
    pub(super) const fn behind(&self) -> Position {
        self.tried
    }

    /// Above which position to list the next ones. Others may stand where the last one stood, behind an event that was left out.
    pub(super) fn after(&self) -> Position {
        if self.tried_there.is_empty() { self.tried } else { self.tried.previous() }
    }

    /// How many to list, with those that were tried.
    pub(super) fn limit(&self) -> usize {
        LISTED + self.tried_there.len()
    }

    fn note_tried(&mut self, stream: &BlockedStream) {
        if stream.position > self.tried {
            self.tried = stream.position;
            self.tried_there.clear();
        }
        if stream.position == self.tried {
            self.tried_there.insert((stream.tenant.clone(), stream.stream.clone()));
        }
    }

    /// Whether the next ones that are listed begin a round.
    pub(super) const fn begins(&self) -> bool {
        self.end.is_none()
    }

    /// Says where the last one stands that belongs to this round.
    pub(super) fn begin(&mut self, end: Position) {
        self.end = Some(end);
    }

    /// Takes those that were listed, up to the end of the round.
    pub(super) fn list(&mut self, streams: Vec<BlockedStream>) {
        let (listed, limit) = (streams.len(), self.limit());
        self.streams = streams.into();
        self.streams.retain(|stream| self.end.is_none_or(|end| stream.position <= end));
        self.goes_on |= self.streams.len() < listed;
        (self.is_last, self.listed, self.in_a_row) = (self.streams.len() < limit, Instant::now(), 0);
        self.streams.retain(|stream| {
            stream.position != self.tried
                || !self.tried_there.contains(&(stream.tenant.clone(), stream.stream.clone()))
        });
    }

    pub(super) fn first(&self) -> Option<&BlockedStream> {
        self.streams.front()
    }

    /// Whether more than one is listed.
    pub(super) fn are_several(&self) -> bool {
        self.streams.len() > 1
    }

    /// All, the first ones first.
    pub(super) fn front(&self) -> impl Iterator<Item = &BlockedStream> {
        self.streams.iter()
    }

    /// Notes that the first one was tried together with others. If it goes on at once, it does so in the next round.
    pub(super) fn tried_together(&mut self, goes_on: bool) {
        let Some(tried) = self.streams.pop_front() else { return };
        self.note_tried(&tried);
        (self.in_a_row, self.goes_on) = (0, self.goes_on || goes_on);
    }

    /// Notes that the first one was tried. `behind` is what it is blocked by, if it goes on at once.
    pub(super) fn tried(&mut self, behind: Option<BlockedStream>) {
        let Some(tried) = self.streams.pop_front() else { return };
        self.note_tried(&tried);
        self.in_a_row += 1;
        match behind {
            Some(behind) if self.in_a_row < RETRIED => self.streams.push_front(behind),
            behind => (self.in_a_row, self.goes_on) = (0, self.goes_on || behind.is_some()),
        }
    }

    /// Ends the round, if all of it were tried: whether the next one begins at once.
    pub(super) fn end_round(&mut self) -> Option<bool> {
        let is_over = self.is_last && self.streams.is_empty();
        is_over.then(|| std::mem::replace(self, Self::new()).goes_on)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::backend::BlockedAt;
    use crate::stream_id::{StreamId, TenantId};

    fn blocked(position: i64) -> BlockedStream {
        let (position, since) = (Position::from_i64(position), Timestamp::UNIX_EPOCH);
        let at = BlockedAt::new(position, position);
        BlockedStream::new(TenantId::DEFAULT, StreamId::random(), 0, at, since).with_retry_at(Some(since))
    }

    #[test]
    fn a_stream_that_goes_on_and_on_gives_way_to_the_next_and_goes_on_in_the_next_round() {
        let mut due = Due::new();
        due.list(vec![blocked(1), blocked(2)]);
        for behind in 0..RETRIED as i64 {
            assert!(due.first().is_some_and(|first| first.position <= Position::from_i64(10 + behind)));
            due.tried(Some(blocked(10 + behind)));
        }
        assert_eq!(due.first().map(|next| next.position), Some(Position::from_i64(2)));
        due.tried(None);
        assert_eq!(due.end_round(), Some(true));
    }

    /// However many were left out in front of one event.
    #[test]
    fn those_that_stand_at_one_position_are_all_tried_in_one_round() {
        let (mut due, all) = (Due::new(), (0..3 * LISTED).map(|_| blocked(7)).collect::<Vec<_>>());
        due.begin(Position::from_i64(7));
        let mut tried = 0;
        loop {
            let above = all.iter().filter(|stream| stream.position > due.after());
            due.list(above.take(due.limit()).cloned().collect());
            while due.is_known() {
                due.tried(None);
                tried += 1;
            }
            if due.end_round().is_some() {
                break;
            }
        }
        assert_eq!(tried, all.len());
    }

    #[test]
    fn what_is_blocked_behind_a_round_that_has_begun_belongs_to_the_next_one() {
        let mut due = Due::new();
        let (most, full) =
            (LISTED as i64, |first: i64| (first..).take(LISTED).map(blocked).collect::<Vec<_>>());
        assert!(due.begins());
        due.begin(Position::from_i64(most + 1));
        due.list(full(1));
        for _ in 0..LISTED {
            due.tried(None);
        }
        assert_eq!(due.end_round(), None, "one is left");
        // However many have failed for the first time meanwhile.
        assert_eq!((due.begins(), due.behind()), (false, Position::from_i64(most)));
        due.list(full(most + 1));
        assert_eq!(due.streams.len(), 1);
        due.tried(None);
        assert_eq!(due.end_round(), Some(true));
        assert_eq!((due.begins(), due.behind()), (true, Position::START), "from the first one on");
    }
}

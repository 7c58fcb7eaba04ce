//! Blocked streams that are to be tried again by now. They go round: whoever was tried waits for all the others.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::session::LOOK;
use crate::backend::BlockedStream;
use crate::position::Position;

/// How many are listed at once; and how many events of one of them are handled in a row.
pub(super) const RETRIED: usize = 16;

/// Those that were listed and not tried yet.
pub(super) struct Due {
    streams: VecDeque<BlockedStream>,
    listed: Instant,
    /// Where the last one stood that was tried: the next ones stand behind it.
    tried: Position,
    /// Whether there are no more behind those that were listed.
    is_last: bool,
    /// How many events of the first one were handled in a row.
    in_a_row: usize,
    /// Whether one of this round goes on at once.
    goes_on: bool,
}

impl Due {
    pub(super) fn new() -> Self {
        let (streams, listed, tried) = (VecDeque::new(), Instant::now(), Position::START);
        Self { streams, listed, tried, is_last: false, in_a_row: 0, goes_on: false }
    }

    /// Whether there are any. What was listed long ago may have been replayed or skipped meanwhile: that is listed again.
    pub(super) fn is_known(&mut self) -> bool {
        if self.listed.elapsed() > LOOK {
            if let Some(begun) = self.streams.front().filter(|_| self.in_a_row > 0) {
                (self.tried, self.goes_on) = (self.tried.max(begun.position), true);
            }
            self.streams.clear();
        }
        !self.streams.is_empty()
    }

    /// Behind which position to list the next ones.
    pub(super) const fn behind(&self) -> Position {
        self.tried
    }

    pub(super) fn list(&mut self, streams: Vec<BlockedStream>) {
        (self.is_last, self.listed, self.in_a_row) = (streams.len() < RETRIED, Instant::now(), 0);
        self.streams = streams.into();
    }

    pub(super) fn first(&self) -> Option<&BlockedStream> {
        self.streams.front()
    }

    /// Notes that the first one was tried. `behind` is what it is blocked by, if it goes on at once.
    pub(super) fn tried(&mut self, behind: Option<BlockedStream>) {
        let Some(tried) = self.streams.pop_front() else { return };
        self.tried = self.tried.max(tried.position);
        self.in_a_row += 1;
        match behind {
            Some(behind) if self.in_a_row < RETRIED => self.streams.push_front(behind),
            behind => (self.in_a_row, self.goes_on) = (0, self.goes_on || behind.is_some()),
        }
    }

    /// Begins the next round, if all of this one were tried: whether one of them goes on at once.
    pub(super) fn end_round(&mut self) -> Option<bool> {
        let is_over = self.is_last && self.streams.is_empty();
        is_over.then(|| std::mem::replace(self, Self::new()).goes_on)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::stream_id::{StreamId, TenantId};

    fn blocked(position: i64) -> BlockedStream {
        let (position, since) = (Position::from_i64(position), Timestamp::UNIX_EPOCH);
        let (tenant, stream) = (TenantId::DEFAULT, StreamId::random());
        let (error, retry_at) = (String::new(), Some(since));
        BlockedStream {
            tenant,
            stream,
            segment: 0,
            after: position,
            position,
            attempts: 1,
            error,
            retry_at,
            since,
        }
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
}

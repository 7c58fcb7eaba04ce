//! How many events are handed over together.
//!
//! Few, where there is little to do: whoever shares a transaction waits for the others. More and more while a subscription is
//! behind, because each transaction has its price. What failed together is taken apart, until one event is to blame.

use std::collections::VecDeque;

/// So many at most where a subscription has caught up, or something has failed.
const FIRST: usize = 64;

/// So many streams are tried again together at most: as many as are listed at once.
const RETRIED: usize = 256;

/// Into so many parts a batch is divided that has failed as a whole: of 512 events one is found after four failures, and none is
/// handed over more often. A handler that hangs costs its time limit as often.
const PARTS: usize = 8;

/// The sizes of the batches to come.
#[derive(Debug)]
pub(super) struct Sizes {
    /// What was asked for.
    most: usize,
    /// Where nothing is known yet, or something has failed.
    first: usize,
    usual: usize,
    /// The next ones, after a failure.
    parts: VecDeque<usize>,
}

impl Sizes {
    pub(super) fn new(most: usize) -> Self {
        Self { most, first: FIRST, usual: FIRST.min(most), parts: VecDeque::new() }
    }

    /// Of streams that are tried again: one by one, as long as they fail.
    pub(super) fn of_retries(most: usize) -> Self {
        Self { most: RETRIED.min(most), first: 1, usual: 1, parts: VecDeque::new() }
    }

    /// How many events the next batch has at most.
    pub(super) fn next(&mut self) -> usize {
        self.parts.pop_front().unwrap_or(self.usual)
    }

    /// Whether the next ones are parts of a batch that has failed.
    pub(super) fn are_parts(&self) -> bool {
        !self.parts.is_empty()
    }

    /// A batch of this size was handled, and there is more to do. The parts of one that failed tell nothing of larger ones.
    pub(super) fn handled(&mut self, events: usize) {
        if self.parts.is_empty() && events >= self.usual {
            self.usual = self.usual.saturating_mul(2).min(self.most);
        }
    }

    /// There is nothing more for now, or there was no time for a whole batch.
    pub(super) fn begin_anew(&mut self) {
        self.usual = self.first.min(self.most);
    }

    /// An event has failed behind so many others: these by themselves, then it alone. Only then it is the one that failed.
    pub(super) fn behind(&mut self, others: usize) {
        self.begin_anew();
        self.parts = VecDeque::from([others, 1]);
    }

    /// So many events have failed together.
    pub(super) fn take_apart(&mut self, events: usize) {
        let size = events.div_ceil(PARTS);
        let whole = events.checked_div(size).unwrap_or(0);
        let rest = events.checked_rem(size).filter(|rest| *rest > 0);
        for part in rest.into_iter().chain(std::iter::repeat_n(size, whole)) {
            self.parts.push_front(part);
        }
        self.usual = size.clamp(1, self.first).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_double_while_there_is_more_and_no_further_than_asked() {
        let mut sizes = Sizes::new(200);
        for expected in [64, 128, 200, 200] {
            let size = sizes.next();
            assert_eq!(size, expected);
            sizes.handled(size);
        }
        sizes.handled(13);
        assert_eq!(sizes.next(), 200, "the last of a page tells nothing");
        sizes.begin_anew();
        assert_eq!(sizes.next(), 64);
        assert_eq!(Sizes::new(3).next(), 3);
    }

    #[test]
    fn streams_are_tried_again_one_by_one_until_that_goes_well() {
        let mut sizes = Sizes::of_retries(10_000);
        for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 256] {
            let size = sizes.next();
            assert_eq!(size, expected);
            sizes.handled(size);
        }
        sizes.take_apart(16);
        assert_eq!(sizes.next(), 2);
        sizes.begin_anew();
        sizes.parts.clear();
        assert_eq!(sizes.next(), 1);
        assert_eq!(Sizes::of_retries(1).most, 1);
    }

    #[test]
    fn an_event_that_fails_behind_others_comes_alone_after_them() {
        let mut sizes = Sizes::new(512);
        sizes.handled(64);
        sizes.behind(17);
        assert_eq!([sizes.next(), sizes.next(), sizes.next()], [17, 1, 64]);
    }

    /// Hands so many events over, of which some fail: which were to blame, in how many calls, and how many of them failed.
    fn find(events: usize, failing: &[usize]) -> (Vec<usize>, usize, usize) {
        let (mut sizes, mut first, mut calls, mut failures, mut blamed) =
            (Sizes::new(events), 0, 0, 0, Vec::new());
        sizes.usual = events;
        while first < events {
            let end = (first + sizes.next()).min(events);
            calls += 1;
            match failing.iter().find(|failing| (first..end).contains(failing)) {
                Some(_) if end - first > 1 => {
                    failures += 1;
                    sizes.take_apart(end - first);
                    continue;
                }
                Some(found) => {
                    failures += 1;
                    blamed.push(*found);
                }
                None => {}
            }
            first = end;
        }
        (blamed, calls, failures)
    }

    #[test]
    fn what_fails_together_is_taken_apart_until_one_is_to_blame() {
        for failing in [0, 1, 63, 64, 300, 511] {
            let (blamed, calls, failures) = find(512, &[failing]);
            assert_eq!((blamed, failures), (vec![failing], 4));
            assert!(calls <= 25, "{calls} calls");
        }
        for events in 2..200 {
            let all: Vec<_> = (0..events).collect();
            assert_eq!(find(events, &all).0, all, "each of {events} is to blame");
            let some: Vec<_> = all.iter().copied().filter(|event| event % 7 == 3).collect();
            assert_eq!(find(events, &some).0, some);
        }
    }
}

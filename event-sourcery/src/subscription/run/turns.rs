//! Whose turn it is: fresh events, or streams that are tried again.
//!
//! Both get the same time, however many there are of either, and however long a handler takes. Who has nothing to do has no
//! claim to the time that passes meanwhile.

use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;

use super::KEEP_AFTER;

/// How long fresh events may be kept waiting by streams that are tried again, beside the handler that is at work.
pub(super) const SLACK: Duration = Duration::from_millis(200);

/// The time that was taken.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// How much more of it fresh events have had.
    ahead: SignedDuration,
    /// Since when streams whose turn it is are put off.
    put_off: Option<Instant>,
}

impl Turns {
    pub(super) fn fresh_took(&mut self, time: Duration) {
        self.ahead = self.ahead.saturating_add(signed(time)).min(signed(SLACK));
    }

    pub(super) fn retry_took(&mut self, time: Duration) {
        self.ahead = self.ahead.saturating_sub(signed(time));
        self.put_off = None;
    }

    pub(super) fn nothing_is_fresh(&mut self) {
        self.ahead = self.ahead.max(SignedDuration::ZERO);
    }

    pub(super) fn nothing_is_due(&mut self) {
        self.ahead = self.ahead.min(SignedDuration::ZERO);
        self.put_off = None;
    }

    /// Puts off the streams whose turn it is, so that more that fail share a commit: not for long, however often others have failed
    /// since. Tells whether it is not too late for that.
    pub(super) fn put_off(&mut self) -> bool {
        self.put_off.get_or_insert_with(Instant::now).elapsed() < KEEP_AFTER
    }

    /// Whether fresh events wait, if there are any.
    pub(super) fn is_for_retries(&self) -> bool {
        self.ahead > SignedDuration::ZERO
    }
}

fn signed(time: Duration) -> SignedDuration {
    SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets those take turns who need so long for each, until so much time has passed: how much of it was for fresh events.
    fn share(fresh: Duration, retry: Duration, time: Duration) -> Duration {
        let (mut turns, mut took, mut passed) = (Turns::default(), Duration::ZERO, Duration::ZERO);
        while passed < time {
            if turns.is_for_retries() {
                turns.retry_took(retry);
                passed += retry;
            } else {
                turns.fresh_took(fresh);
                (took, passed) = (took + fresh, passed + fresh);
            }
        }
        took
    }

    #[test]
    fn both_get_half_of_the_time_however_long_one_of_them_takes() {
        let milliseconds = Duration::from_millis;
        for (fresh, retry) in [(1, 1), (200, 3), (3, 200), (7, 5_000)] {
            let took = share(milliseconds(fresh), milliseconds(retry), milliseconds(100_000));
            assert!(
                took >= milliseconds(47_000) && took <= milliseconds(53_000),
                "{fresh}, {retry}: {took:?}"
            );
        }
    }

    #[test]
    fn fresh_events_wait_for_no_more_than_the_slack_and_one_handler() {
        let mut turns = Turns::default();
        turns.fresh_took(Duration::from_secs(3_600));
        turns.retry_took(Duration::from_millis(199));
        assert!(turns.is_for_retries());
        turns.retry_took(Duration::from_millis(1));
        assert!(!turns.is_for_retries());
    }

    #[test]
    fn who_has_nothing_to_do_saves_up_nothing() {
        let mut turns = Turns::default();
        turns.retry_took(Duration::from_secs(3_600));
        turns.nothing_is_fresh();
        turns.fresh_took(Duration::from_millis(1));
        assert!(turns.is_for_retries());
        turns.nothing_is_due();
        assert!(!turns.is_for_retries());
    }

    #[test]
    fn who_is_put_off_has_his_turn_soon_however_often_others_fail() {
        let mut turns = Turns::default();
        assert!(turns.put_off());
        turns.put_off = Instant::now().checked_sub(KEEP_AFTER);
        turns.fresh_took(Duration::from_millis(1));
        assert!(!turns.put_off());
        turns.retry_took(Duration::from_millis(1));
        assert!(turns.put_off(), "by now he has had it");
    }
}

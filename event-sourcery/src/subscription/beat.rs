//! Times at which all who wait on a store wake: a process wakes once for all of them.

use std::time::Duration;

use tokio::time::Instant;

use super::later;

/// Since when time is divided into equal parts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beat(Instant);

impl Beat {
    pub(super) fn from_now() -> Self {
        Self(Instant::now())
    }

    /// The first moment behind this one at which a part of this length ends.
    pub(super) fn next_after(self, moment: Instant, every: Duration) -> Instant {
        let every = every.max(Duration::from_millis(1));
        let begun = moment.saturating_duration_since(self.0).as_nanos() % every.as_nanos();
        let begun = u64::try_from(begun).map_or(Duration::ZERO, Duration::from_nanos);
        later(moment, every.saturating_sub(begun))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_at_whatever_moment_of_a_part_is_told_its_end() {
        let (beat, every) = (Beat::from_now(), Duration::from_secs(10));
        let at = |seconds| beat.0 + Duration::from_secs(seconds);
        for second in [0, 1, 9] {
            assert_eq!(beat.next_after(at(second), every), at(10));
            assert_eq!(beat.next_after(at(30 + second), every), at(40));
        }
    }

    #[test]
    fn a_part_may_be_as_long_as_a_time_can_be() {
        let beat = Beat::from_now();
        assert!(beat.next_after(beat.0, Duration::MAX) > beat.0 + Duration::from_secs(3_600));
        assert!(beat.next_after(beat.0, Duration::ZERO) > beat.0);
    }
}

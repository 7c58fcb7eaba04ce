//! How often something that failed is tried again, and after which pauses.

use std::time::Duration;

use uuid::Uuid;

/// When a failed event is tried again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retry {
    /// How often it is handled at most, the first time included.
    pub(crate) attempts: u32,
    /// The pause after the first attempt; each later one is twice as long as the one before.
    pub(crate) first_pause: Duration,
    /// The longest pause.
    pub(crate) longest_pause: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 10, first_pause: Duration::from_millis(200), longest_pause: Duration::from_secs(60) }
    }
}

impl Retry {
    /// The pause after so many attempts; `None` after the last.
    pub(crate) fn pause(&self, attempts: u32) -> Option<Duration> {
        (attempts < self.attempts).then(|| jitter(self.pause_without_jitter(attempts)))
    }

    /// The pause after so many failures in a row, however many they are.
    pub(crate) fn pause_without_end(&self, failures: u32) -> Duration {
        jitter(self.pause_without_jitter(failures))
    }

    fn pause_without_jitter(&self, attempts: u32) -> Duration {
        let doubled = 1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first_pause.saturating_mul(doubled).min(self.longest_pause)
    }
}

/// Between half of a pause and all of it, so that those who failed together do not come back together.
fn jitter(pause: Duration) -> Duration {
    let [random, ..] = Uuid::new_v4().into_bytes();
    pause / 2 + pause.mul_f64(f64::from(random) / 512.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest_and_end_with_the_last_attempt() {
        let second = Duration::from_secs(1);
        let retry = Retry { attempts: 6, first_pause: second, longest_pause: 5 * second };
        for (attempts, whole) in [(1, 1), (2, 2), (3, 4), (4, 5), (5, 5)] {
            for _ in 0..100 {
                let pause = retry.pause(attempts).unwrap();
                assert!(pause >= whole * second / 2 && pause <= whole * second, "{attempts}: {pause:?}");
            }
        }
        assert_eq!(retry.pause(6), None);
        assert!(retry.pause_without_end(u32::MAX) <= 5 * second);
    }

    #[test]
    fn two_pauses_are_rarely_the_same() {
        let retry = Retry::default();
        let pauses: std::collections::HashSet<_> = (0..100).map(|_| retry.pause(1)).collect();
        assert!(pauses.len() > 10, "{pauses:?}");
    }
}

//! How far the store and its subscriptions were, whenever somebody looked: what plots are drawn of.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use event_sourcery::look::SubscriptionId;

/// How many samples of each are kept.
const KEPT: usize = 240;

/// Of how many subscriptions.
const SUBSCRIPTIONS: usize = 64;

/// How far apart samples are at least.
const APART: Duration = Duration::from_secs(1);

/// What was seen, and when.
#[derive(Default)]
pub(crate) struct Samples {
    settled: Mutex<Series>,
    /// Those that were looked at last stand last.
    behind: Mutex<VecDeque<(SubscriptionId, Series)>>,
}

/// A number over time.
#[derive(Default, Clone)]
pub(crate) struct Series(VecDeque<(Instant, u64)>);

impl Samples {
    /// Notes the settled position, and tells what is known of it.
    pub(crate) fn settled(&self, now: Instant, position: u64) -> Series {
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        settled.note(now, position);
        settled.clone()
    }

    /// Notes how many events a subscription is behind, and tells what is known of it.
    pub(crate) fn behind(&self, now: Instant, id: &SubscriptionId, events: u64) -> Series {
        let mut behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        let known = behind.iter().position(|(other, _)| other == id).and_then(|at| behind.remove(at));
        let mut series = known.map(|(_, series)| series).unwrap_or_default();
        series.note(now, events);
        if behind.len() >= SUBSCRIPTIONS {
            behind.pop_front();
        }
        behind.push_back((id.clone(), series.clone()));
        series
    }
}

impl Series {
    fn note(&mut self, now: Instant, number: u64) {
        if self.0.back().is_some_and(|(last, _)| now.saturating_duration_since(*last) < APART) {
            return;
        }
        if self.0.len() >= KEPT {
            self.0.pop_front();
        }
        self.0.push_back((now, number));
    }

    /// The numbers, each with how many seconds ago it was noted.
    pub(crate) fn numbers(&self, now: Instant) -> Vec<(f64, f64)> {
        let ago = |then: Instant| now.saturating_duration_since(then).as_secs_f64();
        self.0.iter().map(|(then, number)| (ago(*then), *number as f64)).collect()
    }

    /// By how much the number grew in a second, each with how many seconds ago that was.
    pub(crate) fn rates(&self, now: Instant) -> Vec<(f64, f64)> {
        let pairs = self.0.iter().zip(self.0.iter().skip(1));
        let rate = |((before, low), (after, high)): (&(Instant, u64), &(Instant, u64))| {
            let seconds = after.saturating_duration_since(*before).as_secs_f64();
            (now.saturating_duration_since(*after).as_secs_f64(), high.saturating_sub(*low) as f64 / seconds)
        };
        pairs.map(rate).collect()
    }
}

#[cfg(test)]
mod tests {
    use event_sourcery::TenantId;

    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_the_latest_stays() {
        let (samples, start) = (Samples::default(), Instant::now());
        let after = |seconds: usize| start + Duration::from_secs(seconds as u64);
        for at in 0..KEPT + 10 {
            samples.settled(after(at), at as u64);
        }
        let series = samples.settled(after(KEPT + 9), 0);
        assert_eq!(series.0.len(), KEPT, "what comes within a second is no sample");
        assert_eq!(series.rates(after(KEPT + 9)).last(), Some(&(0.0, 1.0)));

        let id = |number: usize| SubscriptionId::new(TenantId::DEFAULT, number.to_string());
        for number in 0..SUBSCRIPTIONS + 1 {
            samples.behind(start, &id(0), 7);
            samples.behind(start, &id(number), 7);
        }
        let behind = samples.behind.lock().unwrap();
        assert_eq!(behind.len(), SUBSCRIPTIONS);
        assert!(
            behind.iter().any(|(other, _)| *other == id(0))
                && !behind.iter().any(|(other, _)| *other == id(1))
        );
    }

    #[test]
    fn a_position_that_goes_back_is_no_rate() {
        let (samples, start) = (Samples::default(), Instant::now());
        samples.settled(start, 9);
        let series = samples.settled(start + APART, 3);
        assert_eq!(series.rates(start + APART), [(0.0, 0.0)]);
        assert_eq!(series.numbers(start + APART), [(1.0, 9.0), (0.0, 3.0)]);
    }
}

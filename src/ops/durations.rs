//! How long things took, in the buckets of a Prometheus histogram.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds in seconds: 0.5 ms, what a vote takes at best, to 5 s, after which CometBFT hangs up.
pub(super) const BOUNDS: [f64; 13] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// Counts of durations by bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Durations {
    /// One for each bound, not cumulative.
    within: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

/// [`Durations`] that one thread counts and another reads. Clones are the same ones.
#[derive(Clone, Debug, Default)]
pub struct SharedDurations(Arc<Mutex<Durations>>);

impl Durations {
    /// Counts one.
    pub fn observe(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        self.count = self.count.saturating_add(1);
        self.sum += seconds;
        let bucket = BOUNDS.iter().zip(&mut self.within).find(|(bound, _)| seconds <= **bound);
        if let Some((_, within)) = bucket {
            *within = within.saturating_add(1);
        }
    }

    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    pub(super) const fn sum(&self) -> f64 {
        self.sum
    }

    /// Every bound with how many are in its bucket alone; the last bucket has no bound.
    pub(super) fn buckets(&self) -> Vec<(f64, u64)> {
        let bounded: u64 = self.within.iter().sum();
        let mut buckets: Vec<(f64, u64)> = BOUNDS.into_iter().zip(self.within).collect();
        buckets.push((f64::INFINITY, self.count.saturating_sub(bounded)));
        buckets
    }
}

impl SharedDurations {
    /// Counts one.
    pub fn observe(&self, took: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).observe(took);
    }

    /// As they are now.
    #[must_use]
    pub fn now(&self) -> Durations {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_first_bucket_that_holds_it() {
        let mut durations = Durations::default();
        for micros in [1, 500, 501, 5_000_000, 5_000_001] {
            durations.observe(Duration::from_micros(micros));
        }
        let buckets = durations.buckets();
        assert_eq!(buckets[0], (0.0005, 2));
        assert_eq!(buckets[1], (0.001, 1));
        assert_eq!(buckets[12], (5.0, 1));
        assert_eq!(buckets[13], (f64::INFINITY, 1));
        assert_eq!(durations.count(), 5);
        assert_eq!(buckets.iter().map(|(_, count)| count).sum::<u64>(), 5);
        assert!((durations.sum() - 10.001_003).abs() < 1e-9, "{}", durations.sum());
    }
}

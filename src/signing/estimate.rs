//! How long a member takes to answer, so that the fastest are asked and late ones are noticed.

use std::time::{Duration, Instant};

/// Assumed until a member has answered once.
const UNKNOWN: Duration = Duration::from_millis(10);
/// A member is never called late sooner: tokio's timers have millisecond grains.
const LEAST_PATIENCE: Duration = Duration::from_millis(2);
/// A member is never waited for longer before another set is opened.
const MOST_PATIENCE: Duration = Duration::from_millis(50);
/// After this long without a sample a bad estimate has halved, so that the member is tried again.
const HALF_LIFE: Duration = Duration::from_secs(5);

/// Smoothed answer time of one member (mean and deviation as in RFC 6298).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Estimate {
    sampled: Option<Sampled>,
}

#[derive(Clone, Copy, Debug)]
struct Sampled {
    mean: Duration,
    deviation: Duration,
    at: Instant,
}

impl Estimate {
    pub(super) fn sample(&mut self, took: Duration, now: Instant) {
        let sampled = match self.sampled {
            None => Sampled { mean: took, deviation: took / 2, at: now },
            Some(old) => Sampled {
                mean: (old.mean * 7 + took) / 8,
                deviation: (old.deviation * 3 + old.mean.abs_diff(took)) / 4,
                at: now,
            },
        };
        self.sampled = Some(sampled);
    }

    /// Expected answer time; halves with every half-life without a sample.
    pub(super) fn expected(&self, now: Instant) -> Duration {
        let Some(sampled) = self.sampled else { return UNKNOWN };
        let half_lives = now.saturating_duration_since(sampled.at).as_secs() / HALF_LIFE.as_secs();
        let halved = u32::try_from(half_lives.min(20)).unwrap_or(20);
        sampled.mean / 2_u32.pow(halved)
    }

    /// About the member's own p99: later than this, another set is opened.
    pub(super) fn patience(&self) -> Duration {
        let patience = self.sampled.map_or(UNKNOWN, |known| known.mean + known.deviation * 4);
        patience.clamp(LEAST_PATIENCE, MOST_PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_member_is_expected_to_be_slow_and_tried_again_later() {
        let start = Instant::now();
        let mut estimate = Estimate::default();
        assert_eq!(estimate.expected(start), UNKNOWN);
        for _ in 0..50 {
            estimate.sample(Duration::from_millis(400), start);
        }
        assert!(estimate.expected(start) > Duration::from_millis(390));
        assert_eq!(estimate.patience(), MOST_PATIENCE);
        assert!(estimate.expected(start + HALF_LIFE * 10) < Duration::from_millis(1));
    }

    #[test]
    fn a_fast_member_is_late_after_two_milliseconds() {
        let start = Instant::now();
        let mut estimate = Estimate::default();
        for _ in 0..50 {
            estimate.sample(Duration::from_micros(300), start);
        }
        assert_eq!(estimate.patience(), LEAST_PATIENCE);
    }
}

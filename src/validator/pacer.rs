//! How fast one validator is refused.

use std::time::Duration;

use tokio::time::Instant;

/// Refusals that are sent at once after a quiet second; CometBFT's replay of its log needs fewer.
const AT_ONCE: u32 = 20;
/// How long each further one is held back, so that as many a second remain.
const HOLD: Duration = Duration::from_millis(50);
/// What a repeated signature counts: a chain's second validator asks for every vote once more, and makes
/// no hundred votes a second.
const REPEAT: Duration = Duration::from_millis(10);

/// Holds refusals back when there are many: a validator that is refused as fast as it can ask would
/// otherwise take the signing plane's time, and the log's lines, from the others; so would one that has the
/// same vote repeated. What is newly signed is never held back, and CometBFT itself waits 100 ms before it
/// asks again.
#[derive(Debug, Default)]
pub(super) struct Pacer {
    /// When all refusals so far have had their share of time.
    even_at: Option<Instant>,
}

impl Pacer {
    /// Counts a refusal; it is to be sent this much later.
    pub(super) fn refused(&mut self, now: Instant) -> Duration {
        self.count(HOLD, now)
    }

    /// Counts a repeated signature; it is to be sent this much later.
    pub(super) fn repeated(&mut self, now: Instant) -> Duration {
        self.count(REPEAT, now)
    }

    fn count(&mut self, cost: Duration, now: Instant) -> Duration {
        let even_at = self.even_at.map_or(now, |at| at.max(now));
        self.even_at = Some(even_at + cost);
        if even_at.duration_since(now) < HOLD * AT_ONCE { Duration::ZERO } else { cost }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_few_refusals_are_sent_at_once() {
        let mut pacer = Pacer::default();
        for _ in 0..3 {
            for _ in 0..AT_ONCE {
                assert_eq!(pacer.refused(Instant::now()), Duration::ZERO);
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_are_held_back_to_twenty_a_second() {
        let mut pacer = Pacer::default();
        let began = Instant::now();
        for _ in 0..10 * AT_ONCE {
            tokio::time::sleep(pacer.refused(Instant::now())).await;
        }
        assert_eq!(began.elapsed(), Duration::from_secs(9));
    }

    #[tokio::test(start_paused = true)]
    async fn repeats_are_held_back_to_a_hundred_a_second() {
        let mut pacer = Pacer::default();
        let began = Instant::now();
        for _ in 0..1100 {
            tokio::time::sleep(pacer.repeated(Instant::now())).await;
        }
        assert_eq!(began.elapsed(), Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn none_is_held_back_for_long_and_a_quiet_second_makes_good() {
        let mut pacer = Pacer::default();
        for _ in 0..10_000 {
            assert!(pacer.refused(Instant::now()) <= HOLD);
            tokio::time::advance(HOLD).await;
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(pacer.refused(Instant::now()), Duration::ZERO);
    }
}

//! When a failing chain stops asking its validator to wait.

use std::time::{Duration, Instant};

/// Within this a request is answered once the chain is given up on, so that the validator goes on.
/// The attempt goes on behind it: the cluster may be too far apart to sign within this.
const GIVEN_UP_DEADLINE: Duration = Duration::from_millis(100);

/// One chain's failure clock (DESIGN §4, deadlines).
///
/// A failed request is answered "ask again" until failure has lasted `give_up_after`; then with an
/// error, until one request succeeds. `None` never gives up: for the only validator of a chain, which
/// a single refused vote stops.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    give_up_after: Option<Duration>,
    failing_since: Option<Instant>,
    worked_at: Option<Instant>,
    /// Why the last request failed, for those that are answered before they have failed themselves.
    why: String,
}

impl Patience {
    pub(super) const fn new(give_up_after: Option<Duration>) -> Self {
        Self { give_up_after, failing_since: None, worked_at: None, why: String::new() }
    }

    /// A request succeeded or was denied by the rule: the cluster works.
    pub(super) const fn succeeded(&mut self, now: Instant) {
        self.failing_since = None;
        self.worked_at = Some(now);
    }

    /// A request failed; `leader_lost` is since when there is no leader, if there is none.
    /// `true` if the chain is given up on.
    pub(super) fn failed(&mut self, leader_lost: Option<Instant>, now: Instant) -> bool {
        let since = self.failing_since.get_or_insert(now);
        // Members sign without a leader, too: what came before a success is no failure.
        if let Some(lost) = leader_lost {
            *since = (*since).min(self.worked_at.map_or(lost, |worked| worked.max(lost)));
        }
        self.has_given_up(now)
    }

    /// Keeps why a request failed.
    pub(super) fn note(&mut self, why: &str) {
        why.clone_into(&mut self.why);
    }

    /// Why the last request that failed did.
    pub(super) fn why(&self) -> &str {
        &self.why
    }

    /// Whether failure has lasted too long already.
    pub(super) fn has_given_up(&self, now: Instant) -> bool {
        match (self.give_up_after, self.failing_since) {
            (Some(limit), Some(since)) => now.saturating_duration_since(since) >= limit,
            _ => false,
        }
    }

    /// How long the validator is let wait for an attempt.
    pub(super) fn deadline(&self, normal: Duration, now: Instant) -> Duration {
        if self.has_given_up(now) { GIVEN_UP_DEADLINE.min(normal) } else { normal }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(3);

    #[test]
    fn asks_to_wait_for_three_seconds_then_gives_up_until_a_success() {
        let start = Instant::now();
        let mut patience = Patience::new(Some(LIMIT));
        assert!(!patience.failed(None, start));
        assert!(!patience.failed(None, start + LIMIT - Duration::from_millis(1)));
        assert!(patience.failed(None, start + LIMIT));
        assert_eq!(patience.deadline(Duration::from_secs(1), start + LIMIT), GIVEN_UP_DEADLINE);
        patience.succeeded(start + LIMIT);
        assert!(!patience.failed(None, start + LIMIT * 2));
    }

    #[test]
    fn counts_from_the_loss_of_the_leader_if_that_is_earlier() {
        let start = Instant::now();
        let mut patience = Patience::new(Some(LIMIT));
        assert!(!patience.failed(Some(start), start + Duration::from_secs(2)));
        assert!(patience.failed(Some(start), start + LIMIT));
    }

    #[test]
    fn a_leader_lost_long_ago_counts_for_nothing_while_others_sign() {
        let start = Instant::now();
        let mut patience = Patience::new(Some(LIMIT));
        patience.succeeded(start + LIMIT * 10);
        assert!(!patience.failed(Some(start), start + LIMIT * 10 + Duration::from_secs(1)));
        assert!(patience.failed(Some(start), start + LIMIT * 11));
    }

    #[test]
    fn never_gives_up_where_told_so() {
        let start = Instant::now();
        let mut patience = Patience::new(None);
        assert!(!patience.failed(Some(start), start + Duration::from_secs(86_400)));
    }
}

//! When to send, when to elect, when to cut the log.

use std::time::Duration;

use openraft::{Config, SnapshotPolicy};

use super::RaftError;

/// Entries in one append message; with the longest entries still far below gRPC's 4 MiB.
const MAX_PAYLOAD_ENTRIES: u64 = 64;
/// Time for a snapshot to be sent and stored.
const SNAPSHOT_DEADLINE_MS: u64 = 3_000;
/// An entry needs a majority within this many longest election timeouts.
const REPLICATE_PATIENCE: u32 = 10;

/// Raft's clocks and sizes. An append must be answered within one heartbeat, the other side's
/// fsync included: over a wide area the heartbeat must be longer than the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Time between two heartbeats of a leader.
    pub heartbeat: Duration,
    /// Shortest time without a heartbeat after which a member stands for election.
    pub election_min: Duration,
    /// Longest such time; also how long members stay loyal to a leader that went silent.
    pub election_max: Duration,
    /// Entries after which the log is replaced by a snapshot. Counted, not timed, so that it happens at
    /// any rate of writes.
    pub snapshot_after: u64,
    /// Entries that stay in the log behind a snapshot, for followers that are a little late.
    pub keep_entries: u64,
}

impl Default for Timing {
    /// For members in one region: a new leader within 0.6 s.
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(50),
            election_min: Duration::from_millis(150),
            election_max: Duration::from_millis(300),
            snapshot_after: 5_000,
            keep_entries: 300,
        }
    }
}

impl Timing {
    /// How long an entry is waited for.
    pub(super) fn replicate_deadline(&self) -> Duration {
        self.election_max.saturating_mul(REPLICATE_PATIENCE)
    }

    pub(super) fn config(&self) -> Result<Config, RaftError> {
        let refused = || RaftError::Timing {
            heartbeat: self.heartbeat,
            election_min: self.election_min,
            election_max: self.election_max,
            snapshot_after: self.snapshot_after,
        };
        let millis =
            |duration: Duration| u64::try_from(duration.as_millis()).map_err(|_| refused());
        let config = Config {
            cluster_name: "cosigner".to_owned(),
            heartbeat_interval: millis(self.heartbeat)?,
            election_timeout_min: millis(self.election_min)?,
            election_timeout_max: millis(self.election_max)?,
            install_snapshot_timeout: SNAPSHOT_DEADLINE_MS,
            max_payload_entries: MAX_PAYLOAD_ENTRIES,
            snapshot_policy: SnapshotPolicy::LogsSinceLast(self.snapshot_after),
            max_in_snapshot_log_to_keep: self.keep_entries,
            // More than lies between two snapshots, or a follower could be sent them for ever.
            replication_lag_threshold: self
                .snapshot_after
                .saturating_mul(2)
                .saturating_add(self.keep_entries),
            ..Config::default()
        };
        if config.heartbeat_interval == 0 || self.snapshot_after == 0 {
            return Err(refused());
        }
        config.validate().map_err(|_| refused())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_clocks_with_which_nobody_would_be_elected() {
        assert!(Timing::default().config().is_ok());
        let late = Timing { heartbeat: Duration::from_millis(150), ..Timing::default() };
        assert!(matches!(late.config(), Err(RaftError::Timing { .. })));
        let equal = Timing { election_min: Duration::from_millis(300), ..Timing::default() };
        assert!(matches!(equal.config(), Err(RaftError::Timing { .. })));
        let never = Timing { heartbeat: Duration::from_micros(900), ..Timing::default() };
        assert!(matches!(never.config(), Err(RaftError::Timing { .. })));
        let endless = Timing { snapshot_after: 0, ..Timing::default() };
        assert!(matches!(endless.config(), Err(RaftError::Timing { .. })));
    }
}

//! Whether a node is ready, and the one word for each reason why not.

use std::fmt;

pub(super) const KEY_UNAVAILABLE: &str = "key_unavailable";

/// What readiness depends on.
#[derive(Clone, Copy, Debug)]
pub struct Condition {
    /// Raft knows a leader.
    pub has_leader: bool,
    /// Members with a live link, this one included.
    pub reachable: usize,
    /// The largest threshold of the chains.
    pub threshold: usize,
    /// A whole key cannot be used by this node.
    pub key_failed: bool,
    /// A watermark write failed.
    pub state_failed: bool,
    /// A chain has got to the ceiling that was set for it.
    pub ceiling_reached: bool,
    /// Validators are configured.
    pub has_validators: bool,
    /// A validator is connected, or this node waits in its backlog.
    pub any_validator: bool,
}

/// A reason for `503` on `/readyz`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReady {
    /// No Raft leader is known.
    NoQuorum,
    /// Fewer than t members can be reached.
    BelowThreshold,
    /// A whole key cannot be used by this node; another's may work.
    KeyUnavailable,
    /// A watermark could not be written: a chain signs nothing any more.
    StateFailed,
    /// A chain's watermark is at its ceiling (`state ceiling`): nothing above is signed.
    CeilingReached,
    /// No validator is connected and none is waited for.
    NoValidator,
}

impl NotReady {
    /// All of them, in the order in which they are said.
    pub const ALL: [Self; 6] = [
        Self::NoQuorum,
        Self::BelowThreshold,
        Self::KeyUnavailable,
        Self::StateFailed,
        Self::CeilingReached,
        Self::NoValidator,
    ];
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoQuorum => "no_quorum",
            Self::BelowThreshold => "below_threshold",
            Self::KeyUnavailable => KEY_UNAVAILABLE,
            Self::StateFailed => "state_failed",
            Self::CeilingReached => "ceiling_reached",
            Self::NoValidator => "no_validator",
        })
    }
}

/// The reasons, none if the node is ready. A follower is ready.
#[must_use]
pub fn not_ready(condition: &Condition) -> Vec<NotReady> {
    let mut reasons = Vec::new();
    if !condition.has_leader {
        reasons.push(NotReady::NoQuorum);
    }
    if condition.reachable < condition.threshold {
        reasons.push(NotReady::BelowThreshold);
    }
    if condition.key_failed {
        reasons.push(NotReady::KeyUnavailable);
    }
    if condition.state_failed {
        reasons.push(NotReady::StateFailed);
    }
    if condition.ceiling_reached {
        reasons.push(NotReady::CeilingReached);
    }
    if condition.has_validators && !condition.any_validator {
        reasons.push(NotReady::NoValidator);
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: Condition = Condition {
        has_leader: true,
        reachable: 2,
        threshold: 2,
        key_failed: false,
        state_failed: false,
        ceiling_reached: false,
        has_validators: true,
        any_validator: true,
    };

    #[test]
    fn every_reason_has_its_word() {
        assert!(not_ready(&READY).is_empty());
        let words = |condition: Condition| {
            not_ready(&condition).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(words(Condition { has_leader: false, ..READY }), ["no_quorum"]);
        assert_eq!(words(Condition { reachable: 1, ..READY }), ["below_threshold"]);
        assert_eq!(words(Condition { key_failed: true, ..READY }), ["key_unavailable"]);
        assert_eq!(words(Condition { state_failed: true, ..READY }), ["state_failed"]);
        assert_eq!(words(Condition { any_validator: false, ..READY }), ["no_validator"]);
        assert_eq!(words(Condition { ceiling_reached: true, ..READY }), ["ceiling_reached"]);
        let worst = Condition {
            has_leader: false,
            reachable: 1,
            threshold: 2,
            key_failed: true,
            state_failed: true,
            ceiling_reached: true,
            has_validators: true,
            any_validator: false,
        };
        assert_eq!(
            not_ready(&worst),
            NotReady::ALL,
            "a reason that ALL does not have is in no metric"
        );
        let alone = Condition { has_validators: false, any_validator: false, ..READY };
        assert!(words(alone).is_empty(), "a node without validators helps the others sign");
    }
}

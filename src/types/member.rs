//! Members of a cluster, thresholds, incarnations.

use std::fmt;

/// Most members a cluster can have.
const MAX_MEMBERS: u16 = 15;

/// A cosigner's number in its cluster, 1 to 15; also its FROST identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(u16);

/// How many of how many: `t` of `n`. A value with 2t ≤ n cannot be made (I6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Threshold {
    t: u16,
    n: u16,
}

/// One life of a member's disk: a number, and a random id that tells two of the same number apart.
///
/// Totally ordered, number first. A member's signing sets name it (I8), so that what was asked of an
/// earlier life is refused by a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation {
    /// Higher for every later life.
    pub number: u64,
    /// Random, drawn when the incarnation was made.
    pub id: [u8; 16],
}

/// Why a member id was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("member id {0} is not within 1 to {MAX_MEMBERS}")]
pub struct MemberIdError(pub u64);

/// Why a threshold was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThresholdError {
    /// Two disjoint sets of `t` could sign two different blocks.
    #[error(
        "a threshold of {t} of {n} is unsafe: two separate sets of {t} could sign two different blocks; \
         use at least {} of {n}", n / 2 + 1
    )]
    TwoQuorums {
        /// Shares needed.
        t: u16,
        /// Shares dealt.
        n: u16,
    },
    /// More needed than there are.
    #[error("a threshold of {t} cannot be reached by {n} cosigners")]
    TooHigh {
        /// Shares needed.
        t: u16,
        /// Shares dealt.
        n: u16,
    },
    /// More members than a cluster can have.
    #[error("{n} cosigners are more than the {MAX_MEMBERS} that a cluster can have")]
    TooMany {
        /// Shares dealt.
        n: u16,
    },
}

impl MemberId {
    /// The first member; the only one where a node signs alone.
    pub const FIRST: Self = Self(1);

    /// Checks and takes a member id.
    ///
    /// # Errors
    /// [`MemberIdError`] outside 1 to 15.
    pub const fn new(id: u64) -> Result<Self, MemberIdError> {
        if id == 0 || id > MAX_MEMBERS as u64 {
            return Err(MemberIdError(id));
        }
        // In range, checked above.
        Ok(Self(id as u16))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl Threshold {
    /// Checks and takes `t` of `n`.
    ///
    /// # Errors
    /// [`ThresholdError`] if 2t ≤ n, t > n or n > 15.
    pub const fn new(t: u16, n: u16) -> Result<Self, ThresholdError> {
        if n > MAX_MEMBERS {
            return Err(ThresholdError::TooMany { n });
        }
        if t > n {
            return Err(ThresholdError::TooHigh { t, n });
        }
        // I6: without a common member in any two sets of t, the rule of each member is not enough.
        if 2 * t <= n {
            return Err(ThresholdError::TwoQuorums { t, n });
        }
        Ok(Self { t, n })
    }

    /// One of one: a node alone.
    pub const ALONE: Self = Self { t: 1, n: 1 };

    /// More than half of `n`: ⌊n/2⌋+1 (I7).
    ///
    /// # Errors
    /// [`ThresholdError`] without members or with more than 15.
    pub const fn majority(n: u16) -> Result<Self, ThresholdError> {
        Self::new(n / 2 + 1, n)
    }

    /// Shares needed for a signature.
    #[must_use]
    pub const fn t(self) -> u16 {
        self.t
    }

    /// Shares dealt.
    #[must_use]
    pub const fn n(self) -> u16 {
        self.n
    }

    /// Answers that include at least one member of every signing set: n − t + 1.
    #[must_use]
    pub const fn intersecting(self) -> u16 {
        self.n - self.t + 1
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-of-{}", self.t, self.n)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.number, hex::encode(self.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_every_threshold_that_two_disjoint_sets_could_reach() {
        for n in 0..=15 {
            for t in 0..=n {
                let made = Threshold::new(t, n);
                if 2 * t > n {
                    assert!(made.is_ok(), "{t} of {n}");
                } else {
                    assert_eq!(made, Err(ThresholdError::TwoQuorums { t, n }));
                }
            }
        }
    }

    #[test]
    fn refuses_more_than_there_are_and_more_than_fifteen() {
        assert_eq!(Threshold::new(4, 3), Err(ThresholdError::TooHigh { t: 4, n: 3 }));
        assert_eq!(Threshold::new(9, 16), Err(ThresholdError::TooMany { n: 16 }));
        assert_eq!(MemberId::new(0), Err(MemberIdError(0)));
        assert_eq!(MemberId::new(16), Err(MemberIdError(16)));
        assert_eq!(MemberId::new(1 << 32), Err(MemberIdError(1 << 32)));
    }

    #[test]
    fn orders_incarnations_by_number_before_id() {
        let early = Incarnation { number: 1, id: [9; 16] };
        let late = Incarnation { number: 2, id: [0; 16] };
        assert!(early < late);
        assert!(early < Incarnation { number: 1, id: [10; 16] });
    }
}

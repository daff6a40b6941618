//! Height, round, step and their order.

use std::fmt;

/// A block height, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Height(i64);

/// A consensus round, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Round(i32);

/// A consensus step in the numbers of CometBFT's `privval/file.go`: propose 1, prevote 2, precommit 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// A proposal is signed.
    Propose = 1,
    /// A prevote is signed.
    Prevote = 2,
    /// A precommit is signed.
    Precommit = 3,
}

/// Height, round and step, ordered as consensus goes through them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hrs {
    /// Block height.
    pub height: Height,
    /// Round within the height.
    pub round: Round,
    /// Step within the round.
    pub step: Step,
}

/// Why a height, round or step was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HrsError {
    /// CometBFT counts heights from 1; 0 stands for "before the first".
    #[error("height {0} is negative")]
    NegativeHeight(i64),
    /// CometBFT counts rounds from 0.
    #[error("round {0} is negative")]
    NegativeRound(i32),
    /// Only 1, 2 and 3 are steps that sign.
    #[error("step {0} is none of 1 (propose), 2 (prevote), 3 (precommit)")]
    UnknownStep(i64),
}

impl Height {
    /// Checks and takes a height.
    ///
    /// # Errors
    /// [`HrsError::NegativeHeight`].
    pub const fn new(height: i64) -> Result<Self, HrsError> {
        if height < 0 { Err(HrsError::NegativeHeight(height)) } else { Ok(Self(height)) }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl Round {
    /// The highest round there can be; a floor at this round covers its whole height.
    pub const MAX: Self = Self(i32::MAX);

    /// Checks and takes a round.
    ///
    /// # Errors
    /// [`HrsError::NegativeRound`].
    pub const fn new(round: i32) -> Result<Self, HrsError> {
        if round < 0 { Err(HrsError::NegativeRound(round)) } else { Ok(Self(round)) }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> i32 {
        self.0
    }
}

impl Step {
    /// The step with this number.
    ///
    /// # Errors
    /// [`HrsError::UnknownStep`].
    pub const fn from_number(number: i64) -> Result<Self, HrsError> {
        match number {
            1 => Ok(Self::Propose),
            2 => Ok(Self::Prevote),
            3 => Ok(Self::Precommit),
            other => Err(HrsError::UnknownStep(other)),
        }
    }

    /// The number that CometBFT writes into its state file.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}

impl fmt::Display for Hrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.height, self.round, self.step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hrs(height: i64, round: i32, step: Step) -> Hrs {
        Hrs { height: Height::new(height).unwrap(), round: Round::new(round).unwrap(), step }
    }

    #[test]
    fn orders_by_height_then_round_then_step() {
        let ascending = [
            hrs(1, 0, Step::Propose),
            hrs(1, 0, Step::Prevote),
            hrs(1, 0, Step::Precommit),
            hrs(1, 1, Step::Propose),
            hrs(2, 0, Step::Propose),
        ];
        assert!(ascending.is_sorted());
        assert!(ascending.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn refuses_negative_and_unknown_numbers() {
        assert_eq!(Height::new(-1), Err(HrsError::NegativeHeight(-1)));
        assert_eq!(Round::new(i32::MIN), Err(HrsError::NegativeRound(i32::MIN)));
        assert_eq!(Step::from_number(0), Err(HrsError::UnknownStep(0)));
        assert_eq!(Step::from_number(4), Err(HrsError::UnknownStep(4)));
    }
}

//! Why the double-sign rule said no.

use crate::types::{Height, Hrs, Round, Step};

/// The rule's no, with both sides of the comparison. Texts are those of CometBFT's `privval/file.go`,
/// where it has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// Something was signed at a greater height.
    #[error("height regression. Got {asked}, last height {recorded}")]
    HeightRegression {
        /// Height asked for.
        asked: Height,
        /// Height of the watermark.
        recorded: Height,
    },
    /// Something was signed in a greater round of this height.
    #[error("round regression at height {height}. Got {asked}, last round {recorded}")]
    RoundRegression {
        /// The height of both.
        height: Height,
        /// Round asked for.
        asked: Round,
        /// Round of the watermark.
        recorded: Round,
    },
    /// Something was signed at a greater step of this round.
    #[error("step regression at height {height} round {round}. Got {asked}, last step {recorded}")]
    StepRegression {
        /// The height of both.
        height: Height,
        /// The round of both.
        round: Round,
        /// Step asked for.
        asked: Step,
        /// Step of the watermark.
        recorded: Step,
    },
    /// Something else was signed at exactly this height, round and step.
    #[error("conflicting data")]
    ConflictingData {
        /// Where.
        hrs: Hrs,
        /// The sign bytes that stand in the watermark.
        recorded: Vec<u8>,
    },
    /// Something was signed at exactly this height, round and step, nobody here knows what.
    #[error("no SignBytes found")]
    BytesUnknown {
        /// Where.
        hrs: Hrs,
    },
    /// The height is further ahead than time since the last signature allows.
    #[error(
        "height {asked} is too far ahead of {recorded} (allowed now: up to {allowed}); \
         if the chain really is there, stop the cosigner and run `cosigner state raise`"
    )]
    HeightJump {
        /// Height asked for.
        asked: Height,
        /// Height of the watermark.
        recorded: Height,
        /// Greatest height that would have been signed.
        allowed: Height,
    },
    /// The operator has set a height above which nothing is signed here.
    #[error(
        "height {asked} is above the ceiling {ceiling}, which was set with `cosigner state ceiling`; \
         if this cosigner is to sign on, stop it and run `cosigner state ceiling --clear`"
    )]
    CeilingReached {
        /// Height asked for.
        asked: Height,
        /// The ceiling.
        ceiling: Height,
    },
    /// Too many different vote extensions were asked for at one height and round.
    #[error("more than {limit} different vote extensions at {hrs}")]
    TooManyExtensions {
        /// Where.
        hrs: Hrs,
        /// How many are allowed.
        limit: u32,
    },
}

impl Denial {
    /// The words of all reasons.
    pub const REASONS: [&'static str; 8] = [
        "height_regression",
        "round_regression",
        "step_regression",
        "conflicting_data",
        "bytes_unknown",
        "height_jump",
        "ceiling_reached",
        "too_many_extensions",
    ];

    /// The word of logs and status.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::HeightRegression { .. } => "height_regression",
            Self::RoundRegression { .. } => "round_regression",
            Self::StepRegression { .. } => "step_regression",
            Self::ConflictingData { .. } => "conflicting_data",
            Self::BytesUnknown { .. } => "bytes_unknown",
            Self::HeightJump { .. } => "height_jump",
            Self::CeilingReached { .. } => "ceiling_reached",
            Self::TooManyExtensions { .. } => "too_many_extensions",
        }
    }
}

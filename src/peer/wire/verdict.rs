//! Denials and failures, in both directions.

use super::fields::{decode_hrs, encode_hrs};
use super::{WireError, pb};
use crate::peer::message::Failure;
use crate::types::{Height, Round, Step};
use crate::watermark::Denial;

use pb::denial::Reason;

pub(super) fn encode_denial(denial: Denial) -> pb::Denial {
    let reason = match denial {
        Denial::HeightRegression { asked, recorded } => {
            Reason::HeightRegression(pb::HeightRegression {
                asked: asked.get(),
                recorded: recorded.get(),
            })
        }
        Denial::RoundRegression { height, asked, recorded } => {
            Reason::RoundRegression(pb::RoundRegression {
                height: height.get(),
                asked: asked.get(),
                recorded: recorded.get(),
            })
        }
        Denial::StepRegression { height, round, asked, recorded } => {
            Reason::StepRegression(pb::StepRegression {
                height: height.get(),
                round: round.get(),
                asked: asked.number().into(),
                recorded: recorded.number().into(),
            })
        }
        Denial::ConflictingData { hrs, recorded } => {
            Reason::ConflictingData(pb::ConflictingData { hrs: Some(encode_hrs(hrs)), recorded })
        }
        Denial::BytesUnknown { hrs } => Reason::BytesUnknown(encode_hrs(hrs)),
        Denial::HeightJump { asked, recorded, allowed } => Reason::HeightJump(pb::HeightJump {
            asked: asked.get(),
            recorded: recorded.get(),
            allowed: allowed.get(),
        }),
        Denial::CeilingReached { asked, ceiling } => Reason::CeilingReached(pb::CeilingReached {
            asked: asked.get(),
            ceiling: ceiling.get(),
        }),
        Denial::TooManyExtensions { hrs, limit } => {
            Reason::TooManyExtensions(pb::TooManyExtensions { hrs: Some(encode_hrs(hrs)), limit })
        }
    };
    pb::Denial { reason: Some(reason) }
}

pub(super) fn decode_denial(denial: pb::Denial) -> Result<Denial, WireError> {
    Ok(match denial.reason.ok_or(WireError::Missing("reason of a denial"))? {
        Reason::HeightRegression(it) => Denial::HeightRegression {
            asked: Height::new(it.asked)?,
            recorded: Height::new(it.recorded)?,
        },
        Reason::RoundRegression(it) => Denial::RoundRegression {
            height: Height::new(it.height)?,
            asked: Round::new(it.asked)?,
            recorded: Round::new(it.recorded)?,
        },
        Reason::StepRegression(it) => Denial::StepRegression {
            height: Height::new(it.height)?,
            round: Round::new(it.round)?,
            asked: Step::from_number(it.asked.into())?,
            recorded: Step::from_number(it.recorded.into())?,
        },
        Reason::ConflictingData(it) => {
            Denial::ConflictingData { hrs: decode_hrs(it.hrs)?, recorded: it.recorded }
        }
        Reason::BytesUnknown(hrs) => Denial::BytesUnknown { hrs: decode_hrs(Some(hrs))? },
        Reason::HeightJump(it) => Denial::HeightJump {
            asked: Height::new(it.asked)?,
            recorded: Height::new(it.recorded)?,
            allowed: Height::new(it.allowed)?,
        },
        Reason::CeilingReached(it) => Denial::CeilingReached {
            asked: Height::new(it.asked)?,
            ceiling: Height::new(it.ceiling)?,
        },
        Reason::TooManyExtensions(it) => {
            Denial::TooManyExtensions { hrs: decode_hrs(it.hrs)?, limit: it.limit }
        }
    })
}

pub(super) fn encode_failure(failure: Failure) -> i32 {
    match failure {
        Failure::UnknownNonce => pb::Failure::UnknownNonce,
        Failure::OtherIncarnation => pb::Failure::OtherIncarnation,
        Failure::SupersededSigner => pb::Failure::SupersededSigner,
        Failure::UnknownKey => pb::Failure::UnknownKey,
        Failure::OtherSetup => pb::Failure::OtherSetup,
        Failure::Malformed => pb::Failure::Malformed,
        Failure::State => pb::Failure::State,
        Failure::Busy => pb::Failure::Busy,
        Failure::UnknownExtension => pb::Failure::UnknownExtension,
        Failure::RefusedExtension => pb::Failure::RefusedExtension,
    }
    .into()
}

pub(super) fn decode_failure(value: i32) -> Result<Failure, WireError> {
    let unknown = WireError::UnknownValue { field: "failure", value };
    Ok(match pb::Failure::try_from(value).map_err(|_| unknown.clone())? {
        pb::Failure::Unspecified => return Err(unknown),
        pb::Failure::UnknownNonce => Failure::UnknownNonce,
        pb::Failure::OtherIncarnation => Failure::OtherIncarnation,
        pb::Failure::SupersededSigner => Failure::SupersededSigner,
        pb::Failure::UnknownKey => Failure::UnknownKey,
        pb::Failure::OtherSetup => Failure::OtherSetup,
        pb::Failure::Malformed => Failure::Malformed,
        pb::Failure::State => Failure::State,
        pb::Failure::Busy => Failure::Busy,
        pb::Failure::UnknownExtension => Failure::UnknownExtension,
        pb::Failure::RefusedExtension => Failure::RefusedExtension,
    })
}

//! tmkms: no sign bytes, the round is a string, and steps are CometBFT's minus one.

use serde::Deserialize;

use super::text::{Either, number};
use super::{ImportError, State};

/// `consensus::State` of tmkms.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    height: String,
    round: String,
    step: i8,
    block_id: Option<BlockId>,
}

/// Read so that it is known: without the timestamp there are no sign bytes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BlockId {
    #[serde(rename = "hash")]
    _hash: String,
    #[serde(rename = "parts")]
    _parts: Parts,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    #[serde(rename = "total")]
    _total: Either<u32>,
    #[serde(rename = "hash")]
    _hash: String,
}

pub(super) fn read(
    json: &str,
    refused: impl FnOnce(serde_json::Error) -> ImportError,
) -> Result<State, ImportError> {
    let file: File = serde_json::from_str(json).map_err(refused)?;
    let (height, round) = (number("height", file.height)?, number("round", file.round)?);
    if !(0..=2).contains(&file.step) {
        return Err(ImportError::TmkmsStep(i64::from(file.step)));
    }
    let nothing_signed = height == 0 && round == 0 && file.step == 0;
    if height == 0 && (!nothing_signed || file.block_id.is_some()) {
        return Err(ImportError::SignedAtZero);
    }
    // What tmkms writes before its first signature is all zero, like CometBFT's.
    let step = if nothing_signed { 0 } else { file.step.saturating_add(1) };
    Ok(State { height, round, step, signature: Vec::new(), sign_bytes: Vec::new() })
}

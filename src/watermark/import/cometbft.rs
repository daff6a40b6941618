//! CometBFT's `priv_validator_state.json`, which cosmos/kms writes, too.

use serde::Deserialize;

use super::text::{base64_bytes, hex_bytes, number};
use super::{ImportError, State};

/// `FilePVLastSignState` of CometBFT's `privval/file.go`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    height: String,
    round: i32,
    step: i8,
    signature: Option<String>,
    signbytes: Option<String>,
}

pub(super) fn read(
    json: &str,
    refused: impl FnOnce(serde_json::Error) -> ImportError,
) -> Result<State, ImportError> {
    let file: File = serde_json::from_str(json).map_err(refused)?;
    Ok(State {
        height: number("height", file.height)?,
        round: file.round,
        step: file.step,
        signature: base64_bytes(file.signature)?,
        sign_bytes: hex_bytes(file.signbytes)?,
    })
}

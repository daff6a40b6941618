//! CometKMS: CometBFT's file under `priv/`, and the same fields as Raft replicates them (a snapshot's
//! `state.bin`, `last_sign_state` of `/status`), where the height is a JSON number.

use serde::Deserialize;

use super::text::{Either, base64_bytes, hex_bytes};
use super::{ImportError, State};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    height: Either<i64>,
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
        height: file.height.number("height")?,
        round: file.round,
        step: file.step,
        signature: base64_bytes(file.signature)?,
        sign_bytes: hex_bytes(file.signbytes)?,
    })
}

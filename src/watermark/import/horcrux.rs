//! Horcrux's two state files: what the cluster signed last, and what one cosigner gave its share for.

use serde::Deserialize;

use super::text::{Either, base64_bytes, hex_bytes, number};
use super::{ImportError, State};

/// `SignState` of Horcrux. The round is a string in a cluster, and a number where Horcrux signs alone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    height: String,
    round: Either<i32>,
    step: i8,
    /// No part of a watermark, nor are the next two.
    #[serde(rename = "nonce_public")]
    _nonce_public: Option<String>,
    /// The same in version 2.
    #[serde(rename = "ephemeral_public")]
    _ephemeral_public: Option<String>,
    #[serde(rename = "vote_ext_signature")]
    _vote_ext_signature: Option<String>,
    signature: Option<String>,
    signbytes: Option<String>,
}

/// Whether the signature in a file of this name is one of the key, not a share's.
pub(super) fn holds_signature_of_key(name: &str) -> Result<bool, ImportError> {
    match (name.contains("share_sign_state"), name.contains("priv_validator_state")) {
        (true, false) => Ok(false),
        (false, true) => Ok(true),
        _ => Err(ImportError::HorcruxName),
    }
}

pub(super) fn read(
    json: &str,
    refused: impl FnOnce(serde_json::Error) -> ImportError,
) -> Result<State, ImportError> {
    let file: File = serde_json::from_str(json).map_err(refused)?;
    Ok(State {
        height: number("height", file.height)?,
        round: file.round.number("round")?,
        step: file.step,
        signature: base64_bytes(file.signature)?,
        sign_bytes: hex_bytes(file.signbytes)?,
    })
}

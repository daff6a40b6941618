//! How the state files write numbers and bytes.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;

use super::ImportError;

/// A number that one version writes as a string and another one as a number.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Either<N> {
    Number(N),
    Text(String),
}

impl<N: FromStr> Either<N> {
    pub(super) fn number(self, field: &'static str) -> Result<N, ImportError> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Text(text) => number(field, text),
        }
    }
}

/// A number in a string.
pub(super) fn number<N: FromStr>(field: &'static str, text: String) -> Result<N, ImportError> {
    text.parse().map_err(|_| ImportError::Number { field, text })
}

/// Go's `HexBytes`; empty if there is nothing.
pub(super) fn hex_bytes(text: Option<String>) -> Result<Vec<u8>, ImportError> {
    Ok(hex::decode(text.unwrap_or_default())?)
}

/// Go's `[]byte`; empty if there is nothing.
pub(super) fn base64_bytes(text: Option<String>) -> Result<Vec<u8>, ImportError> {
    Ok(BASE64.decode(text.unwrap_or_default())?)
}

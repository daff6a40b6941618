//! Chain ids.

use std::fmt;

/// Longest chain id that CometBFT accepts, in bytes (`types/genesis.go`, `MaxChainIDLen`).
const MAX_BYTES: usize = 50;

/// A CometBFT chain id: 1 to 50 bytes of UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId(String);

/// Why a chain id was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainIdError {
    /// CometBFT has no chain without a name.
    #[error("the chain id is empty")]
    Empty,
    /// Longer than `types/genesis.go` allows.
    #[error("the chain id is {bytes} bytes long, CometBFT allows {MAX_BYTES}")]
    TooLong {
        /// Length in bytes of what was given.
        bytes: usize,
    },
    /// Control characters would garble logs and terminals.
    #[error("the chain id holds a control character")]
    ControlCharacter,
}

impl ChainId {
    /// Checks and takes a chain id.
    ///
    /// # Errors
    /// [`ChainIdError`] if it is empty, too long, or holds control characters.
    pub fn new(id: impl Into<String>) -> Result<Self, ChainIdError> {
        let id = id.into();
        if id.is_empty() {
            return Err(ChainIdError::Empty);
        }
        if id.len() > MAX_BYTES {
            return Err(ChainIdError::TooLong { bytes: id.len() });
        }
        if id.chars().any(char::is_control) {
            return Err(ChainIdError::ControlCharacter);
        }
        Ok(Self(id))
    }

    /// The id as it stands in the genesis file.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_cometbft_accepts_and_nothing_else() {
        assert_eq!(ChainId::new("cosmoshub-4").unwrap().as_str(), "cosmoshub-4");
        assert_eq!(ChainId::new(""), Err(ChainIdError::Empty));
        assert_eq!(ChainId::new("x".repeat(51)), Err(ChainIdError::TooLong { bytes: 51 }));
        assert!(ChainId::new("x".repeat(50)).is_ok());
        assert_eq!(ChainId::new("a\nb"), Err(ChainIdError::ControlCharacter));
    }
}

//! Why a whole key cannot sign.

use std::time::Duration;

use crate::types::PublicKey;

/// Why a key did not sign, or could not now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// Token, service or network is not there.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// The call has not come back.
    #[error("has not answered for {} ms", waited.as_millis())]
    NoAnswer {
        /// Since the call.
        waited: Duration,
    },
    /// The service has had too many requests of this account.
    #[error("is throttled: {0}")]
    Throttled(String),
    /// Credentials are missing, expired or not allowed to do this.
    #[error("refuses the credentials: {0}")]
    Credentials(String),
    /// The PIN is wrong, locked, or cannot be read. It is not tried again until it changes.
    #[error("refuses the PIN: {0}")]
    Pin(String),
    /// There is no such token or key.
    #[error("has no such key: {0}")]
    NotFound(String),
    /// The key is there and is another one. Never used.
    #[error(
        "holds another key: its public key is {}, expected was {}", found.base64(), expected.base64()
    )]
    WrongKey {
        /// The chain's.
        expected: PublicKey,
        /// Found.
        found: PublicKey,
    },
    /// The key cannot make the signatures that are wanted: kind, usage, state.
    #[error("holds a key that cannot be used: {0}")]
    Unfit(String),
    /// Larger than it signs; refused here, without asking.
    #[error("signs at most {limit} bytes, and this is {length} (a large vote extension)")]
    TooLong {
        /// Bytes to be signed.
        length: usize,
        /// Bytes that can be.
        limit: usize,
    },
    /// It answered, with something else than a signature of these bytes.
    #[error("gave a signature that does not verify; it was not used")]
    BadSignature,
    /// Anything else that it said.
    #[error("failed: {0}")]
    Other(String),
}

impl KeyFault {
    /// The word of logs and status.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::NoAnswer { .. } => "no_answer",
            Self::Throttled(_) => "throttled",
            Self::Credentials(_) => "credentials",
            Self::Pin(_) => "pin",
            Self::NotFound(_) => "not_found",
            Self::WrongKey { .. } => "wrong_key",
            Self::Unfit(_) => "unfit",
            Self::TooLong { .. } => "too_long",
            Self::BadSignature => "bad_signature",
            Self::Other(_) => "failed",
        }
    }

    /// Whether only this request is at fault, not the key.
    #[must_use]
    pub const fn is_of_the_request(&self) -> bool {
        matches!(self, Self::TooLong { .. })
    }

    /// Whether it may pass by itself: worth starting with, if the public key is known.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        !matches!(self, Self::WrongKey { .. } | Self::Unfit(_))
    }
}

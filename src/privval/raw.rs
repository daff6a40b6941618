//! Raw bytes that a consensus key may sign, because they can be no vote, proposal or extension.

use std::fmt;

use prost::Message as _;
use prost::bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::dialect::{Dialect, RawBytes};
use super::proto;
use super::wire::{delimited, put_bytes};
use crate::types::ChainId;

/// In front of everything that Celestia signs raw (`types/signable.go` there).
const CELESTIA_PREFIX: &[u8] = b"COMET::RAW_BYTES::SIGN";

/// Longest raw message, in bytes.
pub const MAX_RAW_BYTES: usize = 1024 * 1024;

/// A request to sign raw bytes, as a validator makes it and cosigners exchange it.
///
/// What `Debug` shows is how long it is: the bytes are the application's, and never logged.
#[derive(Clone, PartialEq, Eq)]
pub enum RawMessage {
    /// `SignBytesRequest` of v1 and v2: these bytes.
    Plain(Vec<u8>),
    /// Celestia's `SignRawBytesRequest`; the chain is the connection's.
    Celestia {
        /// What the application wants signed.
        raw_bytes: Vec<u8>,
        /// What for.
        unique_id: String,
    },
}

/// Receipt: these bytes may be signed raw on their chain. They decode, however leniently, as nothing
/// that consensus signs on any chain, so a signature over them is worth nothing as a vote (DESIGN §8).
///
/// ```compile_fail
/// let forged = cosigner::privval::RawAllowed(Vec::new());
/// ```
#[derive(PartialEq, Eq)]
pub struct RawAllowed(Bytes);

/// Why raw bytes are not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RawRefused {
    /// The chain does not want it.
    #[error(
        "raw bytes are not signed: they could be those of a conflicting vote \
         (raw_bytes = \"{configured}\" for this chain)"
    )]
    Off {
        /// What the chain's settings say.
        configured: RawBytes,
    },
    /// It could be a vote, a proposal or an extension.
    #[error("these bytes decode as a {0}: they are never signed as raw bytes")]
    Consensus(&'static str),
    /// Bytes as they are that say of themselves that they are Celestia's.
    #[error(
        "these bytes begin as those of Celestia's SignRawBytes do, and were not asked for as such"
    )]
    CelestiaPrefix,
    /// Celestia signs nothing without a name, and no nothing.
    #[error("{0} cannot be empty")]
    Empty(&'static str),
    /// Too much of it.
    #[error("{found} raw bytes, at most {MAX_RAW_BYTES} are signed")]
    TooLong {
        /// Length found, in bytes.
        found: usize,
    },
    /// The chain does not want v2's extensions without replay protection.
    #[error(
        "vote extensions without replay protection (CometBFT v2) are not signed for this chain: \
         they need privval_version = \"v2\" and non_rp_extensions = true"
    )]
    NonRpExtensions,
}

impl RawAllowed {
    /// Builds what is to be signed and lets it pass if it can be nothing else.
    ///
    /// # Errors
    /// [`RawRefused`].
    pub fn new(
        chain: &ChainId,
        dialect: &Dialect,
        message: &RawMessage,
    ) -> Result<Self, RawRefused> {
        match (message, dialect.raw_bytes) {
            (RawMessage::Plain(bytes), RawBytes::SignBytes) => {
                // A key that signs for two chains must not sign for one in the name of the other.
                if bytes.starts_with(CELESTIA_PREFIX) {
                    return Err(RawRefused::CelestiaPrefix);
                }
                Self::checked(bytes.clone())
            }
            (RawMessage::Celestia { raw_bytes, unique_id }, RawBytes::Celestia) => {
                check(raw_bytes)?;
                // As celestia-core's `RawBytesMessageSignBytes` has it, in its words.
                if unique_id.is_empty() {
                    return Err(RawRefused::Empty("uniqueID"));
                }
                if raw_bytes.is_empty() {
                    return Err(RawRefused::Empty("rawBytes"));
                }
                let mut request = Vec::with_capacity(raw_bytes.len().saturating_add(128));
                put_bytes(&mut request, 1, chain.as_str().as_bytes());
                put_bytes(&mut request, 2, raw_bytes);
                put_bytes(&mut request, 3, unique_id.as_bytes());
                Self::checked([CELESTIA_PREFIX, &delimited(&request)].concat())
            }
            (_, configured) => Err(RawRefused::Off { configured }),
        }
    }

    /// An extension of v2 without replay protection: the application's bytes as they are.
    ///
    /// Empty ones pass, and have to: v2 wants their signature, too. It is worth nothing elsewhere: whatever
    /// consensus signs begins with its length, so that none of it is the empty string.
    ///
    /// # Errors
    /// [`RawRefused`].
    pub fn non_rp_extension(dialect: &Dialect, bytes: &Bytes) -> Result<Self, RawRefused> {
        match dialect.non_rp_extensions {
            // As above: not in the name of another chain.
            true if bytes.starts_with(CELESTIA_PREFIX) => Err(RawRefused::CelestiaPrefix),
            true => Self::checked(bytes.clone()),
            false => Err(RawRefused::NonRpExtensions),
        }
    }

    fn checked(bytes: impl Into<Bytes>) -> Result<Self, RawRefused> {
        let bytes = bytes.into();
        check(&bytes)?;
        Ok(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl RawMessage {
    /// Length of what the validator wants signed, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Whether there is nothing to be signed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    /// SHA-256 of what the validator wants signed: what logs may show of it.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.bytes()).into()
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Celestia { raw_bytes, .. } => raw_bytes,
        }
    }
}

impl fmt::Debug for RawMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = match self {
            Self::Plain(_) => "Plain",
            Self::Celestia { .. } => "Celestia",
        };
        write!(f, "{form}({} bytes)", self.len())
    }
}

impl fmt::Debug for RawAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawAllowed({} bytes)", self.0.len())
    }
}

/// Refuses everything that any decoder of CometBFT's canonical messages, of any chain and any fork of
/// it, could take for one.
///
/// They all begin with their own length, and go on as protobuf. So whatever begins with its own length
/// and goes on as protobuf is refused, whichever fields it has: some decoders skip what they do not
/// know, some also what they know with another type.
fn check(bytes: &[u8]) -> Result<(), RawRefused> {
    if bytes.len() > MAX_RAW_BYTES {
        return Err(RawRefused::TooLong { found: bytes.len() });
    }
    let mut body = bytes;
    let delimited = varint(&mut body).is_some_and(|length| length == body.len() as u64);
    if !delimited || !is_message(body) {
        return Ok(());
    }
    Err(RawRefused::Consensus(if proto::CanonicalVote::decode(body).is_ok() {
        "canonical vote"
    } else if proto::CanonicalProposal::decode(body).is_ok() {
        "canonical proposal"
    } else if proto::CanonicalVoteExtension::decode(body).is_ok() {
        "canonical vote extension"
    } else {
        "length-delimited protobuf message, as votes are"
    }))
}

/// Whether bytes can be cut into protobuf fields. Looser than any decoder: field numbers may be 0 or
/// too large, groups may begin and end anywhere.
fn is_message(mut body: &[u8]) -> bool {
    while !body.is_empty() {
        let Some(rest) = after_field(body) else { return false };
        body = rest;
    }
    true
}

fn after_field(mut body: &[u8]) -> Option<&[u8]> {
    let length = match varint(&mut body)? & 7 {
        0 => varint(&mut body).map(|_| 0)?,
        1 => 8,
        2 => varint(&mut body)?,
        3 | 4 => 0,
        5 => 4,
        _ => return None,
    };
    body.get(usize::try_from(length).ok()?..)
}

/// A number of at most ten bytes. What is beyond 64 bits is dropped, as Go's generated decoders do.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests;

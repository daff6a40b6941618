//! Bare keys: files with nothing but the private key, as text.
//!
//! - Ed25519: base64, as tmkms keeps it (see `ed25519`).
//! - secp256k1 and secp256k1eth: 32 bytes in hex, with 0x or without; secp256k1 in base64, too.
//! - ML-DSA-65: the 4032 packed bytes of FIPS 204 in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

use super::ed25519::Ed25519Secret;
use super::ml_dsa::{self, MlDsaSecret};
use super::secret::{EcdsaSecret, Secret};
use crate::types::{Algorithm, PublicKey};

/// Length of a secp256k1 private key, in bytes.
const SCALAR: usize = 32;

/// Why a key file that is not JSON was refused. No value of it is in here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RawKeyError {
    /// Neither JSON nor base64.
    #[error(
        "neither a priv_validator_key.json nor a key in base64; take the file as CometBFT or tmkms wrote it"
    )]
    Encoding,
    /// Not a form that keys of this algorithm have.
    #[error("neither a priv_validator_key.json nor a {algorithm} key: that is {expected}")]
    Form {
        /// The algorithm that is configured.
        algorithm: Algorithm,
        /// What such a file holds.
        expected: &'static str,
    },
    /// Base64 of something else.
    #[error("base64 of {found} bytes; an Ed25519 key has 32 (seed) or 64 (seed and public key)")]
    Length {
        /// Decoded length, in bytes.
        found: usize,
    },
    /// 32 bytes that are zero or above the curve's order.
    #[error("its 32 bytes are no private key of secp256k1: the file is damaged")]
    Scalar,
    /// Bytes that no ML-DSA-65 key has, or parts of several.
    #[error("its 4032 bytes are no ML-DSA-65 private key (FIPS 204, packed): the file is damaged")]
    Packed,
    /// 64 bytes that may be an expanded key, and nothing to prove it with.
    #[error(
        "its 64 bytes are not a seed with its public key; they can be an expanded key (tmkms), or damaged, \
         and only the public key tells: set public_key for this chain"
    )]
    Unproven,
    /// 64 bytes that are neither.
    #[error(
        "its 64 bytes are neither a seed with its public key nor an expanded key whose public key is the \
         expected {}: the file is damaged, or another key's", expected.base64()
    )]
    Neither {
        /// The chain's key.
        expected: PublicKey,
    },
    /// An expanded key whose nonces everybody could compute.
    #[error(
        "an expanded key with {0} where its secret prefix belongs: every signature with it would give the \
         key away, so it is never used"
    )]
    PrefixKnown(&'static str),
}

/// Reads the text of a bare key, with white space around it.
pub(super) fn parse(
    text: &[u8],
    algorithm: Algorithm,
    expected: Option<&PublicKey>,
) -> Result<Secret, RawKeyError> {
    let text = text.trim_ascii();
    match algorithm {
        Algorithm::Ed25519 => Ed25519Secret::parse(text, expected).map(Secret::Ed25519),
        Algorithm::Secp256k1 => {
            let expected = "32 bytes in hex, with 0x or without, or in base64";
            let form = RawKeyError::Form { algorithm, expected };
            let scalar = hex(text).or_else(|| base64(text, SCALAR)).ok_or(form)?;
            EcdsaSecret::new(&scalar).map(Secret::Secp256k1).ok_or(RawKeyError::Scalar)
        }
        Algorithm::Secp256k1Eth => {
            let expected = "32 bytes in hex, with 0x or without";
            let scalar = hex(text).ok_or(RawKeyError::Form { algorithm, expected })?;
            EcdsaSecret::new(&scalar).map(Secret::Secp256k1Eth).ok_or(RawKeyError::Scalar)
        }
        Algorithm::MlDsa65 => {
            let expected = "4032 bytes (FIPS 204, packed) in base64";
            let form = RawKeyError::Form { algorithm, expected };
            let packed = base64(text, ml_dsa::PACKED_BYTES).ok_or(form)?;
            let secret = MlDsaSecret::from_packed(&packed).ok_or(RawKeyError::Packed)?;
            Ok(Secret::MlDsa65(Box::new(secret)))
        }
    }
}

fn hex(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let digits = text.strip_prefix(b"0x").unwrap_or(text);
    let mut bytes = Zeroizing::new(vec![0; SCALAR]);
    hex::decode_to_slice(digits, &mut bytes).ok()?;
    Some(bytes)
}

/// Exactly so many bytes. The buffer never moves, so one wipe is enough.
pub(super) fn base64(text: &[u8], length: usize) -> Option<Zeroizing<Vec<u8>>> {
    // Base64 has four characters for three bytes, and a decoder may want room for one more group.
    let most = length.div_ceil(3).saturating_mul(4);
    if text.len() > most {
        return None;
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(length.saturating_add(8)));
    BASE64.decode_vec(text, &mut bytes).ok()?;
    (bytes.len() == length).then_some(bytes)
}

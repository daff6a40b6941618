//! A bare Ed25519 key in base64, as tmkms's softsign keeps it (`key_format = "base64"`).
//!
//! 32 bytes are a seed. 64 bytes are a seed and its public key, or an expanded key (scalar, then the
//! prefix that nonces are derived from), which newer tmkms takes: keys whose seed nobody has.
//! Source: tmkms `src/keyring/ed25519/signing_key.rs`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use sha2::Sha512;
use zeroize::Zeroizing;

use super::bare::RawKeyError;
use crate::types::PublicKey;

/// Room for any text that decodes to a key, so that decoding never moves the buffer.
const DECODED_CAPACITY: usize = 128;
/// Most characters of base64 that fit in there.
const MAX_TEXT: usize = DECODED_CAPACITY / 3 * 4;

/// A private key in memory. All of it is wiped when dropped (ed25519-dalek, feature `zeroize`).
pub(super) enum Ed25519Secret {
    /// From a seed.
    Seed(SigningKey),
    /// Of which nobody has the seed.
    Expanded(ExpandedSecretKey, VerifyingKey),
}

impl Ed25519Secret {
    pub(super) fn from_seed(seed: &[u8; 32]) -> Self {
        Self::Seed(SigningKey::from_bytes(seed))
    }

    /// Reads base64, with white space around it.
    pub(super) fn parse(text: &[u8], expected: Option<&PublicKey>) -> Result<Self, RawKeyError> {
        let text = text.trim_ascii();
        if text.is_empty() || text.len() > MAX_TEXT {
            return Err(RawKeyError::Encoding);
        }
        let mut decoded = Zeroizing::new(Vec::with_capacity(DECODED_CAPACITY));
        BASE64.decode_vec(text, &mut decoded).map_err(|_| RawKeyError::Encoding)?;
        match (decoded.split_first_chunk::<32>(), decoded.len()) {
            (Some((seed, [])), _) => Ok(Self::from_seed(seed)),
            (Some((first, second)), 64) => Self::from_halves(first, second, expected),
            (_, found) => Err(RawKeyError::Length { found }),
        }
    }

    fn from_halves(
        first: &[u8; 32],
        second: &[u8],
        expected: Option<&PublicKey>,
    ) -> Result<Self, RawKeyError> {
        let seed = SigningKey::from_bytes(first);
        if seed.verifying_key().as_bytes() == second {
            return Ok(Self::Seed(seed));
        }
        let expected = expected.ok_or(RawKeyError::Unproven)?;
        // Written as hashed, to be clamped, or as the scalar itself.
        for scalar in [*first, clamp_integer(*first)].map(Zeroizing::new) {
            let mut key = ExpandedSecretKey {
                scalar: Scalar::from_bytes_mod_order(*scalar),
                hash_prefix: [0; 32],
            };
            let public = VerifyingKey::from(&key);
            if public.as_bytes() != expected.as_bytes() {
                continue;
            }
            // A nonce is the hash of prefix and message: with a prefix that everybody knows, one
            // signature gives the scalar.
            if second == public.as_bytes() {
                return Err(RawKeyError::PrefixKnown("its public key"));
            }
            if second.iter().all(|byte| *byte == 0) {
                return Err(RawKeyError::PrefixKnown("zeros"));
            }
            key.hash_prefix.copy_from_slice(second);
            return Ok(Self::Expanded(key, public));
        }
        Err(RawKeyError::Neither { expected: expected.clone() })
    }

    /// `None` if nobody has it.
    pub(super) fn seed(&self) -> Option<Zeroizing<[u8; 32]>> {
        match self {
            Self::Seed(key) => Some(Zeroizing::new(key.to_bytes())),
            Self::Expanded(..) => None,
        }
    }

    pub(super) fn public_key(&self) -> PublicKey {
        PublicKey::ed25519(match self {
            Self::Seed(key) => key.verifying_key().to_bytes(),
            Self::Expanded(_, public) => public.to_bytes(),
        })
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        match self {
            Self::Seed(key) => key.sign(message),
            Self::Expanded(key, public) => raw_sign::<Sha512>(key, message, public),
        }
        .to_bytes()
    }
}

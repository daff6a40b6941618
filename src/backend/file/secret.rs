//! A private key in memory, of whatever algorithm. All of it is wiped when dropped.

use k256::ecdsa::SigningKey;
use zeroize::Zeroizing;

use super::ed25519::Ed25519Secret;
use super::ml_dsa::MlDsaSecret;
use crate::backend::{KeyFault, ToSign};
use crate::types::{Algorithm, PublicKey, Signature};

/// A private key.
pub(super) enum Secret {
    /// Signs as RFC 8032 says.
    Ed25519(Ed25519Secret),
    /// Signs SHA-256.
    Secp256k1(EcdsaSecret),
    /// Signs Keccak-256, and says which of the possible keys it is.
    Secp256k1Eth(EcdsaSecret),
    /// Signs as FIPS 204 says, without randomness and context.
    MlDsa65(Box<MlDsaSecret>),
}

/// A scalar of secp256k1; k256 wipes it. Nonces are those of RFC 6979: the same bytes give the same
/// signature.
pub(super) struct EcdsaSecret(SigningKey);

impl Secret {
    pub(super) const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ed25519(_) => Algorithm::Ed25519,
            Self::Secp256k1(_) => Algorithm::Secp256k1,
            Self::Secp256k1Eth(_) => Algorithm::Secp256k1Eth,
            Self::MlDsa65(_) => Algorithm::MlDsa65,
        }
    }

    /// `None` cannot be for a key that was read: each has its public half.
    pub(super) fn public_key(&self) -> Option<PublicKey> {
        match self {
            Self::Ed25519(key) => Some(key.public_key()),
            Self::Secp256k1(EcdsaSecret(key)) | Self::Secp256k1Eth(EcdsaSecret(key)) => {
                let point = key.verifying_key().to_sec1_point(true);
                PublicKey::new(self.algorithm(), point.as_bytes()).ok()
            }
            Self::MlDsa65(key) => key.public_key(),
        }
    }

    /// Signs a message. Not verified.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Signature, KeyFault> {
        self.sign_this(&ToSign::of(self.algorithm(), message))
    }

    /// Signs a message or, with ECDSA, a digest. Not verified.
    pub(super) fn sign_this(&self, what: &ToSign<'_>) -> Result<Signature, KeyFault> {
        let bytes = match (self, what) {
            (Self::Ed25519(key), ToSign::Message(message)) => key.sign(message).to_vec(),
            (Self::Secp256k1(key), ToSign::Digest(digest)) => key.sign(digest).0.to_vec(),
            (Self::Secp256k1Eth(key), ToSign::Digest(digest)) => {
                let (pair, v) = key.sign(digest);
                [pair.as_slice(), &[v]].concat()
            }
            (Self::MlDsa65(key), ToSign::Message(message)) => {
                key.sign(message).ok_or(KeyFault::BadSignature)?
            }
            (_, ToSign::Digest(_)) => {
                return Err(KeyFault::Unfit("it signs no digests".to_owned()));
            }
            (_, ToSign::Message(_)) => {
                return Err(KeyFault::Unfit("it signs digests".to_owned()));
            }
        };
        Ok(Signature::new(self.algorithm(), bytes))
    }

    /// The seed of RFC 8032, if it has one: what can be split.
    pub(super) fn seed(&self) -> Option<Zeroizing<[u8; 32]>> {
        match self {
            Self::Ed25519(key) => key.seed(),
            Self::Secp256k1(_) | Self::Secp256k1Eth(_) | Self::MlDsa65(_) => None,
        }
    }
}

impl EcdsaSecret {
    /// `None` for zero, what is not below the curve's order, and other lengths.
    pub(super) fn new(scalar: &[u8]) -> Option<Self> {
        SigningKey::from_slice(scalar).ok().map(Self)
    }

    /// r ‖ s with the lower s, and v.
    fn sign(&self, digest: &[u8; 32]) -> ([u8; 64], u8) {
        let (pair, v) = self.0.sign_prehash_recoverable(digest);
        (pair.to_bytes().into(), v.to_byte())
    }
}

//! Public keys, their ids and addresses, and signatures.

use std::fmt;

use k256::elliptic_curve::sec1::ToSec1Point as _;
use ripemd::Ripemd160;
use sha2::{Digest as _, Sha256};
use sha3::Keccak256;

/// A signature algorithm of a consensus key. Only Ed25519 can be split into shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// Pure Ed25519 (RFC 8032): 32-byte keys, 64-byte signatures.
    Ed25519,
    /// ECDSA over secp256k1 of SHA-256: 33-byte keys, signatures r ‖ s with the lower s.
    Secp256k1,
    /// ECDSA over secp256k1 of Keccak-256: 33-byte keys, signatures r ‖ s ‖ v with v 0 or 1.
    Secp256k1Eth,
    /// ML-DSA-65 (FIPS 204), pure, with an empty context: 1952-byte keys, 3309-byte signatures.
    MlDsa65,
}

/// A consensus public key: algorithm and encoded bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey {
    algorithm: Algorithm,
    bytes: Vec<u8>,
}

/// Names a key in records and messages: SHA-256 of type and bytes (DESIGN: keys are named by hash).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 32]);

/// A signature of variable length, with its algorithm. Holding one says nothing about its validity.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Signature {
    algorithm: Algorithm,
    bytes: Vec<u8>,
}

/// Why a public key was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    /// The encoding has another length than the algorithm's.
    #[error("an {algorithm} public key has {expected} bytes, not {found}")]
    Length {
        /// Algorithm the key was given for.
        algorithm: Algorithm,
        /// Its length, in bytes.
        expected: usize,
        /// Length found, in bytes.
        found: usize,
    },
    /// No algorithm of that name.
    #[error("unknown key type {0:?}")]
    UnknownType(String),
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ed25519, Self::Secp256k1, Self::Secp256k1Eth, Self::MlDsa65];

    /// CometBFT's name of the key type (`crypto/ed25519`, `KeyType`).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::Secp256k1 => "secp256k1",
            Self::Secp256k1Eth => "secp256k1eth",
            Self::MlDsa65 => "ml_dsa_65",
        }
    }

    /// The algorithm with CometBFT's name.
    ///
    /// # Errors
    /// [`PublicKeyError::UnknownType`].
    pub fn from_name(name: &str) -> Result<Self, PublicKeyError> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
            .ok_or_else(|| PublicKeyError::UnknownType(name.to_owned()))
    }

    /// Length of an encoded public key, in bytes.
    #[must_use]
    pub const fn public_key_bytes(self) -> usize {
        match self {
            Self::Ed25519 => 32,
            Self::Secp256k1 | Self::Secp256k1Eth => 33,
            Self::MlDsa65 => 1952,
        }
    }

    /// Length of a signature, in bytes.
    #[must_use]
    pub const fn signature_bytes(self) -> usize {
        match self {
            Self::Ed25519 | Self::Secp256k1 => 64,
            Self::Secp256k1Eth => 65,
            Self::MlDsa65 => 3309,
        }
    }
}

impl PublicKey {
    /// Takes an encoded key of the right length. The point itself is checked by whoever verifies.
    ///
    /// # Errors
    /// [`PublicKeyError::Length`].
    pub fn new(algorithm: Algorithm, bytes: impl Into<Vec<u8>>) -> Result<Self, PublicKeyError> {
        let bytes = bytes.into();
        let expected = algorithm.public_key_bytes();
        if bytes.len() != expected {
            return Err(PublicKeyError::Length { algorithm, expected, found: bytes.len() });
        }
        Ok(Self { algorithm, bytes })
    }

    /// An Ed25519 key.
    #[must_use]
    pub fn ed25519(bytes: [u8; 32]) -> Self {
        Self { algorithm: Algorithm::Ed25519, bytes: bytes.to_vec() }
    }

    /// The key's algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key's encoding.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The name of this key in records and messages: SHA-256(type ‖ bytes).
    #[must_use]
    pub fn id(&self) -> KeyId {
        let digest = Sha256::new()
            .chain_update(self.algorithm.name().as_bytes())
            .chain_update(&self.bytes)
            .finalize();
        KeyId(digest.into())
    }

    /// The 20-byte validator address: the first 20 bytes of SHA-256 (`crypto/ed25519`, `Address`).
    #[must_use]
    pub fn address(&self) -> [u8; 20] {
        match self.algorithm {
            Algorithm::Ed25519 | Algorithm::MlDsa65 => first(&Sha256::digest(&self.bytes)),
            Algorithm::Secp256k1 => Ripemd160::digest(Sha256::digest(&self.bytes)).into(),
            Algorithm::Secp256k1Eth => {
                // Encodings that are no point have no address of Ethereum's kind; nothing signs for them.
                let point = uncompressed(&self.bytes).unwrap_or([0; 65]);
                let digest = Keccak256::digest(point.split_at(1).1);
                last(&digest)
            }
        }
    }

    /// A secp256k1 key with both its coordinates, 65 bytes with 4 in front: v2's form of secp256k1eth.
    /// `None` for other algorithms, and for what is no point.
    #[must_use]
    pub fn uncompressed(&self) -> Option<[u8; 65]> {
        match self.algorithm {
            Algorithm::Secp256k1 | Algorithm::Secp256k1Eth => uncompressed(&self.bytes),
            Algorithm::Ed25519 | Algorithm::MlDsa65 => None,
        }
    }
}

fn uncompressed(bytes: &[u8]) -> Option<[u8; 65]> {
    let key = k256::PublicKey::from_sec1_bytes(bytes).ok()?;
    key.to_sec1_point(false).as_bytes().try_into().ok()
}

/// The first 20 bytes of a hash.
fn first(digest: &[u8]) -> [u8; 20] {
    digest.first_chunk().copied().unwrap_or_default()
}

/// The last 20 bytes of a hash.
fn last(digest: &[u8]) -> [u8; 20] {
    digest.last_chunk().copied().unwrap_or_default()
}

impl KeyId {
    /// An id read from a record or message.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Signature {
    /// Takes signature bytes as they came.
    #[must_use]
    pub fn new(algorithm: Algorithm, bytes: impl Into<Vec<u8>>) -> Self {
        Self { algorithm, bytes: bytes.into() }
    }

    /// The algorithm it claims to be of.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The encoding.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, hex::encode(&self.bytes))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, hex::encode(&self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key of the seed 00..1f, as CometBFT v0.38.25 derives it.
    fn key() -> PublicKey {
        let bytes = hex::decode("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8");
        PublicKey::new(Algorithm::Ed25519, bytes.unwrap()).unwrap()
    }

    #[test]
    fn address_is_the_one_cometbft_shows() {
        assert_eq!(hex::encode_upper(key().address()), "56475AA75463474C0285DF5DBF2BCAB73DA65135");
    }

    #[test]
    fn id_depends_on_type_and_bytes() {
        let other = PublicKey::ed25519([7; 32]);
        assert_ne!(key().id(), other.id());
        let expected: [u8; 32] =
            Sha256::digest([b"ed25519".as_slice(), key().as_bytes()].concat()).into();
        assert_eq!(key().id().as_bytes(), &expected);
    }

    #[test]
    fn refuses_a_key_of_the_wrong_length() {
        let refused = PublicKey::new(Algorithm::Ed25519, vec![1; 33]);
        let expected =
            PublicKeyError::Length { algorithm: Algorithm::Ed25519, expected: 32, found: 33 };
        assert_eq!(refused, Err(expected));
    }
}

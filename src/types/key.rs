//! Public keys, their ids and addresses, and signatures.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// A signature algorithm of a consensus key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// Pure Ed25519 (RFC 8032).
    Ed25519,
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
    /// CometBFT's name of the key type (`crypto/ed25519`, `KeyType`).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
        }
    }

    /// The algorithm with CometBFT's name.
    ///
    /// # Errors
    /// [`PublicKeyError::UnknownType`].
    pub fn from_name(name: &str) -> Result<Self, PublicKeyError> {
        match name {
            "ed25519" => Ok(Self::Ed25519),
            other => Err(PublicKeyError::UnknownType(other.to_owned())),
        }
    }

    const fn public_key_bytes(self) -> usize {
        match self {
            Self::Ed25519 => 32,
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
        let digest: [u8; 32] = Sha256::digest(&self.bytes).into();
        let mut address = [0; 20];
        address.copy_from_slice(digest.split_at(20).0);
        address
    }
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

//! Public keys, their ids and addresses, and signatures.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
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
    /// The encoding has the right length and is no point of the curve.
    #[error("these bytes are no {0} public key")]
    NoPoint(Algorithm),
    /// No algorithm of that name.
    #[error("unknown key type {0:?}")]
    UnknownType(String),
}

/// Not the name of an algorithm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an algorithm, ed25519, secp256k1, secp256k1eth or ml_dsa_65; found {0:?}")]
pub struct UnknownAlgorithm(pub String);

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

/// As people write it: CometBFT's name, or `mldsa65`.
impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        match text {
            "mldsa65" => Ok(Self::MlDsa65),
            name => Self::from_name(name).map_err(|_| UnknownAlgorithm(name.to_owned())),
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

    /// Takes a key as chains, tokens and services show it: as [`PublicKey::new`], or a secp256k1 key
    /// with both its coordinates, 65 bytes with 4 in front.
    ///
    /// # Errors
    /// [`PublicKeyError::Length`], [`PublicKeyError::NoPoint`].
    pub fn from_encoding(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, PublicKeyError> {
        match algorithm {
            Algorithm::Secp256k1 | Algorithm::Secp256k1Eth if bytes.len() == 65 => {
                let point = k256::PublicKey::from_sec1_bytes(bytes)
                    .map_err(|_| PublicKeyError::NoPoint(algorithm))?;
                Self::new(algorithm, point.to_sec1_point(true).as_bytes())
            }
            _ => Self::new(algorithm, bytes),
        }
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

    /// The bytes in base64, as chains and configuration files show a public key.
    #[must_use]
    pub fn base64(&self) -> String {
        BASE64.encode(&self.bytes)
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

    /// The secp256k1 point of the private key 1, the curve's generator.
    fn generator(algorithm: Algorithm) -> PublicKey {
        let bytes = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        PublicKey::new(algorithm, hex::decode(bytes).unwrap()).unwrap()
    }

    #[test]
    fn addresses_are_those_of_the_algorithm() {
        // Bitcoin's and Ethereum's well-known addresses of the private key 1.
        for (algorithm, address) in [
            (Algorithm::Secp256k1, "751e76e8199196d454941c45d1b3a323f1433bd6"),
            (Algorithm::Secp256k1Eth, "7e5f4552091a69125d5dfcb7b8c2659029395bdf"),
        ] {
            assert_eq!(hex::encode(generator(algorithm).address()), address, "{algorithm}");
        }
        let key = PublicKey::new(Algorithm::MlDsa65, vec![7; 1952]).unwrap();
        let expected = Sha256::digest([7; 1952]);
        assert_eq!(key.address(), expected[..20]);
        // Of a point of this curve, and not of other bytes.
        let none = PublicKey::new(Algorithm::Secp256k1Eth, vec![2; 33]).unwrap();
        assert_ne!(none.address(), generator(Algorithm::Secp256k1Eth).address());
    }

    #[test]
    fn a_point_is_taken_and_shown_with_both_coordinates() {
        for algorithm in [Algorithm::Secp256k1, Algorithm::Secp256k1Eth] {
            let key = generator(algorithm);
            let long = key.uncompressed().unwrap();
            assert_eq!(long[0], 4);
            assert_eq!(PublicKey::from_encoding(algorithm, &long).as_ref(), Ok(&key));
            assert_eq!(PublicKey::from_encoding(algorithm, key.as_bytes()).as_ref(), Ok(&key));
            let mut off = long;
            off[64] ^= 1;
            let refused = PublicKey::from_encoding(algorithm, &off);
            assert_eq!(refused, Err(PublicKeyError::NoPoint(algorithm)));
        }
        assert_eq!(key().uncompressed(), None);
        let refused = PublicKey::from_encoding(Algorithm::Ed25519, &[4; 65]);
        assert!(matches!(refused, Err(PublicKeyError::Length { found: 65, .. })));
    }

    #[test]
    fn algorithms_have_cometbfts_names_and_one_more_spelling() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.name().parse(), Ok(algorithm));
            assert_eq!(Algorithm::from_name(algorithm.name()), Ok(algorithm));
        }
        assert_eq!("mldsa65".parse(), Ok(Algorithm::MlDsa65));
        assert!(Algorithm::from_name("mldsa65").is_err(), "on the wire there is one name");
        assert_eq!("rsa".parse::<Algorithm>(), Err(UnknownAlgorithm("rsa".to_owned())));
    }

    #[test]
    fn keys_of_other_algorithms_have_other_ids() {
        let [first, second] = [Algorithm::Secp256k1, Algorithm::Secp256k1Eth].map(generator);
        assert_eq!(first.as_bytes(), second.as_bytes());
        assert_ne!(first.id(), second.id());
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

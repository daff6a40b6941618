//! Keys that are no consensus keys, and the receipt without which nothing but a vote is signed.
//!
//! Whoever may sign any bytes with a consensus key can sign a second block. So bytes of a gRPC client
//! reach a key only as a [`ServiceMessage`], which only a [`ServiceKey`] makes, which there is only of
//! a public key that no chain uses.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};
use sha3::Keccak256;

use super::KeyFault;
use crate::types::{Algorithm, ChainId, KeyId, PublicKey, Signature, UnfitKey, Verifier};

/// Length of what a secp256k1eth key signs over gRPC, in bytes.
pub const DIGEST_BYTES: usize = 32;

/// The keys that sign for chains, and those that ever did from this home.
#[derive(Clone, Debug, Default)]
pub struct ConsensusKeys {
    points: BTreeMap<Point, ChainId>,
    /// Keys of which a watermark alone is left.
    watermarked: BTreeMap<KeyId, ChainId>,
}

/// A point but for its sign: what all names of one key have in common. The same point under another
/// algorithm is the same private key. Its negative counts as the same, too: a signature (r, s) of −P over a
/// digest e is the signature (r, −s) of P over −e.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Point {
    Edwards(Vec<u8>),
    Secp256k1(Vec<u8>),
    Lattice(Vec<u8>),
}

/// Receipt: this public key is in no chain.
///
/// ```compile_fail
/// let forged = cosigner::backend::ServiceKey { public_key: todo!(), verifier: todo!() };
/// ```
#[derive(Clone, Debug)]
pub struct ServiceKey {
    public_key: PublicKey,
    verifier: Verifier,
}

/// Receipt: these bytes may be signed with one key, which is in no chain.
///
/// ```compile_fail
/// let forged = cosigner::backend::ServiceMessage { key: todo!(), payload: Vec::new() };
/// ```
#[derive(Debug)]
pub struct ServiceMessage<'k> {
    key: &'k ServiceKey,
    payload: Vec<u8>,
}

/// What a key signs of a [`ServiceMessage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToSign<'m> {
    /// The bytes: Ed25519.
    Message(&'m [u8]),
    /// A digest, not to be hashed again: ECDSA.
    Digest([u8; DIGEST_BYTES]),
}

/// Why a key is not offered over gRPC.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotForService {
    /// It signs for a chain.
    #[error("is the consensus key of chain {chain}: whoever may sign with it can sign two blocks")]
    Consensus {
        /// The chain.
        chain: ChainId,
    },
    /// The service has no scheme for it.
    #[error("is a key of {0}, and the service signs with ed25519, secp256k1 and secp256k1eth")]
    Algorithm(Algorithm),
    /// Not a point that anybody has the private half of.
    #[error(transparent)]
    Unfit(#[from] UnfitKey),
}

/// A payload of another length than a digest's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ECDSA_SECP256K1ETH payload must be a 32-byte digest")]
pub struct NotADigest;

impl Point {
    fn of(key: &PublicKey) -> Self {
        let mut bytes = key.as_bytes().to_vec();
        match key.algorithm() {
            Algorithm::Ed25519 => {
                // The sign of x is the highest bit of the last byte.
                if let Some(last) = bytes.last_mut() {
                    *last &= 0x7f;
                }
                Self::Edwards(bytes)
            }
            // The first byte is the sign of y.
            Algorithm::Secp256k1 | Algorithm::Secp256k1Eth => {
                Self::Secp256k1(bytes.split_off(1.min(bytes.len())))
            }
            Algorithm::MlDsa65 => Self::Lattice(bytes),
        }
    }
}

/// All keys that [`Point`] takes for the same one.
fn spellings(key: &PublicKey) -> impl Iterator<Item = PublicKey> {
    let (algorithms, at): (&[Algorithm], usize) = match key.algorithm() {
        Algorithm::Ed25519 => (&[Algorithm::Ed25519], key.as_bytes().len().saturating_sub(1)),
        Algorithm::Secp256k1 | Algorithm::Secp256k1Eth => {
            (&[Algorithm::Secp256k1, Algorithm::Secp256k1Eth], 0)
        }
        Algorithm::MlDsa65 => (&[Algorithm::MlDsa65], key.as_bytes().len()),
    };
    let bytes = key.as_bytes();
    let other = bytes.iter().enumerate().map(move |(index, byte)| match algorithms {
        _ if index != at => *byte,
        [Algorithm::Ed25519] => byte ^ 0x80,
        _ => byte ^ 0x01,
    });
    let both = [bytes.to_vec(), other.collect()];
    both.into_iter().flat_map(move |bytes| {
        algorithms
            .iter()
            .filter_map(move |algorithm| PublicKey::new(*algorithm, bytes.clone()).ok())
    })
}

impl ConsensusKeys {
    /// The keys of these chains.
    pub fn new<'k>(keys: impl IntoIterator<Item = (&'k ChainId, &'k PublicKey)>) -> Self {
        let points = keys.into_iter().map(|(chain, key)| (Point::of(key), chain.clone())).collect();
        Self { points, watermarked: BTreeMap::new() }
    }

    /// And the keys that watermarks name: a chain that was taken out of the settings has signed all the
    /// same.
    #[must_use]
    pub fn with_watermarks(self, keys: impl IntoIterator<Item = (KeyId, ChainId)>) -> Self {
        Self { watermarked: keys.into_iter().collect(), ..self }
    }

    /// The chain that a key signs for, by its point, whatever it is called.
    #[must_use]
    pub fn chain_of(&self, key: &PublicKey) -> Option<&ChainId> {
        let watermarked = || spellings(key).find_map(|key| self.watermarked.get(&key.id()));
        self.points.get(&Point::of(key)).or_else(watermarked)
    }
}

impl ServiceKey {
    /// Lets a key pass that no chain uses.
    ///
    /// # Errors
    /// [`NotForService`].
    pub fn new(public_key: PublicKey, chains: &ConsensusKeys) -> Result<Self, NotForService> {
        if let Some(chain) = chains.chain_of(&public_key) {
            return Err(NotForService::Consensus { chain: chain.clone() });
        }
        if public_key.algorithm() == Algorithm::MlDsa65 {
            return Err(NotForService::Algorithm(public_key.algorithm()));
        }
        // One encoding of each point: else another spelling of it would have passed above.
        let verifier = Verifier::new(&public_key)?;
        Ok(Self { public_key, verifier })
    }

    /// The key.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Takes a payload to be signed with this key.
    ///
    /// # Errors
    /// [`NotADigest`] if this key signs digests.
    pub fn message(&self, payload: Vec<u8>) -> Result<ServiceMessage<'_>, NotADigest> {
        let wants_digest = self.public_key.algorithm() == Algorithm::Secp256k1Eth;
        match wants_digest && payload.len() != DIGEST_BYTES {
            true => Err(NotADigest),
            false => Ok(ServiceMessage { key: self, payload }),
        }
    }
}

impl ServiceMessage<'_> {
    /// What `key` is to sign: `key` must be the one that the receipt is of. The only way to the bytes.
    ///
    /// # Errors
    /// [`KeyFault::WrongKey`]: a receipt of one key is none of another.
    pub fn to_sign(&self, key: &PublicKey) -> Result<ToSign<'_>, KeyFault> {
        let expected = &self.key.public_key;
        if key != expected {
            return Err(KeyFault::WrongKey { expected: expected.clone(), found: key.clone() });
        }
        Ok(match key.algorithm() {
            Algorithm::Secp256k1 => ToSign::Digest(Sha256::digest(&self.payload).into()),
            Algorithm::Secp256k1Eth => {
                let digest = self.payload.as_slice().try_into();
                ToSign::Digest(digest.map_err(|_| KeyFault::Other(NotADigest.to_string()))?)
            }
            Algorithm::Ed25519 | Algorithm::MlDsa65 => ToSign::Message(&self.payload),
        })
    }

    /// Whether a signature is this key's of this message, in the form that the service promises.
    #[must_use]
    pub fn accepts(&self, signature: &Signature) -> bool {
        let ServiceKey { public_key, verifier } = self.key;
        self.to_sign(public_key).is_ok_and(|what| what.accepted(verifier, signature))
    }
}

impl<'m> ToSign<'m> {
    /// What a key of this algorithm signs where a message is given.
    pub(super) fn of(algorithm: Algorithm, message: &'m [u8]) -> Self {
        match algorithm {
            Algorithm::Secp256k1 => Self::Digest(Sha256::digest(message).into()),
            Algorithm::Secp256k1Eth => Self::Digest(Keccak256::digest(message).into()),
            Algorithm::Ed25519 | Algorithm::MlDsa65 => Self::Message(message),
        }
    }

    /// Whether this is its signature.
    pub(super) fn accepted(&self, verifier: &Verifier, signature: &Signature) -> bool {
        match self {
            Self::Message(message) => verifier.accepts(message, signature),
            Self::Digest(digest) => verifier.accepts_digest(digest, signature),
        }
    }
}

#[cfg(test)]
mod tests {
    use k256::ecdsa::SigningKey;

    use k256::ecdsa::Signature as Ecdsa;

    use super::*;

    fn secp256k1(algorithm: Algorithm, seed: u8) -> PublicKey {
        let key = SigningKey::from_slice(&[seed; 32]).unwrap();
        let point = key.verifying_key().to_sec1_point(true);
        PublicKey::new(algorithm, point.as_bytes()).unwrap()
    }

    fn ed25519(seed: u8) -> PublicKey {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        PublicKey::ed25519(key.verifying_key().to_bytes())
    }

    fn chains(keys: &[PublicKey]) -> ConsensusKeys {
        let chain = ChainId::new("test-chain-1").unwrap();
        ConsensusKeys::new(keys.iter().map(|key| (&chain, key)))
    }

    #[test]
    fn a_consensus_key_is_refused_under_every_name_that_its_point_has() {
        use Algorithm::{Secp256k1, Secp256k1Eth};
        let used = [ed25519(1), secp256k1(Secp256k1, 2), secp256k1(Secp256k1Eth, 3)];
        let settings = chains(&used);
        let chain = ChainId::new("test-chain-1").unwrap();
        let watermarks = used.iter().map(|key| (key.id(), chain.clone()));
        for chains in [settings, ConsensusKeys::default().with_watermarks(watermarks)] {
            refuses_all_names(&chains);
        }
    }

    fn refuses_all_names(chains: &ConsensusKeys) {
        use Algorithm::{Secp256k1, Secp256k1Eth};
        let refused = |key: PublicKey| {
            let found = ServiceKey::new(key, chains).err();
            matches!(found, Some(NotForService::Consensus { .. }))
        };
        assert!(refused(ed25519(1)));
        for algorithm in [Secp256k1, Secp256k1Eth] {
            for seed in [2, 3] {
                let key = secp256k1(algorithm, seed);
                let mut negative = key.as_bytes().to_vec();
                negative[0] ^= 1;
                assert!(refused(PublicKey::new(algorithm, negative).unwrap()));
                assert!(refused(key));
            }
            assert!(ServiceKey::new(secp256k1(algorithm, 4), chains).is_ok());
        }
        let mut negative: [u8; 32] = ed25519(1).as_bytes().try_into().unwrap();
        negative[31] ^= 0x80;
        assert!(refused(PublicKey::ed25519(negative)));
        assert!(ServiceKey::new(ed25519(4), chains).is_ok());
    }

    #[test]
    fn refuses_ml_dsa_and_what_is_no_point() {
        let none = ConsensusKeys::default();
        let lattice = PublicKey::new(Algorithm::MlDsa65, vec![1; 1952]).unwrap();
        let refused = ServiceKey::new(lattice, &none).unwrap_err();
        assert_eq!(refused, NotForService::Algorithm(Algorithm::MlDsa65));
        let no_point = PublicKey::new(Algorithm::Secp256k1, vec![2; 33]);
        let no_point = no_point.map(|key| PublicKey::new(key.algorithm(), [[9; 33]].concat()));
        let refused = ServiceKey::new(no_point.unwrap().unwrap(), &none).unwrap_err();
        assert!(matches!(refused, NotForService::Unfit(_)));
    }

    #[test]
    fn a_receipt_of_one_key_opens_nothing_for_another() {
        let none = ConsensusKeys::default();
        let key = ServiceKey::new(ed25519(1), &none).unwrap();
        let message = key.message(b"bytes".to_vec()).unwrap();
        assert_eq!(message.to_sign(&ed25519(1)).unwrap(), ToSign::Message(b"bytes"));
        assert!(matches!(message.to_sign(&ed25519(2)), Err(KeyFault::WrongKey { .. })));
    }

    #[test]
    fn secp256k1_is_hashed_here_and_a_digest_of_secp256k1eth_is_not() {
        let none = ConsensusKeys::default();
        let plain = secp256k1(Algorithm::Secp256k1, 1);
        let key = ServiceKey::new(plain.clone(), &none).unwrap();
        let message = key.message(b"bytes".to_vec()).unwrap();
        let digest = ToSign::Digest(Sha256::digest(b"bytes").into());
        assert_eq!(message.to_sign(&plain).unwrap(), digest);
        let eth = secp256k1(Algorithm::Secp256k1Eth, 1);
        let key = ServiceKey::new(eth.clone(), &none).unwrap();
        let message = key.message(vec![7; 32]).unwrap();
        assert_eq!(message.to_sign(&eth).unwrap(), ToSign::Digest([7; 32]));
        for length in [0, 31, 33, 64] {
            assert!(matches!(key.message(vec![7; length]), Err(NotADigest)));
        }
    }

    #[test]
    fn a_signature_of_a_digest_counts_with_the_lower_s_and_the_v_of_its_key() {
        let none = ConsensusKeys::default();
        let key = ServiceKey::new(secp256k1(Algorithm::Secp256k1Eth, 5), &none).unwrap();
        let message = key.message(vec![7; 32]).unwrap();
        let signer = SigningKey::from_slice(&[5; 32]).unwrap();
        let (made, v) = signer.sign_prehash_recoverable(&[7; 32]);
        let accepts = |bytes: &[u8], v: u8| {
            let bytes = [bytes, &[v]].concat();
            message.accepts(&Signature::new(Algorithm::Secp256k1Eth, bytes))
        };
        let v = v.to_byte();
        assert!(accepts(&made.to_bytes(), v));
        assert!(!accepts(&made.to_bytes(), 1 - v) && !accepts(&made.to_bytes(), v + 27));
        let high = Ecdsa::from_scalars(made.r(), -made.s()).unwrap();
        assert!(!accepts(&high.to_bytes(), v) && !accepts(&high.to_bytes(), 1 - v));
    }
}

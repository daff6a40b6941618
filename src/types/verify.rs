//! Whether a signature is one of a key.

use ed25519_dalek::VerifyingKey as Ed25519Key;
use k256::ecdsa::signature::hazmat::PrehashVerifier as _;
use k256::ecdsa::{RecoveryId, Signature as Ecdsa, VerifyingKey as Secp256k1Key};
use ml_dsa::{EncodedVerifyingKey, MlDsa65, VerifyingKey as MlDsaKey};
use sha2::{Digest as _, Sha256};
use sha3::Keccak256;

use super::{Algorithm, PublicKey, Signature};

/// A public key, decoded and checked: verifies its signatures.
#[derive(Clone, Debug)]
pub struct Verifier(Decoded);

#[derive(Clone, Debug)]
enum Decoded {
    Ed25519(Ed25519Key),
    Secp256k1(Secp256k1Key),
    Secp256k1Eth(Secp256k1Key),
    MlDsa65(Box<MlDsaKey<MlDsa65>>),
}

/// The bytes are no key of their algorithm, or one that verifies what nobody signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no {0} public key that anybody can have the private half of")]
pub struct UnfitKey(pub Algorithm);

impl Verifier {
    /// Decodes a key. Ed25519 keys must be canonical and of prime order, as every key made from a seed is.
    ///
    /// # Errors
    /// [`UnfitKey`].
    pub fn new(key: &PublicKey) -> Result<Self, UnfitKey> {
        let decoded = match key.algorithm() {
            Algorithm::Ed25519 => ed25519(key.as_bytes()).map(Decoded::Ed25519),
            Algorithm::Secp256k1 => secp256k1(key.as_bytes()).map(Decoded::Secp256k1),
            Algorithm::Secp256k1Eth => secp256k1(key.as_bytes()).map(Decoded::Secp256k1Eth),
            Algorithm::MlDsa65 => ml_dsa(key.as_bytes()).map(Decoded::MlDsa65),
        };
        decoded.map(Self).ok_or(UnfitKey(key.algorithm()))
    }

    /// I5: the strict check. What it accepts, CometBFT accepts, and every other rule for the algorithm;
    /// of several encodings of one ECDSA signature only the one with the lower s.
    #[must_use]
    pub fn accepts(&self, message: &[u8], signature: &Signature) -> bool {
        let bytes = signature.as_bytes();
        let accepted = match (&self.0, signature.algorithm()) {
            (Decoded::Ed25519(key), Algorithm::Ed25519) => ed25519_accepts(key, message, bytes),
            (Decoded::Secp256k1(_), _) => {
                return self.accepts_digest(&Sha256::digest(message).into(), signature);
            }
            (Decoded::Secp256k1Eth(_), _) => {
                return self.accepts_digest(&Keccak256::digest(message).into(), signature);
            }
            (Decoded::MlDsa65(key), Algorithm::MlDsa65) => ml_dsa_accepts(key, message, bytes),
            _ => None,
        };
        accepted.is_some()
    }
}

impl Verifier {
    /// The same for a digest, whatever it is of: ECDSA alone.
    #[must_use]
    pub fn accepts_digest(&self, digest: &[u8; 32], signature: &Signature) -> bool {
        let bytes = signature.as_bytes();
        let accepted = match (&self.0, signature.algorithm()) {
            (Decoded::Secp256k1(key), Algorithm::Secp256k1) => {
                ecdsa(bytes).and_then(|it| key.verify_prehash(digest, &it).ok())
            }
            (Decoded::Secp256k1Eth(key), Algorithm::Secp256k1Eth) => recovers(key, digest, bytes),
            _ => None,
        };
        accepted.is_some()
    }
}

fn ed25519(bytes: &[u8]) -> Option<Ed25519Key> {
    let key = Ed25519Key::from_bytes(bytes.try_into().ok()?).ok()?;
    let point = key.to_edwards();
    let canonical = point.compress().as_bytes() == bytes;
    (canonical && !key.is_weak() && point.is_torsion_free()).then_some(key)
}

fn ed25519_accepts(key: &Ed25519Key, message: &[u8], signature: &[u8]) -> Option<()> {
    let signature = ed25519_dalek::Signature::from_bytes(signature.try_into().ok()?);
    key.verify_strict(message, &signature).ok()
}

/// Compressed, with 2 or 3 in front: of several encodings of one point only this one.
fn secp256k1(bytes: &[u8]) -> Option<Secp256k1Key> {
    let key = Secp256k1Key::from_sec1_bytes(bytes).ok()?;
    (key.to_sec1_point(true).as_bytes() == bytes).then_some(key)
}

/// r ‖ s, with the lower s.
fn ecdsa(bytes: &[u8]) -> Option<Ecdsa> {
    let signature = Ecdsa::from_slice(bytes).ok()?;
    (signature.normalize_s() == signature).then_some(signature)
}

/// r ‖ s ‖ v: verifies, and v names this key among those that r and s belong to.
fn recovers(key: &Secp256k1Key, digest: &[u8], bytes: &[u8]) -> Option<()> {
    let (&v, signature) = bytes.split_last()?;
    let signature = ecdsa(signature)?;
    let v = RecoveryId::from_byte(v).filter(|_| v <= 1)?;
    key.verify_prehash(digest, &signature).ok()?;
    let found = Secp256k1Key::recover_from_prehash(digest, &signature, v).ok()?;
    (found == *key).then_some(())
}

fn ml_dsa(bytes: &[u8]) -> Option<Box<MlDsaKey<MlDsa65>>> {
    let bytes = EncodedVerifyingKey::<MlDsa65>::try_from(bytes).ok()?;
    Some(Box::new(MlDsaKey::decode(&bytes)))
}

fn ml_dsa_accepts(key: &MlDsaKey<MlDsa65>, message: &[u8], signature: &[u8]) -> Option<()> {
    let signature = ml_dsa::Signature::<MlDsa65>::try_from(signature).ok()?;
    key.verify_with_context(message, &[], &signature).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(algorithm: Algorithm, bytes: &[u8]) -> Signature {
        Signature::new(algorithm, bytes)
    }

    #[test]
    fn refuses_small_order_and_mixed_order_ed25519_keys() {
        let mut small = [0; 32];
        small[0] = 1;
        assert_eq!(
            Verifier::new(&PublicKey::ed25519(small)).err(),
            Some(UnfitKey(Algorithm::Ed25519))
        );
    }

    #[test]
    fn refuses_other_encodings_of_a_secp256k1_point() {
        let key = k256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
        let mut bytes = key.verifying_key().to_sec1_point(true).as_bytes().to_vec();
        for algorithm in [Algorithm::Secp256k1, Algorithm::Secp256k1Eth] {
            bytes[0] = 5;
            let compact = PublicKey::new(algorithm, bytes.clone()).unwrap();
            assert_eq!(Verifier::new(&compact).err(), Some(UnfitKey(algorithm)));
            bytes[0] = 2;
            assert!(Verifier::new(&PublicKey::new(algorithm, bytes.clone()).unwrap()).is_ok());
        }
    }

    #[test]
    fn accepts_secp256k1_with_the_lower_s_alone() {
        use k256::ecdsa::SigningKey;
        use k256::ecdsa::signature::hazmat::PrehashSigner as _;
        let key = SigningKey::from_slice(&[7; 32]).unwrap();
        let public = key.verifying_key().to_sec1_point(true);
        let digest = Sha256::digest(b"message");
        let made: Ecdsa = key.sign_prehash(&digest).unwrap();
        let low = made.normalize_s();
        let high = Ecdsa::from_scalars(low.r(), -low.s()).unwrap();
        let public = PublicKey::new(Algorithm::Secp256k1, public.as_bytes()).unwrap();
        let verifier = Verifier::new(&public).unwrap();
        let of = |it: &Ecdsa| signature(Algorithm::Secp256k1, &it.to_bytes());
        assert!(verifier.accepts(b"message", &of(&low)));
        assert!(!verifier.accepts(b"message", &of(&high)));
        assert!(!verifier.accepts(b"other", &of(&low)));
        assert!(!verifier.accepts(b"message", &signature(Algorithm::Ed25519, &low.to_bytes())));
    }

    #[test]
    fn accepts_secp256k1eth_with_the_v_of_its_key_alone() {
        use k256::ecdsa::SigningKey;
        let key = SigningKey::from_slice(&[9; 32]).unwrap();
        let public = key.verifying_key().to_sec1_point(true);
        let digest = Keccak256::digest(b"message");
        let (made, v) = key.sign_prehash_recoverable(&digest);
        let public = PublicKey::new(Algorithm::Secp256k1Eth, public.as_bytes()).unwrap();
        let verifier = Verifier::new(&public).unwrap();
        let with = |v: u8| {
            let bytes = [made.to_bytes().as_slice(), &[v]].concat();
            verifier.accepts(b"message", &signature(Algorithm::Secp256k1Eth, &bytes))
        };
        assert!(with(v.to_byte()));
        assert!(!with(1 - v.to_byte()));
        assert!(!with(v.to_byte() + 2) && !with(v.to_byte() + 27));
    }

    #[test]
    fn accepts_ml_dsa_65_without_a_context_alone() {
        use ml_dsa::{ExpandedSigningKey, Seed};
        let key = ExpandedSigningKey::<MlDsa65>::from_seed(&Seed::from([7; 32]));
        let encoded = key.verifying_key().encode();
        let public = PublicKey::new(Algorithm::MlDsa65, &encoded[..]).unwrap();
        let verifier = Verifier::new(&public).unwrap();
        let made = |message: &[u8], context: &[u8]| {
            let bytes = key.sign_deterministic(message, context).unwrap().encode();
            signature(Algorithm::MlDsa65, &bytes)
        };
        let right = made(b"message", b"");
        assert_eq!(right.as_bytes().len(), Algorithm::MlDsa65.signature_bytes());
        assert_eq!(right, made(b"message", b""), "the variant without randomness");
        assert!(verifier.accepts(b"message", &right));
        assert!(!verifier.accepts(b"other", &right));
        assert!(!verifier.accepts(b"message", &made(b"message", b"context")));
        let mut changed = right.as_bytes().to_vec();
        changed[100] ^= 1;
        assert!(!verifier.accepts(b"message", &signature(Algorithm::MlDsa65, &changed)));
    }

    #[test]
    fn accepts_signatures_of_the_right_length_alone() {
        use ed25519_dalek::Signer as _;
        use k256::ecdsa::SigningKey;
        let key = ed25519_dalek::SigningKey::from_bytes(&[3; 32]);
        let ecdsa = SigningKey::from_slice(&[3; 32]).unwrap();
        let point = ecdsa.verifying_key().to_sec1_point(true);
        let of = |digest: &[u8]| ecdsa.sign_prehash_recoverable(digest);
        let (plain, _) = of(&Sha256::digest(b"m"));
        let (eth, v) = of(&Keccak256::digest(b"m"));
        for (algorithm, public, right) in [
            (
                Algorithm::Ed25519,
                key.verifying_key().to_bytes().to_vec(),
                key.sign(b"m").to_bytes().to_vec(),
            ),
            (Algorithm::Secp256k1, point.as_bytes().to_vec(), plain.to_bytes().to_vec()),
            (
                Algorithm::Secp256k1Eth,
                point.as_bytes().to_vec(),
                [eth.to_bytes().as_slice(), &[v.to_byte()]].concat(),
            ),
        ] {
            let verifier = Verifier::new(&PublicKey::new(algorithm, public).unwrap()).unwrap();
            assert_eq!(right.len(), algorithm.signature_bytes());
            assert!(verifier.accepts(b"m", &signature(algorithm, &right)), "{algorithm}");
            for wrong in
                [&[][..], &right[1..], &right[..right.len() - 1], &[&right[..], &[0]].concat()]
            {
                assert!(!verifier.accepts(b"m", &signature(algorithm, wrong)), "{algorithm}");
            }
        }
    }

    #[test]
    fn refuses_bytes_that_are_no_point() {
        for algorithm in [Algorithm::Secp256k1, Algorithm::Secp256k1Eth] {
            let none = PublicKey::new(algorithm, vec![5; 33]).unwrap();
            assert_eq!(Verifier::new(&none).err(), Some(UnfitKey(algorithm)));
        }
    }
}

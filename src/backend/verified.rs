//! From what a backend made to a signature that verified (I5).
//!
//! Tokens and services sign hashes of secp256k1 keys and give r and s alone, with any s. CometBFT takes
//! the lower s, and secp256k1eth has the number v of the key besides, which no backend says.

use k256::ecdsa::Signature as Ecdsa;

use super::{KeyFault, ToSign};
use crate::types::{Algorithm, PublicKey, Signature, Verifier};

/// Signed at each connect, before the key is used for anything else. No [`Granted`] stands behind
/// it, and none is needed: this text is the only one that is ever signed so, and it is no message of
/// any chain. Sign bytes begin with their own length, and this begins with the number 99 and has 27
/// bytes after it; nor is it a protobuf message without that prefix (its first tag, field 12, has a
/// wire type that protobuf has given up).
///
/// [`Granted`]: super::Granted
pub(super) const TEST_MESSAGE: &[u8] = b"cosigner: is this key there?";

/// A public key that can verify.
///
/// # Errors
/// [`KeyFault::Unfit`] for bytes that nobody can have the private half of.
pub(super) fn verifier(key: &PublicKey) -> Result<Verifier, KeyFault> {
    Verifier::new(key)
        .map_err(|why| KeyFault::Unfit(format!("its public key {}: {why}", key.base64())))
}

/// I5: the signature of `what` as CometBFT writes it, if what the backend made is one. ECDSA comes as
/// r ‖ s.
///
/// # Errors
/// [`KeyFault::BadSignature`] for anything else.
#[cfg_attr(
    not(any(feature = "pkcs11", feature = "awskms")),
    allow(dead_code, reason = "for keys that are not in this process")
)]
pub(super) fn verified(
    verifier: &Verifier,
    algorithm: Algorithm,
    what: &ToSign<'_>,
    made: &[u8],
) -> Result<Signature, KeyFault> {
    let candidates: Vec<Vec<u8>> = match algorithm {
        Algorithm::Ed25519 | Algorithm::MlDsa65 => vec![made.to_vec()],
        Algorithm::Secp256k1 => lower_s(made).into_iter().map(Vec::from).collect(),
        Algorithm::Secp256k1Eth => {
            let with = |pair: [u8; 64]| [0, 1].map(|v| [pair.as_slice(), &[v]].concat());
            lower_s(made).into_iter().flat_map(with).collect()
        }
    };
    let mut candidates = candidates.into_iter().map(|bytes| Signature::new(algorithm, bytes));
    candidates.find(|signature| what.accepted(verifier, signature)).ok_or(KeyFault::BadSignature)
}

/// r ‖ s of an ECDSA signature in DER, as services give it.
#[cfg_attr(
    not(feature = "awskms"),
    allow(dead_code, reason = "the one that gives DER is left out")
)]
pub(super) fn from_der(der: &[u8]) -> Result<[u8; 64], KeyFault> {
    let pair = Ecdsa::from_der(der).map_err(|_| KeyFault::BadSignature)?;
    Ok(pair.to_bytes().into())
}

#[cfg_attr(
    not(any(feature = "pkcs11", feature = "awskms")),
    allow(dead_code, reason = "for keys that are not in this process")
)]
fn lower_s(pair: &[u8]) -> Option<[u8; 64]> {
    let pair = Ecdsa::from_slice(pair).ok()?;
    Some(pair.normalize_s().to_bytes().into())
}

#[cfg(test)]
mod tests {
    use k256::ecdsa::SigningKey;

    use super::*;
    use crate::privval::parse_sign_bytes;

    #[test]
    fn the_test_message_is_no_sign_bytes_of_any_chain() {
        let message = TEST_MESSAGE;
        assert!(parse_sign_bytes(message).is_err());
        // Its length prefix would be 99, and that is not how long it is, with an extension or without.
        assert_eq!((usize::from(message[0]), message.len()), (99, 28));
        // Without a prefix its first tag has wire type 3, which no message of CometBFT has.
        assert_eq!(message[0] & 7, 3);
        for length in 0..=message.len() {
            assert!(parse_sign_bytes(&message[..length]).is_err());
        }
    }

    /// Both s and both v, and for each what CometBFT takes.
    #[test]
    fn ecdsa_gets_the_lower_s_and_the_v_of_its_key() {
        for seed in 1..20 {
            let key = SigningKey::from_slice(&[seed; 32]).unwrap();
            let point = key.verifying_key().to_sec1_point(true);
            for algorithm in [Algorithm::Secp256k1, Algorithm::Secp256k1Eth] {
                let public = PublicKey::new(algorithm, point.as_bytes()).unwrap();
                let verifier = verifier(&public).unwrap();
                let what = ToSign::of(algorithm, b"message");
                let ToSign::Digest(digest) = what else { panic!("{algorithm}") };
                let (low, v) = key.sign_prehash_recoverable(&digest);
                let high = Ecdsa::from_scalars(low.r(), -low.s()).unwrap();
                let mut expected = low.to_bytes().to_vec();
                if algorithm == Algorithm::Secp256k1Eth {
                    expected.push(v.to_byte());
                }
                for made in [low, high] {
                    let found = verified(&verifier, algorithm, &what, &made.to_bytes());
                    assert_eq!(found.unwrap().as_bytes(), expected);
                    let der = made.to_der();
                    assert_eq!(from_der(der.as_bytes()).unwrap()[..], made.to_bytes()[..]);
                }
                let other = ToSign::of(algorithm, b"other");
                let other = verified(&verifier, algorithm, &other, &low.to_bytes());
                assert_eq!(other, Err(KeyFault::BadSignature));
            }
        }
    }

    #[test]
    fn what_is_no_signature_is_a_bad_one() {
        let key = SigningKey::from_slice(&[9; 32]).unwrap();
        let point = key.verifying_key().to_sec1_point(true);
        for algorithm in [Algorithm::Secp256k1, Algorithm::Secp256k1Eth] {
            let verifier = verifier(&PublicKey::new(algorithm, point.as_bytes()).unwrap()).unwrap();
            for made in [&[][..], &[0; 64], &[1; 63], &[1; 65], &[0xff; 64]] {
                let what = ToSign::of(algorithm, b"message");
                let found = verified(&verifier, algorithm, &what, made);
                assert_eq!(found, Err(KeyFault::BadSignature));
            }
        }
        assert_eq!(from_der(&[0x30, 0]), Err(KeyFault::BadSignature));
        assert_eq!(from_der(&[]), Err(KeyFault::BadSignature));
    }

    #[test]
    fn a_key_with_signatures_that_hold_for_anything_is_unfit() {
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert!(matches!(verifier(&PublicKey::ed25519(neutral)), Err(KeyFault::Unfit(_))));
    }
}

//! What KMS calls the keys of an algorithm, and how it writes their public halves.

use aws_sdk_kms::types::{KeySpec, SigningAlgorithmSpec};

use crate::backend::KeyFault;
use crate::backend::verified::verifier;
use crate::types::{Algorithm, PublicKey};

/// What a `SubjectPublicKeyInfo` of Ed25519 begins with (RFC 8410 §4): the algorithm, then a bit
/// string of 33 bytes whose first is the number of unused bits. 32 bytes of key follow, and nothing.
const ED25519: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The same of secp256k1 (RFC 5480 §2): `id-ecPublicKey`, the curve 1.3.132.0.10, then a bit string of 66
/// bytes. The 65 bytes of a point with both its coordinates follow, and nothing.
const SECP256K1: &[u8] = &[
    0x30, 0x56, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
    0x81, 0x04, 0x00, 0x0a, 0x03, 0x42, 0x00,
];

/// A kind of key.
pub(super) struct Kind {
    pub(super) spec: KeySpec,
    pub(super) signing: SigningAlgorithmSpec,
    /// What the public half in DER begins with, and how many bytes of key follow.
    prefix: &'static [u8],
    bytes: usize,
}

impl Kind {
    /// # Errors
    /// [`KeyFault::Unfit`] for an algorithm whose keys are not used in KMS from here.
    pub(super) fn of(algorithm: Algorithm) -> Result<Self, KeyFault> {
        match algorithm {
            Algorithm::Ed25519 => Ok(Self {
                spec: KeySpec::EccNistEdwards25519,
                signing: SigningAlgorithmSpec::Ed25519Sha512,
                prefix: ED25519,
                bytes: 32,
            }),
            Algorithm::Secp256k1 | Algorithm::Secp256k1Eth => Ok(Self {
                spec: KeySpec::EccSecgP256K1,
                signing: SigningAlgorithmSpec::EcdsaSha256,
                prefix: SECP256K1,
                bytes: 65,
            }),
            // Refused where settings are read.
            Algorithm::MlDsa65 => {
                Err(KeyFault::Unfit(format!("{algorithm} keys are used from a file alone")))
            }
        }
    }

    /// The public half, strictly.
    pub(super) fn public_key(
        &self,
        algorithm: Algorithm,
        der: &[u8],
    ) -> Result<PublicKey, KeyFault> {
        let bytes = der.strip_prefix(self.prefix).filter(|bytes| bytes.len() == self.bytes);
        let key = bytes.and_then(|bytes| PublicKey::from_encoding(algorithm, bytes).ok());
        // Nor one whose signatures hold for anything.
        let key = key.filter(|key| verifier(key).is_ok());
        key.ok_or_else(|| {
            let (length, found) = (self.prefix.len() + self.bytes, der.len());
            KeyFault::Unfit(format!(
                "its public key is no {algorithm} key in DER of {length} bytes ({found} bytes)"
            ))
        })
    }
}

/// The settings that a key of this spec fits, as they are written.
pub(super) fn algorithms_of(spec: &str) -> Option<&'static str> {
    match KeySpec::from(spec) {
        KeySpec::EccNistEdwards25519 => Some("\"ed25519\""),
        KeySpec::EccSecgP256K1 => Some("\"secp256k1\" or \"secp256k1eth\""),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::tests_support::key_pair;

    #[test]
    fn a_secp256k1_key_is_exactly_its_88_bytes() {
        for algorithm in [Algorithm::Secp256k1, Algorithm::Secp256k1Eth] {
            let kind = Kind::of(algorithm).unwrap();
            let (_, key) = key_pair(algorithm, 7);
            let point = key.uncompressed().unwrap();
            let der = [SECP256K1, &point].concat();
            assert_eq!(der.len(), 88);
            assert_eq!(kind.public_key(algorithm, &der).as_ref(), Ok(&key));
            let mut off_curve = der.clone();
            off_curve[87] ^= 1;
            let compressed = [SECP256K1, key.as_bytes()].concat();
            let p256 = [&der[..13], &[0x06, 0x08, 0x2a][..], &der[16..]].concat();
            for wrong in [
                &der[..87],
                &[&der[..], &[0]].concat(),
                &point[..],
                &off_curve,
                &compressed,
                &p256,
                &[],
            ] {
                let refused = kind.public_key(algorithm, wrong);
                assert!(matches!(refused, Err(KeyFault::Unfit(_))), "{}", hex::encode(wrong));
            }
        }
    }
}

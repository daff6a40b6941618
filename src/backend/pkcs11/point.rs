//! `CKA_EC_POINT` and `CKA_EC_PARAMS`: which key, on which curve.

use crate::types::{Algorithm, PublicKey};

/// DER: an octet string follows, of as many bytes as the next one says.
const OCTET_STRING: u8 = 0x04;

/// `CKA_EC_PARAMS` of secp256k1: its object identifier, 1.3.132.0.10.
const SECP256K1: [u8; 7] = [0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a];

/// Whether these parameters name the curve secp256k1.
pub(super) fn is_secp256k1(parameters: &[u8]) -> bool {
    parameters == SECP256K1
}

/// The public key: the point as it is (PKCS#11 3.1 for Ed25519; some modules for all), or wrapped in a
/// DER octet string. SoftHSM2 has both, the one for imported Ed25519 keys and the other for its own.
/// `None` for anything else: a key on another curve.
pub(super) fn public_key(algorithm: Algorithm, point: &[u8]) -> Option<PublicKey> {
    let lengths: &[u8] = match algorithm {
        Algorithm::Ed25519 => &[32],
        // With both coordinates, or with one and the sign of the other.
        Algorithm::Secp256k1 | Algorithm::Secp256k1Eth => &[65, 33],
        Algorithm::MlDsa65 => &[],
    };
    let wrapped = |length: u8| point.strip_prefix(&[OCTET_STRING, length]);
    let bare = |length: u8| {
        let fits = |bytes: &&[u8]| bytes.len() == usize::from(length);
        Some(point).filter(fits).or_else(|| wrapped(length).filter(fits))
    };
    let bytes = lengths.iter().copied().find_map(bare)?;
    PublicKey::from_encoding(algorithm, bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::tests_support::key_pair;

    fn ed25519(point: &[u8]) -> Option<PublicKey> {
        public_key(Algorithm::Ed25519, point)
    }

    fn der(bytes: &[u8]) -> Vec<u8> {
        [&[OCTET_STRING, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }

    #[test]
    fn takes_a_point_as_it_is_and_in_an_octet_string() {
        let raw: [u8; 32] = std::array::from_fn(|index| index as u8);
        assert_eq!(ed25519(&raw), Some(PublicKey::ed25519(raw)));
        assert_eq!(ed25519(&der(&raw)), Some(PublicKey::ed25519(raw)));
        // Its first bytes look like the wrapping, and it is whole without.
        let mut like_der = raw;
        like_der[..2].copy_from_slice(&[OCTET_STRING, 32]);
        assert_eq!(ed25519(&like_der), Some(PublicKey::ed25519(like_der)));
    }

    #[test]
    fn takes_points_of_secp256k1_with_one_and_two_coordinates() {
        for algorithm in [Algorithm::Secp256k1, Algorithm::Secp256k1Eth] {
            let (_, key) = key_pair(algorithm, 7);
            let (short, long) = (key.as_bytes(), key.uncompressed().unwrap());
            for point in [short.to_vec(), long.to_vec(), der(short), der(&long)] {
                assert_eq!(public_key(algorithm, &point).as_ref(), Some(&key));
            }
            let mut off = long;
            off[64] ^= 1;
            assert_eq!(public_key(algorithm, &off), None, "not on the curve");
            assert_eq!(public_key(algorithm, &long[..64]), None);
            assert_eq!(public_key(algorithm, &[1; 32]), None);
        }
        assert_eq!(public_key(Algorithm::MlDsa65, &[1; 1952]), None);
    }

    #[test]
    fn refuses_points_of_other_curves_and_pieces() {
        for length in [0, 1, 31, 33, 57, 65] {
            assert_eq!(ed25519(&vec![4; length]), None, "{length}");
        }
        assert_eq!(ed25519(&[&[0x04, 33][..], &[1; 32]].concat()), None);
        assert_eq!(ed25519(&[&[OCTET_STRING, 32][..], &[1; 31]].concat()), None);
        assert_eq!(ed25519(&[&[OCTET_STRING, 32][..], &[1; 33]].concat()), None);
    }
}

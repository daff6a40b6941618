//! `CKA_EC_POINT` of an Ed25519 key.

use crate::types::PublicKey;

/// DER: an octet string of 32 bytes follows.
const OCTET_STRING: [u8; 2] = [0x04, 32];

/// The public key: 32 bytes as they are (PKCS#11 3.1), or wrapped in a DER octet string (before).
/// SoftHSM2 has both, the one for imported keys and the other for its own. `None` for anything else:
/// a key on another curve.
pub(super) fn public_key(point: &[u8]) -> Option<PublicKey> {
    let bytes = if point.len() == 32 { point } else { point.strip_prefix(&OCTET_STRING)? };
    bytes.try_into().ok().map(PublicKey::ed25519)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_point_as_it_is_and_in_an_octet_string() {
        let raw: [u8; 32] = std::array::from_fn(|index| index as u8);
        assert_eq!(public_key(&raw), Some(PublicKey::ed25519(raw)));
        let der = [&OCTET_STRING[..], &raw].concat();
        assert_eq!(public_key(&der), Some(PublicKey::ed25519(raw)));
        // Its first bytes look like the wrapping, and it is whole without.
        let mut like_der = raw;
        like_der[..2].copy_from_slice(&OCTET_STRING);
        assert_eq!(public_key(&like_der), Some(PublicKey::ed25519(like_der)));
    }

    #[test]
    fn refuses_points_of_other_curves_and_pieces() {
        for length in [0, 1, 31, 33, 57, 65] {
            assert_eq!(public_key(&vec![4; length]), None, "{length}");
        }
        assert_eq!(public_key(&[&[0x04, 33][..], &[1; 32]].concat()), None);
        assert_eq!(public_key(&[&OCTET_STRING[..], &[1; 31]].concat()), None);
        assert_eq!(public_key(&[&OCTET_STRING[..], &[1; 33]].concat()), None);
    }
}

use super::super::tests::{ed25519, secp256k1};
use super::*;

/// Of the seed 00..1f.
const KEY: &str = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";
const ID: &str = "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB";

/// An id as `cosmos/kms` and go-libp2p also take it.
pub(crate) fn cid_in_base32(id: &PeerId) -> String {
    let bytes = cid(id);
    let mut text = String::from("b");
    for index in 0..(bytes.len() * 8).div_ceil(5) {
        let five = (0..5).fold(0, |five, bit| {
            let at = index * 5 + bit;
            let byte = bytes.get(at / 8).copied().unwrap_or(0);
            (five << 1) | usize::from((byte >> (7 - at % 8)) & 1)
        });
        text.push(char::from(b"abcdefghijklmnopqrstuvwxyz234567"[five]));
    }
    text
}

fn cid(id: &PeerId) -> Vec<u8> {
    let key = id.encoded_key();
    [&[1, 0x72, 0, key.len() as u8], key.as_slice()].concat()
}

fn key() -> [u8; 32] {
    hex::decode(KEY).unwrap().try_into().unwrap()
}

fn refusal(text: &str) -> PeerIdError {
    text.parse::<PeerId>().unwrap_err()
}

#[test]
fn writes_the_id_that_go_libp2p_writes() {
    let id = PeerId::ed25519(key()).unwrap();
    assert_eq!(id.to_string(), ID);
    assert_eq!(ID.parse(), Ok(id));
    assert_eq!(format!("{id:?}"), format!("PeerId({ID})"));
}

#[test]
fn agrees_with_libp2p_on_both_kinds_of_keys() {
    for byte in 1..=20 {
        let keys = [(ed25519(byte), "12D3KooW"), (secp256k1(byte), "16Uiu2")];
        for (public, prefix) in keys.map(|(pair, prefix)| (pair.public(), prefix)) {
            let theirs = public.to_peer_id().to_string();
            assert!(theirs.starts_with(prefix), "{theirs}");
            let ours: PeerId = theirs.parse().unwrap();
            assert_eq!(ours.to_string(), theirs);
            assert_eq!(ours.encoded_key(), public.encode_protobuf());
            assert_eq!(PeerId::from_encoded_key(&public.encode_protobuf()), Ok(ours));
        }
    }
}

#[test]
fn reads_a_cid_and_writes_the_usual_form() {
    let secp256k1 = secp256k1(1).public().to_peer_id().to_string();
    for usual in [ID, &secp256k1] {
        let id: PeerId = usual.parse().unwrap();
        let base32 = cid_in_base32(&id);
        let base58 = format!("z{}", bs58::encode(cid(&id)).into_string());
        for text in [&base32, &base58] {
            assert_eq!(text.parse(), Ok(id), "{text}");
        }
        assert!(base32.starts_with("baf"), "{base32}");
        // One letter more, or another last one, would be a second spelling.
        assert_eq!(refusal(&format!("{base32}a")), PeerIdError::Encoding);
        assert_eq!(refusal(&base32.to_uppercase()), PeerIdError::Encoding);
    }
}

#[test]
fn refuses_whatever_is_no_id_by_what_it_is() {
    // From libp2p's specification: one RSA key, in both forms.
    for hashed in [
        "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
        "bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe",
    ] {
        assert_eq!(refusal(hashed), PeerIdError::Hashed, "{hashed}");
    }
    for text in ["", "x", "0OIl", "12D3KooW", "b1", "z0", "b", "z", &"1".repeat(200)] {
        let refused = refusal(text);
        let expected = [PeerIdError::Encoding, PeerIdError::Length, PeerIdError::Codec];
        assert!(expected.contains(&refused), "{text}: {refused:?}");
    }
    // A file, not a key.
    assert_eq!(
        refusal("bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"),
        PeerIdError::Codec
    );
    // CometBFT's own node id.
    let hex = "56475aa75463474c0285df5dbf2bcab73da65135";
    assert_eq!(refusal(hex), PeerIdError::Encoding);
    let cut = ID.strip_suffix("eSB").unwrap();
    assert!(cut.parse::<PeerId>().is_err());
}

#[test]
fn refuses_keys_of_another_form_or_kind() {
    let of = |bytes: &[u8]| PeerId::from_encoded_key(bytes).unwrap_err();
    let key = key();
    let encoded = [ED25519_PREFIX.as_slice(), &key].concat();
    assert!(PeerId::from_encoded_key(&encoded).is_ok());
    assert_eq!(of(&encoded[..35]), PeerIdError::KeyForm);
    assert_eq!(of(&[encoded.as_slice(), &[0]].concat()), PeerIdError::KeyForm);
    assert_eq!(of(&[&[0x12, 0x20], key.as_slice(), &[0x08, 1]].concat()), PeerIdError::KeyForm);
    assert_eq!(of(&[0x08, 0, 0x12, 1, 1]), PeerIdError::KeyType(0));
    assert_eq!(of(&[0x08, 3, 0x12, 1, 1]), PeerIdError::KeyType(3));
    assert!(of(&[0x08, 0, 0x12, 1, 1]).to_string().contains("RSA"));
    assert_eq!(of(&[]), PeerIdError::KeyForm);
}

#[test]
fn refuses_keys_of_small_order_and_keys_that_can_be_written_in_two_ways() {
    let mut neutral = [0; 32];
    neutral[0] = 1;
    assert_eq!(PeerId::ed25519(neutral), Err(PeerIdError::Key));
    let mut decodable = 0;
    for low_byte in 0xed..=0xff_u8 {
        let mut key = [0xff; 32];
        key[0] = low_byte;
        key[31] = 0x7f;
        decodable += usize::from(ed25519_dalek::VerifyingKey::from_bytes(&key).is_ok());
        assert_eq!(PeerId::ed25519(key), Err(PeerIdError::Key), "{low_byte:x}");
    }
    assert!(decodable > 2);
    // Also in an address.
    let text =
        bs58::encode([&[0, 0x24], ED25519_PREFIX.as_slice(), &neutral].concat()).into_string();
    assert_eq!(refusal(&text), PeerIdError::Key);
    // Of no point of secp256k1, and the one at infinity.
    for first in [2, 0, 4] {
        let mut key = [0xff; 33];
        key[0] = first;
        assert_eq!(PeerId::secp256k1(key), Err(PeerIdError::Key), "{first}");
    }
}

#[test]
fn a_signature_of_another_message_or_form_is_none() {
    for pair in [ed25519(1), secp256k1(1)] {
        let id = PeerId::from_encoded_key(&pair.public().encode_protobuf()).unwrap();
        let signature = pair.sign(b"message").unwrap();
        assert!(id.has_signed(b"message", &signature));
        assert!(!id.has_signed(b"massage", &signature));
        for length in 0..signature.len() {
            assert!(!id.has_signed(b"message", &signature[..length]));
        }
        assert!(!id.has_signed(b"message", &[signature.as_slice(), &[0]].concat()));
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,80}", letters in "[bz1Q][1-9a-zA-Z]{0,70}") {
        for text in [text, letters] {
            if let Ok(id) = text.parse::<PeerId>() {
                proptest::prop_assert_eq!(id.to_string().parse::<PeerId>(), Ok(id));
            }
        }
    }
}

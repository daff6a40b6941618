use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::hazmat::ExpandedSecretKey;
use ed25519_dalek::{SigningKey, Verifier as _};
use sha2::{Digest as _, Sha512};

use super::*;
use crate::backend::tests_support::{comet_key_file, grant, key_pair, precommit, raw};
use crate::types::{Signature, Verifier};

const SEED: [u8; 32] = [7; 32];

fn key() -> SigningKey {
    SigningKey::from_bytes(&SEED)
}

fn public() -> PublicKey {
    PublicKey::ed25519(key().verifying_key().to_bytes())
}

fn json(private_type: &str) -> String {
    let public = key().verifying_key().to_bytes();
    let private = BASE64.encode([SEED, public].concat());
    format!(
        "{{\"address\":\"\",\"pub_key\":{{\"type\":\"tendermint/PubKeyEd25519\",\"value\":\"{}\"}},\
         \"priv_key\":{{\"type\":\"{private_type}\",\"value\":\"{private}\"}}}}",
        BASE64.encode(public)
    )
}

/// A file with this content, and what opening it gives.
fn open(content: &str, expected: Option<&PublicKey>) -> Result<FileKey, FileKeyError> {
    open_as(Algorithm::Ed25519, content, expected)
}

/// The same with another algorithm set.
fn open_as(
    algorithm: Algorithm,
    content: &str,
    expected: Option<&PublicKey>,
) -> Result<FileKey, FileKeyError> {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("key");
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    FileKey::open(&FileSource { algorithm, path }, expected)
}

fn refusal(content: &str, expected: Option<&PublicKey>) -> String {
    let text = open(content, expected).err().unwrap().to_string();
    assert!(text.contains("/key: "), "{text}");
    let values = [content.trim().to_owned(), BASE64.encode(SEED), hex::encode(SEED)];
    for value in values.iter().filter(|value| value.len() > 20) {
        assert!(!text.contains(value.as_str()), "{text}");
    }
    text
}

#[test]
fn every_format_gives_the_same_key_and_the_signatures_of_rfc_8032() {
    let joined = [SEED, key().verifying_key().to_bytes()].concat();
    let expanded: [u8; 64] = Sha512::digest(SEED).into();
    // As a FROST dealer leaves it: reduced, so that clamping would make another key of it.
    let mut reduced = ExpandedSecretKey::from_bytes(&expanded).scalar.to_bytes().to_vec();
    reduced.extend(&expanded[32..]);
    for content in [
        json("tendermint/PrivKeyEd25519"),
        format!("\n {}", json("tendermint/PrivKeyEd25519")),
        BASE64.encode(SEED),
        format!("{}\n", BASE64.encode(&joined)),
        BASE64.encode(expanded),
        BASE64.encode(reduced),
    ] {
        let mut opened = open(&content, Some(&public())).unwrap();
        assert_eq!(*opened.public_key(), public());
        opened.health().unwrap();
        let (granted, vote, extension) = grant(&public(), &precommit(5), Some(b"ext"));
        let signatures = opened.sign(granted).unwrap();
        let expected = |bytes: &[u8]| {
            use ed25519_dalek::Signer as _;
            key().verifying_key().verify(bytes, &key().sign(bytes)).unwrap();
            Some(Signature::new(Algorithm::Ed25519, key().sign(bytes).to_bytes()))
        };
        assert_eq!(signatures.vote, expected(&vote));
        assert_eq!(signatures.extension, expected(&extension.unwrap()));
    }
}

#[test]
fn an_expanded_key_is_taken_only_if_the_expected_public_key_proves_it() {
    let expanded: [u8; 64] = Sha512::digest(SEED).into();
    let content = BASE64.encode(expanded);
    assert!(refusal(&content, None).contains("set public_key for this chain"));
    let other = PublicKey::ed25519([5; 32]);
    assert!(refusal(&content, Some(&other)).contains(&other.base64()));
    let mut halves = [SEED, key().verifying_key().to_bytes()].concat();
    halves[40] ^= 1;
    assert!(refusal(&BASE64.encode(&halves), Some(&public())).contains("neither a seed"));
    assert!(refusal(&BASE64.encode(&halves), None).contains("not a seed with its public key"));
}

#[test]
fn an_expanded_key_with_a_prefix_that_everybody_knows_is_never_used() {
    let expanded: [u8; 64] = Sha512::digest(SEED).into();
    for (prefix, name) in
        [(*key().verifying_key().as_bytes(), "its public key"), ([0; 32], "zeros")]
    {
        let content = BASE64.encode([&expanded[..32], &prefix].concat());
        let text = refusal(&content, Some(&public()));
        assert!(text.contains(name) && text.contains("give the key away"), "{text}");
    }
}

#[test]
fn another_key_than_expected_is_refused_with_both() {
    let other = PublicKey::ed25519([5; 32]);
    for content in [json("tendermint/PrivKeyEd25519"), BASE64.encode(SEED)] {
        let text = refusal(&content, Some(&other));
        assert!(text.contains(&other.base64()) && text.contains(&public().base64()));
        assert_eq!(*open(&content, None).unwrap().public_key(), public());
    }
}

#[test]
fn what_is_no_ed25519_key_is_refused_by_its_name_or_length() {
    for name in ["tendermint/PrivKeyRsa", "cometbft/PrivKeyBls12_381"] {
        assert!(refusal(&json(name), None).contains(name));
    }
    assert!(refusal(&BASE64.encode([1; 33]), None).contains("base64 of 33 bytes"));
    assert!(refusal(&BASE64.encode([1; 96]), None).contains("base64 of 96 bytes"));
    for content in ["", "not base64", &"A".repeat(1000)] {
        assert!(refusal(content, None).contains("neither a priv_validator_key.json"));
    }
    assert!(refusal("{}", None).contains("not a priv_validator_key.json"));
}

#[test]
fn a_file_that_others_may_read_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("key");
    fs::write(&path, BASE64.encode(SEED)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let source = FileSource { algorithm: Algorithm::Ed25519, path: path.clone() };
    assert!(matches!(
        FileKey::open(&source, None),
        Err(FileKeyError::File(SecretFileError::Loose { mode: 0o644, .. }))
    ));
    fs::remove_file(&path).unwrap();
    assert!(matches!(
        FileKey::open(&source, None),
        Err(FileKeyError::File(SecretFileError::Missing { .. }))
    ));
}

/// Every form of a private key's file.
fn forms(algorithm: Algorithm) -> Vec<String> {
    let (private, _) = key_pair(algorithm, 7);
    let (json, _) = comet_key_file(algorithm, 7);
    let other = json.replace("tendermint/", "other/").replace("cometbft/", "tendermint/");
    let mut forms = vec![json, other.replace("other/", "cometbft/")];
    let (base64, hex) = (BASE64.encode(&private), hex::encode(&private));
    match algorithm {
        Algorithm::Ed25519 | Algorithm::MlDsa65 => forms.push(base64),
        Algorithm::Secp256k1 => forms.extend([base64, hex.clone(), format!("0x{hex}\n")]),
        Algorithm::Secp256k1Eth => forms.extend([hex.clone(), format!(" 0x{hex}")]),
    }
    forms
}

#[test]
fn every_algorithm_signs_from_every_form_of_its_file_and_always_the_same() {
    for algorithm in Algorithm::ALL {
        let (_, public) = key_pair(algorithm, 7);
        let verifier = Verifier::new(&public).unwrap();
        let mut seen = None;
        for content in forms(algorithm) {
            for expected in [None, Some(&public)] {
                let mut key = open_as(algorithm, &content, expected).unwrap();
                assert_eq!(*key.public_key(), public);
                key.health().unwrap();
                let (granted, vote, extension) = grant(&public, &precommit(5), Some(b"ext"));
                let made = key.sign(granted).unwrap();
                assert!(verifier.accepts(&vote, made.vote.as_ref().unwrap()), "{algorithm}");
                assert!(verifier.accepts(&extension.unwrap(), made.extension.as_ref().unwrap()));
                assert_eq!(*seen.get_or_insert(made.clone()), made, "{algorithm}");
            }
        }
    }
}

/// SHA-256 and RFC 6979: a vector that many wallets share.
#[test]
fn ecdsa_nonces_are_those_of_rfc_6979() {
    let one = format!("{:064x}", 1);
    let key = open_as(Algorithm::Secp256k1, &one, None).unwrap();
    let made = key
        .secret
        .sign(b"All those moments will be lost in time, like tears in rain. Time to die...");
    let expected = "8600dbd41e348fe5c9465ab92d23e3db8b98b873beecd930736488696438cb6b\
                    547fe64427496db33bf66019dacbf0039c04199abb0122918601db38a72cfc21";
    assert_eq!(hex::encode(made.unwrap().as_bytes()), expected);
}

#[test]
fn a_key_of_another_algorithm_than_is_set_is_refused_with_both() {
    for held in Algorithm::ALL {
        let (json, _) = comet_key_file(held, 7);
        for set in Algorithm::ALL.into_iter().filter(|set| *set != held) {
            let text = open_as(set, &json, None).err().unwrap().to_string();
            for word in [format!("holds a {held} key"), format!("algorithm = \"{set}\"")] {
                assert!(text.contains(&word), "no {word}: {text}");
            }
        }
    }
}

#[test]
fn files_of_other_algorithms_that_are_damaged_or_put_together_are_refused() {
    for algorithm in Algorithm::ALL {
        let (text, public) = comet_key_file(algorithm, 7);
        let (other_text, other) = comet_key_file(algorithm, 8);
        let of = |key: &PublicKey| BASE64.encode(key.as_bytes());
        let refused = |content: &str| {
            let text = open_as(algorithm, content, None).err().unwrap().to_string();
            assert!(!text.contains(&BASE64.encode(key_pair(algorithm, 7).0)));
            text
        };
        let mixed = text.replace(&of(&public), &of(&other));
        assert!(refused(&mixed).contains("put together from two"));
        let address = hex::encode_upper(public.address());
        let mixed = text.replace(&address, &hex::encode_upper(other.address()));
        assert!(refused(&mixed).contains("its address"));
        let cut = text.replace("\"value\":\"", "\"value\":\"AAAA");
        assert!(refused(&cut).contains("the file is damaged"));
        let wrong = open_as(algorithm, &other_text, Some(&public)).err().unwrap();
        assert!(matches!(wrong, FileKeyError::WrongKey { .. }));
    }
}

#[test]
fn scalars_that_are_no_private_keys_are_refused() {
    let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    for algorithm in [Algorithm::Secp256k1, Algorithm::Secp256k1Eth] {
        let refused = |content: &str| open_as(algorithm, content, None).err().unwrap().to_string();
        for scalar in ["00".repeat(32).as_str(), order, "ff".repeat(32).as_str()] {
            assert!(refused(scalar).contains("no private key of secp256k1"), "{scalar}");
        }
        for form in ["", "0x", "07", &"07".repeat(33), "not hex", &BASE64.encode([7; 64])] {
            assert!(refused(form).contains("32 bytes in hex"), "{form}");
        }
    }
    // Only secp256k1 is kept in base64.
    let base64 = BASE64.encode([7; 32]);
    assert!(open_as(Algorithm::Secp256k1Eth, &base64, None).is_err());
}

/// What the arithmetic must never see, and parts of two keys.
#[test]
fn packed_ml_dsa_keys_that_are_none_are_refused() {
    let (packed, _) = key_pair(Algorithm::MlDsa65, 7);
    let (other, _) = key_pair(Algorithm::MlDsa65, 8);
    let refused = |packed: &[u8]| {
        let content = BASE64.encode(packed);
        open_as(Algorithm::MlDsa65, &content, None).err().unwrap().to_string()
    };
    for at in [128, 767, 768, 1535] {
        for byte in [0x09, 0x90, 0xff] {
            let mut bad = packed.clone();
            bad[at] = byte;
            assert!(refused(&bad).contains("no ML-DSA-65 private key"), "{at}: {byte:x}");
        }
    }
    assert!(refused(&packed[1..]).contains("4032 bytes"));
    assert!(refused(&[0xff; 4032]).contains("no ML-DSA-65 private key"));
    // ρ, tr, s1, t0 of another key. (Another s2 may leave the public key as it is.)
    for part in [0..32, 64..128, 128..768, 1536..4032] {
        let mut mixed = packed.clone();
        mixed[part.clone()].copy_from_slice(&other[part.clone()]);
        let content = BASE64.encode(&mixed);
        let opened = open_as(Algorithm::MlDsa65, &content, None);
        assert!(matches!(opened, Err(FileKeyError::Damaged { .. })), "{part:?}");
    }
}

#[test]
fn signs_raw_bytes_as_they_are() {
    for algorithm in Algorithm::ALL {
        let (json, public) = comet_key_file(algorithm, 7);
        let mut key = open_as(algorithm, &json, None).unwrap();
        let bytes = raw(100).as_bytes().to_vec();
        let signed = key.sign_raw(raw(100)).unwrap();
        assert!(Verifier::new(&public).unwrap().accepts(&bytes, &signed), "{algorithm}");
    }
}

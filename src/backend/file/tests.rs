use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::hazmat::ExpandedSecretKey;
use ed25519_dalek::{SigningKey, Verifier as _};
use sha2::{Digest as _, Sha512};

use super::*;
use crate::backend::tests_support::{grant, precommit, raw};

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
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("key");
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    FileKey::open(&FileSource { path }, expected)
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
    assert!(refusal(&content, Some(&other)).contains(&format!("{other:?}")));
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
        assert!(text.contains(&format!("{other:?}")) && text.contains(&format!("{:?}", public())));
        assert_eq!(*open(&content, None).unwrap().public_key(), public());
    }
}

#[test]
fn what_is_no_ed25519_key_is_refused_by_its_name_or_length() {
    for name in ["tendermint/PrivKeySecp256k1", "cometbft/PrivKeyBls12_381"] {
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
    let source = FileSource { path: path.clone() };
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

#[test]
fn signs_raw_bytes_as_they_are() {
    let mut key = open(&json("tendermint/PrivKeyEd25519"), None).unwrap();
    let bytes = raw(100).as_bytes().to_vec();
    let signed = key.sign_raw(raw(100)).unwrap();
    let signature = ed25519_dalek::Signature::from_slice(signed.as_bytes()).unwrap();
    SigningKey::from_bytes(&SEED).verifying_key().verify(&bytes, &signature).unwrap();
}

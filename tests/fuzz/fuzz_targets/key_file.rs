//! Key files: `priv_validator_key.json` and bare ones, of every algorithm. What is taken signs.
#![no_main]

use std::sync::LazyLock;

use cosigner::backend::{KeyFile, fuzz_key_file};
use cosigner::types::{Algorithm, PublicKey};
use ed25519_dalek::SigningKey;
use ed25519_dalek::hazmat::ExpandedSecretKey;
use libfuzzer_sys::fuzz_target;

/// The public key of the expanded key in the corpus.
static EXPECTED: LazyLock<PublicKey> = LazyLock::new(|| {
    let expanded = ExpandedSecretKey::from(&[7; 32]);
    let public = ed25519_dalek::VerifyingKey::from(&expanded);
    assert_eq!(public, SigningKey::from_bytes(&[7; 32]).verifying_key());
    PublicKey::ed25519(public.to_bytes())
});

fuzz_target!(|text: &[u8]| {
    if let Ok(KeyFile { seed, public_key }) = KeyFile::parse(text) {
        let derived = SigningKey::from_bytes(&seed).verifying_key();
        assert_eq!(public_key, PublicKey::ed25519(derived.to_bytes()));
    }
    for algorithm in Algorithm::ALL {
        match fuzz_key_file(text, algorithm, &EXPECTED) {
            // Only of ML-DSA's many parts is it not known at once whether they belong together.
            Ok((Algorithm::MlDsa65, _)) | Ok((_, Some(_))) => {}
            Ok((found, None)) => panic!("a {found} key that does not sign"),
            // A type or an address may be said back, a private key is longer than these words.
            Err(why) => assert!(!why.is_empty()),
        }
    }
});

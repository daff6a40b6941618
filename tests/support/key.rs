//! Throwaway consensus keys in the form of CometBFT's `priv_validator_key.json`.

// Included by the devnet validator, too, which uses half of it.
#![allow(dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cosigner::types::{Algorithm, PublicKey};
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Writes a fresh key file (0600) and returns its public key.
pub fn write_throwaway(path: &Path) -> [u8; 32] {
    write_throwaway_of(Algorithm::Ed25519, path).as_bytes().try_into().unwrap()
}

/// The same of any algorithm.
pub fn write_throwaway_of(algorithm: Algorithm, path: &Path) -> PublicKey {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).unwrap();
    // Below the curve's order, whatever was drawn.
    seed[0] &= 0x7f;
    let (of, name) = TYPES[algorithm as usize];
    let (private, public) = match algorithm {
        Algorithm::Ed25519 => {
            let key = SigningKey::from_bytes(&seed);
            (key.to_keypair_bytes().to_vec(), key.verifying_key().to_bytes().to_vec())
        }
        Algorithm::Secp256k1 | Algorithm::Secp256k1Eth => {
            let key = k256::ecdsa::SigningKey::from_slice(&seed).unwrap();
            let point = key.verifying_key().to_sec1_point(true);
            (seed.to_vec(), point.as_bytes().to_vec())
        }
        Algorithm::MlDsa65 => {
            let key = ml_dsa::ExpandedSigningKey::<ml_dsa::MlDsa65>::from_seed(&seed.into());
            #[expect(deprecated, reason = "the form of CometBFT")]
            let packed = key.to_expanded().as_slice().to_vec();
            (packed, key.verifying_key().encode().as_slice().to_vec())
        }
    };
    let public = PublicKey::new(algorithm, public).unwrap();
    let mut file = json!({
        "address": hex::encode_upper(public.address()),
        "pub_key": { "type": format!("{of}/PubKey{name}"), "value": STANDARD.encode(public.as_bytes()) },
        "priv_key": { "type": format!("{of}/PrivKey{name}"), "value": STANDARD.encode(private) },
    });
    if algorithm == Algorithm::Ed25519 {
        // Without the code under test.
        file["address"] = hex::encode_upper(&Sha256::digest(public.as_bytes())[..20]).into();
    }
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    out.write_all(serde_json::to_string_pretty(&file).unwrap().as_bytes()).unwrap();
    public
}

/// CometBFT's names of the types of keys, in the order of [`Algorithm::ALL`].
const TYPES: [(&str, &str); 4] = [
    ("tendermint", "Ed25519"),
    ("tendermint", "Secp256k1"),
    ("tendermint", "Secp256k1eth"),
    ("cometbft", "MlDsa65"),
];

/// The public key of a key file.
pub fn public_of(path: &Path) -> PublicKey {
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let public = STANDARD.decode(file["pub_key"]["value"].as_str().unwrap()).unwrap();
    let of = file["pub_key"]["type"].as_str().unwrap();
    let is_it =
        |algorithm: &Algorithm| of.ends_with(&format!("PubKey{}", TYPES[*algorithm as usize].1));
    PublicKey::new(Algorithm::ALL.into_iter().find(is_it).unwrap(), public).unwrap()
}

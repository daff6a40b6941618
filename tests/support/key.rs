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
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Writes a fresh key file (0600) and returns its public key.
pub fn write_throwaway(path: &Path) -> [u8; 32] {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).unwrap();
    let key = SigningKey::from_bytes(&seed);
    let public = key.verifying_key().to_bytes();
    let address = hex::encode_upper(&Sha256::digest(public)[..20]);
    let file = json!({
        "address": address,
        "pub_key": { "type": "tendermint/PubKeyEd25519", "value": STANDARD.encode(public) },
        "priv_key": {
            "type": "tendermint/PrivKeyEd25519",
            "value": STANDARD.encode(key.to_keypair_bytes()),
        },
    });
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    out.write_all(serde_json::to_string_pretty(&file).unwrap().as_bytes()).unwrap();
    public
}

/// The public key of a key file.
pub fn public_of(path: &Path) -> [u8; 32] {
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let public = STANDARD.decode(file["pub_key"]["value"].as_str().unwrap()).unwrap();
    public.try_into().unwrap()
}

//! A chain's key in AWS KMS, or in what stands in for it on loopback.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cosigner::types::{Algorithm, PublicKey};
use serde_json::json;
use tempfile::TempDir;

use super::cluster::Backend;
use super::kms_fault::{ALIAS, KmsFault};
use super::ministack::Ministack;

/// What may be in no log and no answer.
pub const SECRETS: [&str; 2] = ["wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "the-session-token"];

/// What a cosigner finds in its environment: static credentials, and nothing of the machine's own.
pub struct Environment {
    home: TempDir,
}

impl Environment {
    /// With an empty HOME, so that no profile of the machine is read.
    pub fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    /// The key of a server that answers as it is told.
    pub fn told(&self, kms: &KmsFault) -> Backend {
        self.backend(ALIAS, kms.endpoint(), kms.public_key())
    }

    /// A fresh key of the emulator.
    pub fn emulated(&self, kms: &Ministack) -> Backend {
        self.emulated_of(kms, Algorithm::Ed25519)
    }

    /// The same of another algorithm.
    pub fn emulated_of(&self, kms: &Ministack, algorithm: Algorithm) -> Backend {
        let made = kms.create_key_of(algorithm);
        let id = made["KeyId"].as_str().unwrap();
        let found = kms.call("GetPublicKey", &json!({ "KeyId": id }));
        let der = STANDARD.decode(found["PublicKey"].as_str().unwrap()).unwrap();
        // In DER the key's bytes stand last: 32, or a point with both its coordinates.
        let length = if algorithm == Algorithm::Ed25519 { 32 } else { 65 };
        let bytes = &der[der.len() - length..];
        let public_key = PublicKey::from_encoding(algorithm, bytes).unwrap();
        self.backend(id, kms.endpoint(), public_key)
    }

    fn backend(&self, key_id: &str, endpoint: String, public_key: PublicKey) -> Backend {
        let flags = ["--backend", "awskms", "--key-id", key_id, "--region", "us-east-1"];
        let flags = flags.map(str::to_owned).into_iter().chain(["--endpoint".into(), endpoint]);
        let algorithm = ["--algorithm".to_owned(), public_key.algorithm().name().to_owned()];
        let environment = [
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", SECRETS[0]),
            ("AWS_SESSION_TOKEN", SECRETS[1]),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("HOME", self.home.path().to_str().unwrap()),
        ];
        Backend {
            flags: flags.chain(algorithm).collect(),
            environment: environment.map(|(name, value)| (name.into(), value.into())).into(),
            public_key,
        }
    }
}

impl Default for Environment {
    fn default() -> Self {
        Self::new()
    }
}

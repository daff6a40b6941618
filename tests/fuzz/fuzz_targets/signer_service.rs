//! What the gRPC service reads: requests, the callers of a key, its own certificate. A request gets a
//! signature of its own bytes, by the key that the receipt is of, or none.
#![no_main]

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::LazyLock;

use cosigner::backend::{ConsensusKeys, KeyFault, NotForService, ServiceKey, ToSign};
use cosigner::service::{Callers, GetKeyRequest, Identity, Kind, SignRequest};
use cosigner::types::{Algorithm, CertificatePin, ChainId, PublicKey, Signature};
use ed25519_dalek::Signer as _;
use libfuzzer_sys::fuzz_target;
use prost::Message as _;

enum Private {
    Edwards(ed25519_dalek::SigningKey),
    Ecdsa(k256::ecdsa::SigningKey),
}

impl Private {
    fn public(&self, algorithm: Algorithm) -> PublicKey {
        match self {
            Self::Edwards(key) => PublicKey::ed25519(key.verifying_key().to_bytes()),
            Self::Ecdsa(key) => {
                let point = key.verifying_key().to_sec1_point(true);
                PublicKey::new(algorithm, point.as_bytes()).unwrap()
            }
        }
    }

    fn sign(&self, algorithm: Algorithm, what: &ToSign<'_>) -> Vec<u8> {
        match (self, what) {
            (Self::Edwards(key), ToSign::Message(message)) => key.sign(message).to_bytes().to_vec(),
            (Self::Ecdsa(key), ToSign::Digest(digest)) => {
                let (pair, v) = key.sign_prehash_recoverable(digest);
                let v = (algorithm == Algorithm::Secp256k1Eth).then_some(v.to_byte());
                pair.to_bytes().into_iter().chain(v).collect()
            }
            _ => panic!("what a key of another kind signs"),
        }
    }
}

static KEYS: LazyLock<Vec<(Algorithm, Private, ServiceKey)>> = LazyLock::new(|| {
    let ecdsa = |byte| Private::Ecdsa(k256::ecdsa::SigningKey::from_slice(&[byte; 32]).unwrap());
    let keys = [
        (Algorithm::Ed25519, Private::Edwards(ed25519_dalek::SigningKey::from_bytes(&[1; 32]))),
        (Algorithm::Secp256k1, ecdsa(2)),
        (Algorithm::Secp256k1Eth, ecdsa(3)),
    ];
    let with_receipt = |(algorithm, private): (Algorithm, Private)| {
        let public = private.public(algorithm);
        let receipt = ServiceKey::new(public, &ConsensusKeys::default()).unwrap();
        (algorithm, private, receipt)
    };
    keys.into_iter().map(with_receipt).collect()
});

/// A payload, as far as each key takes it.
fn payload(bytes: &[u8]) {
    for (algorithm, private, receipt) in KEYS.iter() {
        let Ok(message) = receipt.message(bytes.to_vec()) else {
            assert!(*algorithm == Algorithm::Secp256k1Eth && bytes.len() != 32);
            continue;
        };
        for (_, _, other) in KEYS.iter().filter(|(other, ..)| other != algorithm) {
            let refused = message.to_sign(other.public_key());
            assert!(matches!(refused, Err(KeyFault::WrongKey { .. })));
        }
        let what = message.to_sign(receipt.public_key()).unwrap();
        let mut signature = private.sign(*algorithm, &what);
        assert!(message.accepts(&Signature::new(*algorithm, signature.clone())));
        signature[40] ^= 1;
        assert!(!message.accepts(&Signature::new(*algorithm, signature)));
    }
}

fn requests(bytes: &[u8]) {
    if let Ok(request) = GetKeyRequest::decode(bytes) {
        assert_eq!(GetKeyRequest::decode(request.encode_to_vec().as_slice()), Ok(request));
    }
    let Ok(request) = SignRequest::decode(bytes) else { return };
    if let Some(Kind::Generic(bytes)) = request.payload.and_then(|payload| payload.kind) {
        payload(&bytes);
    }
}

/// Bytes as a public key that is wanted for the service, in a home whose chain has the same point.
fn keys(bytes: &[u8]) {
    let chain = ChainId::new("test-chain-1").unwrap();
    for algorithm in Algorithm::ALL {
        let Ok(key) = PublicKey::new(algorithm, bytes.to_vec()) else { continue };
        let chains = ConsensusKeys::new([(&chain, &key)]);
        let refused = ServiceKey::new(key.clone(), &chains);
        assert!(matches!(refused, Err(NotForService::Consensus { .. })));
        let _ = ServiceKey::new(key, &ConsensusKeys::default());
    }
}

/// One caller in each line.
fn callers(text: &str) {
    match Callers::pinned(text.lines()) {
        Ok(callers) => {
            let shown = callers.to_string();
            assert_eq!(Callers::pinned(shown.split(", ")), Ok(callers.clone()));
            assert!(!callers.include(None));
            let Callers::Pinned(pins) = &callers else { panic!("a list that is everybody") };
            assert!(pins.iter().all(|pin| callers.include(Some(*pin))));
            let stranger = CertificatePin([0x5a; 32]);
            assert_eq!(callers.include(Some(stranger)), pins.contains(&stranger));
        }
        Err(why) => assert!(!why.to_string().is_empty()),
    }
}

/// Certificate and key in one file.
fn pem(text: &[u8]) {
    let path = std::env::temp_dir().join(format!("cosigner-fuzz-{}.pem", std::process::id()));
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
    file.unwrap().write_all(text).unwrap();
    let read = Identity::read(&path, &path);
    fs::remove_file(&path).unwrap();
    if let Err(why) = read {
        assert!(why.to_string().len() < 1000);
    }
}

fuzz_target!(|input: &[u8]| {
    match input.split_first() {
        Some((b'r', bytes)) => requests(bytes),
        Some((b'p', bytes)) => payload(bytes),
        Some((b'k', bytes)) => keys(bytes),
        Some((b'c', bytes)) => callers(&String::from_utf8_lossy(bytes)),
        Some((b'-', _)) => pem(input),
        _ => {}
    }
});

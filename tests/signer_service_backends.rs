//! Tokens, a KMS and clusters behind the gRPC service: what goes away comes back, and no chain's key is
//! ever offered, however late it is known.

#![cfg(all(feature = "pkcs11", feature = "awskms"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/service.rs"]
mod service;
mod support;

use std::fs;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cosigner::types::{Algorithm, PublicKey, Signature, Verifier};
use ed25519_dalek::SigningKey;
use service::{Client, Home, PATIENCE, assert_refused, backend_key, ed25519_file, file_key};
use sha2::{Digest as _, Sha256};
use support::cluster::Backend;
use support::kms::{Environment, SECRETS};
use support::kms_fault::{Answer, Call, KmsFault};
use support::softhsm::{PIN, SoftHsm};
use tonic::{Code, Status};

#[track_caller]
fn assert_signed(key: &PublicKey, message: &[u8], result: Result<Vec<u8>, Status>) {
    let signature = Signature::new(key.algorithm(), result.unwrap());
    assert!(Verifier::new(key).unwrap().accepts(message, &signature));
}

#[track_caller]
fn assert_unusable(result: Result<Vec<u8>, Status>) -> String {
    let status = result.unwrap_err();
    let text = status.message().to_owned();
    assert_eq!(status.code(), Code::Internal, "{text}");
    assert!(text.starts_with("sign: the key cannot be used now: "), "{text}");
    text
}

/// Signs again by itself, within a bound.
async fn signs_again(client: &mut Client, id: &str, key: &PublicKey) {
    let begun = Instant::now();
    loop {
        match client.sign(id, b"again").await {
            Ok(signature) => return assert_signed(key, b"again", Ok(signature)),
            Err(status) => assert!(begun.elapsed() < PATIENCE, "{status}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A home of a key behind `backend`, and of one in a file that is always there.
fn home_of(id: &str, backend: &Backend) -> Home {
    let mut home = Home::bare();
    home.write("file", &ed25519_file([8; 32]));
    home.service(&(backend_key(id, backend) + &file_key("file", "file", "ed25519")));
    home.environment = backend.environment.clone();
    home
}

fn file_public() -> PublicKey {
    PublicKey::ed25519(SigningKey::from_bytes(&[8; 32]).verifying_key().to_bytes())
}

/// Over the service secp256k1eth signs what it is given, and secp256k1 the hash of it.
#[tokio::test]
async fn a_token_signs_with_keys_of_both_kinds_of_secp256k1() {
    for algorithm in [Algorithm::Secp256k1, Algorithm::Secp256k1Eth] {
        let token = SoftHsm::generated_of(algorithm);
        let backend = token.backend();
        let mut home = home_of("hsm", &backend);
        home.start();
        let mut client = home.client().await;
        let key = &backend.public_key;
        assert_eq!(client.key("hsm").await.unwrap().pubkey, key.as_bytes());
        let digest: [u8; 32] = Sha256::digest(b"message").into();
        let payload: &[u8] = match algorithm {
            Algorithm::Secp256k1 => b"message",
            _ => &digest,
        };
        let made = client.sign("hsm", payload).await.unwrap();
        let signature = Signature::new(algorithm, made);
        assert_eq!(signature.as_bytes().len(), algorithm.signature_bytes());
        assert!(Verifier::new(key).unwrap().accepts_digest(&digest, &signature));
    }
}

#[tokio::test]
async fn a_token_signs_goes_away_and_signs_again() {
    let token = SoftHsm::generated();
    let backend = token.backend();
    let mut home = home_of("hsm", &backend);
    let ended = home.check();
    assert!(
        ended.code == 0 && ended.said.contains("hsm: ed25519 (pkcs11) can be used"),
        "{}",
        ended.said
    );
    home.start();
    let mut client = home.client().await;
    assert_eq!(client.key("hsm").await.unwrap().pubkey, backend.public_key.as_bytes());
    assert_signed(&backend.public_key, b"message", client.sign("hsm", b"message").await);
    assert_signed(&backend.public_key, b"", client.sign("hsm", b"").await);
    let long = vec![1; 1 << 20];
    assert_signed(&backend.public_key, &long, client.sign("hsm", &long).await);

    token.pull_out();
    assert_unusable(client.sign("hsm", b"message").await);
    assert_signed(&file_public(), b"message", client.sign("file", b"message").await);
    assert!(home.key_status("hsm")["key_fault"]["text"].as_str().unwrap().contains("pkcs11"));
    assert_eq!(home.get("/readyz").status, 200, "a service key has no say in readiness");
    assert_eq!(client.ids().await, ["file", "hsm"], "it is known all the same");

    token.bring_back();
    signs_again(&mut client, "hsm", &backend.public_key).await;
    home.wait_fault("hsm", None);
    assert!(!home.log().contains(PIN));
}

#[tokio::test]
async fn a_token_that_is_away_at_the_start_is_found_later() {
    let token = SoftHsm::generated();
    let backend = token.backend();
    let mut home = home_of("hsm", &backend);
    token.pull_out();
    let ended = home.check();
    assert!(ended.code == 1 && ended.said.contains("service key \"hsm\""), "{}", ended.said);
    home.start();
    let mut client = home.client().await;
    assert_unusable(client.sign("hsm", b"message").await);
    let text = "the key's backend has not been reached yet";
    assert_refused(client.key("hsm").await, Code::Unavailable, text);
    assert_eq!(client.ids().await, ["file"]);
    token.bring_back();
    signs_again(&mut client, "hsm", &backend.public_key).await;
    assert_eq!(client.ids().await, ["file", "hsm"]);
}

#[tokio::test]
async fn a_chains_key_that_is_known_only_later_is_refused_before_it_signs() {
    let token = SoftHsm::imported([1; 32]);
    let mut home = Home::of_chain([1; 32]);
    home.write("file", &ed25519_file([8; 32]));
    home.service(&(backend_key("oops", &token.backend()) + &file_key("file", "file", "ed25519")));
    home.environment = token.backend().environment;
    let ended = home.check();
    assert!(ended.code == 2 && ended.said.contains("chain test-chain-1"), "{}", ended.said);
    token.pull_out();
    home.start();
    token.bring_back();
    home.wait_fault("oops", Some("consensus_key"));
    let mut client = home.client().await;
    for _ in 0..3 {
        let text = assert_unusable(client.sign("oops", b"message").await);
        assert!(text.ends_with("consensus_key"), "{text}");
    }
    assert!(client.key("oops").await.is_err());
    assert_eq!(client.ids().await, ["file"]);
    assert_eq!(home.key_status("oops")["counts"]["signed"], 0);
    let log = home.log();
    let error = log.lines().find(|line| line.contains("ERROR")).unwrap();
    assert!(error.contains("oops") && error.contains("test-chain-1"), "{error}");
    assert_signed(&file_public(), b"m", client.sign("file", b"m").await);
}

#[tokio::test]
async fn a_kms_has_its_own_limit_and_one_that_hangs_holds_up_no_other_key() {
    let kms = KmsFault::start([5; 32]);
    let environment = Environment::new();
    let backend = environment.told(&kms);
    let mut home = home_of("kms", &backend);
    home.start();
    let mut client = home.client().await;
    assert_signed(&backend.public_key, b"message", client.sign("kms", b"message").await);
    let calls = kms.calls(Call::Sign);
    let too_long = "payload is longer than the 4096 bytes that are signed";
    assert_refused(client.sign("kms", &[1; 4097]).await, Code::InvalidArgument, too_long);
    assert_eq!(kms.calls(Call::Sign), calls, "refused without asking");
    assert!(home.key_status("kms")["key_fault"].is_null(), "a request's fault is not the key's");

    kms.answer_to(Call::Sign, Answer::OtherBytes);
    assert!(assert_unusable(client.sign("kms", b"message").await).ends_with("bad_signature"));

    kms.answer(Answer::Slow(Duration::from_secs(3)));
    let mut other = client.clone();
    let (hung, begun) = (client.sign("kms", b"message"), Instant::now());
    let (hung, prompt) = tokio::join!(hung, async {
        for _ in 0..20 {
            assert_signed(&file_public(), b"m", other.sign("file", b"m").await);
        }
        begun.elapsed()
    });
    assert!(prompt < Duration::from_secs(2), "{prompt:?}");
    assert!(assert_unusable(hung).ends_with("no_answer"));
    kms.answer(Answer::Right);
    signs_again(&mut client, "kms", &backend.public_key).await;
    let log = home.log();
    assert!(SECRETS.iter().all(|secret| !log.contains(secret)));
}

#[test]
fn a_key_that_is_split_or_another_members_chains_is_refused() {
    let home = Home::of_shares([1; 32]);
    home.write("copy", &STANDARD.encode([1; 32]));
    home.write("other", &STANDARD.encode([2; 32]));
    home.service(&file_key("oops", "copy", "ed25519"));
    for ended in [home.check(), home.start_refused()] {
        assert_eq!(ended.code, 2, "{}", ended.said);
        for word in ["service key \"oops\"", "consensus key of chain test-chain-1"] {
            assert!(ended.said.contains(word), "{}", ended.said);
        }
    }
    home.service(&file_key("other", "other", "ed25519"));
    let ended = home.check();
    assert_eq!(ended.code, 0, "{}", ended.said);
    // A chain of the cluster that this node is not configured for.
    let list = fs::read_to_string(home.path("cluster.toml")).unwrap();
    let public = SigningKey::from_bytes(&[2; 32]).verifying_key().to_bytes();
    let public = STANDARD.encode(public);
    let more = format!("\n[[key]]\nchain_id = \"other-chain-2\"\npublic_key = \"{public}\"\n");
    fs::write(home.path("cluster.toml"), list + &more).unwrap();
    let ended = home.check();
    assert!(ended.code == 2 && ended.said.contains("chain other-chain-2"), "{}", ended.said);
}

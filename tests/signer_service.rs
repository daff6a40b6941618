//! The gRPC service of a real process, asked by a client of the same protocol.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/service.rs"]
mod service;
mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{SigningKey, VerifyingKey};
use k256::ecdsa::signature::hazmat::PrehashVerifier as _;
use k256::ecdsa::{RecoveryId, Signature as Ecdsa, VerifyingKey as Secp256k1};
use rustls::version::{TLS12, TLS13};
use serde_json::Value;
use service::pb::SignatureScheme::{EcdsaSecp256k1, EcdsaSecp256k1eth, Ed25519};
use service::{Certificate, Home, assert_refused, ed25519_file, file_key};
use sha2::{Digest as _, Sha256};
use tonic::Code;

/// Longest payload.
const LONGEST: usize = 1 << 20;
const NOT_FOR_CALLER: &str = "there is no such key for this caller";

fn public(seed: u8) -> VerifyingKey {
    SigningKey::from_bytes(&[seed; 32]).verifying_key()
}

#[track_caller]
fn assert_ed25519(key: &VerifyingKey, message: &[u8], signature: &[u8]) {
    let signature = ed25519_dalek::Signature::from_slice(signature).unwrap();
    key.verify_strict(message, &signature).unwrap();
}

/// A home without chains and with a key of each scheme in files.
fn of_all_schemes() -> Home {
    let home = Home::bare();
    home.write("ed", &ed25519_file([1; 32]));
    home.write("k1", &STANDARD.encode([2; 32]));
    home.write("eth", &format!("0x{}", "03".repeat(32)));
    let keys = [
        file_key("zz", "ed", "ed25519"),
        file_key("b", "k1", "secp256k1"),
        file_key("a", "eth", "secp256k1eth"),
    ];
    home.service(&keys.concat());
    home
}

#[tokio::test]
async fn every_scheme_signs_in_its_own_form() {
    let mut home = of_all_schemes();
    home.start();
    let mut client = home.client().await;
    let (message, digest) = (b"a payload that no log may show".as_slice(), [0x5a; 32]);

    for message in [message, b"", &vec![7; LONGEST]] {
        assert_ed25519(&public(1), message, &client.sign("zz", message).await.unwrap());
    }

    let key = client.key("b").await.unwrap();
    assert_eq!((key.pubkey.len(), key.scheme()), (33, EcdsaSecp256k1));
    let verifier = Secp256k1::from_sec1_bytes(&key.pubkey).unwrap();
    for message in [message, b"", &digest] {
        let bytes = client.sign("b", message).await.unwrap();
        let signature = Ecdsa::from_slice(&bytes).unwrap();
        assert!(bytes.len() == 64 && signature.normalize_s() == signature);
        verifier.verify_prehash(&Sha256::digest(message), &signature).unwrap();
    }

    let key = client.key("a").await.unwrap();
    assert_eq!((key.pubkey.len(), key.scheme()), (33, EcdsaSecp256k1eth));
    let verifier = Secp256k1::from_sec1_bytes(&key.pubkey).unwrap();
    for seed in 0..8 {
        let digest: [u8; 32] = Sha256::digest([seed]).into();
        let bytes = client.sign("a", &digest).await.unwrap();
        let (&v, rs) = bytes.split_last().unwrap();
        let signature = Ecdsa::from_slice(rs).unwrap();
        assert!(v <= 1 && signature.normalize_s() == signature);
        let v = RecoveryId::from_byte(v).unwrap();
        let found = Secp256k1::recover_from_prehash(&digest, &signature, v).unwrap();
        assert_eq!(found, verifier, "the digest itself is signed");
    }

    let keys = client.keys().await.unwrap();
    let listed: Vec<_> = keys.iter().map(|key| (key.id.as_str(), key.scheme())).collect();
    assert_eq!(listed, [("a", EcdsaSecp256k1eth), ("b", EcdsaSecp256k1), ("zz", Ed25519)]);
    assert_eq!(keys[2].pubkey, public(1).to_bytes());

    let status = home.key_status("zz");
    assert_eq!((&status["scheme"], &status["counts"]["signed"]), (&"ed25519".into(), &3.into()));
    assert_eq!(status["public_key"], STANDARD.encode(public(1).to_bytes()));
    let log = home.log();
    let line = log.lines().find(|line| line.contains("service signed")).unwrap();
    for part in ["key=\"zz\"", "scheme=\"ED25519\"", "bytes=30", "total_ms="] {
        assert!(line.contains(part), "{line}");
    }
    assert!(!log.contains("no log may show"), "the payload is in the log");
    assert_eq!(log.matches("service signed").count(), 14);
    assert_eq!(home.get("/readyz").status, 200, "a node for the service alone is ready");
    assert_eq!(home.terminate(), 0, "with a client that stays connected");
}

#[tokio::test]
async fn refusals_have_the_codes_and_texts_that_clients_know() {
    let mut home = of_all_schemes();
    home.start();
    let mut client = home.client().await;
    assert_refused(client.key("x").await, Code::NotFound, "key \"x\" not found");
    assert_refused(client.sign("x", b"m").await, Code::NotFound, "key \"x\" not found");
    for length in [0, 31, 33, 64] {
        let refused = client.sign("a", &vec![1; length]).await;
        let text = "ECDSA_SECP256K1ETH payload must be a 32-byte digest";
        assert_refused(refused, Code::InvalidArgument, text);
    }
    let too_long = "payload is longer than the 1048576 bytes that are signed";
    for length in [LONGEST + 1, 3 * LONGEST, 8 * LONGEST] {
        let refused = client.sign("zz", &vec![1; length]).await;
        assert_refused(refused, Code::InvalidArgument, too_long);
    }
    let missing = "payload is missing, or of a kind not known here";
    for payload in [None, Some(service::pb::Payload { kind: None })] {
        let refused = client.sign_payload("zz", payload).await;
        assert_refused(refused, Code::InvalidArgument, missing);
    }
    client.sign("zz", b"m").await.unwrap();
    assert_eq!(home.key_status("a")["counts"]["failed"], 4);
}

#[test]
fn a_key_of_a_chain_is_refused_by_name_before_anything_starts() {
    let home = Home::of_chain([1; 32]);
    home.write("copy", &STANDARD.encode([1; 32]));
    home.service(&file_key("oops", "copy", "ed25519"));
    for ended in [home.check(), home.start_refused()] {
        assert_eq!(ended.code, 2, "{}", ended.said);
        for word in ["service key \"oops\"", "consensus key of chain test-chain-1"] {
            assert!(ended.said.contains(word), "{}", ended.said);
        }
    }
    // Known by its pin alone, while nothing is there to be opened.
    let pin = STANDARD.encode(public(1).to_bytes());
    let key = format!(
        "[[service.key]]\nid = \"oops\"\npublic_key = \"{pin}\"\n\
         key = {{ backend = \"file\", path = \"nowhere\" }}\n"
    );
    home.service(&key);
    let ended = home.check();
    assert!(ended.code == 2 && ended.said.contains("test-chain-1"), "{}", ended.said);
    home.write("copy", &STANDARD.encode([9; 32]));
    home.service(&file_key("fine", "copy", "ed25519"));
    let ended = home.check();
    assert!(ended.code == 0 && ended.said.contains("service key fine: ed25519"), "{}", ended.said);
}

#[test]
fn plain_text_off_loopback_and_callers_without_tls_are_refused() {
    let home = Home::bare();
    home.write("k", &STANDARD.encode([9; 32]));
    let key = file_key("a", "k", "ed25519");
    home.service(&format!("listen = \"0.0.0.0:1\"\n{key}callers = \"any\"\n"));
    let ended = home.check();
    assert!(ended.code == 2 && ended.said.contains("needs TLS"), "{}", ended.said);
    home.service(&format!("{key}callers = [\"{}\"]\n", Certificate::new().pin()));
    let ended = home.start_refused();
    assert!(ended.code == 2 && ended.said.contains("cannot be told apart"), "{}", ended.said);
    home.service(&file_key("a", "k", "ml_dsa_65"));
    let ended = home.check();
    assert!(ended.code == 2 && ended.said.contains("ml_dsa_65"), "{}", ended.said);
}

/// Two keys with a caller each.
fn with_tls(third: bool) -> (Home, [Certificate; 2]) {
    let home = Home::bare();
    let callers = [Certificate::new(), Certificate::new()];
    let mut text = Certificate::new().install(&home);
    for (index, (id, caller)) in ["one", "two"].iter().zip(&callers).enumerate() {
        home.write(id, &STANDARD.encode([u8::try_from(index + 1).unwrap(); 32]));
        text += &format!("{}callers = [\"{}\"]\n", file_key(id, id, "ed25519"), caller.pin());
    }
    if third {
        home.write("open", &STANDARD.encode([3; 32]));
        text += &format!("{}callers = \"any\"\n", file_key("open", "open", "ed25519"));
    }
    home.service(&text);
    (home, callers)
}

#[tokio::test]
async fn a_caller_uses_the_keys_that_name_its_certificate_and_learns_of_no_others() {
    let (mut home, [first, second]) = with_tls(false);
    home.start();
    for version in [&TLS13, &TLS12] {
        for (caller, own, other, seed) in [(&first, "one", "two", 1), (&second, "two", "one", 2)] {
            let mut client = home.tls_client(Some(caller), version).await.unwrap();
            assert_ed25519(&public(seed), b"m", &client.sign(own, b"m").await.unwrap());
            assert_eq!(client.ids().await, [own]);
            for id in [other, "there-is-none"] {
                assert_refused(client.sign(id, b"m").await, Code::PermissionDenied, NOT_FOR_CALLER);
                assert_refused(client.key(id).await, Code::PermissionDenied, NOT_FOR_CALLER);
            }
        }
        let stranger = Certificate::new();
        for caller in [Some(&stranger), None] {
            // With TLS 1.3 the client has finished before the server refuses: then its first call fails.
            if let Ok(mut client) = home.tls_client(caller, version).await {
                assert!(client.sign("one", b"m").await.is_err());
                assert!(client.keys().await.is_err());
            }
        }
    }
    assert_eq!(home.key_status("one")["counts"]["signed"], 2);
    assert_eq!(home.log().matches("service signed").count(), 4);
}

#[tokio::test]
async fn a_certificate_without_its_private_key_is_nobodys() {
    for third in [false, true] {
        let (mut home, [first, _]) = with_tls(third);
        home.start();
        let thief = Certificate { der: first.der, key: Certificate::new().key };
        for version in [&TLS13, &TLS12] {
            if let Ok(mut client) = home.tls_client(Some(&thief), version).await {
                assert!(client.sign("one", b"m").await.is_err());
                assert!(client.keys().await.is_err());
            }
        }
    }
}

#[test]
fn a_key_file_that_another_node_alone_signs_with_is_not_offered() {
    let mut node = Home::of_chain([1; 32]);
    node.write("own", &STANDARD.encode([9; 32]));
    node.service(&file_key("own", "own", "ed25519"));
    node.start();
    let home = Home::bare();
    let path = node.directory().join("priv_validator_key.json");
    home.service(&file_key("oops", path.to_str().unwrap(), "ed25519"));
    let ended = home.check();
    assert_eq!(ended.code, 3, "{}", ended.said);
    assert!(ended.said.contains("another cosigner on this machine"), "{}", ended.said);
}

#[tokio::test]
async fn a_key_for_any_caller_opens_none_of_the_others() {
    let (mut home, [first, _]) = with_tls(true);
    home.start();
    let stranger = Certificate::new();
    for caller in [Some(&stranger), None] {
        let mut client = home.tls_client(caller, &TLS13).await.unwrap();
        assert_ed25519(&public(3), b"m", &client.sign("open", b"m").await.unwrap());
        assert_eq!(client.ids().await, ["open"]);
        for id in ["one", "two", "x"] {
            assert_refused(client.sign(id, b"m").await, Code::PermissionDenied, NOT_FOR_CALLER);
        }
    }
    let mut client = home.tls_client(Some(&first), &TLS13).await.unwrap();
    assert_eq!(client.ids().await, ["one", "open"]);
    client.sign("one", b"m").await.unwrap();
    let log = home.log();
    let warned = log.lines().filter(|line| line.contains("whoever reaches the port"));
    let warned: Vec<&str> = warned.collect();
    assert!(warned.len() == 1 && warned[0].contains("open"), "{warned:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_bytes_and_idle_connections_do_not_hurt_a_good_caller() {
    let mut plain = of_all_schemes();
    let (mut pinned, [caller, _]) = with_tls(false);
    plain.start();
    pinned.start();
    let mut clients =
        [plain.client().await, pinned.tls_client(Some(&caller), &TLS13).await.unwrap()];
    let ids = ["zz", "one"];
    for (client, id) in clients.iter_mut().zip(ids) {
        client.sign(id, b"m").await.unwrap();
    }
    let mut held = Vec::new();
    for round in 0..40_u8 {
        for address in [plain.listen, pinned.listen] {
            for bytes in hostile(round) {
                let mut stream = TcpStream::connect(address).unwrap();
                // A server that has let go already is no fault.
                let _ = stream.write_all(&bytes);
                held.push(stream);
            }
        }
        for (client, id) in clients.iter_mut().zip(ids) {
            let begun = Instant::now();
            let signature = client.sign(id, &[round]).await.unwrap();
            assert_ed25519(&public(1), &[round], &signature);
            assert!(begun.elapsed() < Duration::from_secs(5));
        }
    }
    // New ones get in as well, though nobody has hung up.
    plain.client().await.sign("zz", b"m").await.unwrap();
    let mut client = pinned.tls_client(Some(&caller), &TLS13).await.unwrap();
    client.sign("one", b"m").await.unwrap();
    drop(held);
    assert_eq!((plain.terminate(), pinned.terminate()), (0, 0));
}

/// Nothing, noise, HTTP/1, half a preface, a preface with a broken frame, half a TLS greeting.
fn hostile(seed: u8) -> [Vec<u8>; 6] {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    [
        Vec::new(),
        (0..200).map(|at: u8| at.wrapping_mul(seed | 1).wrapping_add(seed)).collect(),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        preface[..10].to_vec(),
        [preface.as_slice(), &[0xff; 64]].concat(),
        vec![0x16, 3, 1, 2, 0, 1, 0, 1],
    ]
}

#[test]
fn nothing_else_is_served_there() {
    let mut home = of_all_schemes();
    home.start();
    let mut stream = TcpStream::connect(home.listen).unwrap();
    stream.set_read_timeout(Some(service::PATIENCE)).unwrap();
    stream.write_all(b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // A reset is an end, too.
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1"), "{}", String::from_utf8_lossy(&answer));
    let status: Value = serde_json::from_str(&home.get("/status").body).unwrap();
    assert_eq!(status["service"]["tls"], false);
}

//! Keys of every algorithm as an operator meets them: made, pinned, refused, missing, moved.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cosigner::privval::{BlockId, sign_bytes};
use cosigner::types::{Algorithm, ChainId, Signature, Verifier};
use serde_json::Value;
use support::asker::{Ask, Asker, Ending, Kind};
use support::cluster::{CHAIN, Cluster, Shape, command};
use support::node::content;
use support::{key, wait};

const PATIENCE: Duration = Duration::from_secs(20);

/// Longest for which one vote is asked for that is not to be signed.
const ONE_VOTE: Duration = Duration::from_secs(1);

fn run(args: &[&str]) -> Output {
    command().args(args).output().unwrap()
}

#[track_caller]
fn done(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn refused(args: &[&str], code: i32, says: &[&str]) {
    let output = run(args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    for word in says {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn init_makes_a_home_for_every_algorithm_and_names_the_key() {
    for algorithm in Algorithm::ALL {
        let directory = tempfile::tempdir().unwrap();
        let (file, home) = (directory.path().join("key.json"), directory.path().join("home"));
        let public_key = key::write_throwaway_of(algorithm, &file);
        let base64 = BASE64.encode(public_key.as_bytes());
        let address = hex::encode_upper(public_key.address());
        let with = |name: &'static str| {
            let init = ["init", "--chain-id", CHAIN, "--backend", "file", "--path", text(&file)];
            [&init[..], &["--never-signed", "--home", text(&home), "--algorithm", name]].concat()
        };
        // Said wrongly, both are named, and nothing is made.
        for other in Algorithm::ALL.into_iter().filter(|other| *other != algorithm) {
            let says = [format!("holds a {algorithm} key"), format!("algorithm = \"{other}\"")];
            refused(&with(other.name()), 2, &says.each_ref().map(String::as_str));
            assert!(!home.exists());
        }
        refused(&with("rsa"), 2, &["--algorithm", "secp256k1eth", "\"rsa\""]);
        let name = if algorithm == Algorithm::MlDsa65 { "mldsa65" } else { algorithm.name() };
        let pinned = [&with(name)[..], &["--public-key", &base64]].concat();
        let report = done(&pinned);
        assert!(report.contains(&base64) && report.contains(&address), "{report}");
        let home = text(&home);
        let check = done(&["config", "check", "--home", home, "--ops-listen", ""]);
        assert!(check.contains("whole key (file) can be used"), "{check}");
        let shown = done(&["address", "--home", home]);
        assert!(shown.contains(&base64) && shown.contains(&address), "{shown}");
        let shown = done(&["config", "show", "--home", home]);
        let says = format!("algorithm = \"{algorithm}\"");
        assert_eq!(shown.contains(&says), algorithm != Algorithm::Ed25519, "{shown}");
    }
}

#[test]
fn what_an_algorithm_cannot_do_is_said_with_what_can_be_done_instead() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("home");
    for (backend, more) in [
        (
            "pkcs11",
            ["--module", "/m.so", "--token-label", "t", "--key-label", "k", "--pin-env", "P"],
        ),
        (
            "awskms",
            ["--key-id", "k", "--region", "us-east-1", "--profile", "p", "--endpoint", "https://a"],
        ),
    ] {
        let init = ["init", "--chain-id", CHAIN, "--never-signed", "--home", text(&home)];
        let key = ["--backend", backend, "--algorithm", "ml_dsa_65"];
        let says = [backend, "ml_dsa_65", "backend = \"file\""];
        refused(&[&init[..], &key, &more].concat(), 2, &says);
    }
    for algorithm in &Algorithm::ALL[1..] {
        let file = directory.path().join(format!("{algorithm}.json"));
        key::write_throwaway_of(*algorithm, &file);
        let split = ["split-key", "--key-file", text(&file), "--chain-id", CHAIN];
        let rest = ["--threshold", "2", "--never-signed", "--out", text(&home)];
        let cosigners = ["10.0.0.1:2222", "10.0.0.2:2222", "10.0.0.3:2222"];
        let cosigners: Vec<&str> =
            cosigners.into_iter().flat_map(|it| ["--cosigner", it]).collect();
        let command = format!("cosigner init --backend file --algorithm {algorithm}");
        let says = ["only Ed25519 keys can be split", &command, "cluster around it"];
        refused(&[&split[..], &rest, &cosigners].concat(), 2, &says);
        assert!(!home.exists());
    }
}

/// A node alone with two chains: what `/readyz` says about the second one's key.
fn unavailable(cluster: &Cluster) -> Option<String> {
    let answer = cluster.get(1, "/readyz").filter(|answer| answer.status == 503)?;
    answer.body.lines().find(|line| line.starts_with("key_unavailable ")).map(str::to_owned)
}

#[test]
fn a_chain_whose_key_file_is_missing_waits_for_it_and_the_others_sign() {
    let mut asker = Asker::listen();
    let mut cluster = Cluster::new(Shape::file(1).validator(1, asker.address()));
    asker.verify_with(cluster.public_key());
    let away = cluster.directory().join("away.json");
    let there = cluster.directory().join("second.json");
    let public_key = key::write_throwaway_of(Algorithm::Secp256k1Eth, &away);
    let config = cluster.home(1).join("cosigner.toml");
    let chain = |pinned: &str| {
        format!(
            "\n[[chain]]\nid = \"second-1\"\nkey = {{ backend = \"file\", path = \"{}\", algorithm = \"secp256k1eth\" }}\n{pinned}",
            text(&there)
        )
    };
    let before = fs::read_to_string(&config).unwrap();
    let home = text(cluster.home(1)).to_owned();
    // Nothing says which key it is: the start is refused as ever.
    fs::write(&config, before.clone() + &chain("")).unwrap();
    refused(&["start", "--home", &home], 2, &["second.json", "not found"]);
    let pinned = format!("public_key = \"{}\"\n", BASE64.encode(public_key.as_bytes()));
    fs::write(&config, before + &chain(&pinned)).unwrap();
    done(&["state", "init", "--home", &home, "--chain-id", "second-1", "--never-signed"]);

    cluster.start(1);
    let line = wait::some(PATIENCE, || "key_unavailable".into(), || unavailable(&cluster));
    assert!(line.contains("second-1") && line.contains(" not_found: "), "{line}");
    let fault = |cluster: &Cluster, chain: &str| {
        let chains = cluster.status(1)["chains"].as_array().cloned().unwrap();
        chains.into_iter().find(|it| it["id"] == chain).unwrap()["key_fault"].clone()
    };
    assert_eq!(fault(&cluster, "second-1")["cause"], "not_found");
    assert!(fault(&cluster, CHAIN).is_null());
    for height in 1..4 {
        let ending = asker.ask(&Ask::new(Kind::Prevote, height, [7; 32]), PATIENCE);
        assert!(matches!(ending, Ending::Signed(_)), "{ending:?}");
    }
    fs::rename(&away, &there).unwrap();
    wait::until(PATIENCE, || "the key to be found".into(), || unavailable(&cluster).is_none());
    assert!(fault(&cluster, "second-1").is_null());
    cluster.assert_running();
}

#[test]
fn a_node_whose_key_file_comes_late_signs_without_a_restart_and_alone_of_all_that_waited() {
    let mut asker = Asker::listen();
    let mut cluster = Cluster::new(Shape::file(1).validator(1, asker.address()));
    asker.verify_with(cluster.public_key());
    let file = cluster.directory().join("priv_validator_key.json");
    let away = cluster.directory().join("away.json");
    // Another home with the same key, as nobody should have it.
    let twin = cluster.directory().join("twin");
    let init = ["init", "--chain-id", CHAIN, "--backend", "file", "--path", text(&file)];
    done(&[&init[..], &["--never-signed", "--home", text(&twin)]].concat());
    fs::rename(&file, &away).unwrap();
    cluster.start(1);
    wait::some(PATIENCE, || "key_unavailable".into(), || unavailable(&cluster));
    let ask = |height| Ask::new(Kind::Prevote, height, [7; 32]);
    let ending = asker.ask(&ask(1), ONE_VOTE);
    assert!(!matches!(ending, Ending::Signed(_)), "{ending:?}");
    fs::rename(&away, &file).unwrap();
    cluster.wait_ready(1);
    let ending = asker.ask(&ask(2), PATIENCE);
    assert!(matches!(ending, Ending::Signed(_)), "{ending:?}");
    let check = ["config", "check", "--home", text(&twin), "--ops-listen", ""];
    refused(&check, 3, &["another cosigner on this machine"]);
}

/// A precommit as the last that another signer has made, and that signer's state file.
fn moved_in(algorithm: Algorithm) {
    let mut asker = Asker::listen();
    let cluster = Cluster::new(Shape::file(1).algorithm(algorithm).validator(1, asker.address()));
    asker.verify_with(cluster.public_key());
    let first = {
        let mut cluster = cluster;
        cluster.start_all();
        let ask = Ask {
            fields: content::vote(cosigner::privval::VoteKind::Precommit, 9, 0, block()),
            extension: None,
            non_rp: None,
        };
        let Ending::Signed(signed) = asker.ask(&ask, PATIENCE) else { panic!() };
        cluster.terminate(1);
        (cluster, ask, signed)
    };
    let (mut cluster, ask, signed) = first;
    let bytes = sign_bytes(&ChainId::new(CHAIN).unwrap(), &ask.fields);
    let state = |signature: &[u8]| {
        let (signature, bytes) = (BASE64.encode(signature), hex::encode_upper(&bytes));
        format!(
            r#"{{"height": "9", "round": 0, "step": 3, "signature": "{signature}", "signbytes": "{bytes}"}}"#
        )
    };
    let home = text(cluster.home(1)).to_owned();
    let file = cluster.directory().join("state.json");
    let import = ["state", "import", "--home", &home, "--from", "cometbft", text(&file)];
    let mut wrong = signed.signature.clone();
    wrong[10] ^= 1;
    fs::write(&file, state(&wrong)).unwrap();
    refused(&import, 3, &["signature", "9/0/3"]);
    fs::write(&file, state(&signed.signature)).unwrap();
    done(&import);
    cluster.start_all();
    let Ending::Signed(again) = asker.ask(&ask, PATIENCE) else { panic!() };
    assert_eq!(again.signature, signed.signature, "a key file signs the same again");
}

fn block() -> Option<BlockId> {
    content::block(7)
}

#[test]
fn the_state_of_another_signer_is_taken_over_with_its_signature_verified() {
    for algorithm in &Algorithm::ALL[1..] {
        moved_in(*algorithm);
    }
}

#[test]
fn a_cluster_exports_the_replicated_signature_of_every_algorithm() {
    for algorithm in [Algorithm::Secp256k1Eth, Algorithm::MlDsa65] {
        let mut asker = Asker::listen();
        let shape = Shape::file(3).algorithm(algorithm).validator(1, asker.address());
        let mut cluster = Cluster::new(shape);
        cluster.start_all();
        // A leader that is stopped right after its reply may take the signature with it.
        let leader = cluster.wait_leader();
        let other = if leader == 2 { 3 } else { 2 };
        asker.verify_with(cluster.public_key());
        let ending = asker.ask(&Ask::new(Kind::Precommit, 9, [7; 32]), PATIENCE);
        assert!(matches!(ending, Ending::Signed(_)), "{ending:?}");
        let verifier = Verifier::new(&cluster.public_key()).unwrap();
        // Raft takes the signature after the reply; nothing tells when, so it is looked for until it is there.
        let exported = wait::some(
            PATIENCE,
            || "an exported signature".into(),
            || {
                cluster.terminate(other);
                let export = done(&["state", "export", "--home", text(cluster.home(other))]);
                cluster.start(other);
                cluster.wait_ready(other);
                let state: Value = serde_json::from_str(&export).unwrap();
                state["signature"].is_string().then_some(state)
            },
        );
        let signature = BASE64.decode(exported["signature"].as_str().unwrap()).unwrap();
        let bytes = hex::decode(exported["signbytes"].as_str().unwrap()).unwrap();
        assert!(verifier.accepts(&bytes, &Signature::new(algorithm, signature)), "{exported}");
    }
}

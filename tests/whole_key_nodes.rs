//! A real CometBFT node makes blocks with a whole key: in a file, in a token, in a KMS; alone, and in a
//! cluster whose members die.
//!
//! The version is `COSIGNER_COMETBFT`, v0.38.23 if absent; it is built with `scripts/cometbft`.

#![cfg(all(feature = "pkcs11", feature = "awskms"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::Duration;

use cosigner::types::Algorithm;
use support::cluster::{Cluster, Shape};
use support::comet::{Comet, Signer, version};
use support::ministack::Ministack;
use support::ports;
use support::softhsm::SoftHsm;
use support::story::{Story, check_every_commit, kill_and_restart};
use support::{key, kms};

/// For a hundred blocks on a busy machine; on an idle one they take ten seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// Blocks that a chain must have.
const BLOCKS: i64 = 100;

/// How often the leader is killed.
const KILLS: usize = 10;

/// The chain makes its blocks with one cosigner, and each is signed in its first round.
fn makes_blocks(mut node: Comet, shape: Shape, address: &str) {
    // The only validator of a chain: a refused vote would stop it for ever.
    let shape = shape.validator(1, address).give_up_after("never");
    let mut cluster = Cluster::new(shape);
    cluster.start_all();
    node.start(&Signer::Remote(address.to_owned()));
    node.wait_height(BLOCKS + 1, PATIENCE);
    node.assert_healthy();
    check_every_commit(&node, &Story::default());
    cluster.assert_running();
    cluster.terminate(1);
}

fn tcp() -> String {
    format!("tcp://127.0.0.1:{}", ports::free())
}

#[test]
#[ignore = "needs Go; scripts/test runs it"]
fn a_key_file_makes_blocks_alone() {
    let node = Comet::init(false);
    let shape = Shape::file(1).key_file(node.take_key());
    makes_blocks(node, shape, &tcp());
}

/// Those besides Ed25519 that the node's release knows.
#[test]
#[ignore = "needs Go; scripts/test runs it"]
fn key_files_of_other_algorithms_make_blocks_alone() {
    let known: &[Algorithm] = match version().as_str() {
        newest if newest.starts_with("v0.40") => &Algorithm::ALL[1..],
        _ => &[Algorithm::Secp256k1],
    };
    for &algorithm in known {
        let node = Comet::init(true);
        let directory = tempfile::tempdir().unwrap();
        let key_file = directory.path().join("priv_validator_key.json");
        node.set_validator(&key::write_throwaway_of(algorithm, &key_file));
        makes_blocks(node, Shape::file(1).algorithm(algorithm).key_file(key_file), &tcp());
    }
}

#[test]
#[ignore = "needs Go, softhsm2 and opensc; scripts/test runs it"]
fn a_token_makes_blocks_with_vote_extensions_alone() {
    let token = SoftHsm::generated();
    let backend = token.backend();
    let node = Comet::init(true);
    node.set_validator(&backend.public_key);
    let address = node.socket();
    makes_blocks(node, Shape::alone(backend), &address);
}

#[test]
#[ignore = "needs Go and the KMS emulator; scripts/test runs it"]
fn aws_kms_makes_blocks_with_vote_extensions_alone() {
    let (kms, environment) = (Ministack::start(), kms::Environment::new());
    let backend = environment.emulated(&kms);
    let node = Comet::init(true);
    node.set_validator(&backend.public_key);
    makes_blocks(node, Shape::alone(backend), &tcp());
}

#[test]
#[ignore = "needs Go and minutes; scripts/test runs it"]
fn a_cluster_around_a_key_file_makes_blocks_while_leaders_die() {
    let mut node = Comet::init(true);
    let address = tcp();
    let shape =
        Shape::file(3).key_file(node.take_key()).validator_of_all(&address).give_up_after("never");
    let mut cluster = Cluster::new(shape);
    cluster.start_all();
    node.start(&Signer::Remote(address));
    node.wait_height(BLOCKS, PATIENCE);

    let mut story = Story::default();
    for _ in 0..KILLS {
        let leader = cluster.wait_leader();
        kill_and_restart(&mut cluster, &mut node, leader, &mut story);
    }
    node.assert_healthy();
    check_every_commit(&node, &story);
    cluster.assert_running();
    for id in cluster.ids() {
        cluster.terminate(id);
    }
}

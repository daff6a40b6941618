//! A real CometBFT v0.40.0, the first version with `noise://`, makes blocks while it and its signer each
//! pin who the other one is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::time::Duration;

use support::cluster::{Cluster, Shape};
use support::comet::{Comet, Signer};
use support::story::{Story, check_every_commit, kill_and_restart, wait_holder};
use support::{ports, wait};

const VERSION: &str = "v0.40.0";

/// For thirty blocks on a busy machine; on an idle one they take three seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Blocks that a chain must have.
const BLOCKS: i64 = 30;

/// Of secp256k1, in CometBFT's form.
fn secp256k1(byte: u8) -> String {
    use base64::Engine as _;
    let value = base64::engine::general_purpose::STANDARD.encode([byte; 32]);
    format!(r#"{{"priv_key":{{"type":"tendermint/PrivKeySecp256k1","value":"{value}"}}}}"#)
}

/// What the node listens on, with its signer's id; the cosigners dial it with the node's own.
fn introduce(node: &Comet, cluster: &Cluster, signer: &str) -> Signer {
    let port = ports::free();
    cluster.add_validator(&format!("noise://{}@127.0.0.1:{port}", node.peer_id()));
    Signer::Remote(format!("noise://{signer}@127.0.0.1:{port}"))
}

fn makes_blocks_alone(node: &mut Comet, cluster: &mut Cluster) {
    let listens = introduce(node, cluster, &cluster.peer_id(1));
    cluster.start(1);
    node.start(&listens);
    node.wait_height(BLOCKS + 1, PATIENCE);
    node.assert_healthy();
    check_every_commit(node, &Story::default());
    cluster.assert_running();
    assert_eq!(cluster.holder(), Some(1));
    cluster.terminate(1);
}

#[test]
#[ignore = "needs Go; scripts/test runs it"]
fn a_key_file_makes_blocks_alone() {
    let mut node = Comet::init_of(VERSION, false);
    let shape = Shape::file(1).key_file(node.take_key()).give_up_after("never");
    makes_blocks_alone(&mut node, &mut Cluster::new(shape));
}

#[test]
#[ignore = "needs Go; scripts/test runs it"]
fn both_sides_may_have_a_secp256k1_identity() {
    let mut node = Comet::init_of(VERSION, true);
    node.set_node_key(&secp256k1(1));
    assert!(node.peer_id().starts_with("16Uiu2"), "{}", node.peer_id());
    let shape = Shape::file(1).key_file(node.take_key()).give_up_after("never");
    let mut cluster = Cluster::new(shape);
    fs::write(cluster.home(1).join("identity.json"), secp256k1(2)).unwrap();
    assert!(cluster.peer_id(1).starts_with("16Uiu2"), "{}", cluster.peer_id(1));
    makes_blocks_alone(&mut node, &mut cluster);
}

#[test]
#[ignore = "needs Go and a minute; scripts/test runs it"]
fn members_with_one_identity_take_over_from_each_other() {
    let mut node = Comet::init_of(VERSION, true);
    let shape = Shape::new(2, 3).key_file(node.take_key()).give_up_after("never");
    let mut cluster = Cluster::new(shape);
    let listens = introduce(&node, &cluster, &cluster.peer_id(1));
    cluster.start_all();
    cluster.wait_leader();
    node.start(&listens);
    node.wait_height(BLOCKS, PATIENCE);
    let mut story = Story::default();
    for _ in 0..3 {
        let holder = wait_holder(&cluster);
        kill_and_restart(&mut cluster, &mut node, holder, &mut story);
        assert_ne!(wait_holder(&cluster), holder, "the next in the backlog has taken over");
    }
    assert_eq!(story.holders_killed, 3);
    node.assert_healthy();
    check_every_commit(&node, &story);
    cluster.assert_running();
    for id in cluster.ids() {
        cluster.terminate(id);
    }
}

#[test]
#[ignore = "needs Go; scripts/test runs it"]
fn a_node_that_pins_another_signer_ends_and_the_cosigner_says_what_it_should_pin() {
    let mut node = Comet::init_of(VERSION, false);
    let mut cluster = Cluster::new(Shape::file(1).key_file(node.take_key()));
    // The node's own id is one that is not ours.
    let listens = introduce(&node, &cluster, &node.peer_id());
    cluster.start(1);
    node.start(&listens);
    assert!(!node.wait_end().success());
    let ours = cluster.peer_id(1);
    assert!(node.said().contains(&ours), "the node names whom it rejects");
    let setting = format!("noise://{ours}@127.0.0.1:");
    wait::until(PATIENCE, || setting.clone(), || cluster.logs()[0].contains(&setting));
    assert!(cluster.logs()[0].contains("it probably pins another signer"));
    assert_eq!(cluster.holder(), None);
}

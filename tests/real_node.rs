//! A real CometBFT node makes blocks with a 2-of-3 cluster while its members die.
//!
//! The version is `COSIGNER_COMETBFT`, v0.38.23 if absent; it is built with `scripts/cometbft`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::{Duration, Instant};

use support::cluster::{Cluster, Shape};
use support::comet::{Comet, Signer};
use support::ports;
use support::story::{Story, check_every_commit, kill_and_restart, wait_holder};

/// A step of the story may take this long on a busy machine; what it should take is measured
/// elsewhere.
const PATIENCE: Duration = Duration::from_secs(60);

/// A member that neither leads nor holds the connection hangs for ten seconds.
fn hang_a_bystander(cluster: &mut Cluster, node: &mut Comet) {
    let (leader, holder) = (cluster.wait_leader(), wait_holder(cluster));
    let bystander = cluster.ids().into_iter().find(|id| *id != leader && *id != holder).unwrap();
    cluster.stop(bystander);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        node.wait_blocks(10, PATIENCE);
    }
    cluster.cont(bystander);
    cluster.wait_ready(bystander);
}

fn makes_blocks_while_members_die(vote_extensions: bool, address: Option<String>) {
    let mut node = Comet::init(vote_extensions);
    let address = address.unwrap_or_else(|| node.socket());
    let shape = Shape::new(2, 3)
        .key_file(node.take_key())
        .validator_of_all(&address)
        .give_up_after("never");
    let mut cluster = Cluster::new(shape);
    cluster.start_all();
    node.start(&Signer::Remote(address));
    node.wait_height(100, PATIENCE);

    let mut story = Story::default();
    let mut killed = Vec::new();
    for _ in 0..10 {
        let leader = cluster.wait_leader();
        killed.push(leader);
        kill_and_restart(&mut cluster, &mut node, leader, &mut story);
    }
    for id in cluster.ids() {
        if !killed.contains(&id) {
            kill_and_restart(&mut cluster, &mut node, id, &mut story);
        }
    }
    hang_a_bystander(&mut cluster, &mut node);
    let holder = wait_holder(&cluster);
    kill_and_restart(&mut cluster, &mut node, holder, &mut story);
    assert!(story.holders_killed >= 1);

    node.assert_healthy();
    check_every_commit(&node, &story);
    cluster.assert_running();
    for id in cluster.ids() {
        cluster.terminate(id);
    }
}

#[test]
#[ignore = "needs Go and minutes; scripts/test runs it"]
fn makes_blocks_while_leaders_die() {
    let address = format!("tcp://127.0.0.1:{}", ports::free());
    makes_blocks_while_members_die(false, Some(address));
}

#[test]
#[ignore = "needs Go and minutes; scripts/test runs it"]
fn makes_blocks_with_vote_extensions_while_leaders_die() {
    makes_blocks_while_members_die(true, None);
}

/// What the other tests rest on: this harness sees a healthy chain as healthy.
#[test]
#[ignore = "needs Go; scripts/test runs it"]
fn a_node_with_its_own_key_makes_blocks() {
    for vote_extensions in [false, true] {
        let mut node = Comet::init(vote_extensions);
        node.start(&Signer::Own);
        node.wait_height(20, PATIENCE);
        node.assert_healthy();
        check_every_commit(&node, &Story::default());
    }
}

/// And a dead one as dead: a node that finds no signer for 3 s ends.
#[test]
#[ignore = "needs Go; scripts/test runs it"]
fn a_node_without_a_signer_gives_up() {
    let mut node = Comet::init(false);
    node.take_key();
    node.start(&Signer::Remote(format!("tcp://127.0.0.1:{}", ports::free())));
    assert!(!node.wait_end().success());
    assert_eq!(node.height(), 0);
}

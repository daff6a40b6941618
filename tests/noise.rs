//! The real binary towards a validator on `noise://`, which libp2p plays.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::Duration;

use cosigner::privval::VoteKind;
use support::cluster::{CHAIN, Cluster, Shape};
use support::node::content::{block, verify, vote};
use support::node::drive::{Plan, Summary, drive};
use support::node::{Fault, Node, Outcome};
use support::wait;
use tokio::runtime::Runtime;

const PATIENCE: Duration = Duration::from_secs(30);

/// An id that nobody here has.
const STRANGER: &str = "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB";

fn listen(runtime: &Runtime, signer: &str) -> Node {
    let address = format!("noise://{signer}@127.0.0.1:0");
    runtime.block_on(Node::listen(&address, CHAIN)).unwrap()
}

fn plan(cluster: &Cluster, blocks: u64, height: i64) -> Plan {
    Plan {
        height,
        blocks: Some(blocks),
        interval: Duration::ZERO,
        extension_bytes: Some(2000),
        public_key: Some(cluster.public_key()),
        patience: PATIENCE,
    }
}

#[test]
fn a_node_alone_signs_blocks_with_extensions() {
    let runtime = Runtime::new().unwrap();
    let mut cluster = Cluster::new(Shape::file(1).give_up_after("never"));
    let mut node = listen(&runtime, &cluster.peer_id(1));
    cluster.add_validator(&node.address());
    cluster.start(1);
    let mut summary = Summary::default();
    let plan = plan(&cluster, 10, 1);
    runtime.block_on(drive(&mut node, &plan, &mut summary, |_| {})).unwrap();
    assert_eq!((summary.blocks, summary.connections), (10, 1));
    assert_eq!(cluster.holder(), Some(1));
    let log = cluster.logs().remove(0);
    assert!(log.contains("connected to the validator") && log.contains(&node.address()), "{log}");
    cluster.terminate(1);
}

#[test]
fn the_members_of_a_cluster_are_one_signer_and_take_over_from_each_other() {
    let runtime = Runtime::new().unwrap();
    let mut cluster = Cluster::new(Shape::new(2, 3).give_up_after("never"));
    let ids: Vec<String> = cluster.ids().into_iter().map(|id| cluster.peer_id(id)).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let mut node = listen(&runtime, &ids[0]);
    cluster.add_validator(&node.address());
    cluster.start_all();
    cluster.wait_leader();
    let mut height = 1;
    for _ in 0..2 {
        let mut summary = Summary::default();
        let plan = plan(&cluster, 3, height);
        runtime.block_on(drive(&mut node, &plan, &mut summary, |_| {})).unwrap();
        height += 3;
        let holder = wait::some(PATIENCE, || "a holder".into(), || cluster.holder());
        cluster.restart(holder);
        cluster.wait_ready(holder);
        cluster.wait_leader();
    }
    let fields = vote(VoteKind::Prevote, height, 0, block(1));
    let asked = runtime.block_on(node.ask(&fields, None));
    let Outcome::Signed(signed) = &asked.outcome else { panic!("{asked:?}") };
    verify(CHAIN, &cluster.public_key(), &fields, None, signed).unwrap();
}

#[test]
fn a_validator_that_is_not_the_pinned_one_is_never_served_and_both_are_named() {
    let runtime = Runtime::new().unwrap();
    let mut cluster = Cluster::new(Shape::file(1));
    let mut node = listen(&runtime, &cluster.peer_id(1));
    let real = node.address();
    let (found, at) = real.strip_prefix("noise://").unwrap().split_once('@').unwrap();
    cluster.add_validator(&format!("noise://{STRANGER}@{at}"));
    cluster.start(1);
    for _ in 0..3 {
        let refused = runtime.block_on(node.accept()).map(|_| ());
        assert!(matches!(refused, Err(Fault::Handshake(_))), "{refused:?}");
    }
    assert_eq!(node.accepted(), 0);
    let says = format!("the peer is {found}, but its address pins {STRANGER}");
    wait::until(PATIENCE, || says.clone(), || cluster.logs()[0].contains(&says));
    assert_eq!(cluster.logs()[0].matches(&says).count(), 1, "one line, not one for each try");
    assert_eq!(cluster.holder(), None);
}

#[test]
fn a_validator_that_pins_another_signer_is_told_apart_and_its_setting_is_spelt_out() {
    let runtime = Runtime::new().unwrap();
    let mut cluster = Cluster::new(Shape::file(1));
    let mut node = listen(&runtime, STRANGER);
    let address = node.address();
    cluster.add_validator(&address);
    cluster.start(1);
    let ours = cluster.peer_id(1);
    for _ in 0..3 {
        let refused = runtime.block_on(node.accept()).map(|_| ());
        let expected = format!("signer peer {ours} not allowlisted");
        assert!(
            matches!(&refused, Err(Fault::Handshake(text)) if *text == expected),
            "{refused:?}"
        );
    }
    let at = address.rsplit_once('@').unwrap().1;
    let setting = format!("noise://{ours}@{at}");
    wait::until(PATIENCE, || setting.clone(), || cluster.logs()[0].contains(&setting));
    let log = cluster.logs().remove(0);
    assert!(log.contains("it probably pins another signer"), "{log}");
    assert_eq!(log.matches("it probably pins").count(), 1, "one line, not one for each try");
    assert!(!log.contains("connected to the validator"), "{log}");
    let status = cluster.status(1);
    assert_eq!(status["validators"][0]["connected"], false, "{status}");
}

//! Any real CometBFT node makes blocks over any transport; `scripts/nodes` makes a table of them.
//!
//! `COSIGNER_COMETBFT` is the version (v0.38.23 if absent, built with `scripts/cometbft`),
//! `COSIGNER_NODE_TRANSPORT` is `tcp` (if absent), `unix` or `noise`, and `COSIGNER_NODE_EXTENSIONS`
//! is `off`, or `on` (if absent) for every version that has vote extensions.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::env;
use std::time::Duration;

use support::cluster::{Cluster, Shape};
use support::comet::{Comet, Signer, has_extensions, is_v2};
use support::ports;
use support::story::{Story, check_every_commit};

/// For thirty blocks on a busy machine; on an idle one they take three seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// Blocks that a chain must have.
const BLOCKS: i64 = 30;

fn setting(name: &str, otherwise: &str) -> String {
    env::var(name).unwrap_or_else(|_| otherwise.to_owned())
}

fn makes_blocks(shape: Shape) {
    let extensions = has_extensions() && setting("COSIGNER_NODE_EXTENSIONS", "on") == "on";
    let transport = setting("COSIGNER_NODE_TRANSPORT", "tcp");
    let mut node = Comet::init(extensions);
    let at = format!("127.0.0.1:{}", ports::free());
    let address = match transport.as_str() {
        "tcp" => format!("tcp://{at}"),
        "unix" => node.socket(),
        "noise" => format!("noise://{}@{at}", node.peer_id()),
        other => panic!("COSIGNER_NODE_TRANSPORT is {other}; it is tcp, unix or noise"),
    };
    let mut shape = shape.key_file(node.take_key()).give_up_after("never");
    shape = shape.validator_of_all(&address);
    if is_v2() && extensions {
        shape = shape.chain_setting("privval_version", "v2");
        shape = shape.chain_setting("non_rp_extensions", true);
    }
    let mut cluster = Cluster::new(shape);
    cluster.start_all();
    let listens = match transport.as_str() {
        "noise" => format!("noise://{}@{at}", cluster.peer_id(1)),
        _ => address,
    };
    node.start(&Signer::Remote(listens));
    node.wait_height(BLOCKS + 1, PATIENCE);
    node.assert_healthy();
    check_every_commit(&node, &Story::default());
    cluster.assert_running();
    for id in cluster.ids() {
        cluster.terminate(id);
    }
}

#[test]
#[ignore = "needs Go; scripts/nodes runs it"]
fn a_key_file_makes_blocks() {
    makes_blocks(Shape::file(1));
}

#[test]
#[ignore = "needs Go; scripts/nodes runs it"]
fn shares_make_blocks() {
    makes_blocks(Shape::new(2, 3));
}

//! Clusters of several sizes start, sign, and sign on without n−t of their members.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::Duration;

use support::asker::{Ask, Asker, Ending, KINDS, Kind};
use support::cluster::{Cluster, Shape};
use support::rng::Rng;

/// Fifteen processes share two cores: an answer may take long, but it must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// The validator goes through some heights; every proposal and vote must be signed.
fn make_blocks(asker: &mut Asker, height: &mut i64) {
    for _ in 0..10 {
        for kind in KINDS {
            let ending = asker.ask(&Ask::new(kind, *height, [3; 32]), PATIENCE);
            assert!(matches!(ending, Ending::Signed(_)), "height {height}, {kind:?}: {ending:?}");
        }
        *height += 1;
    }
}

fn signs_with_as_many_dead_as_may_be(threshold: usize, members: usize) {
    let mut rng = Rng::from_environment();
    let mut asker = Asker::listen();
    // Every member dials, so that somebody is left to carry the connection.
    let shape = Shape::new(threshold, members).validator_of_all(&asker.address());
    let mut cluster = Cluster::new(shape.give_up_after("never"));
    asker.verify_with(cluster.public_key());
    cluster.start_all();
    cluster.wait_leader();
    let mut height = 1;
    make_blocks(&mut asker, &mut height);

    let mut dead = Vec::new();
    while dead.len() < members - threshold {
        let victim = rng.pick(&cluster.running());
        cluster.kill(victim);
        dead.push(victim);
    }
    println!("{threshold}-of-{members}: killed {dead:?}");
    make_blocks(&mut asker, &mut height);

    // One more, and nobody may sign: the members that are left are too few.
    let victim = rng.pick(&cluster.running());
    cluster.kill(victim);
    dead.push(victim);
    let ask = Ask::new(Kind::Prevote, height, [3; 32]);
    let ending = asker.ask(&ask, Duration::from_secs(3));
    assert!(!matches!(ending, Ending::Signed(_)), "signed by {} members", threshold - 1);

    for id in dead {
        cluster.start(id);
    }
    cluster.wait_all_ready();
    // Perhaps it was begun; it is the same vote, so that it can be finished.
    let ending = asker.ask(&ask, PATIENCE);
    assert!(matches!(ending, Ending::Signed(_)), "after all came back: {ending:?}");
    height += 1;
    make_blocks(&mut asker, &mut height);
    for id in cluster.ids() {
        cluster.terminate(id);
    }
}

#[test]
fn two_of_three_sign_without_one() {
    signs_with_as_many_dead_as_may_be(2, 3);
}

#[test]
#[ignore = "needs many processes; scripts/test runs it"]
fn three_of_five_sign_without_two() {
    signs_with_as_many_dead_as_may_be(3, 5);
}

#[test]
#[ignore = "needs many processes; scripts/test runs it"]
fn four_of_seven_sign_without_three() {
    signs_with_as_many_dead_as_may_be(4, 7);
}

#[test]
#[ignore = "needs many processes; scripts/test runs it"]
fn eight_of_fifteen_sign_without_seven() {
    signs_with_as_many_dead_as_may_be(8, 15);
}

//! Vote extensions of a megabyte, of both kinds, through real processes: signed, and kept out of the way.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::path::Path;
use std::time::Duration;

use support::asker::{Ask, Asker, Ending, Kind};
use support::cluster::{Cluster, Shape};

const MEGABYTE: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(60);
/// What a node may take at any time, in KiB.
const MOST_MEMORY_KIB: u64 = 120 * 1024;

/// Validators on sockets without encryption: without optimisation it takes seconds for a megabyte.
fn fast_askers(directory: &Path, members: usize) -> Vec<Asker> {
    let address = |id: usize| format!("unix://{}", directory.join(id.to_string()).display());
    (0..members).map(|id| Asker::listen_on(&address(id))).collect()
}

/// A cluster with a validator of its own for each member.
fn cluster(shape: Shape, mut askers: Vec<Asker>) -> (Cluster, Vec<Asker>) {
    let addresses: Vec<String> = askers.iter().map(Asker::address).collect();
    let shape = addresses
        .iter()
        .zip(1..)
        .fold(shape, |shape, (address, id)| shape.validator(id, address.as_str()));
    let mut cluster = Cluster::new(shape.give_up_after("never"));
    askers.iter_mut().for_each(|asker| asker.verify_with(cluster.public_key()));
    cluster.start_all();
    (cluster, askers)
}

fn precommit(height: i64, extension: &[u8], non_rp: Option<&[u8]>) -> Ask {
    let mut ask = Ask::new(Kind::Precommit, height, [3; 32]);
    ask.extension = Some(extension.to_vec());
    ask.non_rp = non_rp.map(<[u8]>::to_vec);
    ask
}

fn signed(asker: &mut Asker, ask: &Ask) {
    let ending = asker.ask(ask, PATIENCE);
    assert!(matches!(ending, Ending::Signed(_)), "{ending:?}");
}

#[test]
fn a_megabyte_is_signed_by_two_of_three_from_the_leader_and_from_a_follower() {
    let (mut cluster, mut askers) =
        cluster(Shape::new(2, 3), (0..3).map(|_| Asker::listen()).collect());
    let leader = cluster.wait_leader();
    let follower = if leader == 1 { 2 } else { 1 };
    let extension = vec![0xe7; MEGABYTE];
    for (height, at) in [(1, leader), (2, follower), (3, leader), (4, follower)] {
        // The validator's side of this test takes no reply of more than 10 KiB.
        signed(&mut askers[at - 1], &precommit(height, &extension, None));
        println!("height {height} at member {at}: {:?}", askers[at - 1].took());
    }
    // Another extension for the same vote, from another place.
    let ask = precommit(4, &vec![0xe8; MEGABYTE], None);
    signed(&mut askers[leader - 1], &ask);
    let long = precommit(5, &vec![0; MEGABYTE + 1], None);
    let refused = askers[follower - 1].ask(&long, PATIENCE);
    assert!(matches!(&refused, Ending::Refused(why) if why.contains("at most 1048576")));
    // Where the settings do not say v2, nothing raw is signed.
    let refused = askers[follower - 1].ask(&precommit(5, b"", Some(b"raw")), PATIENCE);
    let named = |why: &str| why.contains("non_rp_extensions = true");
    assert!(matches!(&refused, Ending::Refused(why) if named(why)), "{refused:?}");
    for id in cluster.ids() {
        cluster.terminate(id);
    }
}

#[test]
fn two_megabytes_of_v2_again_and_again_make_no_node_grow() {
    let sockets = tempfile::tempdir().unwrap();
    let askers = fast_askers(sockets.path(), 3);
    let (mut cluster, mut askers) = cluster(Shape::new(2, 3).v2(), askers);
    let leader = cluster.wait_leader();
    let follower = if leader == 1 { 2 } else { 1 };
    for (height, at, raw) in [(1, leader, b"".as_slice()), (2, follower, b""), (3, leader, b"raw")]
    {
        signed(&mut askers[at - 1], &precommit(height, b"", Some(raw)));
    }
    for height in 4..64 {
        let at = if height % 2 == 0 { leader } else { follower };
        let (bytes, raw) = (vec![0xe7; MEGABYTE], vec![0x5a; MEGABYTE]);
        signed(&mut askers[at - 1], &precommit(height, &bytes, Some(&raw)));
    }
    for id in cluster.ids() {
        let (now, most) = (cluster.resident_kib(id), cluster.peak_kib(id));
        println!("member {id} of leader {leader}: {now} KiB now, {most} KiB at most");
        assert!(most < MOST_MEMORY_KIB, "member {id}: {most} KiB");
    }
    // An extension that is the vote of another chain is not signed raw.
    let vote = b"\x76\x08\x02\x11\x39\x30\0\0\0\0\0\0";
    let refused = askers[leader - 1].ask(&precommit(64, b"", Some(&[0])), PATIENCE);
    assert!(matches!(&refused, Ending::Refused(why) if why.contains("canonical vote")));
    signed(&mut askers[leader - 1], &precommit(64, b"", Some(vote)));
    for id in cluster.ids() {
        cluster.terminate(id);
    }
}

#[test]
fn one_whole_key_signs_both_megabytes_alone_and_among_three() {
    for members in [1, 3] {
        let sockets = tempfile::tempdir().unwrap();
        let askers = fast_askers(sockets.path(), members);
        let (mut cluster, mut askers) = cluster(Shape::file(members).v2(), askers);
        if members > 1 {
            cluster.wait_leader();
        }
        for height in 1..6 {
            let at = usize::try_from(height).unwrap() % members;
            let (bytes, raw) = (vec![1; MEGABYTE], vec![2; MEGABYTE]);
            signed(&mut askers[at], &precommit(height, &bytes, Some(&raw)));
        }
        for id in cluster.ids() {
            cluster.terminate(id);
        }
    }
}

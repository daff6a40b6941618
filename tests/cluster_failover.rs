//! The leader dies or hangs while two followers' validators vote: how long nobody gets a signature.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::thread;
use std::time::{Duration, Instant};

use support::asker::{Ask, Asker, Ending, Kind};
use support::cluster::{Cluster, Shape};
use support::rng::Rng;

/// One vote in so much time, as a chain with very fast blocks would have it.
const PACE: Duration = Duration::from_millis(50);

/// Longest time without a signature that a leader's death may cost.
const LONGEST_WHEN_DEAD: Duration = Duration::from_millis(500);

/// The same when the leader hangs: nothing tells that it does, but time.
const LONGEST_WHEN_HUNG: Duration = Duration::from_millis(1500);

/// What happens to the leader.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// `kill -9`: its connections break at once.
    Dies,
    /// SIGSTOP: its connections stay open, and nothing is answered.
    Hangs,
}

/// How long CometBFT goes on asking for one vote.
const PATIENCE: Duration = Duration::from_secs(10);

const FAILOVERS: usize = 10;
const VOTES_BEFORE: i64 = 10;
const VOTES_AFTER: i64 = 20;

/// Both validators ask for the same vote at once; both must get a signature. Returns when the later
/// one had it.
fn vote(askers: &mut [&mut Asker], height: i64) -> Instant {
    let ask = Ask::new(Kind::Prevote, height, [7; 32]);
    thread::scope(|scope| {
        let threads: Vec<_> = askers
            .iter_mut()
            .map(|asker| scope.spawn(|| (asker.ask(&ask, PATIENCE), Instant::now())))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                let (ending, at) = thread.join().unwrap();
                assert!(matches!(ending, Ending::Signed(_)), "height {height} is lost: {ending:?}");
                at
            })
            .max()
            .unwrap()
    })
}

/// Two followers' validators vote at a steady pace while the leader meets its fate in between, at
/// `phase` of the pace. Returns the longest time between two signatures.
fn fail_over(
    cluster: &mut Cluster,
    askers: &mut [Asker],
    height: &mut i64,
    (fate, phase): (Fate, Duration),
) -> Duration {
    let leader = cluster.wait_leader();
    let (mut followers, mut longest) = (Vec::new(), Duration::ZERO);
    for (index, asker) in askers.iter_mut().enumerate() {
        if index + 1 != leader {
            followers.push(asker);
        }
    }
    let end = *height + VOTES_BEFORE + VOTES_AFTER;
    let kill_at = *height + VOTES_BEFORE;
    let mut last = vote(&mut followers, *height);
    while *height < end {
        *height += 1;
        if *height == kill_at {
            thread::sleep(phase);
            match fate {
                Fate::Dies => cluster.kill(leader),
                Fate::Hangs => cluster.stop(leader),
            }
        }
        let signed = vote(&mut followers, *height);
        longest = longest.max(signed - last);
        thread::sleep(PACE.saturating_sub(last.elapsed()));
        last = signed;
    }
    *height += 1;
    match fate {
        Fate::Dies => cluster.start(leader),
        Fate::Hangs => cluster.cont(leader),
    }
    cluster.wait_ready(leader);
    longest
}

fn fail_over_often(shape: Shape, fate: Fate, limit: Duration) {
    let mut rng = Rng::from_environment();
    let mut askers: Vec<Asker> = (0..3).map(|_| Asker::listen()).collect();
    let shape = askers
        .iter()
        .enumerate()
        .fold(shape, |shape, (index, asker)| shape.validator(index + 1, asker.address()));
    let mut cluster = Cluster::new(shape);
    cluster.start_all();
    for asker in &mut askers {
        asker.verify_with(cluster.public_key());
    }

    let mut height = 1;
    let mut gaps = Vec::new();
    for _ in 0..FAILOVERS {
        let phase = Duration::from_millis(rng.below(50));
        gaps.push(fail_over(&mut cluster, &mut askers, &mut height, (fate, phase)));
    }
    gaps.sort();
    println!("leader {fate:?}: longest time without a signature in each failover: {gaps:?}");
    let longest = gaps.last().copied().unwrap();
    assert!(longest <= limit, "{longest:?} without a signature; all failovers: {gaps:?}");
}

#[test]
#[ignore = "measures time, so it needs the release binary; scripts/test runs it"]
fn followers_sign_again_half_a_second_after_the_leader_died() {
    fail_over_often(Shape::new(2, 3), Fate::Dies, LONGEST_WHEN_DEAD);
}

#[test]
#[ignore = "measures time, so it needs the release binary; scripts/test runs it"]
fn followers_sign_again_soon_after_the_leader_hangs() {
    fail_over_often(Shape::new(2, 3), Fate::Hangs, LONGEST_WHEN_HUNG);
}

#[test]
#[ignore = "measures time, so it needs the release binary; scripts/test runs it"]
fn around_a_whole_key_followers_sign_again_half_a_second_after_the_leader_died() {
    fail_over_often(Shape::file(3), Fate::Dies, LONGEST_WHEN_DEAD);
}

#[test]
#[ignore = "measures time, so it needs the release binary; scripts/test runs it"]
fn around_a_whole_key_followers_sign_again_soon_after_the_leader_hangs() {
    fail_over_often(Shape::file(3), Fate::Hangs, LONGEST_WHEN_HUNG);
}

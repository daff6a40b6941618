//! Three validators with one key ask three cosigners for conflicting blocks at the same instant, while
//! members are killed, or stopped and woken up. The oracle is what every member says it gave, collected from all processes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use support::asker::{Ask, Asker, Ending, KINDS, Kind};
use support::cluster::{Cluster, Shape};
use support::gave;
use support::rng::Rng;

/// How many heights all validators ask for: `COSIGNER_TEST_HEIGHTS`, else 150.
fn heights() -> usize {
    std::env::var("COSIGNER_TEST_HEIGHTS").map_or(150, |heights| heights.parse().unwrap())
}

/// A validator waits this long for an answer, then goes on to the next step as if it had none.
const PATIENCE: Duration = Duration::from_secs(1);

/// An election is over long before.
const LONGER_THAN_AN_ELECTION: Duration = Duration::from_secs(3);

/// How every validator's every request ended, by height and kind: the validator's number with it.
type Endings = Mutex<BTreeMap<(i64, Kind), Vec<(u8, Ending)>>>;

/// What validator number `number` asks for at this place: a block that no other validator asks for.
fn ask(number: u8, height: i64, kind: Kind) -> Ask {
    Ask::new(kind, height, [number; 32])
}

/// One validator goes through all heights and kinds, in step with the two others.
fn validate(mut asker: Asker, number: u8, start: &Barrier, endings: &Endings) {
    for height in (1..).take(heights()) {
        for kind in KINDS {
            start.wait();
            let ending = asker.ask(&ask(number, height, kind), PATIENCE);
            endings.lock().unwrap().entry((height, kind)).or_default().push((number, ending));
        }
    }
}

/// Kills a member in about one step of twenty, sometimes two, at a random instant of the asking, and
/// has them back some steps later. Returns how many it killed.
fn kill_members(cluster: &mut Cluster, rng: &mut Rng, start: &Barrier) -> usize {
    // (steps until it is back, member)
    let mut dead: Vec<(usize, usize)> = Vec::new();
    let mut killed = 0;
    for step in 0..heights() * KINDS.len() {
        dead.retain_mut(|(steps, id)| {
            if *steps == 0 {
                cluster.start(*id);
            }
            steps.checked_sub(1).map(|left| *steps = left).is_some()
        });
        start.wait();
        let victims = match rng.below::<u8>(60) {
            0 => 2,
            1 | 2 => 1,
            _ => 0,
        };
        for _ in 0..victims {
            let running = cluster.running();
            // One member always lives, so that there is somebody to give a wrong share.
            if running.len() < 2 {
                break;
            }
            thread::sleep(Duration::from_micros(100) * rng.below(30));
            let victim = rng.pick(&running);
            println!("step {step}: kill -9 of member {victim}");
            cluster.kill(victim);
            dead.push((rng.below(5), victim));
            killed += 1;
        }
    }
    killed
}

/// Stops a member, often the leader, for longer than an election takes, at a random instant of the
/// asking, and wakes it up in the middle of another step. Returns how many it stopped.
fn freeze_members(cluster: &mut Cluster, rng: &mut Rng, start: &Barrier) -> usize {
    let mut asleep: Option<(Instant, usize)> = None;
    let mut stopped = 0;
    for step in 0..heights() * KINDS.len() {
        start.wait();
        thread::sleep(Duration::from_micros(100) * rng.below(30));
        match asleep {
            Some((until, id)) if Instant::now() >= until => {
                println!("step {step}: member {id} wakes up");
                cluster.cont(id);
                asleep = None;
            }
            None if rng.below::<u8>(40) == 0 => {
                let leader = cluster.leader_seen_by(1).filter(|_| rng.below::<u8>(3) > 0);
                let id = leader.unwrap_or_else(|| rng.pick(&cluster.ids()));
                println!("step {step}: member {id} is stopped");
                cluster.stop(id);
                asleep = Some((Instant::now() + LONGER_THAN_AN_ELECTION, id));
                stopped += 1;
            }
            _ => {}
        }
    }
    if let Some((_, id)) = asleep {
        cluster.cont(id);
    }
    stopped
}

/// Every signature is valid, and no two of one step are for different blocks. Returns the steps that
/// were signed, as `height/round/step`.
fn check_endings(endings: &BTreeMap<(i64, Kind), Vec<(u8, Ending)>>) -> Vec<String> {
    let mut signed = Vec::new();
    for ((height, kind), endings) in endings {
        let hrs = format!("{height}/0/{}", kind.step());
        let invalid = endings.iter().find(|(_, ending)| matches!(ending, Ending::Invalid(_)));
        assert!(invalid.is_none(), "at {hrs}: {invalid:?}");
        let blocks: Vec<u8> = endings
            .iter()
            .filter(|(_, ending)| matches!(ending, Ending::Signed(_)))
            .map(|(number, _)| *number)
            .collect();
        assert!(blocks.len() <= 1, "at {hrs} the blocks of validators {blocks:?} were signed");
        if !blocks.is_empty() {
            signed.push(hrs);
        }
    }
    signed
}

/// What befalls members while all validators ask.
type Trouble = fn(&mut Cluster, &mut Rng, &Barrier) -> usize;

fn never_signs_two_blocks(shape: Shape, trouble: Trouble) {
    let mut rng = Rng::from_environment();
    let askers: Vec<Asker> = (0..3).map(|_| Asker::listen()).collect();
    let shape = askers
        .iter()
        .enumerate()
        .fold(shape.log_level(gave::LOG_LEVEL), |shape, (index, asker)| {
            shape.validator(index + 1, asker.address())
        });
    let mut cluster = Cluster::new(shape);
    cluster.start_all();

    let endings: Arc<Endings> = Arc::default();
    let start = Arc::new(Barrier::new(askers.len() + 1));
    let validators: Vec<_> = askers
        .into_iter()
        .zip(1..)
        .map(|(mut asker, number)| {
            asker.verify_with(cluster.public_key());
            let (start, endings) = (Arc::clone(&start), Arc::clone(&endings));
            thread::spawn(move || validate(asker, number, &start, &endings))
        })
        .collect();
    let troubles = trouble(&mut cluster, &mut rng, &start);
    for validator in validators {
        validator.join().unwrap();
    }

    let given = gave::collect(&cluster.logs());
    gave::assert_one_content_per_member(&given);
    gave::assert_one_complete_content(&given, cluster.quorum());
    let signed = check_endings(&endings.lock().unwrap());
    for hrs in &signed {
        let givers = gave::givers_at(&given, hrs);
        assert!(givers >= cluster.quorum(), "the oracle missed a signature at {hrs}");
    }
    let asked = heights() * KINDS.len();
    println!(
        "{} of {asked} steps signed, {} shares or grants given, {troubles} members in trouble",
        signed.len(),
        given.len(),
    );
    // Else nothing was tested.
    assert!(signed.len() * 10 >= asked * 6, "only {} of {asked} steps were signed", signed.len());
    assert!(troubles * 75 >= heights(), "only {troubles} members were in trouble");
}

#[test]
#[ignore = "needs minutes; scripts/test runs it"]
fn shares_never_make_two_blocks_at_one_step() {
    never_signs_two_blocks(Shape::new(2, 3), kill_members);
}

#[test]
#[ignore = "needs minutes; scripts/test runs it"]
fn a_whole_key_never_signs_two_blocks_at_one_step() {
    never_signs_two_blocks(Shape::file(3), kill_members);
}

#[test]
#[ignore = "needs minutes; scripts/test runs it"]
fn a_whole_key_never_signs_two_blocks_while_members_sleep_longer_than_an_election() {
    never_signs_two_blocks(Shape::file(3), freeze_members);
}

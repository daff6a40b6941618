//! Several chains, and several validators of one chain, in one cluster of real processes: what happens to
//! one leaves the others untouched. All the time one chain signs, and none of its votes may be lost.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use cosigner::types::PublicKey;
use support::asker::{Ask, Asker, Ending, KINDS, Kind};
use support::cluster::{Cluster, Shape, command};
use support::{key, wait};

/// A vote that takes longer is lost, whatever becomes of it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Nothing that this machine's load explains.
const SHORT_OF_A_TIMEOUT: Duration = Duration::from_millis(900);

/// The block that everybody wants.
const BLOCK: [u8; 32] = [7; 32];

/// A chain that signs all the time, in a thread of its own.
struct Steady {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Signed>,
}

#[derive(Debug, Default)]
struct Signed {
    heights: i64,
    lost: Vec<String>,
    slowest: Duration,
}

impl Steady {
    fn begin(mut asker: Asker) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut signed = Signed::default();
            while !stopped.load(Ordering::Relaxed) {
                signed.heights += 1;
                for kind in KINDS {
                    match asker.ask(&Ask::new(kind, signed.heights, BLOCK), PATIENCE) {
                        Ending::Signed(_) => signed.slowest = signed.slowest.max(asker.took()),
                        other => {
                            signed.lost.push(format!("{kind:?} {}: {other:?}", signed.heights))
                        }
                    }
                }
                // A chain makes blocks, and no more of them than its height jumps allow.
                thread::sleep(Duration::from_millis(20));
            }
            signed
        });
        Self { stop, thread }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        let signed = self.thread.join().unwrap();
        println!("the steady chain: {} heights, slowest vote {:?}", signed.heights, signed.slowest);
        assert!(signed.lost.is_empty(), "lost votes: {:#?}", signed.lost);
        assert!(signed.heights >= 10, "only {} heights: nothing was tested", signed.heights);
    }
}

/// 2 of 3 with the steady chain, whose validator every member dials.
fn cluster() -> (Cluster, Asker) {
    let mut asker = Asker::listen();
    let cluster = Cluster::new(Shape::new(2, 3).validator_of_all(&asker.address()));
    asker.verify_with(cluster.public_key());
    (cluster, asker)
}

fn done(output: &Output, what: &str) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{what}: {}\n{said}", output.status);
}

/// A new key for a chain, and validators that are to use it: the flags of `split-key` for that.
fn new_chain(cluster: &Cluster, chain: &str, validators: usize) -> (Vec<String>, Vec<Asker>) {
    let file = cluster.directory().join(format!("{chain}.json"));
    let public = key::write_throwaway(&file);
    let asker = |_| {
        let mut asker = Asker::listen_for(chain);
        asker.verify_with(PublicKey::ed25519(public));
        asker
    };
    let askers: Vec<Asker> = (0..validators).map(asker).collect();
    let mut args: Vec<String> =
        ["split-key", "--chain-id", chain, "--threshold", "2", "--never-signed"]
            .map(str::to_owned)
            .to_vec();
    args.extend(["--key-file".to_owned(), file.display().to_string()]);
    for asker in &askers {
        args.extend(["--validator".to_owned(), asker.address()]);
    }
    (args, askers)
}

/// Adds a chain to the homes of a cluster that does not run.
fn join(cluster: &Cluster, chain: &str, validators: usize) -> Vec<Asker> {
    let (args, askers) = new_chain(cluster, chain, validators);
    let homes = cluster.ids().into_iter().map(|id| cluster.home(id).to_owned());
    let output = command().args(args).arg("--join").args(homes).output().unwrap();
    done(&output, "split-key --join");
    askers
}

fn settings(cluster: &Cluster, id: usize) -> std::path::PathBuf {
    cluster.home(id).join("cosigner.toml")
}

/// What stands in a home's settings about a chain, which was added by `split-key`.
fn tables(text: &str, chain: &str) -> (usize, usize) {
    let from = text.find(&format!("\n[[chain]]\nid = \"{chain}\"")).unwrap();
    let rest = &text[from + 1..];
    let to = rest.find("\n[[chain]]").map_or(text.len(), |at| from + 1 + at);
    (from, to)
}

/// Takes a chain and its validators out of a home's settings; returns what they were before.
fn take_out(cluster: &Cluster, id: usize, chain: &str) -> String {
    let before = fs::read_to_string(settings(cluster, id)).unwrap();
    let (from, to) = tables(&before, chain);
    fs::write(settings(cluster, id), [&before[..from], &before[to..]].concat()).unwrap();
    before
}

/// Says something about a chain in every home's settings.
fn set(cluster: &Cluster, chain: &str, line: &str) {
    for id in cluster.ids() {
        let text = fs::read_to_string(settings(cluster, id)).unwrap();
        let head = format!("\n[[chain]]\nid = \"{chain}\"\n");
        fs::write(settings(cluster, id), text.replace(&head, &format!("{head}{line}\n"))).unwrap();
    }
}

fn on_home(cluster: &Cluster, id: usize, args: &[&str]) {
    let output = command().args(args).arg("--home").arg(cluster.home(id)).output().unwrap();
    done(&output, &args.join(" "));
}

#[track_caller]
fn sign(asker: &mut Asker, height: i64) -> Duration {
    for kind in KINDS {
        let ending = asker.ask(&Ask::new(kind, height, BLOCK), PATIENCE);
        assert!(matches!(ending, Ending::Signed(_)), "{kind:?} {height}: {ending:?}");
    }
    asker.took()
}

#[track_caller]
fn refused(asker: &mut Asker, ask: &Ask) -> String {
    match asker.ask(ask, PATIENCE) {
        Ending::Refused(why) => why,
        other => panic!("{other:?}"),
    }
}

/// The last denial of a chain, at the member that has answered with it.
fn last_denied(cluster: &Cluster, chain: &str) -> serde_json::Value {
    let of = |id: usize| {
        let status = cluster.try_status(id)?;
        let chains = status["chains"].as_array()?.clone();
        let chain = chains.into_iter().find(|known| known["id"] == chain)?;
        Some(chain["last_denied"].clone()).filter(|denied| denied.is_object())
    };
    wait::some(
        PATIENCE,
        || format!("a denial of {chain} in a status"),
        || cluster.running().into_iter().find_map(of),
    )
}

/// Restarts leaders until this member leads.
fn make_lead(cluster: &mut Cluster, id: usize) {
    for _ in 0..20 {
        let leader = cluster.wait_leader();
        if leader == id {
            return;
        }
        cluster.terminate(leader);
        wait::until(
            PATIENCE,
            || "another leader".into(),
            || {
                let others = cluster.running();
                others
                    .iter()
                    .any(|one| cluster.leader_seen_by(*one).is_some_and(|seen| seen != leader))
            },
        );
        cluster.start(leader);
        cluster.wait_ready(leader);
    }
    panic!("member {id} was never elected");
}

#[test]
fn a_ceiling_a_jump_a_missing_chain_and_a_flood_of_conflicts_leave_another_chain_alone() {
    let (mut cluster, asker) = cluster();
    let mut capped = join(&cluster, "capped-1", 1).remove(0);
    let mut partly = join(&cluster, "partly-1", 1).remove(0);
    let flooding = join(&cluster, "flooded-1", 2);
    for id in cluster.ids() {
        on_home(&cluster, id, &["state", "ceiling", "--chain-id", "capped-1", "--height", "3"]);
    }
    set(&cluster, "partly-1", "height_jump = { most = 50, per_second = 1 }");
    take_out(&cluster, 1, "partly-1");
    cluster.start_all();
    let steady = Steady::begin(asker);
    // Before a ceiling is reached: a member that has one reached is not ready.
    make_lead(&mut cluster, 1);
    let stop = Arc::new(AtomicBool::new(false));
    let floods: Vec<_> = (1..)
        .zip(flooding)
        .map(|(number, asker)| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || flood(asker, number, &stop))
        })
        .collect();

    for height in 1..=3 {
        sign(&mut capped, height);
    }
    for height in 4..30 {
        let why = refused(&mut capped, &Ask::new(Kind::Prevote, height, BLOCK));
        assert!(why.contains("above the ceiling 3"), "{why}");
    }
    let denied = last_denied(&cluster, "capped-1");
    assert_eq!(denied["reason"], "ceiling_reached");

    let slowest = (1..=20).map(|height| sign(&mut partly, height)).max().unwrap();
    assert!(slowest < SHORT_OF_A_TIMEOUT, "a leader without the chain: {slowest:?}");
    let why = refused(&mut partly, &Ask::new(Kind::Proposal, 5_000, BLOCK));
    assert!(why.contains("too far ahead") && why.contains("cosigner state raise"), "{why}");
    let denied = last_denied(&cluster, "partly-1");
    assert_eq!((&denied["reason"], &denied["height"]), (&"height_jump".into(), &5_000.into()));
    assert!(denied["text"].as_str().unwrap().contains("cosigner state raise"));
    let shown = cluster.running().into_iter().any(|id| {
        let output = command().arg("status").arg("--home").arg(cluster.home(id)).output().unwrap();
        String::from_utf8_lossy(&output.stdout).contains("last denied 5000/0/1")
    });
    assert!(shown, "`cosigner status` shows the denial");
    sign(&mut partly, 21);

    stop.store(true, Ordering::Relaxed);
    let signed: usize = floods.into_iter().map(|flood| flood.join().unwrap()).sum();
    assert!(signed > 0);
    steady.end();
    cluster.assert_running();
    // Once for each link at the most, not once for each request.
    for log in cluster.logs() {
        let said = log.matches("does not serve this chain; the others sign").count();
        assert!(said <= 12, "said {said} times");
    }
}

/// Asks for blocks of its own as fast as it is answered, each height once. Returns how many it got.
fn flood(mut asker: Asker, number: u8, stop: &AtomicBool) -> usize {
    let mut signed = 0;
    let begin = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        // Both ask for the same heights at the same time.
        let height = 1 + i64::try_from(begin.elapsed().as_millis() / 100).unwrap();
        for kind in KINDS {
            match asker.ask(&Ask::new(kind, height, [number; 32]), PATIENCE) {
                Ending::Signed(_) => signed += 1,
                Ending::Refused(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    signed
}

#[test]
fn of_two_validators_with_conflicting_votes_one_wins_and_the_other_keeps_its_connection() {
    let (mut cluster, asker) = cluster();
    let mut two = join(&cluster, "two-nodes-1", 2);
    cluster.start_all();
    let steady = Steady::begin(asker);
    let (mut second, mut first) = (two.remove(1), two.remove(0));
    sign(&mut first, 1);
    sign(&mut second, 2);
    let connections = (first.accepted(), second.accepted());
    for height in (10..).step_by(2).take(25) {
        // Conflicting votes at the same instant.
        let asks = [[1; 32], [2; 32]].map(|block| Ask::new(Kind::Prevote, height, block));
        let endings = at_once(&mut first, &mut second, &asks);
        let won = endings.iter().filter(|ending| matches!(ending, Ending::Signed(_))).count();
        assert_eq!(won, 1, "{endings:?}");
        let lost = endings.iter().find_map(|ending| match ending {
            Ending::Refused(why) => Some(why),
            _ => None,
        });
        assert!(lost.is_some_and(|why| why.contains("conflicting data")), "{endings:?}");
        // The next good request of both, for the same block, each with its own clock.
        let asks = [0, 1].map(|_| Ask::new(Kind::Precommit, height + 1, BLOCK));
        assert_ne!(asks[0].fields.timestamp(), asks[1].fields.timestamp());
        match at_once(&mut first, &mut second, &asks) {
            [Ending::Signed(one), Ending::Signed(other)] => {
                assert_eq!(one.signature, other.signature);
                assert_eq!(one.timestamp, other.timestamp);
            }
            endings => panic!("{endings:?}"),
        }
    }
    assert_eq!((first.accepted(), second.accepted()), connections, "no connection was dropped");
    steady.end();
}

fn at_once(first: &mut Asker, second: &mut Asker, asks: &[Ask; 2]) -> [Ending; 2] {
    let barrier = Barrier::new(2);
    let ask = |asker: &mut Asker, ask: &Ask| {
        barrier.wait();
        asker.ask(ask, PATIENCE)
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| ask(second, &asks[1]));
        [ask(first, &asks[0]), other.join().unwrap()]
    })
}

#[test]
fn a_chain_is_added_member_by_member_while_another_one_signs() {
    let (mut cluster, asker) = cluster();
    cluster.start_all();
    let steady = Steady::begin(asker);
    let passphrase = cluster.directory().join("passphrase");
    fs::write(&passphrase, "correct horse").unwrap();
    fs::set_permissions(&passphrase, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let (args, mut askers) = new_chain(&cluster, "added-1", 1);
    let out = cluster.directory().join("files");
    let list = cluster.home(2).join("cluster.toml");
    let output = command()
        .args(args)
        .args([Path::new("--members"), &list, Path::new("--out"), &out])
        .arg("--passphrase-file")
        .arg(&passphrase)
        .output()
        .unwrap();
    done(&output, "split-key --members");
    let mut added = askers.remove(0);
    let passphrase = passphrase.display().to_string();
    for (before, id) in cluster.ids().into_iter().enumerate() {
        let file = out.join(format!("cosigner-{id}.share")).display().to_string();
        let import = ["share", "import", &file, "--passphrase-file", &passphrase];
        let running = command().args(import).arg("--home").arg(cluster.home(id)).output().unwrap();
        assert_eq!(running.status.code(), Some(3), "a node runs with it");
        cluster.terminate(id);
        on_home(&cluster, id, &import);
        on_home(&cluster, id, &["config", "check"]);
        cluster.start(id);
        cluster.wait_ready(id);
        // With two of three it signs.
        if before > 0 {
            sign(&mut added, i64::try_from(id).unwrap());
        }
    }
    for leader in cluster.ids() {
        make_lead(&mut cluster, leader);
        sign(&mut added, 10 + i64::try_from(leader).unwrap());
    }
    steady.end();
}

#[test]
fn a_chain_is_removed_and_put_back_member_by_member_while_another_one_signs() {
    let (mut cluster, asker) = cluster();
    let mut removed = join(&cluster, "removed-1", 1).remove(0);
    cluster.start_all();
    let steady = Steady::begin(asker);
    sign(&mut removed, 5);
    let mut before = Vec::new();
    for id in cluster.ids() {
        cluster.terminate(id);
        before.push(take_out(&cluster, id, "removed-1"));
        on_home(&cluster, id, &["config", "check"]);
        cluster.start(id);
        cluster.wait_ready(id);
        // Two of three are enough, and who leaves it out is left out.
        if id == 1 {
            let slowest = (6..20).map(|height| sign(&mut removed, height)).max().unwrap();
            assert!(slowest < SHORT_OF_A_TIMEOUT, "{slowest:?}");
        }
    }
    for (id, text) in (1..).zip(before) {
        cluster.terminate(id);
        fs::write(settings(&cluster, id), text).unwrap();
        cluster.start(id);
        cluster.wait_ready(id);
    }
    let why = refused(&mut removed, &Ask::new(Kind::Prevote, 12, BLOCK));
    assert!(why.contains("height regression"), "what was signed is remembered: {why}");
    sign(&mut removed, 20);
    steady.end();
}

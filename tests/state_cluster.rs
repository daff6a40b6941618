//! A ceiling in a cluster that runs, and the export of what it signed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::Value;
use support::asker::{Ask, Asker, Ending, KINDS, Kind};
use support::cluster::{CHAIN, Cluster, Shape, command};
use support::wait;

/// The machine may be busy with other work.
const PATIENCE: Duration = Duration::from_secs(60);
const LAST: i64 = 3;

/// `cosigner state …` of a stopped member.
fn state(cluster: &Cluster, id: usize, args: &[&str]) -> String {
    let done = command().arg("state").args(args).arg("--home").arg(cluster.home(id)).output();
    let done = done.unwrap();
    assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

fn place(state: &Value) -> (i64, i64, i64) {
    let height = state["height"].as_str().unwrap().parse().unwrap();
    (height, state["round"].as_i64().unwrap(), state["step"].as_i64().unwrap())
}

#[test]
fn a_cluster_stops_at_its_ceiling_and_exports_its_last_signature_with_the_bytes() {
    let mut asker = Asker::listen();
    let shape = Shape::new(2, 3).validator_of_all(&asker.address());
    let mut cluster = Cluster::new(shape.give_up_after("never"));
    asker.verify_with(cluster.public_key());
    for id in cluster.ids() {
        state(&cluster, id, &["ceiling", "--height", &LAST.to_string()]);
    }
    cluster.start_all();
    cluster.wait_leader();
    let mut last = None;
    for height in 1..=LAST {
        for kind in KINDS {
            let ending = asker.ask(&Ask::new(kind, height, [3; 32]), PATIENCE);
            let Ending::Signed(signed) = ending else { panic!("{height}, {kind:?}: {ending:?}") };
            last = Some(signed);
        }
    }
    assert!(last.is_some());
    let ending = asker.ask(&Ask::new(Kind::Proposal, LAST + 1, [3; 32]), PATIENCE);
    let Ending::Refused(text) = ending else { panic!("{ending:?}") };
    assert!(text.contains("above the ceiling 3"), "{text}");
    // Those that signed last say so; one may have been left out of every last set.
    let at_ceiling = wait::some(
        PATIENCE,
        || "a member that shows its ceiling".into(),
        || cluster.ids().into_iter().map(|id| cluster.status(id)).find(has_reached_ceiling),
    );
    assert_eq!(at_ceiling["chains"][0]["ceiling"], LAST);
    assert_eq!(at_ceiling["ready"], false);

    wait_replicated(&cluster);
    for id in cluster.ids() {
        cluster.terminate(id);
    }
    let key = VerifyingKey::try_from(cluster.public_key().as_bytes()).unwrap();
    let mut texts = Vec::new();
    for id in cluster.ids() {
        let text = state(&cluster, id, &["export"]);
        let exported: Value = serde_json::from_str(&text).unwrap();
        // Also at a member that took no part in the last signature: it has its replica.
        assert_eq!(place(&exported), (LAST, 0, 3), "member {id}: {text}");
        let signature = BASE64.decode(exported["signature"].as_str().unwrap()).unwrap();
        let bytes = hex::decode(exported["signbytes"].as_str().unwrap()).unwrap();
        key.verify_strict(&bytes, &Signature::from_slice(&signature).unwrap()).unwrap();
        texts.push(text);
    }
    // Into a home that is behind, and back out.
    let out = cluster.directory().join("exported.json");
    fs::write(&out, &texts[0]).unwrap();
    for id in cluster.ids() {
        let path = out.display().to_string();
        state(&cluster, id, &["import", "--from", "cometbft", "--chain-id", CHAIN, &path]);
        assert_eq!(state(&cluster, id, &["export"]), texts[0], "member {id}");
    }

    // The network starts again: nothing is left of the old one, not in Raft's copies either.
    for id in cluster.ids() {
        reset(&cluster, id);
        let exported = serde_json::from_str(&state(&cluster, id, &["export"])).unwrap();
        assert_eq!(place(&exported), (0, 0, 0), "member {id}");
    }
    cluster.start_all();
    cluster.wait_leader();
    for height in 1..=LAST + 1 {
        for kind in KINDS {
            let ending = asker.ask(&Ask::new(kind, height, [4; 32]), PATIENCE);
            assert!(matches!(ending, Ending::Signed(_)), "{height}, {kind:?}: {ending:?}");
        }
    }
}

fn reset(cluster: &Cluster, id: usize) {
    let mut reset = command();
    reset.args(["state", "reset", "--chain-id", CHAIN]).arg("--home").arg(cluster.home(id));
    let mut running = reset.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    running.stdin.take().unwrap().write_all(format!("{CHAIN}\n").as_bytes()).unwrap();
    assert!(running.wait().unwrap().success());
}

/// Raft takes signatures after the reply, perhaps not each of them. Nothing tells when it has the last:
/// it has when all members have applied as much over and over.
fn wait_replicated(cluster: &Cluster) {
    let (mut seen, mut looks) = (Vec::new(), 0);
    let quiet = || {
        let status = |id: &usize| cluster.status(*id)["raft_applied"].clone();
        let applied: Vec<Value> = cluster.ids().iter().map(status).collect();
        let same = applied == seen && applied.iter().all(|one| *one == applied[0]);
        looks = if same { looks + 1 } else { 0 };
        seen = applied;
        (looks >= 20).then_some(())
    };
    wait::some(PATIENCE, || "Raft to be quiet".into(), quiet);
}

fn has_reached_ceiling(status: &Value) -> bool {
    let reasons = status["not_ready"].as_array().cloned().unwrap_or_default();
    reasons.iter().any(|reason| reason == "ceiling_reached")
}

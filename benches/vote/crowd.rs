//! Many chains at once: what the others' noise costs a vote.
//!
//! One cluster of 2-of-3, a key for each chain, two validators of each chain that ask for the same votes.
//! First all behave; then one chain's validator sends garbage as fast as it is answered, and another
//! chain's two ask for conflicting votes; then one chain has a vote extension of 1 MiB every second.
//! What counts is how long the votes of all the other chains take, beside the first run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cosigner::privval::{Fields, VoteKind, proto};
use cosigner::types::PublicKey;
use tokio::runtime::Builder;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::milliseconds;
use crate::support::cluster::{CHAIN, Cluster, Shape, command};
use crate::support::key;
use crate::support::node::{Node, Outcome, content};
use cosigner::privval::proto::message::Sum;

/// What to run.
pub(crate) struct Plan {
    /// Chains; the last one or two are those that make noise.
    pub(crate) chains: usize,
    /// Votes that each validator asks for in each run.
    pub(crate) votes: u64,
}

/// From one vote of a validator to the next.
const PACE: Duration = Duration::from_millis(100);

/// Conflicting requests that each loser of a step makes.
const AGAIN: u32 = 10;

/// Length of the large extension.
const EXTENSION_BYTES: usize = 1024 * 1024;

/// What one run of the quiet chains brought.
#[derive(Default)]
struct Run {
    took: Vec<Duration>,
    lost: u64,
}

/// What the noisy chain does besides.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Noise {
    None,
    GarbageAndConflict,
    Extensions,
}

/// A chain and its two validators.
struct Chain {
    id: String,
    key: PublicKey,
    nodes: Option<[Node; 2]>,
}

/// Runs all three and prints them.
pub(crate) fn measure(plan: &Plan) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let cluster = Cluster::new(Shape::new(2, 3));
    let mut chains = runtime.block_on(make_chains(&cluster, plan.chains));
    let mut cluster = configured(cluster, &chains);
    cluster.start_all();
    println!(
        "2-of-3 shares, {} chains with 2 validators each, a vote every {} ms, {} votes each:",
        plan.chains,
        PACE.as_millis(),
        plan.votes,
    );
    let noises = [
        ("all behave", Noise::None),
        ("one chain sends garbage, one asks for conflicts", Noise::GarbageAndConflict),
        ("one chain has an extension of 1 MiB each second", Noise::Extensions),
    ];
    let mut quiet = None;
    for (number, (name, noise)) in noises.into_iter().enumerate() {
        let first = 1 + i64::try_from(number).unwrap() * 1_000;
        let (run, noisy) = runtime.block_on(votes(&mut chains, plan.votes, first, noise));
        let p99 = print(name, run, noisy);
        let quiet = *quiet.get_or_insert(p99);
        println!("    p99 / p99 of the first run: {:.2}", p99 / quiet);
        let mebibytes = |id| format!("{:.1}", cluster.resident_kib(id) as f64 / 1024.0);
        let memory: Vec<String> = cluster.ids().into_iter().map(mebibytes).collect();
        println!("    resident memory of each member: {} MiB", memory.join(", "));
    }
    cluster.assert_running();
}

fn print(name: &str, mut run: Run, noisy: u64) -> f64 {
    run.took.sort();
    let at = |percent: usize| milliseconds(run.took[(run.took.len() - 1) * percent / 100]);
    let (p50, p99, most) = (at(50), at(99), at(100));
    println!("  {name}:");
    println!(
        "    {} votes of the other chains, {} lost; {p50:.3} {p99:.3} {most:.3} ms (p50 p99 most)",
        run.took.len(),
        run.lost,
    );
    if noisy > 0 {
        println!("    {noisy} noisy requests meanwhile");
    }
    p99
}

/// A key for each chain, split among the members as an operator adds one.
async fn make_chains(cluster: &Cluster, count: usize) -> Vec<Chain> {
    let mut chains = Vec::new();
    for number in 0..count {
        let id = if number == 0 { CHAIN.to_owned() } else { format!("crowd-{number}") };
        let public = if number == 0 {
            cluster.public_key()
        } else {
            join(cluster, &id, cluster.directory())
        };
        let listen = || Node::listen("tcp://127.0.0.1:0", &id);
        let nodes = [listen().await.unwrap(), listen().await.unwrap()];
        chains.push(Chain { id: id.clone(), key: public, nodes: Some(nodes) });
    }
    chains
}

fn join(cluster: &Cluster, chain: &str, directory: &Path) -> PublicKey {
    let key_file = directory.join(format!("{chain}.json"));
    let public = key::write_throwaway(&key_file);
    let mut split = command();
    split.args(["split-key", "--chain-id", chain, "--threshold", "2", "--never-signed"]);
    split
        .arg("--key-file")
        .arg(&key_file)
        .arg("--join")
        .args(cluster.ids().iter().map(|id| cluster.home(*id)));
    let done = split.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    PublicKey::ed25519(public)
}

/// Gives each validator a member that dials it, in turn.
fn configured(cluster: Cluster, chains: &[Chain]) -> Cluster {
    let mut of_member: BTreeMap<usize, Vec<toml::Value>> = BTreeMap::new();
    for (number, chain) in chains.iter().enumerate() {
        for (second, node) in chain.nodes.iter().flatten().enumerate() {
            let mut entry = toml::Table::new();
            entry.insert("chain_id".into(), chain.id.clone().into());
            entry.insert("address".into(), node.address().into());
            of_member.entry(1 + (number + second) % 3).or_default().push(entry.into());
        }
    }
    for (id, validators) in of_member {
        let path = cluster.home(id).join("cosigner.toml");
        let mut config: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
        config.insert("validator".into(), validators.into());
        fs::write(&path, toml::to_string(&config).unwrap()).unwrap();
    }
    cluster
}

/// All validators at once. Returns what the quiet chains saw, and how much noise there was.
async fn votes(chains: &mut [Chain], votes: u64, first: i64, noise: Noise) -> (Run, u64) {
    let quiet = chains.len() - 2;
    let ended = Arc::new(AtomicBool::new(false));
    let noisy = Arc::new(AtomicU64::new(0));
    let mut others = JoinSet::new();
    for chain in &mut chains[quiet..] {
        let (nodes, key) = (chain.nodes.take().unwrap(), chain.key.clone());
        let is_last = others.len() == 1;
        let (ended, noisy) = (ended.clone(), noisy.clone());
        others.spawn(async move {
            let nodes = match (noise, is_last) {
                (Noise::None, _) => both(nodes, key, votes, first).await.0,
                (Noise::GarbageAndConflict, false) => garbage(nodes, &ended, &noisy).await,
                (Noise::GarbageAndConflict, true) => conflicts(nodes, first, &ended, &noisy).await,
                (Noise::Extensions, false) => both(nodes, key, votes, first).await.0,
                (Noise::Extensions, true) => extensions(nodes, &key, first, &ended, &noisy).await,
            };
            (is_last, nodes)
        });
    }
    let mut running = JoinSet::new();
    for (number, chain) in chains[..quiet].iter_mut().enumerate() {
        let (nodes, key) = (chain.nodes.take().unwrap(), chain.key.clone());
        running.spawn(async move {
            // Not all in step.
            sleep(PACE * u32::try_from(number).unwrap() / 20).await;
            (number, both(nodes, key, votes, first).await)
        });
    }
    let mut run = Run::default();
    while let Some(done) = running.join_next().await {
        let (number, (nodes, part)) = done.unwrap();
        chains[number].nodes = Some(nodes);
        run.took.extend(part.took);
        run.lost += part.lost;
    }
    ended.store(true, Ordering::Relaxed);
    while let Some(done) = others.join_next().await {
        let (is_last, nodes) = done.unwrap();
        chains[quiet + usize::from(is_last)].nodes = Some(nodes);
    }
    (run, noisy.load(Ordering::Relaxed))
}

/// The two validators of one chain, step by step together.
async fn both(nodes: [Node; 2], key: PublicKey, votes: u64, first: i64) -> ([Node; 2], Run) {
    let step = Arc::new(Barrier::new(2));
    let begin = Instant::now();
    let [a, b] = nodes.map(|mut node| {
        let (step, key) = (step.clone(), key.clone());
        tokio::spawn(async move {
            let mut run = Run::default();
            for number in 0..votes {
                sleep_until(begin + PACE * u32::try_from(number).unwrap()).await;
                step.wait().await;
                let fields = vote(first, number);
                let asked = node.ask(&fields, None).await;
                match asked.outcome {
                    Outcome::Signed(signed) => {
                        content::verify(node.chain(), &key, &fields, None, &signed).unwrap();
                        run.took.push(asked.took);
                    }
                    _ => run.lost += 1,
                }
            }
            (node, run)
        })
    });
    let ((a, mut run), (b, other)) = (a.await.unwrap(), b.await.unwrap());
    run.took.extend(other.took);
    run.lost += other.lost;
    ([a, b], run)
}

fn vote(first: i64, number: u64) -> Fields {
    let height = first + i64::try_from(number / 2).unwrap();
    let kind = if number.is_multiple_of(2) { VoteKind::Prevote } else { VoteKind::Precommit };
    content::vote(kind, height, 0, content::block(height.cast_unsigned()))
}

/// What cannot be signed, as fast as it is answered; every hundredth breaks the connection.
async fn garbage(mut nodes: [Node; 2], ended: &AtomicBool, noisy: &AtomicU64) -> [Node; 2] {
    let mut number = 0_u64;
    while !ended.load(Ordering::Relaxed) {
        for node in &mut nodes {
            number += 1;
            let wrong =
                proto::SignVoteRequest { chain_id: node.chain().to_owned(), ..Default::default() };
            let answered = if number % 200 < 2 {
                match node.accept().await {
                    Ok(wire) => wire.send_raw(&[0xff; 64]).await,
                    Err(fault) => Err(fault),
                }
            } else {
                node.exchange(Sum::SignVoteRequest(wrong)).await.map(drop)
            };
            match answered {
                Ok(()) => drop(noisy.fetch_add(1, Ordering::Relaxed)),
                Err(_) => node.hang_up(),
            }
        }
    }
    nodes
}

/// Two blocks for each vote; the loser insists.
async fn conflicts(
    mut nodes: [Node; 2],
    first: i64,
    ended: &AtomicBool,
    noisy: &AtomicU64,
) -> [Node; 2] {
    let mut number = 0;
    while !ended.load(Ordering::Relaxed) {
        let height = first + number;
        number += 1;
        let [a, b] = &mut nodes;
        let of = |block| content::vote(VoteKind::Precommit, height, 0, content::block(block));
        let (one, other) = (of(1), of(2));
        let (first, second) = tokio::join!(a.ask(&one, None), b.ask(&other, None));
        let signed = |asked: &Outcome| matches!(asked, Outcome::Signed(_));
        assert!(!(signed(&first.outcome) && signed(&second.outcome)), "two blocks at {height}");
        let (loser, fields) = if signed(&first.outcome) { (b, &other) } else { (a, &one) };
        for _ in 0..AGAIN {
            assert!(!signed(&loser.ask(fields, None).await.outcome), "two blocks at {height}");
        }
        noisy.fetch_add(u64::from(AGAIN) + 2, Ordering::Relaxed);
        sleep(PACE).await;
    }
    nodes
}

/// A precommit with a large extension every second.
async fn extensions(
    mut nodes: [Node; 2],
    key: &PublicKey,
    first: i64,
    ended: &AtomicBool,
    noisy: &AtomicU64,
) -> [Node; 2] {
    let extension = vec![0xe7; EXTENSION_BYTES];
    let mut height = first;
    while !ended.load(Ordering::Relaxed) {
        let fields = content::vote(VoteKind::Precommit, height, 0, content::block(1));
        let asked = nodes[0].ask(&fields, Some(&extension)).await;
        let Outcome::Signed(signed) = asked.outcome else { panic!("{asked:?}") };
        content::verify(nodes[0].chain(), key, &fields, Some(&extension), &signed).unwrap();
        noisy.fetch_add(1, Ordering::Relaxed);
        height += 1;
        sleep(Duration::from_secs(1)).await;
    }
    nodes
}

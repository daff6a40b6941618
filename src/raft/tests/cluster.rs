//! Three members in one process, each with its own disk.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::select_all;
use tokio::time::timeout;

use super::*;
use crate::store::Store;
use crate::types::MemberId;

/// Longer than any step should take, so that a test that hangs fails.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Slower clocks than the default: the machines that run tests are busy.
pub(super) const TIMING: Timing = Timing {
    heartbeat: Duration::from_millis(100),
    election_min: Duration::from_millis(400),
    election_max: Duration::from_millis(800),
    snapshot_after: 5_000,
    keep_entries: 300,
};

pub(super) fn id(number: u64) -> MemberId {
    MemberId::new(number).unwrap()
}

#[derive(Default)]
struct Wires {
    members: Mutex<BTreeMap<MemberId, Raft>>,
}

/// Gives payloads to the other member's `handle`.
#[derive(Clone)]
pub(super) struct Wire {
    wires: Arc<Wires>,
    from: MemberId,
}

impl Transport for Wire {
    async fn call(
        &self,
        to: MemberId,
        payload: Vec<u8>,
        _deadline: Duration,
    ) -> Result<Vec<u8>, TransportError> {
        let ends = {
            let members = self.wires.members.lock().unwrap();
            members.get(&to).cloned().filter(|_| members.contains_key(&self.from))
        };
        match ends {
            Some(raft) => Ok(raft.handle(self.from, payload).await),
            None => Err(TransportError::Unreachable { to, reason: "unplugged".to_owned() }),
        }
    }
}

/// The cluster's disks, and the members that are plugged in.
pub(super) struct Cluster {
    temp: tempfile::TempDir,
    wires: Arc<Wires>,
    timing: Timing,
}

impl Cluster {
    pub(super) fn new(timing: Timing) -> Self {
        let cluster = Self { temp: tempfile::tempdir().unwrap(), wires: Arc::default(), timing };
        for number in 1..=3 {
            let store = Store::create(&cluster.path(number)).unwrap();
            create_state(&store, 1).unwrap();
        }
        cluster
    }

    fn path(&self, number: u64) -> PathBuf {
        self.temp.path().join(number.to_string())
    }

    pub(super) fn wire(&self, number: u64) -> Wire {
        Wire { wires: self.wires.clone(), from: id(number) }
    }

    pub(super) async fn start_with(&self, number: u64, store: Store) -> Raft {
        let members: BTreeSet<MemberId> = (1..=3).map(id).collect();
        let wire = self.wire(number);
        let raft = Raft::start(id(number), &members, store, wire, self.timing).await.unwrap();
        self.plug(number, &raft);
        raft
    }

    pub(super) async fn start(&self, number: u64) -> Raft {
        let store = self.store(number).await;
        self.start_with(number, store).await
    }

    pub(super) async fn store(&self, number: u64) -> Store {
        let path = self.path(number);
        // The tasks of a member that was stopped let go of its files a little later.
        let open = move || Store::open(&path).unwrap();
        tokio::task::spawn_blocking(open).await.unwrap()
    }

    pub(super) async fn start_all(&self) -> Vec<Raft> {
        let mut rafts = Vec::new();
        for number in 1..=3 {
            rafts.push(self.start(number).await);
        }
        rafts
    }

    fn plug(&self, number: u64, raft: &Raft) {
        self.wires.members.lock().unwrap().insert(id(number), raft.clone());
    }

    pub(super) fn unplug(&self, number: u64) {
        self.wires.members.lock().unwrap().remove(&id(number));
    }

    pub(super) async fn stop(&self, number: u64, raft: Raft) {
        self.unplug(number);
        raft.shutdown().await;
    }
}

/// Waits until this member sees a leader other than `not`.
pub(super) async fn leader(raft: &Raft, not: Option<MemberId>) -> MemberId {
    let mut leadership = raft.leadership();
    let seen = leadership.wait_for(|now| now.leader.is_some() && now.leader != not);
    timeout(PATIENCE, seen).await.expect("no leader").unwrap().leader.unwrap()
}

/// Replicates through whoever leads, as a member would.
pub(super) async fn replicate(rafts: &[Raft], entry: &Settled) -> MemberId {
    let attempts = async {
        loop {
            let leading = rafts.iter().map(|raft| {
                Box::pin(async move {
                    if raft.leadership().wait_for(|now| now.is_leader()).await.is_err() {
                        // Stopped: it will never lead.
                        pending::<()>().await;
                    }
                    raft
                })
            });
            let (raft, ..) = select_all(leading).await;
            if raft.replicate(entry.clone()).await.is_ok() {
                return raft.id();
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, attempts).await.expect("not replicated")
}

/// Waits until a member's metrics satisfy `reached`.
async fn status(raft: &Raft, reached: impl Fn(RaftStatus) -> bool) -> RaftStatus {
    let mut metrics = raft.metrics_for_test();
    let seen = metrics.wait_for(|metrics| reached(RaftStatus::of(metrics)));
    RaftStatus::of(&timeout(PATIENCE, seen).await.expect("not reached").unwrap())
}

pub(super) async fn has(raft: &Raft, entry: &Settled) {
    status(raft, |_| raft.settled(&entry.chain, &entry.key).as_ref() == Some(entry)).await;
}

#[tokio::test]
async fn a_successor_has_what_the_dead_leader_replicated() {
    let cluster = Cluster::new(TIMING);
    let rafts = cluster.start_all().await;
    let entry = settled("chain-1", 7, 1);
    let first = replicate(&rafts, &entry).await;
    cluster.unplug(first.get().into());
    let alive: Vec<Raft> = (1..)
        .zip(&rafts)
        .filter(|(number, _)| id(*number) != first)
        .map(|(_, r)| r.clone())
        .collect();
    let second = leader(&alive[0], Some(first)).await;
    assert_ne!(second, first);
    for raft in &alive {
        has(raft, &entry).await;
    }
    let next = settled("chain-1", 8, 1);
    assert_ne!(replicate(&alive, &next).await, first);
    has(&alive[0], &next).await;
    has(&alive[1], &next).await;
}

#[tokio::test]
async fn a_follower_refuses_entries_and_names_the_leader() {
    let cluster = Cluster::new(TIMING);
    let rafts = cluster.start_all().await;
    let chosen = replicate(&rafts, &settled("chain-1", 1, 1)).await;
    let follower = rafts.iter().find(|raft| !raft.leadership().borrow().is_leader()).unwrap();
    leader(follower, None).await;
    let refused = follower.replicate(settled("chain-1", 2, 1)).await;
    assert!(matches!(refused, Err(RaftError::NotLeader { leader }) if leader == Some(chosen)));
    let garbage = Settled { sign_bytes: vec![1], ..settled("chain-1", 2, 1) };
    assert!(matches!(rafts[0].replicate(garbage).await, Err(RaftError::Entry(_))));
}

#[tokio::test]
async fn a_restart_keeps_vote_log_and_signatures() {
    let cluster = Cluster::new(TIMING);
    let rafts = cluster.start_all().await;
    let entries: Vec<Settled> = (1..=5).map(|height| settled("chain-1", height, 1)).collect();
    for entry in &entries {
        replicate(&rafts, entry).await;
    }
    let mut before = Vec::new();
    for raft in &rafts {
        has(raft, &entries[4]).await;
        before.push(raft.status());
    }
    for (number, raft) in (1..).zip(rafts) {
        cluster.stop(number, raft).await;
    }
    // Alone, so that nothing can come from the others.
    let raft = cluster.start(1).await;
    let after = raft.status();
    assert_eq!(raft.settled(&entries[4].chain, &key()), Some(entries[4].clone()));
    assert!(after.term >= before[0].term, "{after:?} after {before:?}");
    assert!(after.last_log >= before[0].last_log, "{after:?} after {before:?}");
    let again = vec![raft, cluster.start(2).await, cluster.start(3).await];
    replicate(&again, &settled("chain-1", 6, 1)).await;
}

#[tokio::test]
async fn a_follower_that_was_away_catches_up_by_snapshot() {
    let cluster = Cluster::new(Timing { snapshot_after: 20, keep_entries: 3, ..TIMING });
    let mut rafts = cluster.start_all().await;
    replicate(&rafts, &settled("chain-1", 1, 1)).await;
    let late = rafts.pop().unwrap();
    cluster.stop(3, late).await;
    let elsewhere = settled("chain-2", 1, 9);
    replicate(&rafts, &elsewhere).await;
    for height in 2..=60 {
        replicate(&rafts, &settled("chain-1", height, 1)).await;
    }
    for raft in &rafts {
        let status = status(raft, |status| status.purged >= Some(30)).await;
        assert!(status.snapshot >= Some(40), "{status:?}");
    }
    let late = cluster.start(3).await;
    has(&late, &settled("chain-1", 60, 1)).await;
    has(&late, &elsewhere).await;
    let status = late.status();
    assert!(status.snapshot >= Some(40), "not by snapshot: {status:?}");
    // And the snapshot is on its disk.
    cluster.stop(3, late).await;
    for number in [1, 2] {
        cluster.unplug(number);
    }
    let late = cluster.start(3).await;
    assert_eq!(late.settled(&elsewhere.chain, &key()), Some(elsewhere));
}

#[tokio::test]
async fn a_leader_that_steps_down_is_succeeded_and_may_lead_again() {
    let cluster = Cluster::new(TIMING);
    let rafts = cluster.start_all().await;
    let mut before = replicate(&rafts, &settled("chain-1", 1, 1)).await;
    for height in 2..=4 {
        rafts[usize::from(before.get()) - 1].step_down();
        for raft in &rafts {
            assert_ne!(leader(raft, Some(before)).await, before);
        }
        before = replicate(&rafts, &settled("chain-1", height, 1)).await;
    }
}

#[tokio::test]
async fn a_member_that_lost_its_state_votes_again_under_a_new_id_only() {
    let cluster = Cluster::new(TIMING);
    let mut rafts = cluster.start_all().await;
    let entry = settled("chain-1", 1, 1);
    replicate(&rafts, &entry).await;
    let lost = rafts.pop().unwrap();
    cluster.stop(3, lost).await;
    replicate(&rafts, &settled("chain-1", 2, 1)).await;
    let store = Store::create(&cluster.path(33)).unwrap();
    create_state(&store, 2).unwrap();
    let reborn = cluster.start_with(3, store).await;
    let (leading, following) = (&rafts[0], &rafts[1]);
    let (leading, following) = if leading.leadership().borrow().is_leader() {
        (leading, following)
    } else {
        (following, leading)
    };
    assert!(matches!(following.admit(id(3), 2).await, Err(RaftError::NotLeader { .. })));
    leading.admit(id(3), 2).await.unwrap();
    leading.admit(id(3), 2).await.unwrap();
    assert!(matches!(leading.admit(id(3), 1).await, Err(RaftError::BornBefore { known: 2, .. })));
    has(&reborn, &settled("chain-1", 2, 1)).await;
    // Its vote and its log count: without the other follower there is a majority.
    let number = if rafts[0].leadership().borrow().is_leader() { 2 } else { 1 };
    cluster.unplug(number);
    let last = settled("chain-1", 3, 1);
    let pair = [rafts[usize::try_from(2 - number).unwrap()].clone(), reborn.clone()];
    replicate(&pair, &last).await;
    has(&reborn, &last).await;
}

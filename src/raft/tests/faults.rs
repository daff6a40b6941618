use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use openraft::raft::{AppendEntriesRequest, VoteRequest};
use tokio::time::timeout;

use super::cluster::{Cluster, PATIENCE, TIMING, has, id, leader, replicate};
use super::*;
use crate::raft::network::{Message, Reply, Request};
use crate::raft::types::{SnapshotMeta, Vote};
use crate::store::Store;
use crate::types::MemberId;

fn in_the_name_of(member: u64) -> [Request; 3] {
    let node = RaftId::new(id(member), 1).unwrap().number();
    let vote = Vote::new_committed(1_000, node);
    let entries = Vec::new();
    let append = AppendEntriesRequest { vote, prev_log_id: None, entries, leader_commit: None };
    [
        Request::Append(append),
        Request::Vote(VoteRequest::new(Vote::new(1_000, node), None)),
        Request::Snapshot { vote, meta: SnapshotMeta::default(), contents: Vec::new() },
    ]
}

async fn ask(raft: &Raft, from: u64, to: u64, request: Request) -> Reply {
    let payload = serde_json::to_vec(&Message { to, request }).unwrap();
    serde_json::from_slice(&raft.handle(id(from), payload).await).unwrap()
}

#[tokio::test]
async fn no_member_speaks_for_another() {
    let cluster = Cluster::new(TIMING);
    let raft = cluster.start(1).await;
    for request in in_the_name_of(2) {
        assert!(matches!(ask(&raft, 3, 0x101, request).await, Reply::Refused(_)));
        assert!(raft.status().term < 1_000, "a forged message was obeyed");
    }
    for payload in [Vec::new(), b"{}".to_vec(), vec![0xff; 100]] {
        let answer = raft.handle(id(3), payload).await;
        assert!(matches!(serde_json::from_slice(&answer).unwrap(), Reply::Refused(_)));
    }
    // The same from the right member is heard.
    let [append, ..] = in_the_name_of(2);
    assert!(matches!(ask(&raft, 2, 0x101, append).await, Reply::Append(_)));
    assert_eq!(leader(&raft, None).await, id(2));
}

#[tokio::test]
async fn no_member_answers_for_another_life() {
    let cluster = Cluster::new(TIMING);
    let raft = cluster.start(1).await;
    for to in [0x201, 0x102, 1] {
        for request in in_the_name_of(2) {
            assert!(matches!(ask(&raft, 2, to, request).await, Reply::Refused(_)));
        }
    }
    assert!(raft.status().term < 1_000, "a message for another life was obeyed");
}

#[tokio::test]
async fn no_message_brings_the_term_to_its_end() {
    let cluster = Cluster::new(TIMING);
    let raft = cluster.start(1).await;
    let node = RaftId::new(id(2), 1).unwrap().number();
    let vote = VoteRequest::new(Vote::new(u64::MAX, node), None);
    assert!(matches!(ask(&raft, 2, 0x101, Request::Vote(vote)).await, Reply::Refused(_)));
    assert!(raft.status().term < 1_000);
}

#[tokio::test]
async fn a_disk_that_fails_is_told_and_the_others_go_on() {
    let cluster = Cluster::new(TIMING);
    let broken = Arc::new(AtomicBool::new(false));
    let fails = broken.clone();
    let temp = tempfile::tempdir().unwrap();
    let store = Store::create_with(
        &temp.path().join("state"),
        Box::new(move |file| {
            if fails.load(Ordering::SeqCst) {
                return Err(io::Error::other("the drive said no"));
            }
            file.sync_data()
        }),
    )
    .unwrap();
    create_state(&store, 1).unwrap();
    let failing = cluster.start_with(1, store).await;
    let others = [cluster.start(2).await, cluster.start(3).await];
    leader(&failing, None).await;
    broken.store(true, Ordering::SeqCst);
    // If it leads it has to store this, if it follows it will be sent it.
    replicate(&[failing.clone(), others[0].clone(), others[1].clone()], &settled("chain-1", 1, 1))
        .await;
    let mut leadership = failing.leadership();
    let failed = leadership.wait_for(|now| now.failed.is_some());
    let told = timeout(PATIENCE, failed).await.expect("nothing told").unwrap().clone();
    assert_eq!(told.leader, None);
    assert!(told.failed.unwrap().contains("the drive said no"));
    let refused = failing.replicate(settled("chain-1", 2, 1)).await;
    assert!(matches!(refused, Err(RaftError::Stopped(_))));
    assert_ne!(leader(&others[0], Some(id(1))).await, id(1));
}

#[tokio::test]
async fn starts_only_on_a_prepared_store_and_as_a_member() {
    let cluster = Cluster::new(TIMING);
    let temp = tempfile::tempdir().unwrap();
    let store = Store::create(&temp.path().join("state")).unwrap();
    let members: BTreeSet<MemberId> = (1..=3).map(id).collect();
    let start = |me| Raft::start(me, &members, store.clone(), cluster.wire(1), TIMING);
    assert!(matches!(start(id(1)).await, Err(RaftError::NoState)));
    assert!(matches!(start(id(4)).await, Err(RaftError::NotAMember { .. })));
    create_state(&store, 2).unwrap();
    assert!(matches!(create_state(&store, 3), Err(RaftError::StateExists { birth: 2 })));
    // Born later: it waits to be taken in, and founds nothing.
    let raft = start(id(1)).await.unwrap();
    raft.leadership().wait_for(|now| now.role == Role::Learner).await.unwrap();
    assert_eq!(raft.status().last_log, None);
}

#[tokio::test]
async fn no_message_ends_this_process() {
    use crate::raft::types::{Entry, LogId};
    use openraft::{CommittedLeaderId, EntryPayload};
    let cluster = Cluster::new(TIMING);
    let rafts = cluster.start_all().await;
    let first = settled("chain-1", 1, 1);
    replicate(&rafts, &first).await;
    // What contradicts an applied entry is refused: it must be applied here, too.
    has(&rafts[0], &first).await;
    let node = RaftId::new(id(2), 1).unwrap().number();
    let vote = Vote::new_committed(1_000, node);
    let at = |index| LogId::new(CommittedLeaderId::new(1_000, node), index);
    let blank = |index| Entry { log_id: at(index), payload: EntryPayload::Blank };
    let nobody = EntryPayload::Membership(openraft::Membership::default());
    let append = |prev_log_id, entries, leader_commit| {
        Request::Append(AppendEntriesRequest { vote, prev_log_id, entries, leader_commit })
    };
    let end = u64::MAX;
    let meta = SnapshotMeta { last_log_id: Some(at(end)), ..SnapshotMeta::default() };
    let requests = [
        append(None, vec![blank(end)], None),
        append(Some(at(end)), Vec::new(), None),
        append(None, vec![blank(7)], None),
        append(None, vec![blank(0)], None),
        append(None, Vec::new(), Some(at(end))),
        append(Some(at(40)), vec![Entry { log_id: at(41), payload: nobody }], None),
        Request::Vote(VoteRequest::new(Vote::new(1_000, node), Some(at(end)))),
        Request::Snapshot { vote, meta, contents: Vec::new() },
    ];
    for (number, request) in requests.into_iter().enumerate() {
        let answer = ask(&rafts[0], 2, 0x101, request).await;
        assert!(matches!(answer, Reply::Refused(_)), "request {number} was heard");
    }
    assert!(rafts[0].leadership().borrow().failed.is_none());
}

#[test]
fn no_answer_ends_this_process() {
    use crate::raft::sane::answers;
    use crate::raft::types::LogId;
    use openraft::CommittedLeaderId;
    use openraft::raft::AppendEntriesResponse::{Conflict, PartialSuccess, Success};
    let at = |index| LogId::new(CommittedLeaderId::new(1, 0x101), index);
    let ids = [at(4), at(5)];
    assert!(answers(&Success, None, &[]));
    assert!(answers(&Conflict, Some(at(3)), &ids));
    assert!(!answers(&Conflict, None, &ids), "nothing before the first entry can conflict");
    assert!(answers(&PartialSuccess(Some(at(4))), Some(at(3)), &ids));
    for odd in [None, Some(at(2)), Some(at(6)), Some(at(u64::MAX))] {
        assert!(!answers(&PartialSuccess(odd), Some(at(3)), &ids));
    }
}

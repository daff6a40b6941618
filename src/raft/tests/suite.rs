use futures_util::future::poll_immediate;
use openraft::entry::RaftEntry as _;
use openraft::storage::RaftStateMachine as _;
use openraft::testing::{StoreBuilder, Suite, log_id};
use openraft::{EntryPayload, RaftSnapshotBuilder as _};
use tokio::sync::watch;

use super::*;
use crate::raft::log_store::LogStore;
use crate::raft::state_machine::StateMachine;
use crate::raft::types::{Entry, Fault, TypeConfig};
use crate::store::Store;

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, tempfile::TempDir> for Builder {
    async fn build(&self) -> Result<(tempfile::TempDir, LogStore, StateMachine), Fault> {
        let temp = tempfile::tempdir().unwrap();
        let store = Store::create(&temp.path().join("state")).unwrap();
        let machine = StateMachine::open(store.clone(), watch::channel(0).0)?;
        // The suite purges without snapshots, which openraft itself never does.
        let log = LogStore::open(store, watch::channel(u64::MAX).1)?;
        Ok((temp, log, machine))
    }
}

#[test]
fn passes_the_conformance_suite_of_openraft() {
    Suite::test_all(Builder).unwrap();
}

fn entry(index: u64, settled: Settled) -> Entry {
    let mut entry = Entry::new_blank(log_id(1, 0x101, index));
    entry.payload = EntryPayload::Normal(settled);
    entry
}

#[tokio::test]
async fn the_newest_signature_stays_and_of_two_at_one_place_the_first() {
    let temp = tempfile::tempdir().unwrap();
    let store = Store::create(&temp.path().join("state")).unwrap();
    let mut machine = StateMachine::open(store, watch::channel(0).0).unwrap();
    let view = machine.view();
    let (first, second, older) =
        (settled("chain-1", 7, 1), settled("chain-1", 7, 2), settled("chain-1", 6, 3));
    let other = settled("chain-2", 1, 4);
    let garbage = Settled { sign_bytes: vec![1], ..settled("chain-1", 9, 5) };
    let log = [&first, &second, &older, &other, &garbage];
    let entries: Vec<Entry> =
        (1..).zip(log).map(|(index, settled)| entry(index, settled.clone())).collect();
    assert_eq!(machine.apply(entries).await.unwrap().len(), 5);
    assert_eq!(view.settled(&first.chain, &key()), Some(first.clone()));
    assert_eq!(view.settled(&other.chain, &key()), Some(other));
    assert_eq!(view.settled(&first.chain, &KeyId::from_bytes([6; 32])), None);
    assert_eq!(machine.applied_state().await.unwrap().0.unwrap().index, 5);
}

#[tokio::test]
async fn an_older_snapshot_never_replaces_a_newer_one() {
    let temp = tempfile::tempdir().unwrap();
    let store = Store::create(&temp.path().join("state")).unwrap();
    let mut machine = StateMachine::open(store.clone(), watch::channel(0).0).unwrap();
    machine.apply([entry(1, settled("chain-1", 1, 1))]).await.unwrap();
    let old = machine.build_snapshot().await.unwrap();
    machine.apply([entry(2, settled("chain-1", 2, 1))]).await.unwrap();
    let new = machine.build_snapshot().await.unwrap();
    // A builder that was slow, overtaken by the other.
    machine.write_snapshot(&old.meta, &old.snapshot).await.unwrap();
    let kept = machine.get_current_snapshot().await.unwrap().unwrap();
    assert_eq!(kept.meta, new.meta);
    assert_eq!(kept.snapshot, new.snapshot);
    let reopened = StateMachine::open(store, watch::channel(0).0).unwrap();
    let chain = ChainId::new("chain-1").unwrap();
    assert_eq!(reopened.view().settled(&chain, &key()), Some(settled("chain-1", 2, 1)));
}

/// openraft asks for both at the same time when it installs a snapshot.
#[tokio::test]
async fn the_log_is_only_purged_when_a_snapshot_on_disk_covers_it() {
    use openraft::storage::RaftLogStorage as _;
    let temp = tempfile::tempdir().unwrap();
    let store = Store::create(&temp.path().join("state")).unwrap();
    let (tell, uncovered) = watch::channel(0);
    let mut machine = StateMachine::open(store.clone(), tell).unwrap();
    let mut log = LogStore::open(store, uncovered).unwrap();
    machine.apply([entry(4, settled("chain-1", 1, 1))]).await.unwrap();
    let mut purging = Box::pin(async move {
        log.purge(log_id(1, 0x101, 4)).await.unwrap();
        log.get_log_state().await.unwrap().last_purged_log_id
    });
    assert!(poll_immediate(&mut purging).await.is_none(), "purged before there was a snapshot");
    machine.build_snapshot().await.unwrap();
    assert_eq!(purging.await, Some(log_id(1, 0x101, 4)));
}

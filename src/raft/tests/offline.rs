//! What is left on the disk of a member that does not run.

use super::cluster::{Cluster, TIMING, has, replicate};
use super::*;

#[tokio::test]
async fn settled_signatures_are_found_on_the_disk_of_a_stopped_member_and_forgotten_there() {
    let cluster = Cluster::new(Timing { snapshot_after: 20, keep_entries: 3, ..TIMING });
    let rafts = cluster.start_all().await;
    let elsewhere = settled("chain-2", 1, 9);
    replicate(&rafts, &elsewhere).await;
    for height in 1..=50 {
        replicate(&rafts, &settled("chain-1", height, 1)).await;
    }
    for (number, raft) in (1..).zip(rafts) {
        cluster.stop(number, raft).await;
    }
    let chain = |name: &str| ChainId::new(name).unwrap();
    let store = cluster.store(1).await;
    let found = settled_in(&store, &chain("chain-1"), &key()).unwrap();
    assert!(found.contains(&settled("chain-1", 50, 1)));
    assert!(found.iter().all(|settled| settled.chain == chain("chain-1")));
    assert!(settled_in(&store, &chain("chain-1"), &KeyId::from_bytes([6; 32])).unwrap().is_empty());
    assert!(settled_in(&store, &chain("chain-2"), &key()).unwrap().contains(&elsewhere));
    drop(store);

    for member in 1..=3 {
        let store = cluster.store(member).await;
        forget_in(&store, &chain("chain-1"), &key()).unwrap();
        assert!(settled_in(&store, &chain("chain-1"), &key()).unwrap().is_empty());
    }
    // Raft goes on with what is left, and a lower signature is the newest again.
    let rafts = cluster.start_all().await;
    replicate(&rafts, &settled("chain-1", 2, 1)).await;
    for raft in &rafts {
        has(raft, &settled("chain-1", 2, 1)).await;
        assert_eq!(raft.settled(&chain("chain-2"), &key()), Some(elsewhere.clone()));
    }
}

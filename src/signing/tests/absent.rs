//! Members that do not serve a chain which the others serve.

use super::cluster::{Cluster, chain, id, prevote};
use crate::signing::Verdict;

#[test]
fn a_leader_that_does_not_serve_a_chain_is_gone_around_at_once() {
    let mut cluster = Cluster::unconnected(2, 3, None);
    cluster.serve_another_chain(id(1));
    cluster.connect_all();
    cluster.lead(Some(id(1)));
    for height in 1..4 {
        for at in [2, 3] {
            let reply = cluster.answer(id(at), prevote(height, 1, 6), None);
            assert!(
                matches!(reply.verdict, Verdict::Signed(_) | Verdict::Repeated(_)),
                "{:?}",
                reply.verdict
            );
            assert_eq!(reply.coordinator, id(2), "the same deputy for both");
        }
    }
    let seen = &cluster.nodes[&id(3)].plane.snapshot().reachable[&id(1)];
    assert_eq!(seen.key_ready.get(&chain()), Some(&false), "it is not asked again");
}

#[test]
fn a_member_that_does_not_serve_a_chain_is_asked_once_for_each_link() {
    let mut cluster = Cluster::unconnected(2, 3, None);
    cluster.serve_another_chain(id(1));
    cluster.connect_all();
    cluster.lead(Some(id(2)));
    let mut sets = |height| {
        let reply = cluster.answer(id(2), prevote(height, 1, 6), None);
        assert!(matches!(reply.verdict, Verdict::Signed(_)), "{:?}", reply.verdict);
        assert_eq!(reply.account.signers, [id(2), id(3)]);
        reply.account.sets
    };
    assert_eq!(sets(1), 2, "it is tried first");
    assert_eq!([sets(2), sets(3), sets(4)], [1, 1, 1]);
}

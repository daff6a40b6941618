//! Raw bytes where the key is whole: each node's own way to it, behind everything that votes want.

use std::time::Duration;

use super::cluster::{Cluster, KeyIs, chain, id, prevote};
use crate::privval::{Dialect, RawBytes, RawMessage, sign_bytes};
use crate::signing::{RawReply, RawVerdict, Verdict};

const ON: Dialect = Dialect {
    version: crate::privval::Version::V1,
    non_rp_extensions: false,
    raw_bytes: RawBytes::SignBytes,
};

fn hello() -> RawMessage {
    RawMessage::Plain(b"hello, world".to_vec())
}

fn assert_signed(cluster: &Cluster, reply: &RawReply) {
    let RawVerdict::Signed(signature) = &reply.verdict else { panic!("{:?}", reply.verdict) };
    cluster.assert_verifies(b"hello, world", signature.as_bytes().try_into().unwrap());
}

#[test]
fn every_node_signs_raw_bytes_with_its_own_way_to_the_key() {
    for n in [1, 3] {
        let mut cluster = Cluster::whole_speaking(n, |_| ON);
        cluster.lead(None);
        for at in 1..=u64::from(n) {
            let reply = cluster.answer_raw(id(at), hello());
            assert_signed(&cluster, &reply);
            assert_eq!(reply.account.signers, [id(at)]);
        }
    }
}

#[test]
fn a_key_signs_no_raw_bytes_where_they_are_off_or_could_be_a_vote() {
    let mut cluster = Cluster::whole(1);
    let reply = cluster.answer_raw(id(1), hello());
    assert!(matches!(&reply.verdict, RawVerdict::Refused(why) if why.contains("\"off\"")));
    let mut cluster = Cluster::whole_speaking(1, |_| ON);
    let vote = sign_bytes(&chain(), &prevote(5, 1, 6));
    let reply = cluster.answer_raw(id(1), RawMessage::Plain(vote));
    let RawVerdict::Refused(why) = reply.verdict else { panic!("{:?}", reply.verdict) };
    assert!(why.contains("canonical vote"), "{why}");
    assert!(cluster.nodes[&id(1)].raw_uses.is_empty());
}

#[test]
fn a_signature_of_other_raw_bytes_stays_here() {
    let mut cluster = Cluster::whole_speaking(1, |_| ON);
    cluster.nodes.get_mut(&id(1)).unwrap().key_is = KeyIs::Lying;
    let reply = cluster.answer_raw(id(1), hello());
    let RawVerdict::NotNow(why) = reply.verdict else { panic!("{:?}", reply.verdict) };
    assert!(why.contains("does not verify"), "{why}");
}

#[test]
fn a_broken_key_says_so_and_is_asked_again() {
    let mut cluster = Cluster::whole_speaking(3, |_| ON);
    cluster.nodes.get_mut(&id(1)).unwrap().key_is = KeyIs::Broken;
    let reply = cluster.answer_raw(id(1), hello());
    assert!(matches!(&reply.verdict, RawVerdict::NotNow(why) if why.contains("gone")));
    cluster.nodes.get_mut(&id(1)).unwrap().key_is = KeyIs::Well;
    let reply = cluster.answer_raw(id(1), hello());
    assert_signed(&cluster, &reply);
}

#[test]
fn what_is_too_long_for_the_backend_is_refused_for_good() {
    let mut cluster = Cluster::whole_speaking(1, |_| ON);
    let reply = cluster.answer_raw(id(1), RawMessage::Plain(vec![b'x'; 5000]));
    let RawVerdict::Refused(why) = reply.verdict else { panic!("{:?}", reply.verdict) };
    assert!(why.contains("signs at most 4096 bytes"), "{why}");
}

#[test]
fn a_vote_goes_before_raw_bytes_that_wait_for_the_key() {
    let mut cluster = Cluster::whole_speaking(1, |_| ON);
    cluster.nodes.get_mut(&id(1)).unwrap().key_is = KeyIs::Slow;
    let raw = [cluster.ask_raw(id(1), hello()), cluster.ask_raw(id(1), hello())];
    let vote = cluster.ask(id(1), prevote(5, 1, 6), None);
    cluster.run();
    assert_eq!(cluster.nodes[&id(1)].raw_uses.len(), 1, "one use at a time");
    assert!(cluster.nodes[&id(1)].uses.is_empty());
    // The first use ends: the vote is next, and the other raw bytes come after it.
    let order = uses_in_order(&mut cluster);
    assert_eq!(order, ["raw", "vote", "raw"]);
    assert!(matches!(cluster.reply(id(1), vote).unwrap().verdict, Verdict::Signed(_)));
    for ticket in raw {
        let reply = cluster.raw_reply(id(1), ticket).unwrap();
        assert_signed(&cluster, &reply);
    }
}

/// Lets the key do what it is given, one by one.
fn uses_in_order(cluster: &mut Cluster) -> Vec<&'static str> {
    let mut order = Vec::new();
    loop {
        let node = &cluster.nodes[&id(1)];
        let (votes, raw) = (node.uses.len(), node.raw_uses.len());
        assert!(votes + raw <= 1, "one use at a time");
        match (votes, raw) {
            (0, 0) => return order,
            (1, _) => order.push("vote"),
            _ => order.push("raw"),
        }
        cluster.use_one(id(1));
        cluster.run();
    }
}

#[test]
fn a_key_that_hangs_on_raw_bytes_lets_votes_go_to_another_member() {
    let mut cluster = Cluster::whole_speaking(3, |_| ON);
    cluster.nodes.get_mut(&id(1)).unwrap().key_is = KeyIs::Slow;
    let raw = cluster.ask_raw(id(1), hello());
    let vote = cluster.ask(id(1), prevote(5, 1, 6), None);
    cluster.pass(Duration::from_millis(900));
    let reply = cluster.raw_reply(id(1), raw).unwrap();
    assert!(matches!(&reply.verdict, RawVerdict::NotNow(why) if why.contains("not answered")));
    let reply = cluster.reply(id(1), vote).unwrap();
    assert!(matches!(reply.verdict, Verdict::Signed(_)), "{:?}", reply.verdict);
}

#[test]
fn raw_bytes_that_nobody_waits_for_any_more_are_not_signed() {
    let mut cluster = Cluster::whole_speaking(1, |_| ON);
    cluster.nodes.get_mut(&id(1)).unwrap().key_is = KeyIs::Slow;
    for _ in 0..3 {
        cluster.ask_raw(id(1), hello());
    }
    cluster.pass(Duration::from_millis(1100));
    assert_eq!(cluster.nodes[&id(1)].raw_replies.len(), 3, "all have ended");
    assert_eq!(cluster.nodes[&id(1)].raw_uses.len(), 1, "the one that was begun");
    cluster.use_one(id(1));
    assert!(cluster.nodes[&id(1)].raw_uses.is_empty(), "the key is given nothing more");
}

#[test]
fn a_key_that_hangs_collects_no_raw_bytes_and_is_not_waited_for() {
    let mut cluster = Cluster::whole_speaking(1, |_| ON);
    cluster.nodes.get_mut(&id(1)).unwrap().key_is = KeyIs::Slow;
    let waiting = |cluster: &Cluster| cluster.nodes[&id(1)].plane.raw_at_desk(&chain());
    for _ in 0..5 {
        cluster.ask_raw(id(1), hello());
    }
    assert_eq!(waiting(&cluster), 3, "one is under way, three wait, one is too many");
    cluster.pass(Duration::from_millis(1100));
    let ticket = cluster.ask_raw(id(1), hello());
    let reply = cluster.raw_reply(id(1), ticket).expect("answered at once");
    assert!(matches!(&reply.verdict, RawVerdict::NotNow(why) if why.contains("not answered")));
    assert_eq!(waiting(&cluster), 0);
}

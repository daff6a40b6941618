//! Members that die, hang or are slow; leaders that change.

use std::time::Duration;

use super::cluster::{Cluster, id, precommit, prevote};
use crate::peer::{AnswerBody, Message};
use crate::signing::Verdict;

#[test]
fn a_dead_follower_costs_nothing_but_a_new_set() {
    let mut cluster = Cluster::new(2, 3);
    cluster.kill(id(2));
    let reply = cluster.answer(id(1), prevote(5, 1, 6), None);
    assert!(matches!(reply.verdict, Verdict::Signed(_)));
}

#[test]
fn survives_n_minus_t_dead_members() {
    for (t, n) in [(2_u16, 3_u16), (3, 5), (4, 7), (8, 15)] {
        let mut cluster = Cluster::new(t, n);
        for dead in 0..n - t {
            cluster.kill(id(u64::from(n - dead)));
        }
        let reply = cluster.answer(id(2), prevote(5, 1, 6), None);
        assert!(matches!(reply.verdict, Verdict::Signed(_)), "{t} of {n}");
    }
}

#[test]
fn a_member_that_hangs_is_replaced_within_the_same_request() {
    let mut cluster = Cluster::new(2, 3);
    for height in 1..4 {
        cluster.answer(id(1), prevote(height, 1, 6), None);
    }
    for hung in [2, 3] {
        cluster.deaf = [id(hung)].into();
        let ticket = cluster.ask(id(1), prevote(10 + i64::try_from(hung).unwrap(), 1, 6), None);
        cluster.pass(Duration::from_millis(120));
        let reply = cluster.reply(id(1), ticket).unwrap();
        assert!(matches!(reply.verdict, Verdict::Signed(_)));
        assert!(!reply.account.signers.contains(&id(hung)));
    }
}

#[test]
fn a_leader_whose_disk_hangs_lets_the_others_sign() {
    let mut cluster = Cluster::new(2, 3);
    cluster.nodes.get_mut(&id(1)).unwrap().slow_disk = true;
    let ticket = cluster.ask(id(1), prevote(5, 1, 6), None);
    cluster.pass(Duration::from_millis(120));
    let reply = cluster.reply(id(1), ticket).unwrap();
    assert!(matches!(reply.verdict, Verdict::Signed(_)));
    assert_eq!(reply.account.signers, [id(2), id(3)]);
}

#[test]
fn without_a_leader_the_lowest_member_coordinates() {
    let mut cluster = Cluster::new(2, 3);
    cluster.kill(id(1));
    let reply = cluster.answer(id(3), prevote(5, 1, 6), None);
    assert!(matches!(reply.verdict, Verdict::Signed(_)));
    assert_eq!(reply.coordinator, id(2));
}

#[test]
fn a_request_at_a_leader_that_dies_is_sent_elsewhere_at_once() {
    let mut cluster = Cluster::new(2, 3);
    cluster.deaf = [id(1)].into();
    let ticket = cluster.ask(id(3), prevote(5, 1, 6), None);
    cluster.run();
    cluster.kill(id(1));
    cluster.run();
    let reply = cluster.reply(id(3), ticket).unwrap();
    assert!(matches!(reply.verdict, Verdict::Signed(_)));
}

#[test]
fn a_request_at_a_leader_that_hangs_is_sent_elsewhere_in_time() {
    let mut cluster = Cluster::new(2, 3);
    cluster.deaf = [id(1)].into();
    let ticket = cluster.ask(id(3), prevote(5, 1, 6), None);
    cluster.pass(Duration::from_millis(400));
    let reply = cluster.reply(id(3), ticket).unwrap();
    assert!(matches!(reply.verdict, Verdict::Signed(_)), "{:?}", reply.verdict);
}

#[test]
fn a_new_leader_signs_what_the_old_one_has_begun_with_its_timestamp() {
    let mut cluster = Cluster::new(2, 3);
    // The order reaches a follower, which records it; the leader dies before it hears of it.
    cluster.deaf = [id(1)].into();
    cluster.ask(id(1), prevote(5, 1, 6), None);
    cluster.run();
    cluster.kill(id(1));
    cluster.deaf.clear();
    cluster.lead(Some(id(3)));
    let at = if cluster.nodes[&id(2)].file.record().mark().is_some() { 3 } else { 2 };
    cluster.lead(Some(id(at)));
    let reply = cluster.answer(id(at), prevote(5, 1, 60), None);
    match reply.verdict {
        Verdict::Signed(signed) => assert_eq!(signed.timestamp.seconds(), 6),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_successor_repeats_the_signature_that_a_follower_forwarded() {
    let mut cluster = Cluster::new(2, 3);
    let first = cluster.answer(id(2), precommit(5, 1, 6), None).verdict;
    let Verdict::Signed(first) = first else { panic!("{first:?}") };
    cluster.kill(id(1));
    cluster.lead(Some(id(2)));
    let again = cluster.answer(id(3), precommit(5, 1, 66), None).verdict;
    assert_eq!(again, Verdict::Repeated(first));
}

#[test]
fn a_request_without_a_quorum_is_asked_for_again_then_given_up_on() {
    let mut cluster = Cluster::new(2, 3);
    cluster.kill(id(2));
    cluster.kill(id(3));
    let mut verdicts = Vec::new();
    for _ in 0..5 {
        let ticket = cluster.ask(id(1), prevote(5, 1, 6), None);
        cluster.pass(Duration::from_millis(1100));
        verdicts.push(cluster.reply(id(1), ticket).unwrap().verdict);
    }
    assert!(matches!(verdicts[0], Verdict::NotNow(_)), "{verdicts:?}");
    assert!(matches!(verdicts[1], Verdict::NotNow(_)));
    assert!(matches!(verdicts[4], Verdict::GivenUp(_)));
    let nodes = [id(2), id(3)];
    for node in nodes {
        cluster.nodes.get_mut(&node).unwrap().alive = true;
    }
    cluster.connect_all();
    let reply = cluster.answer(id(1), prevote(5, 1, 6), None);
    assert!(matches!(reply.verdict, Verdict::Signed(_)));
}

#[test]
fn lets_validators_go_once_per_loss_of_leader_and_quorum() {
    let mut cluster = Cluster::new(2, 3);
    cluster.pass(Duration::from_secs(5));
    assert_eq!(cluster.nodes[&id(3)].let_go, 0);
    cluster.kill(id(1));
    cluster.pass(Duration::from_secs(5));
    assert_eq!(cluster.nodes[&id(3)].let_go, 0, "two of three are a quorum");
    cluster.kill(id(2));
    cluster.pass(Duration::from_millis(1400));
    assert_eq!(cluster.nodes[&id(3)].let_go, 0);
    cluster.pass(Duration::from_secs(20));
    assert_eq!(cluster.nodes[&id(3)].let_go, 1);
}

#[test]
fn an_empty_pool_asks_for_nonces_and_signs_all_the_same() {
    let mut cluster = Cluster::unconnected(2, 3, None);
    cluster.tamper = Some(|message, _, _| {
        if let Message::Commitments(list) = message {
            list.truncate(1);
        }
    });
    cluster.connect_all();
    cluster.lead(Some(id(1)));
    for height in 1..100 {
        let ticket = cluster.ask(id(1), prevote(height, 1, 6), None);
        cluster.pass(Duration::from_millis(50));
        let reply = cluster.reply(id(1), ticket).unwrap();
        assert!(matches!(reply.verdict, Verdict::Signed(_)), "height {height}");
    }
}

#[test]
fn a_member_that_keeps_its_extension_share_back_is_replaced() {
    let mut cluster = Cluster::new(3, 4);
    cluster.tamper = Some(|message, from, _| {
        if let Message::Answer(answer) = message
            && from == id(2)
            && let AnswerBody::Shares { extension_shares, .. } = &mut answer.body
        {
            extension_shares.clear();
        }
    });
    for height in 1..4 {
        let ticket = cluster.ask(id(1), precommit(height, 1, 6), Some(b"extension"));
        cluster.pass(Duration::from_millis(300));
        let reply = cluster.reply(id(1), ticket).expect("answered in time");
        assert!(matches!(reply.verdict, Verdict::Signed(_)), "{:?}", reply.verdict);
    }
}

#[test]
fn whoever_answers_at_last_makes_a_set_though_all_were_late() {
    let mut cluster = Cluster::new(3, 5);
    // Everybody is late, until the leader has asked all there are and knows no further set.
    cluster.deaf = [2, 3, 4, 5].map(id).into();
    let ticket = cluster.ask(id(1), prevote(5, 1, 6), None);
    cluster.pass(Duration::from_millis(300));
    // Of two sets, one member each turns out to be alive.
    cluster.deaf = [3, 5].map(id).into();
    let held = std::mem::take(&mut cluster.held);
    cluster.wire.extend(held);
    cluster.pass(Duration::from_millis(400));
    let reply = cluster.reply(id(1), ticket).expect("three of five are a quorum");
    assert!(matches!(reply.verdict, Verdict::Signed(_)), "{:?}", reply.verdict);
}

#[test]
fn garbage_for_commitments_does_not_stop_a_request() {
    let mut cluster = Cluster::unconnected(2, 3, None);
    cluster.tamper = Some(|message, from, _| {
        if let (Message::Commitments(list), true) = (message, from == id(1)) {
            list.iter_mut().for_each(|commitment| commitment.0 = [0xff; 64]);
        }
    });
    cluster.connect_all();
    cluster.lead(Some(id(2)));
    for height in 1..20 {
        // Nothing is decoded in idle time: the garbage is met when a set is opened.
        let list = vec![crate::frost::RawCommitment([0xff; 64]); 4];
        cluster.wire.push_back((id(1), id(2), Message::Commitments(list)));
        cluster.run();
        let reply = cluster.answer(id(2), prevote(height, 1, 6), None);
        assert!(matches!(reply.verdict, Verdict::Signed(_)), "height {height}");
    }
}

#[test]
fn a_chain_given_up_on_recovers_though_no_attempt_is_as_fast_as_its_answers() {
    let mut cluster = Cluster::new(2, 3);
    cluster.deaf = [1, 2].map(id).into();
    for _ in 0..5 {
        cluster.ask(id(3), prevote(5, 1, 6), None);
        cluster.pass(Duration::from_millis(1100));
    }
    cluster.held.clear();
    cluster.nodes.get_mut(&id(3)).unwrap().replies.clear();
    // Now all answer again, but no sooner than after 150 ms.
    let given_up = cluster.ask(id(3), prevote(6, 1, 6), None);
    cluster.pass(Duration::from_millis(150));
    let reply = cluster.reply(id(3), given_up).expect("answered at once");
    assert!(matches!(reply.verdict, Verdict::GivenUp(_)));
    cluster.deaf.clear();
    let held = std::mem::take(&mut cluster.held);
    cluster.wire.extend(held);
    cluster.pass(Duration::from_secs(1));
    assert!(cluster.reply(id(3), given_up).is_none(), "one answer for one request");
    cluster.deaf = [1].map(id).into();
    let next = cluster.ask(id(3), prevote(7, 1, 6), None);
    cluster.pass(Duration::from_millis(150));
    assert!(cluster.reply(id(3), next).is_none(), "the validator is let wait again");
    cluster.deaf.clear();
    let held = std::mem::take(&mut cluster.held);
    cluster.wire.extend(held);
    cluster.run();
    let reply = cluster.reply(id(3), next).expect("signed");
    assert!(matches!(reply.verdict, Verdict::Signed(_)), "{:?}", reply.verdict);
}

#[test]
fn a_request_that_waits_for_watermarks_survives_a_change_of_leader() {
    let mut cluster = Cluster::new(2, 3);
    cluster.kill(id(1));
    // Member 2, the deputy, has asked what others signed; the answer is on its way.
    cluster.deaf = [id(2)].into();
    let ticket = cluster.ask(id(2), prevote(5, 1, 6), None);
    cluster.run();
    cluster.lead(Some(id(3)));
    cluster.deaf.clear();
    cluster.wire.extend(std::mem::take(&mut cluster.held));
    cluster.pass(Duration::from_millis(300));
    let reply = cluster.reply(id(2), ticket).expect("answered within 300 ms");
    assert!(matches!(reply.verdict, Verdict::Signed(_)), "{:?}", reply.verdict);
}

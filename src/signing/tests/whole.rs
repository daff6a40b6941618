//! Whole keys: grants in the place of shares, and a key that is used with a complete set of them (I7).

use std::time::Duration;

use super::cluster::{Cluster, KeyIs, chain, id, incarnation, precommit, prevote, proposal};
use crate::peer::{
    Answer, AnswerBody, AskGrant, Carried, Failure, Grant, Message, Outcome, Signed,
};
use crate::privval::{Extension, Fields, extension_sign_bytes, sign_bytes};
use crate::signing::{Input, Verdict};
use crate::types::{Incarnation, MemberId, SetupHash};
use crate::watermark::Denial;

fn signature(cluster: &Cluster, verdict: &Verdict, fields: &Fields) -> Vec<u8> {
    let (Verdict::Signed(signed) | Verdict::Repeated(signed)) = verdict else {
        panic!("{verdict:?}")
    };
    let Signed { signature, timestamp, .. } = signed;
    let bytes: &[u8; 64] = signature.as_bytes().try_into().unwrap();
    let signed = fields.with_timestamp(*timestamp);
    cluster.assert_verifies(&sign_bytes(&chain(), &signed), bytes);
    bytes.to_vec()
}

/// Requests for grants that the leader has sent for these fields and that nobody has received yet.
fn asks_in_flight(cluster: &mut Cluster, fields: Fields) -> Vec<(MemberId, AskGrant)> {
    cluster.ask(id(1), fields, None);
    let asks = cluster.wire.drain(..).filter_map(|(_, to, message)| match message {
        Message::AskGrant(ask) => Some((to, ask)),
        _ => None,
    });
    asks.collect()
}

/// Runs one request for a grant at a member and returns what it answers, if it answers.
fn answer_to(cluster: &mut Cluster, to: MemberId, ask: AskGrant) -> Option<AnswerBody> {
    cluster.deaf.insert(id(1));
    cluster.held.clear();
    cluster.wire.push_back((id(1), to, Message::AskGrant(ask)));
    cluster.run();
    cluster.deaf.clear();
    cluster.held.drain(..).find_map(|(from, _, message)| match message {
        Message::Answer(answer) if from == to => Some(answer.body),
        _ => None,
    })
}

#[test]
fn signs_alone_and_in_clusters_of_every_size() {
    for n in [1, 2, 3, 4, 5, 15] {
        let mut cluster = Cluster::whole(n);
        for (height, at) in [(5, 1), (6, u64::from(n))] {
            let fields = prevote(height, 1, 6);
            let reply = cluster.answer(id(at), fields.clone(), None);
            assert!(matches!(reply.verdict, Verdict::Signed(_)), "{n}: {:?}", reply.verdict);
            signature(&cluster, &reply.verdict, &fields);
        }
    }
}

#[test]
fn survives_the_loss_of_fewer_than_half_and_signs_nothing_with_fewer_than_a_majority() {
    for (n, dead) in [(3_u64, 1_u64), (4, 1), (5, 2), (7, 3)] {
        let mut cluster = Cluster::whole(u16::try_from(n).unwrap());
        for dead in 0..dead {
            cluster.kill(id(n - dead));
        }
        let reply = cluster.answer(id(1), prevote(5, 1, 6), None);
        assert!(matches!(reply.verdict, Verdict::Signed(_)), "{dead} of {n}");
        cluster.kill(id(n - dead));
        let ticket = cluster.ask(id(1), prevote(6, 1, 6), None);
        cluster.pass(Duration::from_millis(1100));
        let verdict = cluster.reply(id(1), ticket).unwrap().verdict;
        assert!(matches!(verdict, Verdict::NotNow(_)), "{n}: {verdict:?}");
    }
}

#[test]
fn an_extension_is_signed_with_its_precommit_and_a_fresh_one_takes_fresh_grants() {
    let mut cluster = Cluster::whole(3);
    let fields = precommit(5, 1, 6);
    let verify = |cluster: &Cluster, verdict: &Verdict, extension: &[u8]| {
        let (Verdict::Signed(signed) | Verdict::Repeated(signed)) = verdict else {
            panic!("{verdict:?}")
        };
        let hrs = fields.hrs();
        let message = extension_sign_bytes(&chain(), hrs.height, hrs.round, extension);
        let signature = &signed.extension_signature.as_ref().unwrap().replay_protected;
        cluster.assert_verifies(&message, signature.as_bytes().try_into().unwrap());
    };
    let first = cluster.answer(id(2), fields.clone(), Some(b"one")).verdict;
    verify(&cluster, &first, b"one");
    let again = cluster.answer(id(3), fields.clone(), Some(b"two")).verdict;
    verify(&cluster, &again, b"two");
    assert!(matches!(again, Verdict::Repeated(_)));
    let vote = signature(&cluster, &first, &fields);
    assert_eq!(vote, signature(&cluster, &again, &fields));
}

#[test]
fn an_extension_that_the_key_cannot_sign_is_refused_before_anything_is_written() {
    let mut cluster = Cluster::whole(3);
    let reply = cluster.answer(id(1), precommit(5, 1, 6), Some(&[7; 4097]));
    let Verdict::NotNow(why) = reply.verdict else { panic!("{:?}", reply.verdict) };
    assert!(why.contains("at most 4096 bytes"), "{why}");
    let snapshot = cluster.nodes[&id(1)].plane.snapshot();
    assert_eq!(snapshot.chains[&chain()].watermark, None);
    assert_eq!(snapshot.chains[&chain()].key_fault, None, "the key itself is well");
}

#[test]
fn no_grant_leaves_before_its_watermark_is_on_disk() {
    let mut cluster = Cluster::whole(3);
    let (to, ask) = asks_in_flight(&mut cluster, prevote(5, 1, 6)).remove(0);
    cluster.nodes.get_mut(&to).unwrap().slow_disk = true;
    assert_eq!(answer_to(&mut cluster, to, ask.clone()), None);
    assert_eq!(answer_to(&mut cluster, to, ask), None, "nor a second one that waits for it");
    assert_eq!(cluster.nodes[&to].writes.len(), 1, "one write covers both");
    cluster.deaf.insert(id(1));
    cluster.write_all(to);
    cluster.run();
    let grants = cluster.held.iter().filter(|(from, _, message)| {
        *from == to && matches!(message, Message::Answer(Answer { body: AnswerBody::Grant(_), .. }))
    });
    assert_eq!(grants.count(), 2);
}

#[test]
fn the_key_is_not_used_without_the_signers_own_watermark_on_disk() {
    let mut cluster = Cluster::whole(3);
    cluster.nodes.get_mut(&id(1)).unwrap().slow_disk = true;
    cluster.nodes.get_mut(&id(1)).unwrap().key_is = KeyIs::Slow;
    cluster.ask(id(1), prevote(5, 1, 6), None);
    cluster.run();
    assert!(cluster.nodes[&id(1)].uses.is_empty(), "two others have granted; the own is missing");
    cluster.write_all(id(1));
    cluster.run();
    assert_eq!(cluster.nodes[&id(1)].uses.len(), 1);
}

#[test]
fn a_signer_whose_disk_hangs_lets_another_sign() {
    let mut cluster = Cluster::whole(3);
    cluster.nodes.get_mut(&id(1)).unwrap().slow_disk = true;
    let ticket = cluster.ask(id(1), prevote(5, 1, 6), None);
    cluster.pass(Duration::from_millis(400));
    let reply = cluster.reply(id(1), ticket).unwrap();
    assert!(matches!(reply.verdict, Verdict::Signed(_)), "{:?}", reply.verdict);
    assert_eq!(reply.coordinator, id(2));
}

#[test]
fn a_member_grants_one_content_at_one_step_whoever_asks() {
    let mut cluster = Cluster::whole(3);
    let (to, ask) = asks_in_flight(&mut cluster, prevote(5, 1, 6)).remove(0);
    let conflict = AskGrant { fields: prevote(5, 2, 6), ..ask.clone() };
    assert!(matches!(answer_to(&mut cluster, to, ask), Some(AnswerBody::Grant(_))));
    let refused = answer_to(&mut cluster, to, conflict);
    let conflicting = matches!(&refused, Some(AnswerBody::Denied(Denial::ConflictingData { .. })));
    assert!(conflicting, "{refused:?}");
}

#[test]
fn a_member_refuses_what_is_not_its_own_key_list_or_life() {
    let mut cluster = Cluster::whole(3);
    let (to, ask) = asks_in_flight(&mut cluster, prevote(5, 1, 6)).remove(0);
    let other = Incarnation { number: 0, id: [0; 16] };
    let mut not_me = ask.clone();
    not_me.asked.remove(&to);
    let mut not_the_coordinator = ask.clone();
    not_the_coordinator.asked.remove(&id(1));
    let mut stranger = ask.clone();
    stranger.asked.insert(id(9), other);
    let mut earlier_life = ask.clone();
    earlier_life.asked.insert(to, other);
    let extension_of_a_prevote =
        AskGrant { extension: Some(Carried::Whole(Extension::new("x"))), ..ask.clone() };
    let other_setup = AskGrant { setup: SetupHash([9; 32]), ..ask.clone() };
    let cases = [
        (not_me, Failure::Malformed),
        (not_the_coordinator, Failure::Malformed),
        (stranger, Failure::Malformed),
        (earlier_life, Failure::OtherIncarnation),
        (extension_of_a_prevote, Failure::Malformed),
        (other_setup, Failure::OtherSetup),
    ];
    for (case, failure) in cases {
        assert_eq!(answer_to(&mut cluster, to, case), Some(AnswerBody::Failed(failure)));
    }
    let mark = cluster.nodes[&to].plane.snapshot().chains[&chain()].watermark;
    assert_eq!(mark, None, "none of them has moved the watermark");
}

#[test]
fn a_session_that_names_a_superseded_life_of_another_member_gets_nothing() {
    let mut cluster = Cluster::whole(3);
    let (to, ask) = asks_in_flight(&mut cluster, prevote(5, 1, 6)).remove(0);
    let third = ask.asked.keys().copied().find(|&member| member != to && member != id(1)).unwrap();
    let newer = Incarnation { number: 2, id: [0; 16] };
    cluster.nodes.get_mut(&to).unwrap().plane.record_incarnation(third, newer);
    let answer = answer_to(&mut cluster, to, ask);
    assert_eq!(answer, Some(AnswerBody::Failed(Failure::SupersededSigner)));
}

#[test]
fn a_share_is_not_given_for_a_whole_key_nor_a_grant_for_a_split_one() {
    let mut split = Cluster::new(2, 3);
    let mut whole = Cluster::whole(3);
    let (to, ask) = asks_in_flight(&mut whole, prevote(5, 1, 6)).remove(0);
    let ask = AskGrant { key: split.key.id, ..ask };
    assert_eq!(answer_to(&mut split, to, ask), Some(AnswerBody::Failed(Failure::Malformed)));
}

/// Turns every grant of members 2 and 3 into something that must not count.
fn spoil(cluster: &mut Cluster, tamper: fn(&mut Message, MemberId, MemberId)) -> Verdict {
    cluster.tamper = Some(tamper);
    let ticket = cluster.ask(id(1), prevote(5, 1, 6), None);
    cluster.pass(Duration::from_millis(1100));
    cluster.reply(id(1), ticket).unwrap().verdict
}

fn grant_of(message: &mut Message) -> Option<(&mut Answer, Grant)> {
    match message {
        Message::Answer(answer) => match answer.body {
            AnswerBody::Grant(grant) => Some((answer, grant)),
            _ => None,
        },
        _ => None,
    }
}

#[test]
fn grants_that_name_anything_else_do_not_count() {
    let spoilers: [fn(&mut Message, MemberId, MemberId); 3] = [
        |message, _, _| {
            if let Some((answer, grant)) = grant_of(message) {
                answer.body = AnswerBody::Grant(Grant { content: [9; 32], ..grant });
            }
        },
        |message, from, _| {
            if let Some((answer, grant)) = grant_of(message) {
                answer.body = AnswerBody::Grant(Grant { coordinator: from, ..grant });
            }
        },
        |message, from, _| {
            if let Some((answer, grant)) = grant_of(message) {
                let incarnation = Incarnation { number: 9, ..incarnation(from) };
                answer.body = AnswerBody::Grant(Grant { incarnation, ..grant });
            }
        },
    ];
    for spoiler in spoilers {
        let mut cluster = Cluster::whole(3);
        cluster.nodes.get_mut(&id(1)).unwrap().key_is = KeyIs::Slow;
        let verdict = spoil(&mut cluster, spoiler);
        assert!(matches!(verdict, Verdict::NotNow(_)), "{verdict:?}");
        assert!(cluster.nodes[&id(1)].uses.is_empty(), "the key was used");
    }
}

#[test]
fn grants_of_different_sessions_never_add_up() {
    // Of five, member 2 grants in the first session only, member 3 in the second only.
    let mut cluster = Cluster::whole(5);
    cluster.nodes.get_mut(&id(1)).unwrap().key_is = KeyIs::Slow;
    for dead in [4, 5] {
        cluster.kill(id(dead));
    }
    cluster.deaf = [id(3)].into();
    cluster.ask(id(1), prevote(5, 1, 6), None);
    cluster.run();
    assert!(cluster.nodes[&id(1)].uses.is_empty(), "two of five");
    let (_, _, first) = cluster.held.remove(0);
    // The third comes back; a new session is opened, of which the second hears nothing.
    cluster.deaf = [id(2)].into();
    let (three, one) = (id(3), id(1));
    let link = |at: MemberId, peer: MemberId| {
        crate::peer::LinkId(u64::from(at.get()) * 100 + u64::from(peer.get()))
    };
    cluster.input(one, Input::Down { peer: three, link: link(one, three) });
    let up = Input::Up { peer: three, link: link(one, three), incarnation: incarnation(three) };
    cluster.input(one, up);
    cluster.run();
    assert!(cluster.nodes[&id(1)].uses.is_empty(), "two of five, and one of another session");
    // Nor does the late answer to the first session count.
    cluster.input(three, Input::Message { peer: one, link: link(three, one), message: first });
    cluster.run();
    assert!(cluster.nodes[&id(1)].uses.is_empty());
}

#[test]
fn a_signature_of_other_bytes_never_leaves() {
    let mut alone = Cluster::whole(1);
    alone.nodes.get_mut(&id(1)).unwrap().key_is = KeyIs::Lying;
    let reply = alone.answer(id(1), prevote(5, 1, 6), None);
    assert!(matches!(reply.verdict, Verdict::NotNow(_)), "{:?}", reply.verdict);
    let fault = alone.nodes[&id(1)].plane.snapshot().chains[&chain()].key_fault.clone();
    assert_eq!(fault.unwrap().word(), "bad_signature");
    // Another member's key is asked instead, and its signature is the one that leaves.
    let mut cluster = Cluster::whole(3);
    cluster.nodes.get_mut(&id(1)).unwrap().key_is = KeyIs::Lying;
    let reply = cluster.answer(id(1), prevote(5, 1, 6), None);
    signature(&cluster, &reply.verdict, &prevote(5, 1, 6));
    assert_eq!(reply.coordinator, id(2));
}

#[test]
fn a_member_whose_key_is_broken_lets_another_sign_and_hands_leadership_over() {
    let mut cluster = Cluster::whole(3);
    cluster.nodes.get_mut(&id(1)).unwrap().key_is = KeyIs::Broken;
    for (height, at) in [(5, 1), (6, 2), (7, 3)] {
        let reply = cluster.answer(id(at), prevote(height, 1, 6), None);
        assert!(matches!(reply.verdict, Verdict::Signed(_)), "{:?}", reply.verdict);
        assert_ne!(reply.coordinator, id(1));
    }
    cluster.pass(Duration::from_millis(2500));
    assert_eq!(cluster.nodes[&id(1)].stepped_down, 1);
    // It works again: the leader signs again.
    cluster.nodes.get_mut(&id(1)).unwrap().key_is = KeyIs::Well;
    cluster.input(id(1), Input::KeyHealth { chain: chain(), health: Ok(()) });
    let reply = cluster.answer(id(1), prevote(8, 1, 6), None);
    assert_eq!(reply.coordinator, id(1));
}

#[test]
fn where_no_key_works_the_cause_is_in_the_answer() {
    for n in [1, 3] {
        let mut cluster = Cluster::whole(n);
        for member in 1..=u64::from(n) {
            cluster.nodes.get_mut(&id(member)).unwrap().key_is = KeyIs::Broken;
        }
        let reply = cluster.answer(id(1), prevote(5, 1, 6), None);
        let Verdict::NotNow(why) = reply.verdict else { panic!("{:?}", reply.verdict) };
        assert!(why.contains("cannot be reached: gone"), "{why}");
    }
}

#[test]
fn the_same_bytes_join_a_use_of_the_key_that_is_under_way() {
    let mut cluster = Cluster::whole(1);
    cluster.nodes.get_mut(&id(1)).unwrap().key_is = KeyIs::Slow;
    let first = cluster.ask(id(1), prevote(5, 1, 6), None);
    cluster.pass(Duration::from_millis(1100));
    assert!(matches!(cluster.reply(id(1), first).unwrap().verdict, Verdict::NotNow(_)));
    let second = cluster.ask(id(1), prevote(5, 1, 9), None);
    cluster.run();
    assert_eq!(cluster.nodes[&id(1)].uses.len(), 1, "one call for both");
    cluster.use_all(id(1));
    let verdict = cluster.reply(id(1), second).unwrap().verdict;
    signature(&cluster, &verdict, &prevote(5, 1, 6));
}

#[test]
fn a_signature_that_comes_after_its_request_has_ended_answers_the_repeat() {
    let mut cluster = Cluster::whole(1);
    cluster.nodes.get_mut(&id(1)).unwrap().key_is = KeyIs::Slow;
    let first = cluster.ask(id(1), prevote(5, 1, 6), None);
    cluster.pass(Duration::from_millis(1100));
    assert!(matches!(cluster.reply(id(1), first).unwrap().verdict, Verdict::NotNow(_)));
    cluster.use_all(id(1));
    let reply = cluster.answer(id(1), prevote(5, 1, 6), None);
    assert!(matches!(reply.verdict, Verdict::Repeated(_)), "{:?}", reply.verdict);
}

#[test]
fn a_successor_signs_exactly_what_a_dead_signer_had_begun() {
    let mut cluster = Cluster::whole(3);
    cluster.nodes.get_mut(&id(1)).unwrap().key_is = KeyIs::Slow;
    cluster.ask(id(1), prevote(5, 1, 6), None);
    cluster.run();
    assert_eq!(cluster.nodes[&id(1)].uses.len(), 1, "granted, and not signed");
    cluster.kill(id(1));
    cluster.lead(Some(id(2)));
    let conflict = cluster.answer(id(3), prevote(5, 2, 6), None).verdict;
    assert!(matches!(conflict, Verdict::Denied(Denial::ConflictingData { .. })), "{conflict:?}");
    let verdict = cluster.answer(id(3), prevote(5, 1, 9), None).verdict;
    let Verdict::Signed(signed) = &verdict else { panic!("{verdict:?}") };
    assert_eq!(signed.timestamp, prevote(5, 1, 6).timestamp());
}

#[test]
fn repeats_regressions_and_conflicts_are_ruled_on_as_with_shares() {
    for n in [1, 3] {
        let mut cluster = Cluster::whole(n);
        let first = cluster.answer(id(1), proposal(5, 1, 6), None).verdict;
        assert!(matches!(first, Verdict::Signed(_)));
        let again = cluster.answer(id(1), proposal(5, 1, 6), None).verdict;
        assert!(matches!(again, Verdict::Repeated(_)));
        let conflict = cluster.answer(id(1), proposal(5, 2, 6), None).verdict;
        assert!(matches!(conflict, Verdict::Denied(Denial::ConflictingData { .. })));
        let lower = cluster.answer(id(1), prevote(4, 1, 6), None).verdict;
        assert!(matches!(lower, Verdict::Denied(Denial::HeightRegression { .. })));
        let far = cluster.answer(id(1), prevote(1_000_000, 1, 6), None).verdict;
        assert!(matches!(far, Verdict::Denied(Denial::HeightJump { .. })));
    }
}

#[test]
fn a_forwarded_request_that_no_key_can_sign_says_so_to_its_member() {
    let mut cluster = Cluster::whole(3);
    cluster.nodes.get_mut(&id(1)).unwrap().key_is = KeyIs::Broken;
    cluster.deaf = [id(3)].into();
    cluster.ask(id(3), prevote(5, 1, 6), None);
    cluster.run();
    let told = cluster.held.iter().any(|(_, _, message)| {
        matches!(message, Message::Forwarded(forwarded)
            if matches!(forwarded.outcome, Outcome::KeyUnavailable(_)))
    });
    assert!(told);
}

#[test]
fn a_member_whose_watermark_failed_lets_another_sign_and_hands_leadership_over() {
    let mut cluster = Cluster::whole(3);
    cluster.input(id(1), Input::WriteFailed { chain: chain() });
    for (height, at) in [(5, 1), (6, 2), (7, 1)] {
        let reply = cluster.answer(id(at), prevote(height, 1, 6), None);
        assert!(matches!(reply.verdict, Verdict::Signed(_)), "{:?}", reply.verdict);
        assert_eq!(reply.coordinator, id(2));
    }
    cluster.pass(Duration::from_millis(2500));
    assert_eq!(cluster.nodes[&id(1)].stepped_down, 1);
}

#[test]
fn a_signature_that_comes_after_its_request_went_elsewhere_is_taken_all_the_same() {
    let mut cluster = Cluster::whole(3);
    cluster.nodes.get_mut(&id(1)).unwrap().key_is = KeyIs::Slow;
    cluster.nodes.get_mut(&id(2)).unwrap().key_is = KeyIs::Slow;
    let ticket = cluster.ask(id(3), prevote(5, 1, 6), None);
    cluster.pass(Duration::from_millis(450));
    assert_eq!(cluster.nodes[&id(2)].uses.len(), 1, "it was sent to a deputy, too");
    assert!(cluster.reply(id(3), ticket).is_none());
    cluster.use_all(id(1));
    cluster.run();
    let reply = cluster.reply(id(3), ticket).unwrap();
    signature(&cluster, &reply.verdict, &prevote(5, 1, 6));
    assert_eq!(reply.coordinator, id(1));
}

#[test]
fn a_link_that_flaps_does_not_begin_a_live_session_anew() {
    let mut cluster = Cluster::whole(5);
    cluster.deaf = [id(2), id(3), id(4), id(5)].into();
    cluster.ask(id(1), prevote(5, 1, 6), None);
    cluster.run();
    let link = crate::peer::LinkId(100 + 5);
    let asked = |cluster: &Cluster| {
        let asks = cluster.held.iter().filter(|(_, _, it)| matches!(it, Message::AskGrant(_)));
        asks.count()
    };
    let before = asked(&cluster);
    cluster.input(id(1), Input::Down { peer: id(5), link });
    for _ in 0..5 {
        let (peer, link) = (id(4), crate::peer::LinkId(100 + 4));
        cluster.input(id(1), Input::Up { peer, link, incarnation: incarnation(peer) });
        cluster.run();
    }
    assert_eq!(asked(&cluster), before);
}

#[test]
fn a_key_that_hangs_is_given_up_on_in_time_for_another_member_to_sign() {
    let mut cluster = Cluster::whole(3);
    cluster.nodes.get_mut(&id(1)).unwrap().key_is = KeyIs::Slow;
    let ticket = cluster.ask(id(1), prevote(5, 1, 6), None);
    cluster.pass(Duration::from_millis(600));
    let reply = cluster.reply(id(1), ticket).unwrap();
    assert!(matches!(reply.verdict, Verdict::Signed(_)), "{:?}", reply.verdict);
    assert_eq!(reply.coordinator, id(2));
    let fault = cluster.nodes[&id(1)].plane.snapshot().chains[&chain()].key_fault.clone();
    assert_eq!(fault.unwrap().word(), "no_answer");
    // It comes back, and is well again.
    cluster.use_all(id(1));
    assert_eq!(cluster.nodes[&id(1)].plane.snapshot().chains[&chain()].key_fault, None);
}

#[test]
fn a_chain_that_is_given_up_on_says_why_before_it_has_failed_again() {
    let mut cluster = Cluster::whole(1);
    cluster.nodes.get_mut(&id(1)).unwrap().key_is = KeyIs::Broken;
    cluster.answer(id(1), prevote(5, 1, 6), None);
    cluster.pass(Duration::from_secs(3));
    let verdict = cluster.answer(id(1), prevote(5, 1, 6), None).verdict;
    assert!(matches!(&verdict, Verdict::GivenUp(why) if why.contains("gone")), "{verdict:?}");
    cluster.nodes.get_mut(&id(1)).unwrap().key_is = KeyIs::Slow;
    let ticket = cluster.ask(id(1), prevote(5, 1, 6), None);
    cluster.pass(Duration::from_millis(150));
    let verdict = cluster.reply(id(1), ticket).unwrap().verdict;
    assert!(matches!(&verdict, Verdict::GivenUp(why) if why.contains("gone")), "{verdict:?}");
}

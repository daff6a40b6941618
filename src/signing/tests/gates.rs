//! What must hold before anything leaves: I3, I4, I5, I8, one test for each gate.

use std::time::Duration;

use super::cluster::{Cluster, chain, id, incarnation, precommit, prevote};
use crate::peer::{AnswerBody, Carried, Failure, Message, Order, Outcome, Signed};
use crate::privval::{Extension, ExtensionSignature, Fields, extension_sign_bytes, sign_bytes};
use crate::raft::Settled;
use crate::signing::{Input, Verdict};
use crate::types::{Algorithm, Height, MemberId, Signature};
use crate::watermark::Denial;

fn forged() -> Signature {
    Signature::new(Algorithm::Ed25519, [7; 64])
}

/// Signed now, not repeated, with a signature that verifies.
fn assert_signed_anew(cluster: &Cluster, verdict: &Verdict, fields: &Fields) {
    let Verdict::Signed(Signed { signature, .. }) = verdict else { panic!("{verdict:?}") };
    let signature = signature.as_bytes().try_into().unwrap();
    cluster.assert_verifies(&sign_bytes(&chain(), fields), signature);
}

/// Orders that the leader has sent for these fields and that nobody has received yet.
fn orders_in_flight(cluster: &mut Cluster, fields: Fields) -> Vec<(MemberId, Order)> {
    cluster.ask(id(1), fields, None);
    let orders = cluster.wire.drain(..).filter_map(|(_, to, message)| match message {
        Message::Order(order) => Some((to, order)),
        _ => None,
    });
    orders.collect()
}

fn deliver(cluster: &mut Cluster, to: MemberId, order: Order) {
    cluster.wire.push_back((id(1), to, Message::Order(order)));
    cluster.run();
}

/// Runs one order at a member and returns what it answers, if it answers.
fn answer_to(cluster: &mut Cluster, to: MemberId, order: Order) -> Option<AnswerBody> {
    cluster.deaf.insert(id(1));
    cluster.held.clear();
    deliver(cluster, to, order);
    cluster.deaf.clear();
    cluster.held.drain(..).find_map(|(from, _, message)| match message {
        Message::Answer(answer) if from == to => Some(answer.body),
        _ => None,
    })
}

#[test]
fn no_share_leaves_before_its_watermark_is_on_disk() {
    let mut cluster = Cluster::new(2, 3);
    let (to, order) = orders_in_flight(&mut cluster, prevote(5, 1, 6)).remove(0);
    cluster.nodes.get_mut(&to).unwrap().slow_disk = true;
    assert_eq!(answer_to(&mut cluster, to, order), None);
    cluster.deaf.insert(id(1));
    cluster.write_all(to);
    cluster.run();
    let shares = cluster.held.iter().any(|(from, _, message)| {
        *from == to
            && matches!(message, Message::Answer(answer)
                if matches!(&answer.body, AnswerBody::Shares { shares, .. } if shares.len() == 1))
    });
    assert!(shares, "the share leaves once the write has returned");
}

#[test]
fn no_share_of_the_leader_enters_an_aggregate_before_its_watermark_is_on_disk() {
    let mut cluster = Cluster::new(2, 2);
    cluster.nodes.get_mut(&id(1)).unwrap().slow_disk = true;
    let ticket = cluster.ask(id(1), prevote(5, 1, 6), None);
    cluster.run();
    assert!(cluster.reply(id(1), ticket).is_none(), "the other member's share alone is not enough");
    cluster.write_all(id(1));
    cluster.run();
    let verdict = cluster.reply(id(1), ticket).unwrap().verdict;
    assert!(matches!(verdict, Verdict::Signed(_)));
}

#[test]
fn after_a_failed_write_a_member_gives_nothing_any_more() {
    let mut cluster = Cluster::new(2, 3);
    let (to, order) = orders_in_flight(&mut cluster, prevote(5, 1, 6)).remove(0);
    cluster.nodes.get_mut(&to).unwrap().slow_disk = true;
    assert_eq!(answer_to(&mut cluster, to, order), None);
    cluster.nodes.get_mut(&to).unwrap().writes.clear();
    cluster.deaf.insert(id(1));
    cluster.input(to, Input::WriteFailed { chain: chain() });
    cluster.run();
    cluster.deaf.clear();
    let mut answers = cluster.held.drain(..).filter_map(|(from, _, message)| match message {
        Message::Answer(answer) if from == to => Some(answer.body),
        _ => None,
    });
    assert_eq!(answers.next(), Some(AnswerBody::Failed(Failure::State)), "of what was waiting");
    drop(answers);
    let later = (6..20).find_map(|height| {
        let orders = orders_in_flight(&mut cluster, prevote(height, 1, 6));
        orders.into_iter().find(|(member, _)| *member == to)
    });
    let answer = answer_to(&mut cluster, to, later.unwrap().1);
    assert_eq!(answer, Some(AnswerBody::Failed(Failure::State)), "of what comes later");
}

#[test]
fn a_second_order_waits_for_the_write_that_the_first_one_started() {
    let mut cluster = Cluster::new(2, 3);
    let first = orders_in_flight(&mut cluster, prevote(5, 1, 6)).remove(0);
    let to = first.0;
    cluster.nodes.get_mut(&to).unwrap().slow_disk = true;
    assert_eq!(answer_to(&mut cluster, to, first.1), None);
    cluster.pass(Duration::from_millis(60));
    let mut second = None;
    for (_, receiver, message) in cluster.wire.drain(..).collect::<Vec<_>>() {
        if let (true, Message::Order(order)) = (receiver == to, message) {
            second = Some(order);
        }
    }
    if let Some(order) = second {
        assert_eq!(answer_to(&mut cluster, to, order), None);
    }
    assert_eq!(cluster.nodes[&to].writes.len(), 1, "one write covers both");
}

#[test]
fn a_replayed_order_finds_its_nonce_gone() {
    let mut cluster = Cluster::new(2, 3);
    let (to, order) = orders_in_flight(&mut cluster, prevote(5, 1, 6)).remove(0);
    let first = answer_to(&mut cluster, to, order.clone()).unwrap();
    assert!(matches!(first, AnswerBody::Shares { .. }));
    let again = answer_to(&mut cluster, to, order).unwrap();
    assert_eq!(again, AnswerBody::Failed(Failure::UnknownNonce));
}

#[test]
fn a_refused_order_has_spent_its_nonce_all_the_same() {
    let mut cluster = Cluster::new(2, 3);
    let (to, order) = orders_in_flight(&mut cluster, prevote(5, 1, 6)).remove(0);
    let mut foreign = order.clone();
    foreign.setup = crate::types::SetupHash([9; 32]);
    let refused = answer_to(&mut cluster, to, foreign).unwrap();
    assert_eq!(refused, AnswerBody::Failed(Failure::OtherSetup));
    let again = answer_to(&mut cluster, to, order).unwrap();
    assert_eq!(again, AnswerBody::Failed(Failure::UnknownNonce));
}

#[test]
fn a_nonce_dies_with_the_link_it_was_made_for() {
    let mut cluster = Cluster::new(2, 3);
    let (to, order) = orders_in_flight(&mut cluster, prevote(5, 1, 6)).remove(0);
    cluster.kill(id(1));
    cluster.nodes.get_mut(&id(1)).unwrap().alive = true;
    cluster.connect_all();
    let answer = answer_to(&mut cluster, to, order).unwrap();
    assert_eq!(answer, AnswerBody::Failed(Failure::UnknownNonce));
}

#[test]
fn an_order_for_another_incarnation_of_this_member_gets_nothing() {
    let mut cluster = Cluster::new(2, 3);
    let (to, mut order) = orders_in_flight(&mut cluster, prevote(5, 1, 6)).remove(0);
    order.sets[0].signers.get_mut(&to).unwrap().incarnation.number = 2;
    let answer = answer_to(&mut cluster, to, order).unwrap();
    assert_eq!(answer, AnswerBody::Failed(Failure::OtherIncarnation));
    assert!(cluster.nodes[&to].file.record().mark().is_none(), "nothing was recorded");
}

#[test]
fn a_set_with_a_superseded_signer_gets_nothing() {
    let mut cluster = Cluster::new(2, 3);
    let mut later = incarnation(id(1));
    later.number = 7;
    for me in [2, 3] {
        cluster.nodes.get_mut(&id(me)).unwrap().plane.record_incarnation(id(1), later);
    }
    let (to, mut order) = orders_in_flight(&mut cluster, prevote(5, 1, 6)).remove(0);
    let answer = answer_to(&mut cluster, to, order.clone()).unwrap();
    assert_eq!(answer, AnswerBody::Failed(Failure::SupersededSigner));
    let (_, other) = orders_in_flight(&mut cluster, prevote(6, 1, 6)).remove(0);
    order = other;
    order.sets[0].signers.get_mut(&id(1)).unwrap().incarnation = later;
    let answer = answer_to(&mut cluster, to, order).unwrap();
    assert!(matches!(answer, AnswerBody::Shares { .. }), "not lower than recorded is enough");
}

#[test]
fn a_recorded_incarnation_never_goes_down() {
    let mut cluster = Cluster::new(2, 3);
    let mut later = incarnation(id(1));
    later.number = 7;
    for me in [2, 3] {
        let plane = &mut cluster.nodes.get_mut(&id(me)).unwrap().plane;
        plane.record_incarnation(id(1), later);
        plane.record_incarnation(id(1), incarnation(id(1)));
    }
    let (to, order) = orders_in_flight(&mut cluster, prevote(5, 1, 6)).remove(0);
    let answer = answer_to(&mut cluster, to, order).unwrap();
    assert_eq!(answer, AnswerBody::Failed(Failure::SupersededSigner));
}

#[test]
fn a_set_of_another_size_or_without_this_member_gets_nothing() {
    let mut cluster = Cluster::new(2, 3);
    let (to, order) = orders_in_flight(&mut cluster, prevote(5, 1, 6)).remove(0);
    let mut alone = order.clone();
    alone.sets[0].signers.retain(|&member, _| member == to);
    let answer = answer_to(&mut cluster, to, alone).unwrap();
    assert_eq!(answer, AnswerBody::Failed(Failure::Malformed));
    let mut without = order;
    without.sets[0].signers.remove(&to);
    let answer = answer_to(&mut cluster, to, without).unwrap();
    assert_eq!(answer, AnswerBody::Failed(Failure::Malformed));
}

#[test]
fn an_extension_without_its_precommit_gets_nothing() {
    let mut cluster = Cluster::new(2, 3);
    let (to, mut order) = orders_in_flight(&mut cluster, prevote(5, 1, 6)).remove(0);
    order.extension = Some(Carried::Whole(Extension::new("x")));
    order.extension_sets = std::mem::take(&mut order.sets);
    let answer = answer_to(&mut cluster, to, order).unwrap();
    assert_eq!(answer, AnswerBody::Failed(Failure::Malformed));
}

#[test]
fn a_bad_share_is_named_and_the_vote_signed_without_its_sender() {
    let mut cluster = Cluster::new(2, 3);
    cluster.tamper = Some(|message, from, _| {
        if let (Message::Answer(answer), true) = (message, from == id(2))
            && let AnswerBody::Shares { shares, .. } = &mut answer.body
        {
            for share in shares {
                share.share.0[0] ^= 1;
            }
        }
    });
    let mut blamed = 0;
    for height in 1..10 {
        let reply = cluster.answer(id(1), precommit(height, 1, 6), None);
        assert!(matches!(reply.verdict, Verdict::Signed(_)), "{:?}", reply.verdict);
        assert!(reply.account.culprits.iter().all(|&culprit| culprit == id(2)));
        blamed += reply.account.culprits.len();
    }
    assert!(blamed > 0, "member 2 was asked and blamed");
}

#[test]
fn a_signature_that_does_not_verify_is_not_passed_on() {
    let mut cluster = Cluster::new(2, 3);
    cluster.tamper = Some(|message, from, _| {
        if let (Message::Forwarded(forwarded), true) = (message, from == id(1))
            && let Outcome::Signed(signed) = &mut forwarded.outcome
        {
            signed.timestamp = crate::types::Timestamp::GO_ZERO;
        }
    });
    let reply = cluster.answer(id(2), prevote(5, 1, 6), None);
    match reply.verdict {
        Verdict::Signed(signed) | Verdict::Repeated(signed) => {
            assert_ne!(signed.timestamp, crate::types::Timestamp::GO_ZERO);
            assert_eq!(reply.coordinator, id(2), "signed by a coordinator that does not lie");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_report_about_chains_of_nobody_is_not_remembered() {
    let mut cluster = Cluster::new(2, 3);
    let key = cluster.key.id;
    for number in 0..100 {
        let chain = crate::types::ChainId::new(format!("nobodys-{number}")).unwrap();
        let fields = Some(prevote(5, 1, 6));
        let report = crate::peer::Report { chain, key, fields, signature: None, key_ready: true };
        cluster.wire.push_back((id(2), id(1), Message::Watermark(report)));
    }
    cluster.run();
    let snapshot = cluster.nodes[&id(1)].plane.snapshot();
    assert!(snapshot.reachable[&id(2)].watermarks.len() <= 1);
}

#[test]
fn what_waits_for_a_hung_disk_is_bounded() {
    let mut cluster = Cluster::new(2, 2);
    cluster.nodes.get_mut(&id(2)).unwrap().slow_disk = true;
    for height in 1..400 {
        cluster.ask(id(1), prevote(height, 1, 6), None);
        cluster.run();
    }
    cluster.deaf.insert(id(1));
    cluster.write_all(id(2));
    cluster.run();
    let shares = cluster.held.iter().filter(|(from, _, message)| {
        *from == id(2)
            && matches!(message, Message::Answer(answer)
                if matches!(answer.body, AnswerBody::Shares { .. }))
    });
    assert_eq!(shares.count(), 256);
}

#[test]
fn an_extension_signature_that_does_not_verify_or_is_missing_is_not_passed_on() {
    for tamper in [
        (|message, from, _| {
            if let (Message::Forwarded(forwarded), true) = (message, from == id(1))
                && let Outcome::Signed(signed) = &mut forwarded.outcome
            {
                let (replay_protected, non_rp) = (forged(), None);
                signed.extension_signature = Some(ExtensionSignature { replay_protected, non_rp });
            }
        }) as fn(&mut Message, MemberId, MemberId),
        |message, from, _| {
            if let (Message::Forwarded(forwarded), true) = (message, from == id(1))
                && let Outcome::Signed(signed) = &mut forwarded.outcome
            {
                signed.extension_signature = None;
            }
        },
    ] {
        let mut cluster = Cluster::new(2, 3);
        cluster.tamper = Some(tamper);
        let fields = precommit(5, 1, 6);
        let reply = cluster.answer(id(2), fields.clone(), Some(b"x"));
        assert_eq!(reply.coordinator, id(2), "signed by a coordinator that does not lie");
        let (Verdict::Signed(signed) | Verdict::Repeated(signed)) = reply.verdict else {
            panic!("{:?}", reply.verdict)
        };
        let (hrs, signature) = (fields.hrs(), signed.extension_signature.unwrap());
        let message = extension_sign_bytes(&chain(), hrs.height, hrs.round, b"x");
        let signature = signature.replay_protected.as_bytes().try_into().unwrap();
        cluster.assert_verifies(&message, signature);
    }
}

fn height(number: i64) -> Height {
    Height::new(number).unwrap()
}

#[test]
fn above_a_ceiling_that_all_have_the_cluster_denies_with_the_reason() {
    let mut cluster = Cluster::with_ceilings(2, 3, &[(id(1), 5), (id(2), 5), (id(3), 5)]);
    let fields = precommit(5, 1, 6);
    let reply = cluster.answer(id(1), fields.clone(), None);
    assert_signed_anew(&cluster, &reply.verdict, &fields);
    for at in 1..=3 {
        let reply = cluster.answer(id(at), prevote(6, 1, 7), None);
        let denial = Denial::CeilingReached { asked: height(6), ceiling: height(5) };
        assert_eq!(reply.verdict, Verdict::Denied(denial), "asked at member {at}");
    }
    for node in cluster.nodes.values() {
        assert!(node.file.record().hrs() <= Some(fields.hrs()), "nothing above was recorded");
        let shown = node.plane.snapshot().chains[&chain()].clone();
        assert_eq!(shown.ceiling, Some(height(5)));
    }
}

#[test]
fn above_a_ceiling_an_older_signature_is_not_sent_again_either() {
    let fields = precommit(6, 1, 6);
    let mut before = Cluster::new(2, 3);
    before.answer(id(1), fields.clone(), None);
    let settled = before.nodes[&id(1)].replicated[0].clone();
    let mut cluster = Cluster::with_ceilings(2, 3, &[(id(1), 5), (id(2), 5), (id(3), 5)]);
    for node in cluster.nodes.values() {
        *node.replica.lock().unwrap() = Some(settled.clone());
    }
    let verdict = cluster.answer(id(1), fields, None).verdict;
    let denial = Denial::CeilingReached { asked: height(6), ceiling: height(5) };
    assert_eq!(verdict, Verdict::Denied(denial));
}

#[test]
fn one_members_ceiling_does_not_stop_the_others_and_it_takes_no_part() {
    let mut cluster = Cluster::with_ceilings(2, 3, &[(id(2), 5)]);
    for number in 4..20 {
        let fields = prevote(number, 1, 6);
        let reply = cluster.answer(id(1), fields.clone(), None);
        assert_signed_anew(&cluster, &reply.verdict, &fields);
    }
    let recorded = |member| cluster.nodes[&id(member)].file.record().hrs().map(|hrs| hrs.height);
    assert!(recorded(2) <= Some(height(5)), "{:?}", recorded(2));
    assert_eq!((recorded(1), recorded(3)), (Some(height(19)), Some(height(19))));
    // With one of the two others gone there are too few left that may.
    cluster.kill(id(3));
    let ticket = cluster.ask(id(1), prevote(20, 1, 6), None);
    cluster.pass(Duration::from_secs(2));
    let verdict = cluster.reply(id(1), ticket).unwrap().verdict;
    assert!(!matches!(verdict, Verdict::Signed(_) | Verdict::Repeated(_)), "{verdict:?}");
}

#[test]
fn a_replicated_signature_that_does_not_verify_is_not_repeated() {
    let mut cluster = Cluster::new(2, 3);
    let fields = prevote(5, 1, 6);
    let settled = Settled {
        chain: chain(),
        key: cluster.key.id,
        sign_bytes: sign_bytes(&chain(), &fields),
        signature: forged(),
    };
    *cluster.nodes[&id(1)].replica.lock().unwrap() = Some(settled);
    let reply = cluster.answer(id(1), fields.clone(), None);
    assert_signed_anew(&cluster, &reply.verdict, &fields);
}

#[test]
fn a_signature_in_a_report_that_does_not_verify_is_not_repeated() {
    let mut cluster = Cluster::new(2, 3);
    cluster.tamper = Some(|message, _, _| {
        if let Message::Watermark(report) = message {
            report.fields = Some(prevote(5, 1, 6));
            report.signature = Some(forged());
        }
    });
    cluster.lead(Some(id(3)));
    let fields = prevote(5, 1, 6);
    let reply = cluster.answer(id(3), fields.clone(), None);
    assert_signed_anew(&cluster, &reply.verdict, &fields);
}

#[test]
fn a_replicated_signature_is_repeated_after_it_was_verified() {
    let mut first = Cluster::new(2, 3);
    first.answer(id(1), prevote(5, 1, 6), None);
    let settled = first.nodes[&id(1)].replicated[0].clone();
    // The same key and members; these have signed nothing and know nothing but what Raft says.
    let mut second = Cluster::new(2, 3);
    *second.nodes[&id(2)].replica.lock().unwrap() = Some(settled.clone());
    second.lead(Some(id(2)));
    let reply = second.answer(id(2), prevote(5, 1, 60), None);
    let Verdict::Repeated(signed) = reply.verdict else { panic!("{:?}", reply.verdict) };
    assert_eq!(signed.signature, settled.signature);
    assert_eq!(signed.timestamp.seconds(), 6);
}

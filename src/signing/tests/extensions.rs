//! Extensions without replay protection, and those of a megabyte.

use std::time::Duration;

use super::cluster::{Cluster, chain, id, precommit, prevote};
use crate::peer::{AnswerBody, AskGrant, Carried, Failure, Message, Order};
use crate::privval::{Extension, ExtensionSignature, Fields, VoteKind, sign_bytes};
use crate::signing::{Input, Verdict};
use crate::types::{Algorithm, ChainId, MemberId, Signature};
use crate::watermark::Denial;

const ALL: [u64; 3] = [1, 2, 3];
const MEGABYTE: usize = 1 << 20;

fn both(bytes: &str, raw: &str) -> Extension {
    Extension::new(bytes.to_owned()).with_non_rp(raw.to_owned())
}

fn long(byte: u8) -> Extension {
    Extension::new(vec![byte; MEGABYTE]).with_non_rp(vec![byte ^ 1; MEGABYTE])
}

fn answer(cluster: &mut Cluster, at: u64, fields: Fields, extension: &Extension) -> Verdict {
    let ticket = cluster.ask_for(id(at), fields, Some(extension.clone()));
    cluster.run();
    cluster.reply(id(at), ticket).expect("no reply").verdict
}

/// That both signatures of an extension are there and verify; the vote's signature.
fn check(
    cluster: &Cluster,
    verdict: &Verdict,
    fields: &Fields,
    extension: &Extension,
) -> Signature {
    let (Verdict::Signed(signed) | Verdict::Repeated(signed)) = verdict else {
        panic!("{verdict:?}")
    };
    let accepts = |message: &[u8], signature| cluster.key.verifier.accepts(message, signature);
    let covered = fields.with_timestamp(signed.timestamp);
    assert!(accepts(&sign_bytes(&chain(), &covered), &signed.signature));
    let signature = signed.extension_signature.as_ref().unwrap();
    let message = extension.sign_bytes(&chain(), fields.hrs());
    assert!(accepts(&message, &signature.replay_protected));
    match (extension.non_rp(), &signature.non_rp) {
        (None, None) => {}
        (Some(raw), Some(signature)) => assert!(accepts(raw, signature)),
        other => panic!("one of both: {other:?}"),
    }
    signed.signature.clone()
}

/// One cluster with shares, one around a whole key; in both all members speak v2.
fn clusters() -> [Cluster; 2] {
    [Cluster::v2(2, 3, &ALL), Cluster::whole_v2(3, &ALL)]
}

#[test]
fn both_kinds_of_extension_are_signed_also_if_they_are_empty() {
    for mut cluster in clusters() {
        for (height, at, raw) in [(1, 1, "raw"), (2, 2, "raw"), (3, 3, ""), (4, 1, "")] {
            let (fields, extension) = (precommit(height, 1, 6), both("", raw));
            let verdict = answer(&mut cluster, at, fields.clone(), &extension);
            check(&cluster, &verdict, &fields, &extension);
        }
        // Without extension signing there is neither, and on a chain of v1 the second is left out.
        let verdict = cluster.answer(id(2), precommit(5, 1, 6), None).verdict;
        let Verdict::Signed(signed) = verdict else { panic!("{verdict:?}") };
        assert_eq!(signed.extension_signature, None);
        let (fields, extension) = (precommit(6, 1, 6), Extension::new("x"));
        let verdict = answer(&mut cluster, 2, fields.clone(), &extension);
        check(&cluster, &verdict, &fields, &extension);
    }
}

#[test]
fn a_repeat_with_other_raw_bytes_gets_the_stored_vote_and_fresh_signatures() {
    for mut cluster in clusters() {
        let fields = precommit(5, 1, 6);
        let (one, two) = (both("same", "one"), both("same", "two"));
        let verdict = answer(&mut cluster, 2, fields.clone(), &one);
        let first = check(&cluster, &verdict, &fields, &one);
        let verdict = answer(&mut cluster, 3, precommit(5, 1, 66), &two);
        assert!(matches!(verdict, Verdict::Repeated(_)));
        assert_eq!(check(&cluster, &verdict, &fields, &two), first);
    }
}

#[test]
fn extensions_that_differ_in_raw_bytes_alone_are_counted_as_different() {
    let mut cluster = Cluster::v2(2, 3, &ALL);
    for number in 0..16 {
        let extension = both("same", &number.to_string());
        let verdict = answer(&mut cluster, 1, precommit(5, 1, 6), &extension);
        check(&cluster, &verdict, &precommit(5, 1, 6), &extension);
        cluster.fill_pools();
    }
    let verdict = answer(&mut cluster, 1, precommit(5, 1, 6), &both("same", "16"));
    let denied = matches!(verdict, Verdict::Denied(Denial::TooManyExtensions { limit: 16, .. }));
    assert!(denied, "{verdict:?}");
}

/// Orders or requests for grants that the leader has sent and nobody has received yet.
fn in_flight(cluster: &mut Cluster, extension: Extension) -> Vec<(MemberId, Message)> {
    cluster.ask_for(id(1), precommit(5, 1, 6), Some(extension));
    let orders = cluster.wire.drain(..).filter_map(|(_, to, message)| {
        matches!(message, Message::Order(_) | Message::AskGrant(_)).then_some((to, message))
    });
    orders.collect()
}

/// What a member answers to a message of member 1.
fn answer_to(cluster: &mut Cluster, to: MemberId, message: Message) -> Option<AnswerBody> {
    cluster.deaf.insert(id(1));
    cluster.held.clear();
    cluster.wire.push_back((id(1), to, message));
    cluster.run();
    cluster.deaf.clear();
    cluster.held.drain(..).find_map(|(from, _, message)| match message {
        Message::Answer(answer) if from == to => Some(answer.body),
        _ => None,
    })
}

fn with_extension(message: Message, extension: Extension) -> Message {
    let extension = Some(Carried::Whole(extension));
    match message {
        Message::Order(order) => Message::Order(Order { extension, ..order }),
        Message::AskGrant(ask) => Message::AskGrant(AskGrant { extension, ..ask }),
        other => other,
    }
}

#[test]
fn a_cosigner_whose_settings_have_it_off_refuses_whatever_its_coordinator_says() {
    // Member 1 coordinates and would sign; nobody else's settings allow it.
    for mut cluster in [Cluster::v2(2, 3, &[1]), Cluster::whole_v2(3, &[1])] {
        for raw in ["raw bytes", ""] {
            let (to, order) = in_flight(&mut cluster, both("", raw)).remove(0);
            let refused = answer_to(&mut cluster, to, order);
            assert_eq!(refused, Some(AnswerBody::Failed(Failure::RefusedExtension)));
            let mark = cluster.nodes[&to].plane.snapshot().chains[&chain()].watermark;
            assert_eq!(mark, None, "nothing was recorded");
            cluster.fill_pools();
            cluster.pass(Duration::from_secs(2));
        }
    }
}

#[test]
fn where_the_settings_have_it_off_a_request_fails_and_says_why() {
    for mut cluster in [Cluster::new(2, 3), Cluster::whole(3)] {
        let verdict = answer(&mut cluster, 2, precommit(5, 1, 6), &both("", ""));
        let Verdict::NotNow(why) = verdict else { panic!("{verdict:?}") };
        assert!(why.contains("non_rp_extensions = true"), "{why}");
        assert_eq!(cluster.nodes[&id(1)].file.record().mark(), None);
    }
}

#[test]
fn raw_bytes_that_could_be_a_vote_of_any_chain_are_refused_by_each_cosigner() {
    let elsewhere = ChainId::new("another-chain").unwrap();
    let vote = super::cluster::vote(VoteKind::Precommit, 9, 7, 6);
    let forbidden = [
        sign_bytes(&elsewhere, &vote),
        sign_bytes(&chain(), &prevote(6, 2, 6)),
        sign_bytes(&chain(), &super::cluster::proposal(6, 2, 6)),
        Extension::new("x").sign_bytes(&elsewhere, vote.hrs()),
    ];
    for raw in forbidden {
        for mut cluster in clusters() {
            let extension = Extension::new("").with_non_rp(raw.clone());
            let verdict = answer(&mut cluster, 1, precommit(5, 1, 6), &extension);
            assert!(matches!(verdict, Verdict::NotNow(_)), "{verdict:?}");
            // A coordinator that cheats puts them where others stood.
            let (to, order) = in_flight(&mut cluster, both("", "harmless")).remove(0);
            let order = with_extension(order, extension);
            let refused = answer_to(&mut cluster, to, order);
            assert_eq!(refused, Some(AnswerBody::Failed(Failure::RefusedExtension)));
        }
    }
}

#[test]
fn sets_over_raw_bytes_without_any_get_nothing() {
    let mut cluster = Cluster::v2(2, 3, &ALL);
    let (to, order) = in_flight(&mut cluster, both("x", "raw")).remove(0);
    let answer = answer_to(&mut cluster, to, with_extension(order, Extension::new("x")));
    assert_eq!(answer, Some(AnswerBody::Failed(Failure::Malformed)));
}

#[test]
fn raw_bytes_are_signed_with_a_precommit_for_a_block_alone() {
    for fields in [prevote(5, 1, 6), precommit(5, 0, 6)] {
        let mut cluster = Cluster::v2(2, 3, &ALL);
        let (to, order) = in_flight(&mut cluster, both("", "raw")).remove(0);
        let Message::Order(order) = order else { panic!("an order") };
        let order = Message::Order(Order { fields, ..order });
        let answer = answer_to(&mut cluster, to, order);
        assert_eq!(answer, Some(AnswerBody::Failed(Failure::Malformed)));
    }
}

#[test]
fn an_answer_with_one_signature_of_two_is_not_passed_on() {
    type Tamper = fn(&mut Message, MemberId, MemberId);
    fn signature(message: &mut Message, from: MemberId) -> Option<&mut ExtensionSignature> {
        let Message::Forwarded(forwarded) = message else { return None };
        let crate::peer::Outcome::Signed(signed) = &mut forwarded.outcome else { return None };
        (from == id(1)).then_some(signed.extension_signature.as_mut()?)
    }
    let tampers: [Tamper; 2] = [
        |message, from, _| {
            if let Some(both) = signature(message, from) {
                both.non_rp = None;
            }
        },
        |message, from, _| {
            if let Some(both) = signature(message, from) {
                both.non_rp = Some(Signature::new(Algorithm::Ed25519, [7; 64]));
            }
        },
    ];
    for tamper in tampers {
        for extension in [both("x", "raw"), long(1)] {
            let mut cluster = Cluster::v2(2, 3, &ALL);
            cluster.tamper = Some(tamper);
            let fields = precommit(5, 1, 6);
            let ticket = cluster.ask_for(id(2), fields.clone(), Some(extension.clone()));
            cluster.run();
            let reply = cluster.reply(id(2), ticket).unwrap();
            assert_eq!(reply.coordinator, id(2), "signed by a coordinator that does not lie");
            check(&cluster, &reply.verdict, &fields, &extension);
        }
    }
}

#[test]
fn a_key_that_leaves_a_signature_out_has_signed_nothing() {
    let mut cluster = Cluster::of_whole_without_limit(1, &[1]);
    for (height, extension) in [(5, both("x", "raw")), (6, long(1))] {
        cluster.nodes.get_mut(&id(1)).unwrap().key_is = super::cluster::KeyIs::Forgetful;
        let verdict = answer(&mut cluster, 1, precommit(height, 1, 6), &extension);
        assert!(!matches!(verdict, Verdict::Signed(_)), "{verdict:?}");
        cluster.nodes.get_mut(&id(1)).unwrap().key_is = super::cluster::KeyIs::Well;
        let verdict = answer(&mut cluster, 1, precommit(height, 1, 6), &extension);
        check(&cluster, &verdict, &precommit(height, 1, 6), &extension);
    }
}

/// The ways that bytes of extensions took.
fn with_bytes(cluster: &Cluster) -> Vec<(MemberId, MemberId)> {
    let carried = cluster.carried.iter().filter(|(_, _, bytes)| *bytes > 0);
    carried.map(|&(from, to, _)| (from, to)).collect()
}

#[test]
fn a_megabyte_goes_to_the_members_of_a_set_once_and_to_nobody_else() {
    let mut cluster = Cluster::v2(2, 3, &ALL);
    let (fields, extension) = (precommit(5, 1, 6), long(1));
    let verdict = answer(&mut cluster, 1, fields.clone(), &extension);
    check(&cluster, &verdict, &fields, &extension);
    assert_eq!(cluster.carried.len(), 1, "{:?}", cluster.carried);
    // Through a follower: to the leader, and to another member only if that one is in the set.
    cluster.carried.clear();
    let (fields, extension) = (precommit(6, 1, 6), long(2));
    let verdict = answer(&mut cluster, 2, fields.clone(), &extension);
    check(&cluster, &verdict, &fields, &extension);
    let carried = with_bytes(&cluster);
    assert_eq!(carried[0], (id(2), id(1)));
    assert!(carried.len() <= 2 && carried[1..].iter().all(|&way| way == (id(1), id(3))));
}

#[test]
fn a_further_set_names_the_bytes_that_its_members_have() {
    for hung in [2, 3] {
        let mut cluster = Cluster::v2(3, 5, &[1, 2, 3, 4, 5]);
        cluster.deaf = [id(hung)].into();
        let (fields, extension) = (precommit(5, 1, 6), long(3));
        let ticket = cluster.ask_for(id(1), fields.clone(), Some(extension.clone()));
        cluster.pass(Duration::from_millis(400));
        let reply = cluster.reply(id(1), ticket).expect("signed in time");
        check(&cluster, &reply.verdict, &fields, &extension);
        assert!(reply.account.sets > 1, "a further set was opened");
        let mut names = 0;
        for member in 2..=5 {
            let carried = cluster.carried.iter().filter(|(_, to, _)| *to == id(member));
            let bytes = carried.map(|(_, _, bytes)| *bytes).collect::<Vec<_>>();
            let with_bytes = bytes.iter().filter(|bytes| **bytes > 0).count();
            assert!(with_bytes <= 1, "member {member} was sent {bytes:?}");
            names += bytes.len() - with_bytes;
        }
        assert!(names >= 1, "somebody was asked again: {:?}", cluster.carried);
    }
}

#[test]
fn a_member_that_has_lost_the_bytes_is_sent_them_again() {
    for mut cluster in [Cluster::v2(3, 3, &ALL), Cluster::v2(2, 2, &ALL)] {
        // Whatever comes with bytes is lost; what names them arrives.
        cluster.lose = Some(|message| message.extension().is_some());
        let (fields, extension) = (precommit(5, 1, 6), long(5));
        let ticket = cluster.ask_for(id(1), fields.clone(), Some(extension.clone()));
        cluster.run();
        cluster.lose = None;
        // As after a shares' answer that never came: the set is given up, another names the bytes.
        let unknown = |from: MemberId| {
            let session = cluster_session(&cluster, from);
            session.map(|session| (from, session))
        };
        let sessions: Vec<_> = cluster.nodes.keys().copied().filter_map(unknown).collect();
        for (from, (session, sets)) in sessions {
            let body = AnswerBody::Failed(Failure::UnknownNonce);
            let message = Message::Answer(crate::peer::Answer { session, sets, body });
            cluster.wire.push_back((from, id(1), message));
        }
        cluster.run();
        cluster.fill_pools();
        cluster.pass(Duration::from_millis(900));
        let verdict = cluster.reply(id(1), ticket).expect("signed in time").verdict;
        check(&cluster, &verdict, &fields, &extension);
        let failures = cluster.failures.iter().filter(|it| **it == Failure::UnknownExtension);
        assert!(failures.count() >= 1, "it said that it does not have them");
    }
}

/// The session and sets of the last lost order to a member.
fn cluster_session(
    cluster: &Cluster,
    member: MemberId,
) -> Option<(crate::peer::SessionId, Vec<u32>)> {
    cluster.lost.iter().rev().find_map(|(_, to, message)| match message {
        Message::Order(order) if *to == member => {
            let sets = order.sets.iter().chain(&order.extension_sets).chain(&order.non_rp_sets);
            Some((order.session, sets.map(|set| set.id).collect()))
        }
        _ => None,
    })
}

#[test]
fn what_a_link_has_carried_is_gone_with_the_link() {
    let mut cluster = Cluster::v2(2, 2, &ALL);
    let extension = long(6);
    let (to, order) = in_flight(&mut cluster, extension.clone()).remove(0);
    let shares = answer_to(&mut cluster, to, order);
    assert!(matches!(shares, Some(AnswerBody::Shares { .. })));
    cluster.kill(id(1));
    cluster.nodes.get_mut(&id(1)).unwrap().alive = true;
    // The coordinator would send the bytes again.
    cluster.lose = Some(|message| message.extension().is_some());
    cluster.connect_all();
    cluster.pass(Duration::from_secs(2));
    cluster.lose = None;
    let mut orders = in_flight(&mut cluster, extension.clone());
    let (to, order) = orders.pop().expect("a fresh attempt");
    let Message::Order(order) = order else { panic!("an order") };
    let named = Order { extension: Some(Carried::Named(extension.digest())), ..order };
    let answer = answer_to(&mut cluster, to, Message::Order(named));
    assert_eq!(answer, Some(AnswerBody::Failed(Failure::UnknownExtension)));
}

#[test]
fn an_order_that_names_unknown_bytes_has_spent_its_nonces_all_the_same() {
    let mut cluster = Cluster::v2(2, 3, &ALL);
    let (to, order) = in_flight(&mut cluster, long(7)).remove(0);
    let Message::Order(order) = order else { panic!("an order") };
    let named = Order { extension: Some(Carried::Named([9; 32])), ..order.clone() };
    let unknown = answer_to(&mut cluster, to, Message::Order(named));
    assert_eq!(unknown, Some(AnswerBody::Failed(Failure::UnknownExtension)));
    let again = answer_to(&mut cluster, to, Message::Order(order));
    assert_eq!(again, Some(AnswerBody::Failed(Failure::UnknownNonce)));
}

#[test]
fn a_long_extension_is_computed_beside_the_plane_and_other_votes_do_not_wait_for_it() {
    let mut cluster = Cluster::v2(2, 3, &ALL);
    for node in cluster.nodes.values_mut() {
        node.slow_arithmetic = true;
    }
    let (fields, extension) = (precommit(5, 1, 6), long(8));
    let ticket = cluster.ask_for(id(1), fields.clone(), Some(extension.clone()));
    cluster.run();
    assert!(cluster.reply(id(1), ticket).is_none());
    let next = cluster.answer(id(1), prevote(6, 1, 6), None).verdict;
    assert!(matches!(next, Verdict::Signed(_)), "{next:?}");
    for node in cluster.nodes.values_mut() {
        node.slow_arithmetic = false;
    }
    cluster.run();
    let verdict = cluster.reply(id(1), ticket).unwrap().verdict;
    check(&cluster, &verdict, &fields, &extension);
}

#[test]
fn shares_computed_beside_the_plane_wait_for_their_watermark_like_all_others() {
    let mut cluster = Cluster::v2(2, 3, &ALL);
    let (to, order) = in_flight(&mut cluster, long(9)).remove(0);
    cluster.nodes.get_mut(&to).unwrap().slow_disk = true;
    assert_eq!(answer_to(&mut cluster, to, order), None);
    cluster.deaf.insert(id(1));
    cluster.write_all(to);
    cluster.run();
    let given = cluster.held.iter().any(|(from, _, message)| {
        *from == to
            && matches!(message, Message::Answer(answer)
                if matches!(answer.body, AnswerBody::Shares { .. }))
    });
    assert!(given);
}

#[test]
fn a_set_without_the_coordinator_is_aggregated_with_what_was_computed_beside_the_plane() {
    let mut cluster = Cluster::v2(2, 3, &ALL);
    cluster.nodes.get_mut(&id(1)).unwrap().slow_disk = true;
    let (fields, extension) = (precommit(5, 1, 6), long(10));
    let ticket = cluster.ask_for(id(1), fields.clone(), Some(extension.clone()));
    cluster.pass(Duration::from_millis(400));
    let reply = cluster.reply(id(1), ticket).expect("signed by the others");
    assert_eq!(reply.account.signers, [id(2), id(3)]);
    check(&cluster, &reply.verdict, &fields, &extension);
}

/// Both members of a cluster are needed, the second one's arithmetic hangs, and extensions were asked for at
/// these heights.
fn with_slow_arithmetic(heights: std::ops::Range<i64>) -> Cluster {
    let mut cluster = Cluster::v2(2, 2, &ALL);
    cluster.nodes.get_mut(&id(2)).unwrap().slow_arithmetic = true;
    for height in heights {
        cluster.ask_for(id(1), precommit(height, 1, 6), Some(long(11)));
        cluster.run();
        cluster.fill_pools();
    }
    cluster
}

#[test]
fn what_is_computed_beside_the_plane_is_bounded() {
    let mut cluster = with_slow_arithmetic(1..40);
    assert_eq!(cluster.nodes[&id(2)].tasks.len(), 4);
    let busy = cluster.failures.iter().filter(|failure| **failure == Failure::Busy).count();
    assert!(busy > 0);
    // With its arithmetic back it signs again.
    cluster.nodes.get_mut(&id(2)).unwrap().slow_arithmetic = false;
    cluster.run();
    cluster.pass(Duration::from_secs(2));
    let (fields, extension) = (precommit(50, 1, 6), long(12));
    let verdict = answer(&mut cluster, 1, fields.clone(), &extension);
    check(&cluster, &verdict, &fields, &extension);
}

#[test]
fn a_member_that_is_busy_for_a_moment_is_asked_again_and_not_left_out() {
    let mut cluster = with_slow_arithmetic(1..5);
    let (fields, extension) = (precommit(5, 1, 6), long(12));
    let ticket = cluster.ask_for(id(1), fields.clone(), Some(extension.clone()));
    cluster.run();
    assert!(cluster.failures.contains(&Failure::Busy));
    cluster.nodes.get_mut(&id(2)).unwrap().slow_arithmetic = false;
    cluster.compute_all(id(2));
    cluster.pass(Duration::from_millis(50));
    let reply = cluster.reply(id(1), ticket).expect("not asked again");
    check(&cluster, &reply.verdict, &fields, &extension);
}

#[test]
fn shares_for_a_link_that_has_ended_go_nowhere() {
    let mut cluster = Cluster::v2(2, 3, &ALL);
    let (to, order) = in_flight(&mut cluster, long(13)).remove(0);
    cluster.nodes.get_mut(&to).unwrap().slow_arithmetic = true;
    assert_eq!(answer_to(&mut cluster, to, order), None);
    cluster.kill(id(1));
    cluster.wire.clear();
    cluster.compute_all(to);
    let answers = cluster.wire.iter().any(|(_, _, it)| matches!(it, Message::Answer(_)));
    assert!(!answers);
    let up = Input::Leader(Some(to));
    cluster.input(to, up);
}

#[test]
fn a_whole_cluster_sends_a_megabyte_to_each_granter_once() {
    let mut cluster = Cluster::of_whole_without_limit(3, &ALL);
    let (fields, extension) = (precommit(5, 1, 6), long(14));
    let verdict = answer(&mut cluster, 2, fields.clone(), &extension);
    check(&cluster, &verdict, &fields, &extension);
    let carried = with_bytes(&cluster);
    let expected = [(id(2), id(1)), (id(1), id(3))];
    assert_eq!(carried, expected, "member 2 has brought it itself");
}

/// Prints what a megabyte costs: on the plane's thread, and beside it.
#[test]
#[ignore = "measures, judges nothing: cargo test --release --lib -- --ignored --nocapture megabyte"]
fn what_a_megabyte_costs_the_plane_and_the_thread_beside_it() {
    let mut cluster = Cluster::v2(2, 3, &ALL);
    let extension = Extension::new(vec![7; MEGABYTE]);
    let began = std::time::Instant::now();
    let _ = extension.digest();
    let digest = began.elapsed();
    for node in cluster.nodes.values_mut() {
        node.slow_arithmetic = true;
    }
    let (began, fields) = (std::time::Instant::now(), precommit(5, 1, 6));
    let ticket = cluster.ask_for(id(1), fields, Some(extension));
    cluster.run();
    let plane = began.elapsed();
    let began = std::time::Instant::now();
    cluster.compute_all(id(1));
    let own = began.elapsed();
    cluster.compute_all(id(2));
    cluster.compute_all(id(3));
    let began = std::time::Instant::now();
    cluster.run();
    let end = began.elapsed();
    assert!(cluster.reply(id(1), ticket).is_some());
    println!("beside: digest {digest:?}, shares of one node {own:?}");
    println!("planes of all nodes: {plane:?} until the shares are asked for, {end:?} after");
}

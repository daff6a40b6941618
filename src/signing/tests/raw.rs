//! Raw bytes where the key is split: every member decides for itself, and votes come first.

use std::time::Duration;

use proptest::prelude::*;

use super::cluster::{Cluster, chain, id, incarnation, precommit, prevote, proposal, vote};
use crate::frost::RawCommitment;
use crate::peer::{
    AnswerBody, Failure, Message, Order, RawAnswerBody, RawOrder, SessionId, Signer, SigningSet,
};
use crate::privval::{
    Dialect, Fields, RawAllowed, RawBytes, RawMessage, VoteKind, extension_sign_bytes, sign_bytes,
};
use crate::signing::{RawReply, RawVerdict, Verdict};
use crate::types::{ChainId, MemberId, SetupHash};

const ON: Dialect = Dialect {
    version: crate::privval::Version::V1,
    non_rp_extensions: false,
    raw_bytes: RawBytes::SignBytes,
};

fn on() -> Cluster {
    Cluster::speaking(2, 3, |_| ON)
}

fn plain(bytes: &[u8]) -> RawMessage {
    RawMessage::Plain(bytes.to_vec())
}

fn assert_signed(cluster: &Cluster, reply: &RawReply, bytes: &[u8]) {
    let RawVerdict::Signed(signature) = &reply.verdict else { panic!("{:?}", reply.verdict) };
    cluster.assert_verifies(bytes, signature.as_bytes().try_into().unwrap());
}

fn refused(reply: RawReply) -> String {
    match reply.verdict {
        RawVerdict::Refused(why) => why,
        other => panic!("not refused: {other:?}"),
    }
}

fn not_now(reply: RawReply) -> String {
    match reply.verdict {
        RawVerdict::NotNow(why) => why,
        other => panic!("not put off: {other:?}"),
    }
}

/// Orders for raw bytes that member 1 has sent and that nobody has received yet.
fn orders_in_flight(cluster: &mut Cluster, message: RawMessage) -> Vec<(MemberId, RawOrder)> {
    cluster.ask_raw(id(1), message);
    let orders = cluster.wire.drain(..).filter_map(|(_, to, message)| match message {
        Message::RawOrder(order) => Some((to, order)),
        _ => None,
    });
    orders.collect()
}

/// What a member answers to an order of member 1.
fn answer_to(cluster: &mut Cluster, to: MemberId, order: RawOrder) -> RawAnswerBody {
    cluster.deaf.insert(id(1));
    cluster.held.clear();
    cluster.wire.push_back((id(1), to, Message::RawOrder(order)));
    cluster.run();
    cluster.deaf.clear();
    let answer = cluster.held.drain(..).find_map(|(from, _, message)| match message {
        Message::RawAnswer(answer) if from == to => Some(answer.body),
        _ => None,
    });
    answer.expect("no answer")
}

/// An order that an honest coordinator never sends: these bytes, with good nonces.
fn malicious_order(cluster: &mut Cluster, message: RawMessage) -> (MemberId, RawOrder) {
    let (to, mut order) = orders_in_flight(cluster, plain(b"hello, world")).remove(0);
    order.message = message;
    (to, order)
}

#[test]
fn signs_raw_bytes_at_every_member_without_a_leader_and_in_all_sizes() {
    for (t, n) in [(2, 3), (3, 5), (8, 15)] {
        let mut cluster = Cluster::speaking(t, n, |_| ON);
        cluster.lead(None);
        for at in 1..=u64::from(n) {
            let reply = cluster.answer_raw(id(at), plain(b"hello, world"));
            assert_signed(&cluster, &reply, b"hello, world");
            assert_eq!(reply.account.signers.len(), usize::from(t));
            cluster.fill_pools();
        }
        let records = cluster.nodes.values().filter(|node| node.file.record().mark().is_some());
        assert_eq!(records.count(), 0, "no watermark is written");
        assert!(cluster.nodes.values().all(|node| node.replicated.is_empty()));
    }
}

#[test]
fn signs_exactly_celestias_bytes() {
    let celestia = |_| Dialect { raw_bytes: RawBytes::Celestia, ..ON };
    let mut cluster = Cluster::speaking(2, 3, celestia);
    let (raw_bytes, unique_id) = (b"data".to_vec(), "job".to_owned());
    let reply = cluster.answer_raw(id(2), RawMessage::Celestia { raw_bytes, unique_id });
    let expected = b"COMET::RAW_BYTES::SIGN\x19\x0a\x0ctest-chain-1\x12\x04data\x1a\x03job";
    assert_signed(&cluster, &reply, expected);
    assert_eq!(reply.account.length, expected.len());
    let other = refused(cluster.answer_raw(id(2), plain(b"data")));
    assert!(other.contains("raw_bytes = \"celestia\""), "{other}");
}

#[test]
fn signs_nothing_where_it_is_off_and_asks_nobody() {
    let mut cluster = Cluster::new(2, 3);
    let ticket = cluster.ask_raw(id(1), plain(b"hello, world"));
    assert!(!cluster.wire.iter().any(|(_, _, message)| matches!(message, Message::RawOrder(_))));
    let why = refused(cluster.raw_reply(id(1), ticket).unwrap());
    assert!(why.starts_with("raw bytes are not signed"), "{why}");
}

#[test]
fn signs_without_a_member_that_has_it_off() {
    let mut cluster = Cluster::speaking(2, 3, |me| match me.get() {
        2 => Dialect::default(),
        _ => ON,
    });
    for at in [1, 3, 1, 3] {
        let reply = cluster.answer_raw(id(at), plain(b"hello, world"));
        assert_signed(&cluster, &reply, b"hello, world");
        assert_eq!(reply.account.signers, [id(1), id(3)]);
        cluster.fill_pools();
    }
    refused(cluster.answer_raw(id(2), plain(b"hello, world")));
}

#[test]
fn names_the_members_that_have_it_off_where_too_few_have_it_on() {
    let mut cluster = Cluster::speaking(2, 3, |me| match me.get() {
        1 => ON,
        _ => Dialect::default(),
    });
    let why = refused(cluster.answer_raw(id(1), plain(b"hello, world")));
    let off = "(raw_bytes = \"off\" for this chain)";
    assert_eq!(why.matches(off).count(), 2, "{why}");
    assert!(why.starts_with("member 2: raw bytes are not signed") && why.contains("member 3: "));
}

#[test]
fn each_member_refuses_a_canonical_vote_whatever_the_coordinator_says() {
    let other_chain = ChainId::new("another-chain-7").unwrap();
    let canonical: Vec<Vec<u8>> = [chain(), other_chain]
        .iter()
        .flat_map(|chain| {
            let fields = [prevote(5, 1, 6), precommit(5, 0, 6), proposal(9, 2, 6)];
            let hrs = fields[0].hrs();
            let extension = extension_sign_bytes(chain, hrs.height, hrs.round, b"extension");
            fields.map(|fields| sign_bytes(chain, &fields)).into_iter().chain([extension])
        })
        .collect();
    for bytes in canonical {
        for to in [2, 3] {
            let mut cluster = on();
            // So that member 1 asks each of them.
            cluster.kill(id(if to == 2 { 3 } else { 2 }));
            let (asked, order) = malicious_order(&mut cluster, plain(&bytes));
            assert_eq!(asked, id(to));
            let answer = answer_to(&mut cluster, asked, order);
            let RawAnswerBody::Refused(why) = answer else { panic!("{answer:?}") };
            assert!(why.contains("never signed as raw bytes"), "{why}");
        }
        let mut cluster = on();
        let why = refused(cluster.answer_raw(id(1), plain(&bytes)));
        assert!(why.contains("never signed as raw bytes"), "{why}");
    }
}

#[test]
fn a_member_that_has_it_off_gives_nothing_to_a_coordinator_that_has_it_on() {
    let mut cluster = Cluster::speaking(2, 2, |me| match me.get() {
        1 => ON,
        _ => Dialect::default(),
    });
    let (to, order) = orders_in_flight(&mut cluster, plain(b"hello, world")).remove(0);
    let answer = answer_to(&mut cluster, to, order);
    let RawAnswerBody::Refused(why) = answer else { panic!("{answer:?}") };
    assert!(why.contains("raw_bytes = \"off\""), "{why}");
}

#[test]
fn a_nonce_of_raw_bytes_is_used_once_and_never_for_a_vote() {
    let mut cluster = on();
    let (to, order) = orders_in_flight(&mut cluster, plain(b"hello, world")).remove(0);
    assert!(matches!(answer_to(&mut cluster, to, order.clone()), RawAnswerBody::Shares(_)));
    let again = answer_to(&mut cluster, to, order.clone());
    assert_eq!(again, RawAnswerBody::Failed(Failure::UnknownNonce));
    let other = RawOrder { message: plain(b"other bytes"), ..order.clone() };
    let again = answer_to(&mut cluster, to, other);
    assert_eq!(again, RawAnswerBody::Failed(Failure::UnknownNonce), "nor for other bytes");
    let answer = vote_answer(&mut cluster, to, vote_order(&order, prevote(5, 1, 6)));
    assert_eq!(answer, AnswerBody::Failed(Failure::UnknownNonce), "nor for a vote");
}

#[test]
fn a_nonce_of_a_vote_is_never_used_for_raw_bytes() {
    let mut cluster = on();
    let (to, order) = orders_in_flight(&mut cluster, plain(b"hello, world")).remove(0);
    let answer = vote_answer(&mut cluster, to, vote_order(&order, prevote(5, 1, 6)));
    assert!(matches!(answer, AnswerBody::Shares { .. }));
    let again = answer_to(&mut cluster, to, order);
    assert_eq!(again, RawAnswerBody::Failed(Failure::UnknownNonce));
}

/// The same sets, for a vote.
fn vote_order(order: &RawOrder, fields: Fields) -> Order {
    let RawOrder { session, chain, key, setup, sets, .. } = order.clone();
    Order {
        session,
        chain,
        key,
        setup,
        fields,
        sets,
        extension: None,
        extension_sets: Vec::new(),
        non_rp_sets: Vec::new(),
    }
}

fn vote_answer(cluster: &mut Cluster, to: MemberId, order: Order) -> AnswerBody {
    cluster.deaf.insert(id(1));
    cluster.wire.push_back((id(1), to, Message::Order(order)));
    cluster.run();
    cluster.deaf.clear();
    let answer = cluster.held.drain(..).find_map(|(from, _, message)| match message {
        Message::Answer(answer) if from == to => Some(answer.body),
        _ => None,
    });
    answer.expect("no answer")
}

#[test]
fn a_refused_order_for_raw_bytes_has_spent_its_nonce_all_the_same() {
    let refusals: [fn(&mut RawOrder); 3] = [
        |order| order.setup = SetupHash([9; 32]),
        |order| order.chain = ChainId::new("nobodys-chain").unwrap(),
        |order| order.message = plain(&sign_bytes(&chain(), &prevote(5, 1, 6))),
    ];
    for spoil in refusals {
        let mut cluster = on();
        let (to, order) = orders_in_flight(&mut cluster, plain(b"hello, world")).remove(0);
        let mut spoilt = order.clone();
        spoil(&mut spoilt);
        assert!(!matches!(answer_to(&mut cluster, to, spoilt), RawAnswerBody::Shares(_)));
        let again = answer_to(&mut cluster, to, order);
        assert_eq!(again, RawAnswerBody::Failed(Failure::UnknownNonce));
    }
}

#[test]
fn orders_for_raw_bytes_are_checked_like_those_for_votes() {
    type Spoil = fn(&mut RawOrder, MemberId);
    let cases: [(Spoil, Failure); 6] = [
        (|order, _| order.setup = SetupHash([9; 32]), Failure::OtherSetup),
        (|order, _| order.key = crate::types::KeyId::from_bytes([9; 32]), Failure::UnknownKey),
        (|order, to| order.sets[0].signers.retain(|&it, _| it == to), Failure::Malformed),
        (|order, to| order.sets[0].signers.retain(|&it, _| it != to), Failure::Malformed),
        (|order, _| order.sets.clear(), Failure::Malformed),
        (
            |order, to| order.sets[0].signers.get_mut(&to).unwrap().incarnation.number = 2,
            Failure::OtherIncarnation,
        ),
    ];
    for (spoil, expected) in cases {
        let mut cluster = on();
        let (to, mut order) = orders_in_flight(&mut cluster, plain(b"hello, world")).remove(0);
        spoil(&mut order, to);
        assert_eq!(answer_to(&mut cluster, to, order), RawAnswerBody::Failed(expected));
    }
    let mut cluster = on();
    let mut later = incarnation(id(1));
    later.number = 7;
    for me in [2, 3] {
        cluster.nodes.get_mut(&id(me)).unwrap().plane.record_incarnation(id(1), later);
    }
    let (to, order) = orders_in_flight(&mut cluster, plain(b"hello, world")).remove(0);
    let answer = answer_to(&mut cluster, to, order);
    assert_eq!(answer, RawAnswerBody::Failed(Failure::SupersededSigner));
}

#[test]
fn a_made_up_nonce_is_unknown_and_the_request_goes_elsewhere() {
    let mut cluster = on();
    cluster.tamper = Some(|message, _, to| {
        if let (Message::RawOrder(order), true) = (message, to == id(2)) {
            let commitment = RawCommitment([7; 64]);
            for set in &mut order.sets {
                let Signer { incarnation, .. } = set.signers[&to];
                set.signers.insert(to, Signer { incarnation, commitment });
            }
        }
    });
    for _ in 0..4 {
        let reply = cluster.answer_raw(id(1), plain(b"hello, world"));
        assert_signed(&cluster, &reply, b"hello, world");
        assert_eq!(reply.account.signers, [id(1), id(3)]);
        cluster.fill_pools();
    }
}

#[test]
fn a_member_that_signs_other_bytes_is_named_and_done_without() {
    let mut cluster = on();
    cluster.tamper = Some(|message, _, to| {
        if let (Message::RawOrder(order), true) = (message, to == id(2)) {
            order.message = plain(b"other bytes");
        }
    });
    let mut blamed = 0;
    for _ in 0..6 {
        let reply = cluster.answer_raw(id(1), plain(b"hello, world"));
        assert_signed(&cluster, &reply, b"hello, world");
        assert!(reply.account.culprits.iter().all(|&culprit| culprit == id(2)));
        blamed += reply.account.culprits.len();
        cluster.fill_pools();
        cluster.pass(Duration::from_secs(3));
    }
    assert!(blamed > 0, "member 2 was asked and blamed");
}

#[test]
fn a_member_that_does_not_answer_is_replaced_within_the_same_request() {
    let mut cluster = on();
    for hung in [2, 3] {
        cluster.deaf = [id(hung)].into();
        let ticket = cluster.ask_raw(id(1), plain(b"hello, world"));
        cluster.pass(Duration::from_millis(150));
        let reply = cluster.raw_reply(id(1), ticket).unwrap();
        assert_signed(&cluster, &reply, b"hello, world");
        assert!(!reply.account.signers.contains(&id(hung)));
    }
}

#[test]
fn ends_within_a_second_where_nobody_answers_and_at_once_where_nobody_is_there() {
    let mut cluster = on();
    cluster.deaf = [id(2), id(3)].into();
    let ticket = cluster.ask_raw(id(1), plain(b"hello, world"));
    cluster.pass(Duration::from_millis(1001));
    let why = not_now(cluster.raw_reply(id(1), ticket).unwrap());
    assert!(why.contains("no answer from member 2, 3"), "{why}");
    cluster.kill(id(2));
    cluster.kill(id(3));
    not_now(cluster.answer_raw(id(1), plain(b"hello, world")));
}

#[test]
fn a_link_that_drops_takes_its_set_with_it() {
    let mut cluster = on();
    cluster.deaf = [id(2), id(3)].into();
    let ticket = cluster.ask_raw(id(1), plain(b"hello, world"));
    cluster.run();
    let asked = cluster.held.iter().find(|(_, _, message)| matches!(message, Message::RawOrder(_)));
    let asked = asked.unwrap().1;
    cluster.deaf.clear();
    cluster.kill(asked);
    cluster.run();
    let reply = cluster.raw_reply(id(1), ticket).unwrap();
    assert_signed(&cluster, &reply, b"hello, world");
}

#[test]
fn only_a_few_requests_are_signed_at_a_time() {
    let mut cluster = on();
    cluster.deaf = [id(2), id(3)].into();
    let tickets: Vec<u64> =
        (0..5).map(|_| cluster.ask_raw(id(1), plain(b"hello, world"))).collect();
    let why = not_now(cluster.raw_reply(id(1), tickets[4]).unwrap());
    assert!(why.contains("too many"), "{why}");
    cluster.deaf.clear();
    let held: Vec<_> = cluster.held.drain(..).collect();
    cluster.wire.extend(held);
    cluster.run();
    for ticket in &tickets[..4] {
        let reply = cluster.raw_reply(id(1), *ticket).unwrap();
        assert_signed(&cluster, &reply, b"hello, world");
    }
}

#[test]
fn a_member_has_only_a_few_orders_waiting() {
    let mut cluster = on();
    let mut busy = 0;
    let mut orders = Vec::new();
    while orders.len() < 12 {
        orders.extend(orders_in_flight(&mut cluster, plain(b"hello, world")));
        // Their coordinator has forgotten them by now; the nonces are still good.
        cluster.pass(Duration::from_millis(1001));
        cluster.wire.clear();
        cluster.fill_pools();
    }
    let to = orders[0].0;
    let link = crate::peer::LinkId(to.get() as u64 * 100 + 1);
    let plane = &mut cluster.nodes.get_mut(&to).unwrap().plane;
    for (member, order) in orders {
        if member == to {
            let message = Message::RawOrder(order);
            let input = crate::signing::Input::Message { peer: id(1), link, message };
            plane.handle(input, cluster.now, cluster.wall);
        }
    }
    for effect in plane.take_effects() {
        if let crate::signing::Effect::Send { message: Message::RawAnswer(answer), .. } = effect {
            assert_eq!(answer.body, RawAnswerBody::Failed(Failure::Busy));
            busy += 1;
        }
    }
    assert!(busy > 0);
}

#[test]
fn raw_bytes_leave_votes_their_nonces() {
    let mut cluster = on();
    // Nobody has idle time: what is used is hardly replaced.
    let mut signed = 0;
    let why = loop {
        let reply = cluster.answer_raw(id(1), plain(b"hello, world"));
        match reply.verdict {
            RawVerdict::Signed(_) => signed += 1,
            RawVerdict::NotNow(why) => break why,
            RawVerdict::Refused(why) => panic!("{why}"),
        }
        assert!(signed < 1000, "raw bytes use what votes may need");
        // The other members answer, too: what is replaced is lost on the way.
        cluster.nodes.values_mut().for_each(|node| drop(node.plane.take_effects()));
        cluster.tamper = Some(|message, _, _| {
            if let Message::Commitments(list) = message {
                list.clear();
            }
        });
    };
    assert!(signed > 8 && why.contains("nonces"), "{signed}: {why}");
    for height in 1..=8 {
        let reply = cluster.answer(id(1), precommit(height, 1, 6), Some(b"extension"));
        assert!(matches!(reply.verdict, Verdict::Signed(_)), "{:?}", reply.verdict);
    }
}

#[test]
fn votes_are_computed_before_raw_bytes() {
    let mut cluster = on();
    let (to, raw) = orders_in_flight(&mut cluster, plain(b"hello, world")).remove(0);
    let vote = vote_order_of(&mut cluster, to);
    let link = crate::peer::LinkId(u64::from(to.get()) * 100 + 1);
    let (now, wall) = (cluster.now, cluster.wall);
    let plane = &mut cluster.nodes.get_mut(&to).unwrap().plane;
    for message in [Message::RawOrder(raw), Message::Order(vote)] {
        plane.handle(crate::signing::Input::Message { peer: id(1), link, message }, now, wall);
    }
    assert!(plane.has_raw_work());
    assert!(plane.work(now), "the vote");
    assert!(!plane.work(now), "nothing of raw bytes is done as a vote's work");
    assert!(plane.has_raw_work() && plane.work_raw(now) && !plane.has_raw_work());
}

/// The order for a vote that member 1 sends to a member.
fn vote_order_of(cluster: &mut Cluster, to: MemberId) -> Order {
    for height in 5..50 {
        cluster.ask(id(1), vote(VoteKind::Prevote, height, 1, 6), None);
        let order = cluster.wire.drain(..).find_map(|(_, asked, message)| match message {
            Message::Order(order) if asked == to => Some(order),
            _ => None,
        });
        if let Some(order) = order {
            return order;
        }
    }
    panic!("member {to} was never asked")
}

#[test]
fn answers_that_nobody_asked_for_change_nothing() {
    let mut cluster = on();
    cluster.deaf = [id(2)].into();
    let ticket = cluster.ask_raw(id(1), plain(b"hello, world"));
    cluster.run();
    let order = cluster.held.iter().find_map(|(_, _, message)| match message {
        Message::RawOrder(order) => Some(order.clone()),
        _ => None,
    });
    let session = order.expect("member 2 is asked first").session;
    for (session, sets) in [(session, vec![]), (session, vec![9]), (SessionId([9; 16]), vec![0])] {
        for body in [RawAnswerBody::Refused("no".into()), RawAnswerBody::Failed(Failure::State)] {
            let answer = crate::peer::RawAnswer { session, sets: sets.clone(), body };
            cluster.wire.push_back((id(3), id(1), Message::RawAnswer(answer)));
        }
    }
    cluster.run();
    cluster.kill(id(2));
    cluster.run();
    let reply = cluster.raw_reply(id(1), ticket).unwrap();
    assert_signed(&cluster, &reply, b"hello, world");
    assert_eq!(reply.account.signers, [id(1), id(3)], "member 3 is asked all the same");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn no_member_ever_gives_a_share_for_what_is_not_allowed(
        bytes in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            (1..1000_i64, 0..3_u8, any::<prop::sample::Index>(), any::<u8>()).prop_map(
                |(height, block, place, byte)| {
                    let mut bytes = sign_bytes(&chain(), &precommit(height, block, 6));
                    let place = place.index(bytes.len());
                    bytes[place] = byte;
                    bytes
                }
            ),
        ],
    ) {
        let mut cluster = on();
        let message = plain(&bytes);
        let allowed = RawAllowed::new(&chain(), &ON, &message).is_ok();
        let (to, order) = malicious_order(&mut cluster, message);
        let given = matches!(answer_to(&mut cluster, to, order), RawAnswerBody::Shares(_));
        prop_assert_eq!(given, allowed);
    }
}

#[test]
fn an_order_with_many_sets_is_bounded() {
    let mut cluster = on();
    let (to, mut order) = orders_in_flight(&mut cluster, plain(b"hello, world")).remove(0);
    let first = order.sets[0].clone();
    order.sets = (0..17).map(|id| SigningSet { id, ..first.clone() }).collect();
    let answer = answer_to(&mut cluster, to, order);
    assert_eq!(answer, RawAnswerBody::Failed(Failure::Malformed));
}

//! Every message in both directions, and what must not get through.

use std::collections::BTreeMap;

use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::frost::{RawCommitment, RawShare};
use crate::peer::message::{
    Answer, AnswerBody, AskGrant, Carried, Failure, Forward, Forwarded, Grant, Order, Outcome,
    Report, RequestId, SessionId, SetShare, Signed, Signer, SigningSet,
};
use crate::peer::raw::{RawAnswer, RawAnswerBody, RawOrder};
use crate::privval::{
    BlockId, Extension, ExtensionSignature, Fields, MAX_EXTENSION_BYTES, MAX_RAW_BYTES, Proposal,
    RawMessage, Vote, VoteKind,
};
use crate::types::{
    Algorithm, ChainId, Height, Hrs, Incarnation, KeyId, MemberId, Round, SetupHash, Signature,
    Step, Timestamp,
};
use crate::watermark::Denial;

use pb::envelope::Body;

fn id(number: u64) -> MemberId {
    MemberId::new(number).unwrap()
}

fn chain() -> ChainId {
    ChainId::new("cosmoshub-4").unwrap()
}

fn key() -> KeyId {
    KeyId::from_bytes([3; 32])
}

fn hrs() -> Hrs {
    Hrs { height: Height::new(7).unwrap(), round: Round::new(2).unwrap(), step: Step::Prevote }
}

fn all_fields() -> Vec<Fields> {
    let timestamp = Timestamp::new(-5, 999_999_999).unwrap();
    let whole = BlockId { hash: Some([1; 32]), parts_total: 4, parts_hash: Some([2; 32]) };
    let hollow = BlockId { hash: None, parts_total: u32::MAX, parts_hash: None };
    let mut all = Vec::new();
    for block_id in [None, Some(whole), Some(hollow)] {
        for kind in [VoteKind::Prevote, VoteKind::Precommit] {
            let (height, round) = (Height::new(i64::MAX).unwrap(), Round::MAX);
            let block_id = block_id.clone();
            all.push(Fields::Vote(Vote { kind, height, round, block_id, timestamp }));
        }
        for pol_round in [-1, 0, i32::MIN, i32::MAX] {
            all.push(Fields::Proposal(Proposal {
                height: Height::default(),
                round: Round::default(),
                pol_round,
                block_id: block_id.clone(),
                timestamp: Timestamp::GO_ZERO,
            }));
        }
    }
    all
}

fn signer(byte: u8) -> Signer {
    let incarnation = Incarnation { number: u64::MAX, id: [byte; 16] };
    Signer { incarnation, commitment: RawCommitment([byte; 64]) }
}

fn set(number: u32, members: u64) -> SigningSet {
    let signers = (1..=members).map(|member| (id(member), signer(member as u8)));
    SigningSet { id: number, signers: signers.collect() }
}

fn whole(length: usize) -> Option<Carried> {
    Some(Carried::Whole(Extension::new(vec![1; length])))
}

/// Both kinds.
fn pair(length: usize) -> Extension {
    Extension::new(vec![1; length]).with_non_rp(vec![2; length])
}

fn order() -> Order {
    Order {
        session: SessionId([9; 16]),
        chain: chain(),
        key: key(),
        setup: SetupHash([8; 32]),
        fields: all_fields().remove(0),
        sets: vec![set(0, 2), set(u32::MAX, 15)],
        extension: whole(0),
        extension_sets: vec![set(0, 1)],
        non_rp_sets: vec![set(7, 2)],
    }
}

fn without_extension_sets() -> Order {
    Order { extension_sets: vec![], non_rp_sets: vec![], ..order() }
}

fn ask_grant(members: u64) -> AskGrant {
    let Order { session, chain, key, setup, fields, extension, .. } = order();
    let asked = (1..=members).map(|member| (id(member), signer(member as u8).incarnation));
    AskGrant { session, chain, key, setup, fields, extension, asked: asked.collect() }
}

fn raw_order(message: RawMessage) -> RawOrder {
    let Order { session, chain, key, setup, sets, .. } = order();
    RawOrder { session, chain, key, setup, message, sets }
}

fn celestia(raw_bytes: usize, unique_id: usize) -> RawMessage {
    let (raw_bytes, unique_id) = (vec![1; raw_bytes], "ä".repeat(unique_id / 2));
    RawMessage::Celestia { raw_bytes, unique_id }
}

fn raw_messages() -> Vec<Message> {
    let messages = [
        RawMessage::Plain(Vec::new()),
        RawMessage::Plain(vec![7; MAX_RAW_BYTES]),
        celestia(0, 0),
        celestia(MAX_RAW_BYTES, MAX_RAW_BYTES),
    ];
    let orders = messages.map(|message| Message::RawOrder(raw_order(message)));
    let share = |set| SetShare { set, share: RawShare([7; 32]) };
    let mut bodies = vec![
        RawAnswerBody::Shares(vec![]),
        RawAnswerBody::Shares(vec![share(0), share(u32::MAX)]),
        RawAnswerBody::Refused("raw_bytes = \"off\"".into()),
    ];
    bodies.extend(FAILURES.map(RawAnswerBody::Failed));
    let answer = |body| RawAnswer { session: SessionId([2; 16]), sets: vec![0, u32::MAX], body };
    let answers = bodies.into_iter().map(|body| Message::RawAnswer(answer(body)));
    orders.into_iter().chain(answers).collect()
}

fn signed(extension: bool) -> Signed {
    let signature = Signature::new(Algorithm::Ed25519, vec![5; 64]);
    let replay_protected = signature.clone();
    let extension_signature =
        extension.then_some(ExtensionSignature { replay_protected, non_rp: None });
    Signed { signature, timestamp: Timestamp::GO_ZERO, extension_signature }
}

/// With a signature of each kind of extension.
fn signed_both() -> Signed {
    let mut signed = signed(true);
    let non_rp = Some(Signature::new(Algorithm::Ed25519, vec![6; 64]));
    signed.extension_signature.as_mut().unwrap().non_rp = non_rp;
    signed
}

fn denials() -> Vec<Denial> {
    let (low, high) = (Height::new(1).unwrap(), Height::new(i64::MAX).unwrap());
    let (first, last) = (Round::default(), Round::MAX);
    vec![
        Denial::HeightRegression { asked: low, recorded: high },
        Denial::RoundRegression { height: high, asked: first, recorded: last },
        Denial::StepRegression {
            height: low,
            round: last,
            asked: Step::Propose,
            recorded: Step::Precommit,
        },
        Denial::ConflictingData { hrs: hrs(), recorded: vec![1, 2, 3] },
        Denial::BytesUnknown { hrs: hrs() },
        Denial::HeightJump { asked: high, recorded: low, allowed: Height::new(9).unwrap() },
        Denial::TooManyExtensions { hrs: hrs(), limit: 16 },
        Denial::CeilingReached { asked: high, ceiling: low },
    ]
}

const FAILURES: [Failure; 10] = [
    Failure::UnknownNonce,
    Failure::OtherIncarnation,
    Failure::SupersededSigner,
    Failure::UnknownKey,
    Failure::OtherSetup,
    Failure::Malformed,
    Failure::State,
    Failure::Busy,
    Failure::UnknownExtension,
    Failure::RefusedExtension,
];

fn every_outcome() -> Vec<Message> {
    let mut outcomes = vec![
        Outcome::Signed(signed(false)),
        Outcome::Repeated(signed(true)),
        Outcome::Signed(signed_both()),
        Outcome::Failed("no quorum".into()),
        Outcome::KeyUnavailable("throttled".into()),
        Outcome::NotLeader(None),
        Outcome::NotLeader(Some(id(15))),
    ];
    outcomes.extend(denials().into_iter().map(Outcome::Denied));
    let forwarded = |outcome| Message::Forwarded(Forwarded { id: RequestId(u64::MAX), outcome });
    outcomes.into_iter().map(forwarded).collect()
}

/// Orders and requests for grants with extensions of every form.
fn every_extension() -> Vec<Message> {
    let forms = [
        None,
        whole(0),
        whole(1 << 20),
        Some(Carried::Whole(pair(0))),
        Some(Carried::Whole(pair(1 << 20))),
        Some(Carried::Named([4; 32])),
    ];
    let both = |extension: Option<Carried>| {
        let order = Order { extension: extension.clone(), ..order() };
        [Message::Order(order), Message::AskGrant(AskGrant { extension, ..ask_grant(15) })]
    };
    forms.into_iter().flat_map(both).collect()
}

fn every_message() -> Vec<Message> {
    let share = |set| SetShare { set, share: RawShare([7; 32]) };
    let session = SessionId([1; 16]);
    let mut all = vec![
        Message::Order(Order { sets: vec![], extension: None, ..without_extension_sets() }),
        Message::AskGrant(ask_grant(1)),
        Message::Commitments(vec![]),
        Message::Commitments((0..=255).map(|byte| RawCommitment([byte; 64])).collect()),
        Message::NeedCommitments(0),
        Message::NeedCommitments(u32::MAX),
        Message::AskWatermark { chain: chain(), key: key() },
        Message::Watermark(Report {
            chain: chain(),
            key: key(),
            fields: None,
            signature: None,
            key_ready: false,
        }),
        Message::Ping(0),
        Message::Ping(u64::MAX),
        Message::Pong(0),
        Message::Pong(1),
    ];
    let mut bodies = vec![
        AnswerBody::Shares {
            shares: vec![],
            extension_shares: vec![share(0)],
            non_rp_shares: vec![share(1)],
        },
        AnswerBody::Shares {
            shares: vec![share(0), share(9)],
            extension_shares: vec![],
            non_rp_shares: vec![],
        },
    ];
    let incarnation = Incarnation { number: 7, id: [3; 16] };
    bodies.push(AnswerBody::Grant(Grant { coordinator: id(15), content: [6; 32], incarnation }));
    bodies.extend(denials().into_iter().map(AnswerBody::Denied));
    bodies.extend(FAILURES.map(AnswerBody::Failed));
    all.extend(
        bodies
            .into_iter()
            .map(|body| Message::Answer(Answer { session, sets: vec![0, 9, u32::MAX], body })),
    );
    all.extend(every_extension());
    all.extend(every_outcome());
    all.extend(raw_messages());
    for fields in all_fields() {
        all.push(Message::Order(Order { fields: fields.clone(), ..order() }));
        all.push(Message::Watermark(Report {
            chain: chain(),
            key: key(),
            fields: Some(fields.clone()),
            signature: Some(signed(false).signature),
            key_ready: true,
        }));
        all.push(Message::AskGrant(AskGrant { fields: fields.clone(), ..ask_grant(15) }));
        all.push(Message::Forward(Forward {
            id: RequestId(0),
            chain: chain(),
            fields,
            extension: Some(pair(3)),
            deadline_ms: 900,
            deputy: true,
        }));
    }
    all
}

fn over_the_wire(message: Message) -> Result<Message, WireError> {
    let (envelope, bytes) = encode(message)?;
    let encoded = envelope.encode_to_vec();
    assert_eq!(encoded.len(), bytes);
    decode(Envelope::decode(encoded.as_slice()).unwrap())
}

#[test]
fn every_message_arrives_as_it_was_sent() {
    for message in every_message() {
        assert_eq!(over_the_wire(message.clone()), Ok(message));
    }
}

#[test]
fn a_greeting_arrives_as_it_was_sent_and_only_as_a_greeting() {
    let hello = Hello {
        protocol: 1,
        software: "0.1.0".into(),
        serial: 4,
        members: SetupHash([6; 32]),
        incarnation: Incarnation { number: 3, id: [1; 16] },
    };
    let envelope = encode_hello(&hello);
    assert_eq!(decode_hello(envelope.clone()), Ok(hello));
    assert_eq!(decode(envelope), Err(WireError::Hello));
    assert_eq!(decode_hello(encode(Message::Ping(1)).unwrap().0), Err(WireError::Hello));
}

/// An order on the wire, changed by the test.
fn bad_order(change: impl FnOnce(&mut pb::Order)) -> WireError {
    let Some(Body::Order(mut order)) = encode(Message::Order(order())).unwrap().0.body else {
        panic!("an order");
    };
    change(&mut order);
    decode(Envelope { body: Some(Body::Order(order)) }).unwrap_err()
}

fn bad_vote(change: impl FnOnce(&mut pb::Vote)) -> WireError {
    bad_order(|order| match order.fields.as_mut().unwrap().kind.as_mut().unwrap() {
        pb::fields::Kind::Vote(vote) => change(vote),
        pb::fields::Kind::Proposal(_) => panic!("a vote"),
    })
}

fn length(field: &'static str, expected: usize, found: usize) -> WireError {
    WireError::Length { field, expected, found }
}

#[test]
fn refuses_wrong_lengths_and_absent_parts() {
    assert_eq!(decode(Envelope { body: None }), Err(WireError::Missing("body")));
    assert_eq!(bad_order(|order| order.session.truncate(15)), length("session", 16, 15));
    assert_eq!(bad_order(|order| order.key.push(0)), length("key", 32, 33));
    assert_eq!(bad_order(|order| order.setup.clear()), length("setup hash", 32, 0));
    assert_eq!(bad_order(|order| order.fields = None), WireError::Missing("fields"));
    let hollow = Some(pb::Fields { kind: None });
    assert_eq!(bad_order(|order| order.fields = hollow), WireError::Missing("fields"));
    let signer =
        |change: fn(&mut pb::Signer)| bad_order(|order| change(&mut order.sets[0].signers[0]));
    assert_eq!(signer(|it| it.commitment.truncate(63)), length("commitment", 64, 63));
    assert_eq!(signer(|it| it.incarnation = None), WireError::Missing("incarnation"));
    let short = |it: &mut pb::Signer| it.incarnation.as_mut().unwrap().id.truncate(8);
    assert_eq!(signer(short), length("incarnation id", 16, 8));
    for length in [1, 63, 65] {
        let odd = Body::Commitments(pb::Commitments { pairs: vec![0; length] });
        assert!(matches!(decode(Envelope { body: Some(odd) }), Err(WireError::Length { .. })));
    }
}

#[test]
fn refuses_fields_that_no_block_has() {
    let negative = HrsError::NegativeHeight(-1);
    assert_eq!(bad_vote(|vote| vote.height = -1), WireError::Hrs(negative));
    let negative = HrsError::NegativeRound(-1);
    assert_eq!(bad_vote(|vote| vote.round = -1), WireError::Hrs(negative));
    for value in [0, 3, -1] {
        let unknown = WireError::UnknownValue { field: "vote kind", value };
        assert_eq!(bad_vote(|vote| vote.kind = value), unknown);
    }
    assert_eq!(bad_vote(|vote| vote.timestamp = None), WireError::Missing("timestamp"));
    let late = Some(pb::Timestamp { seconds: i64::MAX, nanos: 0 });
    assert!(matches!(bad_vote(|vote| vote.timestamp = late), WireError::Timestamp(_)));
    let block = pb::BlockId { hash: Some(vec![0; 20]), parts_total: 1, parts_hash: None };
    assert_eq!(bad_vote(|vote| vote.block_id = Some(block)), length("block hash", 32, 20));
    let block = pb::BlockId { hash: None, parts_total: 1, parts_hash: Some(vec![]) };
    assert_eq!(bad_vote(|vote| vote.block_id = Some(block)), length("part-set hash", 32, 0));
    assert!(matches!(bad_order(|order| order.chain.clear()), WireError::Chain(_)));
    assert!(matches!(bad_order(|order| order.chain = "x".repeat(51)), WireError::Chain(_)));
}

#[test]
fn refuses_signing_sets_that_no_cluster_has() {
    assert_eq!(bad_order(|order| order.sets[0].signers.clear()), WireError::Empty("signers"));
    let twin = |order: &mut pb::Order| {
        let signer = order.sets[0].signers[0].clone();
        order.sets[0].signers.push(signer);
    };
    assert_eq!(bad_order(twin), WireError::Duplicate { field: "signers", id: 1 });
    for member in [0, 16, u32::MAX] {
        let stranger = bad_order(|order| order.sets[0].signers[0].member = member);
        assert_eq!(stranger, WireError::Member(MemberIdError(member.into())));
    }
    let crowd = |order: &mut pb::Order| {
        let signer = order.sets[0].signers[0].clone();
        order.sets[0].signers = vec![signer; 16];
    };
    let too_many = WireError::TooMany { field: "signers", limit: 15, found: 16 };
    assert_eq!(bad_order(crowd), too_many);
    let numbered = |count: u32| {
        let Some(Body::Order(order)) = encode(Message::Order(order())).unwrap().0.body else {
            panic!("an order");
        };
        (0..count).map(|id| pb::SigningSet { id, ..order.sets[0].clone() }).collect::<Vec<_>>()
    };
    let too_many = WireError::TooMany { field: "sets", limit: 16, found: 17 };
    assert_eq!(bad_order(|order| order.sets = numbered(17)), too_many);
    let too_many = WireError::TooMany { field: "extension sets", limit: 16, found: 17 };
    assert_eq!(bad_order(|order| order.extension_sets = numbered(17)), too_many);
    let too_many = WireError::TooMany { field: "non-rp sets", limit: 16, found: 17 };
    assert_eq!(bad_order(|order| order.non_rp_sets = numbered(17)), too_many);
    let twin = bad_order(|order| order.sets[1].id = order.sets[0].id);
    assert_eq!(twin, WireError::Duplicate { field: "sets", id: 0 });
}

#[test]
fn refuses_extensions_that_no_validator_sends() {
    use pb::carried::Form;
    let bad = |form| bad_order(|order| order.extension = Some(pb::Carried { form }));
    assert_eq!(bad(None), WireError::Missing("form of an extension"));
    assert_eq!(bad(Some(Form::Named(vec![0; 31]))), length("name of an extension", 32, 31));
    let (limit, found) = (MAX_EXTENSION_BYTES, MAX_EXTENSION_BYTES + 1);
    let long = pb::Extension { bytes: vec![0; found].into(), non_rp: None };
    let too_many = WireError::TooMany { field: "extension", limit, found };
    assert_eq!(bad(Some(Form::Whole(long))), too_many);
    let long = pb::Extension { bytes: vec![].into(), non_rp: Some(vec![0; found].into()) };
    let too_many = WireError::TooMany { field: "non-rp extension", limit, found };
    assert_eq!(bad(Some(Form::Whole(long))), too_many);
}

#[test]
fn refuses_the_signature_of_an_extension_without_replay_protection_alone() {
    let signature = Some(pb::Signature { algorithm: 1, bytes: vec![0; 64] });
    let timestamp = Some(pb::Timestamp::default());
    let signed = pb::Signed {
        signature: signature.clone(),
        timestamp,
        extension_signature: None,
        non_rp_signature: signature,
    };
    let outcome = Some(pb::forwarded::Outcome::Signed(signed));
    let alone = bad(Body::Forwarded(pb::Forwarded { id: 1, outcome }));
    assert_eq!(alone, WireError::Missing("extension signature"));
}

fn bad(body: Body) -> WireError {
    decode(Envelope { body: Some(body) }).unwrap_err()
}

#[test]
fn refuses_unknown_answers_and_outcomes() {
    let answer = |body| Body::Answer(pb::Answer { session: vec![0; 16], sets: vec![], body });
    assert_eq!(bad(answer(None)), WireError::Missing("body of an answer"));
    for value in [0, 9, -1] {
        let failed = answer(Some(pb::answer::Body::Failed(value)));
        assert_eq!(bad(failed), WireError::UnknownValue { field: "failure", value });
    }
    let denied = answer(Some(pb::answer::Body::Denied(pb::Denial { reason: None })));
    assert_eq!(bad(denied), WireError::Missing("reason of a denial"));
    let hrs = pb::Hrs { height: 1, round: 0, step: 4 };
    let reason = Some(pb::denial::Reason::BytesUnknown(hrs));
    let denied = answer(Some(pb::answer::Body::Denied(pb::Denial { reason })));
    assert_eq!(bad(denied), WireError::Hrs(HrsError::UnknownStep(4)));
    let share = pb::SetShare { set: 1, share: vec![0; 32] };
    let twins = pb::Shares { shares: vec![share.clone(), share], ..pb::Shares::default() };
    let twins = answer(Some(pb::answer::Body::Shares(twins)));
    assert_eq!(bad(twins), WireError::Duplicate { field: "shares", id: 1 });
    let many = pb::Answer { session: vec![0; 16], sets: vec![0; 49], body: None };
    let too_many = WireError::TooMany { field: "answered sets", limit: 48, found: 49 };
    assert_eq!(bad(Body::Answer(many)), too_many);

    let forwarded = |outcome| Body::Forwarded(pb::Forwarded { id: 1, outcome });
    assert_eq!(bad(forwarded(None)), WireError::Missing("outcome"));
    let failed = forwarded(Some(pb::forwarded::Outcome::Failed("a\nb".into())));
    assert_eq!(bad(failed), WireError::ControlCharacter("reason"));
    let failed = forwarded(Some(pb::forwarded::Outcome::Failed("x".repeat(1025))));
    assert!(matches!(bad(failed), WireError::TooMany { field: "reason", .. }));
    let signature = |algorithm, length| {
        let signature = Some(pb::Signature { algorithm, bytes: vec![0; length] });
        let signed = pb::Signed { signature, ..pb::Signed::default() };
        bad(forwarded(Some(pb::forwarded::Outcome::Signed(signed))))
    };
    assert!(matches!(signature(0, 64), WireError::UnknownValue { value: 0, .. }));
    assert!(matches!(signature(1, 4097), WireError::TooMany { field: "signature", .. }));
    assert_eq!(signature(1, 64), WireError::Missing("timestamp"));
}

#[test]
fn does_not_send_what_another_member_would_refuse() {
    let many = Message::Commitments(vec![RawCommitment([0; 64]); MAX_COMMITMENTS + 1]);
    assert!(matches!(encode(many), Err(WireError::TooMany { limit: 256, found: 257, .. })));
    let pairs = vec![0; 64 * (MAX_COMMITMENTS + 1)];
    let many = bad(Body::Commitments(pb::Commitments { pairs }));
    assert!(matches!(many, WireError::TooMany { limit: 256, found: 257, .. }));
    let empty = SigningSet { id: 0, signers: BTreeMap::new() };
    let empty = Message::Order(Order { sets: vec![empty], ..order() });
    assert_eq!(encode(empty).unwrap_err(), WireError::Empty("signers"));
    let twins = Message::Order(Order { sets: vec![set(1, 2), set(1, 3)], ..order() });
    assert_eq!(encode(twins).unwrap_err(), WireError::Duplicate { field: "sets", id: 1 });
    let long = Order { extension: whole(MAX_EXTENSION_BYTES + 1), ..order() };
    assert!(matches!(encode(Message::Order(long)), Err(WireError::TooMany { .. })));
    let outcome = Outcome::Failed(format!("two\nlines {}", "ä".repeat(2000)));
    let arrived = over_the_wire(Message::Forwarded(Forwarded { id: RequestId(1), outcome }));
    let Ok(Message::Forwarded(Forwarded { outcome: Outcome::Failed(reason), .. })) = arrived else {
        panic!("a failure, made presentable");
    };
    assert!(reason.starts_with("two lines ä") && reason.len() <= MAX_REASON_BYTES);
}

/// An order for raw bytes on the wire, changed by the test.
fn bad_raw_order(change: impl FnOnce(&mut pb::RawOrder)) -> WireError {
    let order = Message::RawOrder(raw_order(celestia(3, 4)));
    let Some(Body::RawOrder(mut order)) = encode(order).unwrap().0.body else {
        panic!("an order for raw bytes");
    };
    change(&mut order);
    bad(Body::RawOrder(order))
}

#[test]
fn refuses_orders_for_raw_bytes_that_no_member_sends() {
    assert_eq!(bad_raw_order(|order| order.session.truncate(15)), length("session", 16, 15));
    assert_eq!(bad_raw_order(|order| order.key.push(0)), length("key", 32, 33));
    assert_eq!(bad_raw_order(|order| order.setup.clear()), length("setup hash", 32, 0));
    assert!(matches!(bad_raw_order(|order| order.chain.clear()), WireError::Chain(_)));
    assert_eq!(bad_raw_order(|order| order.message = None), WireError::Missing("raw bytes"));
    let too_many = |field, found| WireError::TooMany { field, limit: MAX_RAW_BYTES, found };
    let found = MAX_RAW_BYTES + 1;
    let plain = Some(pb::raw_order::Message::Plain(vec![0; found]));
    assert_eq!(bad_raw_order(|order| order.message = plain), too_many("raw bytes", found));
    let long = pb::CelestiaRaw { raw_bytes: vec![], unique_id: "x".repeat(found) };
    let long = Some(pb::raw_order::Message::Celestia(long));
    assert_eq!(bad_raw_order(|order| order.message = long), too_many("unique id", found));
    assert_eq!(bad_raw_order(|order| order.sets.clear()), WireError::Empty("sets"));
    let twin = bad_raw_order(|order| order.sets[1].id = order.sets[0].id);
    assert_eq!(twin, WireError::Duplicate { field: "sets", id: 0 });
    let long = encode(Message::RawOrder(raw_order(RawMessage::Plain(vec![0; found]))));
    assert_eq!(long.unwrap_err(), too_many("raw bytes", found), "nor is it sent");
}

#[test]
fn refuses_answers_about_raw_bytes_that_no_member_sends() {
    let answer = |sets, body| Body::RawAnswer(pb::RawAnswer { session: vec![0; 16], sets, body });
    assert_eq!(bad(answer(vec![], None)), WireError::Missing("body of an answer"));
    let failed = answer(vec![], Some(pb::raw_answer::Body::Failed(9)));
    assert_eq!(bad(failed), WireError::UnknownValue { field: "failure", value: 9 });
    let garbling = answer(vec![], Some(pb::raw_answer::Body::Refused("a\nb".into())));
    assert_eq!(bad(garbling), WireError::ControlCharacter("reason"));
    let share = pb::SetShare { set: 1, share: vec![0; 32] };
    let shares = pb::RawShares { shares: vec![share.clone(), share] };
    let twins = answer(vec![], Some(pb::raw_answer::Body::Shares(shares)));
    assert_eq!(bad(twins), WireError::Duplicate { field: "shares", id: 1 });
    let shares = pb::RawShares { shares: vec![pb::SetShare { set: 1, share: vec![0; 31] }] };
    let short = answer(vec![], Some(pb::raw_answer::Body::Shares(shares)));
    assert_eq!(bad(short), length("share", 32, 31));
    let too_many = WireError::TooMany { field: "answered sets", limit: 16, found: 17 };
    assert_eq!(bad(answer(vec![0; 17], None)), too_many);
}

proptest! {
    #[test]
    fn damaged_bytes_are_refused_or_mean_something_that_can_be_sent(
        which in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let all = every_message();
        let message = all[which.index(all.len())].clone();
        let mut bytes = encode(message).unwrap().0.encode_to_vec();
        let place = place.index(bytes.len());
        if cut { bytes.truncate(place) } else { bytes[place] = byte }
        if let Ok(message) = Envelope::decode(bytes.as_slice()).map_err(drop).and_then(|envelope| {
            decode(envelope).map_err(drop)
        }) {
            prop_assert_eq!(over_the_wire(message.clone()), Ok(message));
        }
    }
}

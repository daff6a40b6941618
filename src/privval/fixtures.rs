//! What several test modules of this room need. The bytes come from CometBFT v0.38.25: key of the seed
//! 00..1f, chain `test-chain-1`, height 12345, one timestamp, one block.

use proptest::prelude::*;

use super::{BlockId, Fields, Proposal, Vote, VoteKind, proto};
use crate::types::{ChainId, Height, Round, Timestamp};

pub(super) const CHAIN: &str = "test-chain-1";
pub(super) const ADDRESS: &str = "56475aa75463474c0285df5dbf2bcab73da65135";
/// A block id's body: hash aa×32, 7 parts, their hash bb×32.
pub(super) const BLOCK: &str = "0a20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\
    122408071220bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
/// The body of 2024-01-02T03:04:05.000000006Z.
pub(super) const TIME: &str = "08a5facdac061006";
/// The body of Go's zero time.
pub(super) const GO_ZERO_TIME: &str = "088092b8c398feffffff01";

/// Bytes of several pieces of hex.
pub(super) fn bytes(pieces: &[&str]) -> Vec<u8> {
    hex::decode(pieces.concat()).unwrap()
}

pub(super) fn chain() -> ChainId {
    ChainId::new(CHAIN).unwrap()
}

pub(super) fn time() -> Timestamp {
    Timestamp::new(1_704_164_645, 6).unwrap()
}

pub(super) fn block() -> BlockId {
    BlockId { hash: Some([0xaa; 32]), parts_total: 7, parts_hash: Some([0xbb; 32]) }
}

pub(super) fn precommit() -> Fields {
    Fields::Vote(Vote {
        kind: VoteKind::Precommit,
        height: Height::new(12345).unwrap(),
        round: Round::new(2).unwrap(),
        block_id: Some(block()),
        timestamp: time(),
    })
}

pub(super) fn proposal(round: i32, pol_round: i32) -> Fields {
    Fields::Proposal(Proposal {
        height: Height::new(12345).unwrap(),
        round: Round::new(round).unwrap(),
        pol_round,
        block_id: Some(block()),
        timestamp: time(),
    })
}

/// The request of the vector: a precommit with extension "ext".
pub(super) fn vote_request() -> proto::SignVoteRequest {
    let vote = proto::Vote {
        r#type: 2,
        height: 12345,
        round: 2,
        block_id: Some(proto_block()),
        timestamp: Some(proto::Timestamp { seconds: 1_704_164_645, nanos: 6 }),
        validator_address: hex::decode(ADDRESS).unwrap(),
        validator_index: 3,
        extension: b"ext".to_vec(),
        ..proto::Vote::default()
    };
    let chain_id = CHAIN.to_owned();
    proto::SignVoteRequest { vote: Some(vote), chain_id, skip_extension_signing: false }
}

pub(super) fn proposal_request() -> proto::SignProposalRequest {
    let proposal = proto::Proposal {
        r#type: 32,
        height: 12345,
        round: 0,
        pol_round: -1,
        block_id: Some(proto_block()),
        timestamp: Some(proto::Timestamp { seconds: 1_704_164_645, nanos: 6 }),
        signature: Vec::new(),
    };
    proto::SignProposalRequest { proposal: Some(proposal), chain_id: CHAIN.to_owned() }
}

fn proto_block() -> proto::BlockId {
    let parts = proto::PartSetHeader { total: 7, hash: vec![0xbb; 32] };
    proto::BlockId { hash: vec![0xaa; 32], part_set_header: Some(parts) }
}

/// The body of a message around one request.
pub(super) fn message(sum: impl Into<Option<proto::message::Sum>>) -> Vec<u8> {
    prost::Message::encode_to_vec(&proto::Message { sum: sum.into() })
}

fn any_block() -> impl Strategy<Value = Option<BlockId>> {
    let hash = || proptest::option::of(any::<[u8; 32]>());
    let total = prop_oneof![Just(0), any::<u32>()];
    (hash(), total, hash()).prop_map(|(hash, total, parts)| BlockId::new(hash, total, parts))
}

/// Any vote or proposal that can be signed.
pub(super) fn any_fields() -> impl Strategy<Value = Fields> {
    let height = prop_oneof![Just(0), Just(i64::MAX), 0..=i64::MAX];
    let round = prop_oneof![Just(0), Just(i32::MAX), 0..=i32::MAX];
    let seconds = prop_oneof![Just(0), -62_135_596_800..253_402_300_800_i64];
    let nanos = prop_oneof![Just(0), 0..1_000_000_000];
    (0..3, height, round, -1..i32::MAX, any_block(), seconds, nanos).prop_map(
        |(kind, height, round, pol_round, block_id, seconds, nanos)| {
            let height = Height::new(height).unwrap();
            let round = Round::new(round).unwrap();
            let timestamp = Timestamp::new(seconds, nanos).unwrap();
            let vote =
                |kind, block_id| Fields::Vote(Vote { kind, height, round, block_id, timestamp });
            match kind {
                0 => vote(VoteKind::Prevote, block_id),
                1 => vote(VoteKind::Precommit, block_id),
                _ => Fields::Proposal(Proposal { height, round, pol_round, block_id, timestamp }),
            }
        },
    )
}

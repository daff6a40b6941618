//! Protobuf written field by field, so that it can be written wrongly.

use cosigner::privval::{BlockId, Fields, Proposal, Vote, VoteKind};
use cosigner::types::{Height, Round, Timestamp};

use super::super::support::cluster::CHAIN;

/// A message under construction.
#[derive(Clone, Default)]
pub struct Pb(pub Vec<u8>);

/// The hash of the block in every request here.
pub const HASH: [u8; 32] = [0xaa; 32];
/// The hash of its parts.
pub const PARTS: [u8; 32] = [0xbb; 32];
/// The time in every request here: 2024-01-02T03:04:05.000000006Z.
pub const SECONDS: i64 = 1_704_164_645;
/// Its nanoseconds.
pub const NANOS: i64 = 6;

/// The uvarint of a number.
pub fn uvarint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

/// With its length in front.
pub fn delimited(body: &[u8]) -> Vec<u8> {
    [uvarint(body.len() as u64).as_slice(), body].concat()
}

impl Pb {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes as they are.
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A key of any field number and wire type.
    pub fn key(self, number: u64, wire_type: u64) -> Self {
        self.raw(&uvarint(number << 3 | wire_type))
    }

    /// A number, also 0.
    pub fn int(self, number: u64, value: i64) -> Self {
        self.key(number, 0).raw(&uvarint(value.cast_unsigned()))
    }

    /// Bytes, also none.
    pub fn bytes(self, number: u64, value: &[u8]) -> Self {
        self.key(number, 2).raw(&delimited(value))
    }

    /// A message within.
    pub fn message(self, number: u64, value: &Self) -> Self {
        self.bytes(number, &value.0)
    }
}

/// The block id of every request here.
pub fn block() -> Pb {
    Pb::new().bytes(1, &HASH).message(2, &Pb::new().int(1, 7).bytes(2, &PARTS))
}

/// The timestamp of every request here.
pub fn time() -> Pb {
    Pb::new().int(1, SECONDS).int(2, NANOS)
}

/// A vote without block id and time.
pub fn bare_vote(kind: i64, height: i64) -> Pb {
    Pb::new().int(1, kind).int(2, height)
}

/// A prevote for the block.
pub fn prevote(height: i64) -> Pb {
    bare_vote(1, height).message(4, &block()).message(5, &time())
}

/// A proposal of the block without proof of lock.
pub fn proposal(height: i64) -> Pb {
    let head = Pb::new().int(1, 32).int(2, height).int(4, -1);
    head.message(5, &block()).message(6, &time())
}

/// The request for a vote.
pub fn vote_request(vote: &Pb) -> Pb {
    Pb::new().message(1, vote).bytes(2, CHAIN.as_bytes())
}

/// The message around the request for a vote.
pub fn ask_vote(vote: &Pb) -> Vec<u8> {
    Pb::new().message(3, &vote_request(vote)).0
}

/// The message around the request for a proposal.
pub fn ask_proposal(proposal: &Pb) -> Vec<u8> {
    let request = Pb::new().message(1, proposal).bytes(2, CHAIN.as_bytes());
    Pb::new().message(5, &request).0
}

/// The message around the request for the public key.
pub fn ask_key(chain: &[u8]) -> Vec<u8> {
    Pb::new().message(1, &Pb::new().bytes(1, chain)).0
}

/// A ping.
pub fn ping() -> Vec<u8> {
    Pb::new().bytes(7, &[]).0
}

/// What [`prevote`] says.
pub fn prevote_fields(height: i64) -> Vote {
    Vote {
        kind: VoteKind::Prevote,
        height: Height::new(height).unwrap(),
        round: Round::new(0).unwrap(),
        block_id: BlockId::new(Some(HASH), 7, Some(PARTS)),
        timestamp: Timestamp::new(SECONDS, 6).unwrap(),
    }
}

/// What [`proposal`] says.
pub fn proposal_fields(height: i64) -> Proposal {
    let Vote { height, round, block_id, timestamp, .. } = prevote_fields(height);
    Proposal { height, round, pol_round: -1, block_id, timestamp }
}

/// [`prevote_fields`] with a change.
pub fn prevote_with(height: i64, change: impl FnOnce(&mut Vote)) -> Fields {
    let mut vote = prevote_fields(height);
    change(&mut vote);
    Fields::Vote(vote)
}

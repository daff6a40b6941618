//! What is signed, in both directions.

use super::{MAX_SIGNATURE_BYTES, WireError, array, at_most, pb};
use crate::privval::{BlockId, Fields, Proposal, Vote, VoteKind};
use crate::types::{Algorithm, Height, Hrs, Incarnation, Round, Signature, Step, Timestamp};

pub(super) fn encode(fields: Fields) -> pb::Fields {
    let kind = match fields {
        Fields::Vote(vote) => pb::fields::Kind::Vote(pb::Vote {
            kind: match vote.kind {
                VoteKind::Prevote => pb::VoteKind::Prevote,
                VoteKind::Precommit => pb::VoteKind::Precommit,
            }
            .into(),
            height: vote.height.get(),
            round: vote.round.get(),
            block_id: vote.block_id.map(encode_block_id),
            timestamp: Some(encode_timestamp(vote.timestamp)),
        }),
        Fields::Proposal(proposal) => pb::fields::Kind::Proposal(pb::Proposal {
            height: proposal.height.get(),
            round: proposal.round.get(),
            pol_round: proposal.pol_round,
            block_id: proposal.block_id.map(encode_block_id),
            timestamp: Some(encode_timestamp(proposal.timestamp)),
        }),
    };
    pb::Fields { kind: Some(kind) }
}

pub(super) fn decode(fields: Option<pb::Fields>) -> Result<Fields, WireError> {
    match fields.and_then(|fields| fields.kind).ok_or(WireError::Missing("fields"))? {
        pb::fields::Kind::Vote(vote) => Ok(Fields::Vote(Vote {
            kind: decode_vote_kind(vote.kind)?,
            height: Height::new(vote.height)?,
            round: Round::new(vote.round)?,
            block_id: vote.block_id.map(decode_block_id).transpose()?,
            timestamp: decode_timestamp(vote.timestamp)?,
        })),
        pb::fields::Kind::Proposal(proposal) => Ok(Fields::Proposal(Proposal {
            height: Height::new(proposal.height)?,
            round: Round::new(proposal.round)?,
            pol_round: proposal.pol_round,
            block_id: proposal.block_id.map(decode_block_id).transpose()?,
            timestamp: decode_timestamp(proposal.timestamp)?,
        })),
    }
}

fn decode_vote_kind(value: i32) -> Result<VoteKind, WireError> {
    match pb::VoteKind::try_from(value) {
        Ok(pb::VoteKind::Prevote) => Ok(VoteKind::Prevote),
        Ok(pb::VoteKind::Precommit) => Ok(VoteKind::Precommit),
        Ok(pb::VoteKind::Unspecified) | Err(_) => {
            Err(WireError::UnknownValue { field: "vote kind", value })
        }
    }
}

fn encode_block_id(block_id: BlockId) -> pb::BlockId {
    pb::BlockId {
        hash: block_id.hash.map(Vec::from),
        parts_total: block_id.parts_total,
        parts_hash: block_id.parts_hash.map(Vec::from),
    }
}

fn decode_block_id(block_id: pb::BlockId) -> Result<BlockId, WireError> {
    Ok(BlockId {
        hash: block_id.hash.map(|hash| array("block hash", &hash)).transpose()?,
        parts_total: block_id.parts_total,
        parts_hash: block_id.parts_hash.map(|hash| array("part-set hash", &hash)).transpose()?,
    })
}

pub(super) fn encode_timestamp(timestamp: Timestamp) -> pb::Timestamp {
    pb::Timestamp { seconds: timestamp.seconds(), nanos: timestamp.nanos() }
}

pub(super) fn decode_timestamp(timestamp: Option<pb::Timestamp>) -> Result<Timestamp, WireError> {
    let timestamp = timestamp.ok_or(WireError::Missing("timestamp"))?;
    Ok(Timestamp::new(timestamp.seconds, timestamp.nanos)?)
}

pub(super) fn encode_hrs(hrs: Hrs) -> pb::Hrs {
    pb::Hrs { height: hrs.height.get(), round: hrs.round.get(), step: hrs.step.number().into() }
}

pub(super) fn decode_hrs(hrs: Option<pb::Hrs>) -> Result<Hrs, WireError> {
    let hrs = hrs.ok_or(WireError::Missing("height, round and step"))?;
    Ok(Hrs {
        height: Height::new(hrs.height)?,
        round: Round::new(hrs.round)?,
        step: Step::from_number(hrs.step.into())?,
    })
}

pub(super) fn encode_incarnation(incarnation: Incarnation) -> pb::Incarnation {
    pb::Incarnation { number: incarnation.number, id: incarnation.id.to_vec() }
}

pub(super) fn decode_incarnation(
    incarnation: Option<pb::Incarnation>,
) -> Result<Incarnation, WireError> {
    let incarnation = incarnation.ok_or(WireError::Missing("incarnation"))?;
    Ok(Incarnation { number: incarnation.number, id: array("incarnation id", &incarnation.id)? })
}

pub(super) fn encode_signature(signature: &Signature) -> Result<pb::Signature, WireError> {
    at_most("signature", MAX_SIGNATURE_BYTES, signature.as_bytes().len())?;
    let algorithm = match signature.algorithm() {
        Algorithm::Ed25519 => pb::Algorithm::Ed25519,
        Algorithm::Secp256k1 => pb::Algorithm::Secp256k1,
        Algorithm::Secp256k1Eth => pb::Algorithm::Secp256k1eth,
        Algorithm::MlDsa65 => pb::Algorithm::MlDsa65,
    };
    Ok(pb::Signature { algorithm: algorithm.into(), bytes: signature.as_bytes().to_vec() })
}

pub(super) fn decode_signature(signature: pb::Signature) -> Result<Signature, WireError> {
    at_most("signature", MAX_SIGNATURE_BYTES, signature.bytes.len())?;
    let algorithm = match pb::Algorithm::try_from(signature.algorithm) {
        Ok(pb::Algorithm::Ed25519) => Algorithm::Ed25519,
        Ok(pb::Algorithm::Secp256k1) => Algorithm::Secp256k1,
        Ok(pb::Algorithm::Secp256k1eth) => Algorithm::Secp256k1Eth,
        Ok(pb::Algorithm::MlDsa65) => Algorithm::MlDsa65,
        Ok(pb::Algorithm::Unspecified) | Err(_) => {
            let value = signature.algorithm;
            return Err(WireError::UnknownValue { field: "signature algorithm", value });
        }
    };
    Ok(Signature::new(algorithm, signature.bytes))
}

//! Canonical sign bytes, written by hand: gogoproto emits empty messages where prost drops them.
//!
//! Layout: CometBFT `types/canonical.go`, `proto/tendermint/types/canonical.proto`; the same bytes in
//! every release from v0.34 to v0.40 and in v1 and v2. All start with a uvarint of their length.

use prost::encoding::{decode_varint, encode_varint, encoded_len_varint};

use super::fields::{BlockId, Fields, Hash, Proposal, Vote, VoteKind};
use super::wire::{
    block_id, delimited, put_bytes, put_int, put_message, put_sfixed64, put_varint, timestamp,
};
use crate::types::{ChainId, ChainIdError, Height, HrsError, Round, Timestamp, TimestampError};

const TYPE_PREVOTE: u64 = 1;
const TYPE_PRECOMMIT: u64 = 2;
const TYPE_PROPOSAL: u64 = 32;

/// Why bytes are not the canonical sign bytes of a vote or proposal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// A field, length or tag is cut off or of the wrong wire type.
    #[error("the sign bytes are malformed")]
    Malformed,
    /// They decode, but writing what they say again gives other bytes.
    #[error("the sign bytes are not in canonical form")]
    NotCanonical,
    /// The type is none of prevote 1, precommit 2, proposal 32.
    #[error("sign bytes of unknown type {0}")]
    Type(u64),
    /// A hash has a length other than 0 or 32.
    #[error("a hash of {0} bytes in sign bytes")]
    HashLength(usize),
    /// Height or round out of range.
    #[error(transparent)]
    Hrs(#[from] HrsError),
    /// Timestamp out of range.
    #[error(transparent)]
    Timestamp(#[from] TimestampError),
    /// Chain id out of range.
    #[error(transparent)]
    ChainId(#[from] ChainIdError),
}

/// The bytes that a signature over these fields covers, length prefix included.
#[must_use]
pub fn sign_bytes(chain: &ChainId, fields: &Fields) -> Vec<u8> {
    let mut body = Vec::with_capacity(192);
    match fields {
        Fields::Vote(vote) => {
            let kind = match vote.kind {
                VoteKind::Prevote => TYPE_PREVOTE,
                VoteKind::Precommit => TYPE_PRECOMMIT,
            };
            put_varint(&mut body, 1, kind);
            put_sfixed64(&mut body, 2, vote.height.get());
            put_sfixed64(&mut body, 3, i64::from(vote.round.get()));
            put_block_id(&mut body, 4, fields);
            put_message(&mut body, 5, &timestamp(vote.timestamp));
            put_bytes(&mut body, 6, chain.as_str().as_bytes());
        }
        Fields::Proposal(proposal) => {
            put_varint(&mut body, 1, TYPE_PROPOSAL);
            put_sfixed64(&mut body, 2, proposal.height.get());
            put_sfixed64(&mut body, 3, i64::from(proposal.round.get()));
            put_int(&mut body, 4, proposal.pol_round);
            put_block_id(&mut body, 5, fields);
            put_message(&mut body, 6, &timestamp(proposal.timestamp));
            put_bytes(&mut body, 7, chain.as_str().as_bytes());
        }
    }
    delimited(&body)
}

/// The bytes that a vote extension's signature covers, length prefix included
/// (`types/canonical.go`, `CanonicalizeVoteExtension`).
#[must_use]
pub fn extension_sign_bytes(
    chain: &ChainId,
    height: Height,
    round: Round,
    extension: &[u8],
) -> Vec<u8> {
    // One allocation and one copy: it may be a megabyte.
    let length = extension_body_len(chain, height, round, extension.len());
    let mut bytes = Vec::with_capacity(length.saturating_add(10));
    encode_varint(length as u64, &mut bytes);
    put_bytes(&mut bytes, 1, extension);
    put_sfixed64(&mut bytes, 2, height.get());
    put_sfixed64(&mut bytes, 3, i64::from(round.get()));
    put_bytes(&mut bytes, 4, chain.as_str().as_bytes());
    bytes
}

/// Length of [`extension_sign_bytes`] for an extension of so many bytes.
#[must_use]
pub fn extension_sign_bytes_len(
    chain: &ChainId,
    height: Height,
    round: Round,
    extension: usize,
) -> usize {
    let body = extension_body_len(chain, height, round, extension);
    body.saturating_add(encoded_len_varint(body as u64))
}

fn extension_body_len(chain: &ChainId, height: Height, round: Round, extension: usize) -> usize {
    let bytes = |length: usize| match length {
        0 => 0,
        _ => length.saturating_add(1 + encoded_len_varint(length as u64)),
    };
    let fixed = |is_zero: bool| if is_zero { 0 } else { 9 };
    bytes(extension)
        .saturating_add(fixed(height.get() == 0))
        .saturating_add(fixed(round.get() == 0))
        .saturating_add(bytes(chain.as_str().len()))
}

/// Left out for nil (`types/canonical.go`, `CanonicalizeBlockID`).
fn put_block_id(out: &mut Vec<u8>, number: u64, fields: &Fields) {
    if let Some(present) = fields.block_id() {
        put_message(out, number, &block_id(Some(present)));
    }
}

/// Reads canonical sign bytes back. Only bytes that [`sign_bytes`] would write are accepted.
///
/// # Errors
/// [`CanonicalError`] says what is wrong with them.
pub fn parse_sign_bytes(bytes: &[u8]) -> Result<(ChainId, Fields), CanonicalError> {
    let mut body = bytes;
    let length = decode_varint(&mut body).map_err(|_| CanonicalError::Malformed)?;
    if length != body.len() as u64 {
        return Err(CanonicalError::Malformed);
    }
    let (chain, fields) = Parsed::read(body)?.into_fields()?;
    if sign_bytes(&chain, &fields) != bytes {
        return Err(CanonicalError::NotCanonical);
    }
    Ok((chain, fields))
}

/// Field values of either canonical message, before they are known to be of one kind.
#[derive(Default)]
struct Parsed {
    kind: u64,
    height: i64,
    round: i64,
    pol_round: i64,
    block_id: Option<BlockId>,
    timestamp: Option<(i64, i64)>,
    chain: String,
}

impl Parsed {
    /// Field numbers 4 to 7 differ between votes and proposals, so the type, field 1, comes first.
    fn read(body: &[u8]) -> Result<Self, CanonicalError> {
        let mut parsed = Self::default();
        for field in Reader(body) {
            let (number, value) = field?;
            let shift = if parsed.kind == TYPE_PROPOSAL { 1 } else { 0 };
            match (number, value) {
                (1, Value::Varint(kind)) => parsed.kind = kind,
                (2, Value::Fixed64(height)) => parsed.height = height,
                (3, Value::Fixed64(round)) => parsed.round = round,
                (4, Value::Varint(pol)) if shift == 1 => parsed.pol_round = pol.cast_signed(),
                (n, Value::Bytes(block)) if n == 4 + shift => {
                    parsed.block_id = Some(read_block_id(block)?);
                }
                (n, Value::Bytes(time)) if n == 5 + shift => {
                    parsed.timestamp = Some(read_timestamp(time)?);
                }
                (n, Value::Bytes(chain)) if n == 6 + shift => {
                    parsed.chain =
                        String::from_utf8(chain.to_vec()).map_err(|_| CanonicalError::Malformed)?;
                }
                _ => return Err(CanonicalError::Malformed),
            }
        }
        Ok(parsed)
    }

    fn into_fields(self) -> Result<(ChainId, Fields), CanonicalError> {
        let height = Height::new(self.height)?;
        let round = i32::try_from(self.round).map_err(|_| CanonicalError::Malformed)?;
        let round = Round::new(round)?;
        let (seconds, nanos) = self.timestamp.ok_or(CanonicalError::Malformed)?;
        let nanos = i32::try_from(nanos).map_err(|_| CanonicalError::Malformed)?;
        let timestamp = Timestamp::new(seconds, nanos)?;
        let block_id = self.block_id;
        let vote = |kind| {
            Fields::Vote(Vote { kind, height, round, block_id: block_id.clone(), timestamp })
        };
        let fields = match self.kind {
            TYPE_PREVOTE => vote(VoteKind::Prevote),
            TYPE_PRECOMMIT => vote(VoteKind::Precommit),
            TYPE_PROPOSAL => {
                let pol_round =
                    i32::try_from(self.pol_round).map_err(|_| CanonicalError::Malformed)?;
                Fields::Proposal(Proposal { height, round, pol_round, block_id, timestamp })
            }
            other => return Err(CanonicalError::Type(other)),
        };
        Ok((ChainId::new(self.chain)?, fields))
    }
}

fn read_block_id(body: &[u8]) -> Result<BlockId, CanonicalError> {
    let mut block_id = BlockId { hash: None, parts_total: 0, parts_hash: None };
    for field in Reader(body) {
        match field? {
            (1, Value::Bytes(bytes)) => block_id.hash = Some(hash(bytes)?),
            (2, Value::Bytes(parts)) => {
                for field in Reader(parts) {
                    match field? {
                        (1, Value::Varint(total)) => {
                            block_id.parts_total =
                                u32::try_from(total).map_err(|_| CanonicalError::Malformed)?;
                        }
                        (2, Value::Bytes(bytes)) => block_id.parts_hash = Some(hash(bytes)?),
                        _ => return Err(CanonicalError::Malformed),
                    }
                }
            }
            _ => return Err(CanonicalError::Malformed),
        }
    }
    Ok(block_id)
}

fn read_timestamp(body: &[u8]) -> Result<(i64, i64), CanonicalError> {
    let (mut seconds, mut nanos) = (0, 0);
    for field in Reader(body) {
        match field? {
            (1, Value::Varint(value)) => seconds = value.cast_signed(),
            (2, Value::Varint(value)) => nanos = value.cast_signed(),
            _ => return Err(CanonicalError::Malformed),
        }
    }
    Ok((seconds, nanos))
}

fn hash(bytes: &[u8]) -> Result<Hash, CanonicalError> {
    bytes.try_into().map_err(|_| CanonicalError::HashLength(bytes.len()))
}

/// A field's value in one of the three wire types that canonical messages use.
enum Value<'a> {
    Varint(u64),
    Fixed64(i64),
    Bytes(&'a [u8]),
}

/// Walks the fields of a message; ends after the first fault.
struct Reader<'a>(&'a [u8]);

impl<'a> Iterator for Reader<'a> {
    type Item = Result<(u64, Value<'a>), CanonicalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field().ok_or(CanonicalError::Malformed);
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Reader<'a> {
    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let key = decode_varint(&mut self.0).ok()?;
        let value = match key & 7 {
            0 => Value::Varint(decode_varint(&mut self.0).ok()?),
            1 => {
                let (bytes, rest) = self.0.split_first_chunk::<8>()?;
                self.0 = rest;
                Value::Fixed64(i64::from_le_bytes(*bytes))
            }
            2 => {
                let length = usize::try_from(decode_varint(&mut self.0).ok()?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Value::Bytes(bytes)
            }
            _ => return None,
        };
        Some((key >> 3, value))
    }
}

#[cfg(test)]
mod tests;

//! From a validator's message to checked fields. No byte of a request reaches a key unchecked.

use prost::Message as _;

use super::dialect::Dialect;
use super::extension::{Extension, MAX_EXTENSION_BYTES};
use super::fields::{BlockId, Fields, Hash, Proposal, Vote, VoteKind};
use super::proto::{self, message::Sum};
use super::raw::{RawAllowed, RawMessage, RawRefused};
use super::reply::{Echo, Reply, ReplyKind};
use crate::types::{ChainId, ChainIdError, Height, HrsError, Round, Timestamp, TimestampError};

/// What a validator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The consensus public key. Asked at start and once per height.
    PublicKey {
        /// The chain, as sent; of a permitted form, perhaps not one of ours.
        chain: String,
    },
    /// A signature over a vote or proposal.
    Sign {
        /// The chain, as sent; of a permitted form, perhaps not one of ours.
        chain: String,
        /// What is to be signed.
        request: SignRequest,
        /// Makes the reply.
        echo: Box<Echo>,
    },
    /// "Are you there", every 3.3 s of silence.
    Ping,
    /// A signature over raw bytes (`SignBytes` of v1 and v2, Celestia's `SignRawBytes`), which could
    /// be those of a conflicting vote: [`super::RawAllowed`] says whether they may be signed.
    Raw {
        /// The chain, as sent by Celestia; of a permitted form, perhaps not one of ours. v1 and v2 name
        /// none.
        chain: Option<String>,
        /// What is to be signed.
        message: RawMessage,
    },
    /// Nothing that we know. CometBFT's own signer answers with [`Reply::Empty`].
    Unknown,
}

/// What is to be signed: one signature over the fields, perhaps those of an extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignRequest {
    /// The checked vote or proposal.
    pub fields: Fields,
    /// `Some`, perhaps empty, exactly for a precommit for a block whose validator did not ask to skip
    /// it. Right for every release: those without extensions do not look at the extra signature.
    pub extension: Option<Extension>,
}

/// Why a message is not a request that can be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It does not decode. Its sender is not a validator, or the stream is out of step: close it.
    #[error("a message that is not of CometBFT's privval protocol: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// It decodes, and what it says cannot be signed.
    #[error("{kind} request refused: {reason}")]
    Invalid {
        /// How to answer.
        kind: ReplyKind,
        /// What is wrong.
        reason: InvalidRequest,
    },
}

/// What is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    /// Not of the form that CometBFT allows in a genesis file.
    #[error(transparent)]
    ChainId(#[from] ChainIdError),
    /// A vote request without a vote.
    #[error("the request holds no vote")]
    MissingVote,
    /// A proposal request without a proposal.
    #[error("the request holds no proposal")]
    MissingProposal,
    /// Only votes are signed as votes.
    #[error("vote type {0} is neither 1 (prevote) nor 2 (precommit)")]
    VoteType(i32),
    /// Only proposals are signed as proposals.
    #[error("proposal type {0} is not 32")]
    ProposalType(i32),
    /// Height or round is negative.
    #[error(transparent)]
    Hrs(#[from] HrsError),
    /// A time that Go cannot hold.
    #[error(transparent)]
    Timestamp(#[from] TimestampError),
    /// Less than −1, which stands for none.
    #[error("proof-of-lock round {0} is less than -1")]
    PolRound(i32),
    /// CometBFT panics on hashes of other lengths.
    #[error("a {what} of {found} bytes, where 0 or {expected} are allowed")]
    Length {
        /// Which field.
        what: &'static str,
        /// Its length when present, in bytes.
        expected: usize,
        /// Length found, in bytes.
        found: usize,
    },
    /// In the words of CometBFT's `privval/file.go`.
    #[error("unexpected vote extension - extensions are only allowed in non-nil precommits")]
    UnexpectedExtension,
    /// A protobuf `string` that is none.
    #[error("{0} is not UTF-8")]
    NotText(&'static str),
    /// CometBFT v2 signs these as they are, so that they could be a vote of this or another chain.
    #[error(
        "vote extensions without replay protection (CometBFT v2) are not signed; \
         use an application that does not return any, or set privval_version = \"v2\" and \
         non_rp_extensions = true for this chain"
    )]
    NonRpExtension,
    /// The chain signs extensions without replay protection, and not these bytes.
    #[error("a vote extension without replay protection: {0}")]
    RawRefused(#[from] RawRefused),
    /// CometBFT gossips no longer ones.
    #[error("a vote extension of {found} bytes, at most {MAX_EXTENSION_BYTES} are signed")]
    ExtensionTooLong {
        /// Its length in bytes.
        found: usize,
    },
}

impl RequestError {
    /// The answer that keeps the connection, or `None`: close it.
    #[must_use]
    pub fn reply(&self) -> Option<Reply> {
        match self {
            Self::Malformed(_) => None,
            Self::Invalid { kind, reason } => Some(Reply::error(*kind, reason)),
        }
    }
}

/// Reads one message body (without its length prefix) of any CometBFT release, for a chain that signs
/// nothing raw.
///
/// # Errors
/// [`RequestError`]; it knows its own reply.
pub fn parse(body: &[u8]) -> Result<Request, RequestError> {
    parse_for(body, &Dialect::default())
}

/// Reads one message body (without its length prefix) as the validators of a chain speak.
///
/// # Errors
/// [`RequestError`]; it knows its own reply.
pub fn parse_for(body: &[u8], dialect: &Dialect) -> Result<Request, RequestError> {
    let (kind, result) = match proto::Message::decode(body)?.sum {
        Some(Sum::PubKeyRequest(request)) => (ReplyKind::PublicKey, public_key(request)),
        Some(Sum::SignVoteRequest(request)) => (ReplyKind::Vote, vote(request, dialect)),
        Some(Sum::SignProposalRequest(request)) => (ReplyKind::Proposal, proposal(request)),
        Some(Sum::PingRequest(_)) => return Ok(Request::Ping),
        Some(Sum::SignBytesRequest(request)) => (ReplyKind::Bytes, raw(request)),
        Some(
            Sum::PubKeyResponse(_)
            | Sum::SignedVoteResponse(_)
            | Sum::SignedProposalResponse(_)
            | Sum::PingResponse(_)
            | Sum::SignBytesResponse(_),
        )
        | None => return Ok(Request::Unknown),
    };
    result.map_err(|reason| RequestError::Invalid { kind, reason })
}

fn public_key(request: proto::PubKeyRequest) -> Result<Request, InvalidRequest> {
    Ok(Request::PublicKey { chain: chain(request.chain_id)? })
}

fn vote(request: proto::SignVoteRequest, dialect: &Dialect) -> Result<Request, InvalidRequest> {
    let chain = chain(request.chain_id)?;
    let vote = request.vote.ok_or(InvalidRequest::MissingVote)?;
    let kind = match vote.r#type {
        1 => VoteKind::Prevote,
        2 => VoteKind::Precommit,
        other => return Err(InvalidRequest::VoteType(other)),
    };
    let fields = Fields::Vote(Vote {
        kind,
        height: Height::new(vote.height)?,
        round: Round::new(vote.round)?,
        block_id: block_id(vote.block_id)?,
        timestamp: timestamp(vote.timestamp)?,
    });
    let address = optional("validator address", &vote.validator_address)?;
    let (index, skip) = (vote.validator_index, request.skip_extension_signing);
    let extension = extension(&fields, vote.extension, vote.non_rp_extension, skip, dialect)?;
    let request = SignRequest { fields, extension };
    let echo = Box::new(Echo::new(&request, address, index));
    Ok(Request::Sign { chain, request, echo })
}

/// The extension to sign. Where a chain signs those without replay protection, every extension has one,
/// perhaps empty: v2 stops for good if either signature is missing.
fn extension(
    fields: &Fields,
    bytes: Vec<u8>,
    non_rp: Vec<u8>,
    skip: bool,
    dialect: &Dialect,
) -> Result<Option<Extension>, InvalidRequest> {
    if !dialect.non_rp_extensions && !non_rp.is_empty() {
        return Err(InvalidRequest::NonRpExtension);
    }
    if !fields.may_carry_extension() {
        let empty = bytes.is_empty() && non_rp.is_empty();
        return if empty { Ok(None) } else { Err(InvalidRequest::UnexpectedExtension) };
    }
    let longest = bytes.len().max(non_rp.len());
    if longest > MAX_EXTENSION_BYTES {
        return Err(InvalidRequest::ExtensionTooLong { found: longest });
    }
    if skip {
        return Ok(None);
    }
    let extension = Extension::new(bytes);
    if !dialect.non_rp_extensions {
        return Ok(Some(extension));
    }
    let extension = extension.with_non_rp(non_rp);
    // Early and in the words of the reason; each cosigner looks at it again before it signs.
    if let Some(non_rp) = extension.non_rp() {
        RawAllowed::non_rp_extension(dialect, non_rp)?;
    }
    Ok(Some(extension))
}

fn proposal(request: proto::SignProposalRequest) -> Result<Request, InvalidRequest> {
    let chain = chain(request.chain_id)?;
    let proposal = request.proposal.ok_or(InvalidRequest::MissingProposal)?;
    if proposal.r#type != 32 {
        return Err(InvalidRequest::ProposalType(proposal.r#type));
    }
    if proposal.pol_round < -1 {
        return Err(InvalidRequest::PolRound(proposal.pol_round));
    }
    let fields = Fields::Proposal(Proposal {
        height: Height::new(proposal.height)?,
        round: Round::new(proposal.round)?,
        pol_round: proposal.pol_round,
        block_id: block_id(proposal.block_id)?,
        timestamp: timestamp(proposal.timestamp)?,
    });
    let request = SignRequest { fields, extension: None };
    let echo = Box::new(Echo::new(&request, None, 0));
    Ok(Request::Sign { chain, request, echo })
}

/// Two messages share one number. Field 1 alone is v1's, which has no others; Celestia never leaves
/// out bytes and id. Whether the chain wants that form is not asked here.
fn raw(request: proto::SignBytesRequest) -> Result<Request, InvalidRequest> {
    let proto::SignBytesRequest { value, raw_bytes, unique_id } = request;
    if raw_bytes.is_empty() && unique_id.is_empty() {
        return Ok(Request::Raw { chain: None, message: RawMessage::Plain(value) });
    }
    let text = |what, bytes| String::from_utf8(bytes).map_err(|_| InvalidRequest::NotText(what));
    let chain = Some(chain(text("the chain id", value)?)?);
    let unique_id = text("the unique id", unique_id)?;
    Ok(Request::Raw { chain, message: RawMessage::Celestia { raw_bytes, unique_id } })
}

fn chain(id: String) -> Result<String, InvalidRequest> {
    Ok(ChainId::new(id)?.as_str().to_owned())
}

fn block_id(block_id: Option<proto::BlockId>) -> Result<Option<BlockId>, InvalidRequest> {
    let block_id = block_id.unwrap_or_default();
    let parts = block_id.part_set_header.unwrap_or_default();
    let hash: Option<Hash> = optional("block hash", &block_id.hash)?;
    let parts_hash: Option<Hash> = optional("part-set hash", &parts.hash)?;
    Ok(BlockId::new(hash, parts.total, parts_hash))
}

/// An absent submessage is Go's zero time, year 1; an empty one is the epoch.
fn timestamp(timestamp: Option<proto::Timestamp>) -> Result<Timestamp, InvalidRequest> {
    match timestamp {
        None => Ok(Timestamp::GO_ZERO),
        Some(time) => Ok(Timestamp::new(time.seconds, time.nanos)?),
    }
}

/// Bytes that are either absent or of one length.
fn optional<const N: usize>(
    what: &'static str,
    bytes: &[u8],
) -> Result<Option<[u8; N]>, InvalidRequest> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let wrong_length = InvalidRequest::Length { what, expected: N, found: bytes.len() };
    bytes.try_into().map(Some).map_err(|_| wrong_length)
}

#[cfg(test)]
mod tests;

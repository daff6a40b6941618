//! Replies to a validator, byte for byte as gogoproto writes them.
//!
//! Nodes up to v0.39, v1 and v2 refuse replies above 10 240 bytes and lose step when one comes, so a
//! reply never holds the extension, and descriptions are cut.

use std::fmt;

use super::dialect::Version;
use super::extension::{Extension, ExtensionSignature};
use super::fields::{Fields, VoteKind};
use super::request::SignRequest;
use super::wire::{
    block_id, delimited, put_bytes, put_int, put_message, put_varint, timestamp as timestamp_body,
};
use crate::types::{Algorithm, PublicKey, Signature, Timestamp};

/// Longest error description that is sent, in bytes.
const MAX_DESCRIPTION_BYTES: usize = 2048;

const PUB_KEY_RESPONSE: u64 = 2;
const SIGNED_VOTE_RESPONSE: u64 = 4;
const SIGNED_PROPOSAL_RESPONSE: u64 = 6;
const PING_RESPONSE: u64 = 8;
const SIGN_BYTES_RESPONSE: u64 = 10;

/// An answer to a validator's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The consensus public key.
    PublicKey {
        /// The key.
        key: PublicKey,
        /// Who asks: not all releases write all keys alike.
        version: Version,
    },
    /// The vote or proposal, signed.
    Signed(Box<SignedReply>),
    /// A signature over raw bytes.
    SignedBytes(Signature),
    /// "I am here".
    Ping,
    /// The zero-length message: CometBFT asks again after 100 ms.
    Empty,
    /// A permanent refusal (`RemoteSignerError`): CometBFT does not ask again, the vote is lost.
    Error {
        /// Kind of the request that this answers.
        kind: ReplyKind,
        /// For the validator's log; cut at 2 KiB.
        description: String,
    },
}

/// The kinds of request that can be answered with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyKind {
    /// `PubKeyRequest`
    PublicKey,
    /// `SignVoteRequest`
    Vote,
    /// `SignProposalRequest`
    Proposal,
    /// `SignBytesRequest`, `SignRawBytesRequest`
    Bytes,
}

/// What a signed reply repeats of its request. Made by [`super::parse`] only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Echo {
    fields: Fields,
    validator_address: Option<[u8; 20]>,
    validator_index: i32,
    extension_asked: bool,
    non_rp_asked: bool,
}

/// A signed vote or proposal. Made by [`Echo::signed`] only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedReply {
    echo: Echo,
    signature: Signature,
    extension_signature: Option<ExtensionSignature>,
}

/// A reply that would make the validator panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// CometBFT stops for good if this is missing where extensions are enabled.
    #[error("the extension's signature is missing")]
    ExtensionSignatureMissing,
    /// CometBFT stops for good on an extension signature on a prevote or nil precommit.
    #[error("an extension's signature where none was asked for")]
    ExtensionSignatureUnasked,
    /// CometBFT v2 stops for good if either signature of an extension is missing.
    #[error("the signature of the extension without replay protection is missing")]
    NonRpSignatureMissing,
    /// Nobody asked for a signature over raw bytes.
    #[error("a signature of an extension without replay protection where none was asked for")]
    NonRpSignatureUnasked,
}

impl Echo {
    pub(super) fn new(
        request: &SignRequest,
        validator_address: Option<[u8; 20]>,
        validator_index: i32,
    ) -> Self {
        Self {
            fields: request.fields.clone(),
            validator_address,
            validator_index,
            extension_asked: request.extension.is_some(),
            non_rp_asked: request.extension.as_ref().and_then(Extension::non_rp).is_some(),
        }
    }

    /// Kind of the request, for error replies.
    #[must_use]
    pub const fn kind(&self) -> ReplyKind {
        match self.fields {
            Fields::Vote(_) => ReplyKind::Vote,
            Fields::Proposal(_) => ReplyKind::Proposal,
        }
    }

    /// The signed reply. `timestamp` is the one that the signature covers: the request's or, for a
    /// repeated vote, the first one's.
    ///
    /// # Errors
    /// [`ReplyError`] unless exactly the asked-for signatures of an extension are there.
    pub fn signed(
        mut self,
        signature: Signature,
        timestamp: Timestamp,
        extension_signature: Option<ExtensionSignature>,
    ) -> Result<Reply, ReplyError> {
        match (self.extension_asked, &extension_signature) {
            (true, None) => return Err(ReplyError::ExtensionSignatureMissing),
            (false, Some(_)) => return Err(ReplyError::ExtensionSignatureUnasked),
            (true, Some(_)) | (false, None) => {}
        }
        let non_rp = extension_signature.as_ref().is_some_and(|both| both.non_rp.is_some());
        match (self.non_rp_asked, non_rp) {
            (true, false) => return Err(ReplyError::NonRpSignatureMissing),
            (false, true) => return Err(ReplyError::NonRpSignatureUnasked),
            (true, true) | (false, false) => {}
        }
        self.fields = self.fields.with_timestamp(timestamp);
        Ok(Reply::Signed(Box::new(SignedReply { echo: self, signature, extension_signature })))
    }
}

impl ReplyKind {
    /// CometBFT's answer to a request for a chain that this signer does not serve.
    #[must_use]
    pub const fn wrong_chain(self) -> &'static str {
        match self {
            Self::PublicKey => "unable to provide pubkey",
            Self::Vote => "unable to sign vote",
            Self::Proposal => "unable to sign proposal",
            Self::Bytes => "unable to sign bytes",
        }
    }

    /// What CometBFT puts before the reason.
    const fn refusal(self) -> &'static str {
        match self {
            Self::PublicKey => "unable to provide pubkey",
            Self::Vote => "error signing vote",
            Self::Proposal => "error signing proposal",
            Self::Bytes => "error signing bytes",
        }
    }
}

impl fmt::Display for ReplyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PublicKey => "public key",
            Self::Vote => "vote",
            Self::Proposal => "proposal",
            Self::Bytes => "raw bytes",
        })
    }
}

impl Reply {
    /// A refusal for a reason, in CometBFT's form: `error signing vote: conflicting data`.
    #[must_use]
    pub fn error(kind: ReplyKind, reason: impl fmt::Display) -> Self {
        Self::Error { kind, description: format!("{}: {reason}", kind.refusal()) }
    }

    /// The refusal of a chain that is not served here.
    #[must_use]
    pub fn wrong_chain(kind: ReplyKind) -> Self {
        Self::Error { kind, description: kind.wrong_chain().to_owned() }
    }

    /// The message with its length prefix, ready to be written.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut message = Vec::with_capacity(512);
        match self {
            Self::PublicKey { key, version } => {
                put_message(&mut message, PUB_KEY_RESPONSE, &public_key(key, *version));
            }
            Self::Signed(signed) => {
                let mut response = Vec::with_capacity(384);
                put_message(&mut response, 1, &signed.body());
                put_message(&mut message, response_number(signed.echo.kind()), &response);
            }
            Self::SignedBytes(signature) => {
                let mut response = Vec::with_capacity(80);
                put_bytes(&mut response, 1, signature.as_bytes());
                put_message(&mut message, SIGN_BYTES_RESPONSE, &response);
            }
            Self::Ping => put_message(&mut message, PING_RESPONSE, &[]),
            Self::Empty => {}
            Self::Error { kind, description } => {
                put_message(&mut message, response_number(*kind), &error(*kind, description));
            }
        }
        delimited(&message)
    }
}

impl SignedReply {
    /// `Vote` or `Proposal` with its signatures. Block id and timestamp are never left out, the
    /// extension always: nodes take only signatures and timestamp from here.
    fn body(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(384);
        match &self.echo.fields {
            Fields::Vote(vote) => {
                let kind = match vote.kind {
                    VoteKind::Prevote => 1,
                    VoteKind::Precommit => 2,
                };
                put_varint(&mut body, 1, kind);
                put_int(&mut body, 2, vote.height.get());
                put_int(&mut body, 3, vote.round.get());
                put_message(&mut body, 4, &block_id(self.echo.fields.block_id()));
                put_message(&mut body, 5, &timestamp_body(vote.timestamp));
                let address = self.echo.validator_address.as_ref();
                put_bytes(&mut body, 6, address.map_or(&[], |address| address.as_slice()));
                put_int(&mut body, 7, self.echo.validator_index);
                put_bytes(&mut body, 8, self.signature.as_bytes());
                if let Some(extension) = &self.extension_signature {
                    put_bytes(&mut body, 10, extension.replay_protected.as_bytes());
                    let non_rp = extension.non_rp.as_ref();
                    put_bytes(&mut body, 12, non_rp.map_or(&[], Signature::as_bytes));
                }
            }
            Fields::Proposal(proposal) => {
                put_varint(&mut body, 1, 32);
                put_int(&mut body, 2, proposal.height.get());
                put_int(&mut body, 3, proposal.round.get());
                put_int(&mut body, 4, proposal.pol_round);
                put_message(&mut body, 5, &block_id(self.echo.fields.block_id()));
                put_message(&mut body, 6, &timestamp_body(proposal.timestamp));
                put_bytes(&mut body, 7, self.signature.as_bytes());
            }
        }
        body
    }
}

const fn response_number(kind: ReplyKind) -> u64 {
    match kind {
        ReplyKind::PublicKey => PUB_KEY_RESPONSE,
        ReplyKind::Vote => SIGNED_VOTE_RESPONSE,
        ReplyKind::Proposal => SIGNED_PROPOSAL_RESPONSE,
        ReplyKind::Bytes => SIGN_BYTES_RESPONSE,
    }
}

/// Readable by every release, for most keys: up to v0.40 they read field 1 and skip the rest, v1 and v2
/// read 3 and 4. Field numbers within field 1 are those of v0.40; v2 has others, and another form of
/// secp256k1eth keys.
fn public_key(key: &PublicKey, version: Version) -> Vec<u8> {
    let (number, bytes) = match (key.algorithm(), version) {
        (Algorithm::Ed25519, _) => (1, key.as_bytes().to_vec()),
        (Algorithm::Secp256k1, _) => (2, key.as_bytes().to_vec()),
        (Algorithm::MlDsa65, _) => (4, key.as_bytes().to_vec()),
        (Algorithm::Secp256k1Eth, Version::V1) => (5, key.as_bytes().to_vec()),
        // Both coordinates. A key that is no point has signed nothing, and gets no further than here.
        (Algorithm::Secp256k1Eth, Version::V2) => {
            (4, key.uncompressed().map_or_else(Vec::new, |point| point.to_vec()))
        }
    };
    let mut old = Vec::with_capacity(bytes.len().saturating_add(8));
    put_bytes(&mut old, number, &bytes);
    let mut response = Vec::with_capacity(bytes.len().saturating_mul(2).saturating_add(32));
    put_message(&mut response, 1, &old);
    put_bytes(&mut response, 3, &bytes);
    put_bytes(&mut response, 4, key.algorithm().name().as_bytes());
    response
}

/// The response of a kind with nothing but an error in it. What Go declares non-nullable is there.
fn error(kind: ReplyKind, description: &str) -> Vec<u8> {
    let mut error = Vec::with_capacity(description.len().saturating_add(8));
    put_bytes(&mut error, 2, cut(description).as_bytes());
    let mut empty = Vec::with_capacity(32);
    let block_id_number = match kind {
        ReplyKind::Vote => Some(4),
        ReplyKind::Proposal => Some(5),
        ReplyKind::PublicKey | ReplyKind::Bytes => None,
    };
    if let Some(number) = block_id_number {
        put_message(&mut empty, number, &block_id(None));
        put_message(&mut empty, number + 1, &timestamp_body(Timestamp::GO_ZERO));
    }
    let mut response = Vec::with_capacity(error.len().saturating_add(40));
    if kind != ReplyKind::Bytes {
        put_message(&mut response, 1, &empty);
    }
    put_message(&mut response, 2, &error);
    response
}

/// The longest beginning within the limit that ends between characters.
fn cut(description: &str) -> &str {
    let end = description.floor_char_boundary(MAX_DESCRIPTION_BYTES);
    description.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests;

//! What the node asks for, and whether what comes back is right.

use std::time::{SystemTime, UNIX_EPOCH};

use cosigner::privval::{
    BlockId, Fields, Proposal, Vote, VoteKind, extension_sign_bytes, proto, sign_bytes,
};
use cosigner::types::{Algorithm, ChainId, Height, PublicKey, Round, Timestamp};
use ed25519_dalek::VerifyingKey;
use k256::ecdsa::RecoveryId;
use k256::ecdsa::signature::hazmat::PrehashVerifier as _;
use ml_dsa::{EncodedVerifyingKey, MlDsa65};
use sha2::{Digest as _, Sha256};
use sha3::Keccak256;

use super::proto::message::Sum;
use super::proto::public_key::Sum as PublicKeySum;
use super::{Fault, Outcome};

/// What a node takes from a signed reply; it ignores the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The signature.
    pub signature: Vec<u8>,
    /// The timestamp in the reply. A node takes it for votes and ignores it for proposals.
    pub timestamp: Option<proto::Timestamp>,
    /// Empty if there is none.
    pub extension_signature: Vec<u8>,
    /// Of v2's bytes without replay protection; empty if there is none.
    pub non_rp_signature: Vec<u8>,
}

/// A reply that would hurt the validator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongSignature {
    /// Height, round, chain or key are of no valid form.
    #[error("{0}")]
    Invalid(String),
    /// The signature does not fit what was asked.
    #[error("wrong signature of the {kind} at {height}/{round}")]
    Signature {
        /// Proposal, prevote or precommit.
        kind: String,
        /// Its height.
        height: i64,
        /// Its round.
        round: i32,
    },
    /// The extension's signature does not fit.
    #[error("wrong signature of the vote extension at {height}/{round}")]
    Extension {
        /// Its height.
        height: i64,
        /// Its round.
        round: i32,
    },
    /// A node stops for good at this one.
    #[error("an extension signature is {}", if *asked { "missing" } else { "there, and none was asked for" })]
    Presence {
        /// Whether one was asked for.
        asked: bool,
    },
}

/// This machine's time.
pub fn now() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(elapsed.as_secs()).unwrap_or(0);
    let nanos = i32::try_from(elapsed.subsec_nanos()).unwrap_or(0);
    Timestamp::new(seconds, nanos).unwrap_or(Timestamp::GO_ZERO)
}

/// A block that differs from those of other seeds.
pub fn block(seed: u64) -> Option<BlockId> {
    let mut hash = [0xb1; 32];
    hash[..8].copy_from_slice(&seed.to_be_bytes());
    let mut parts_hash = hash;
    parts_hash.reverse();
    BlockId::new(Some(hash), 1, Some(parts_hash))
}

/// A vote with the present time. Negative numbers become 0.
pub fn vote(kind: VoteKind, height: i64, round: i32, block_id: Option<BlockId>) -> Fields {
    let height = Height::new(height).unwrap_or_default();
    let round = Round::new(round).unwrap_or_default();
    Fields::Vote(Vote { kind, height, round, block_id, timestamp: now() })
}

/// A proposal with the present time and without proof of lock. Negative numbers become 0.
pub fn proposal(height: i64, round: i32, block_id: Option<BlockId>) -> Fields {
    let height = Height::new(height).unwrap_or_default();
    let round = Round::new(round).unwrap_or_default();
    Fields::Proposal(Proposal { height, round, pol_round: -1, block_id, timestamp: now() })
}

/// The request as a node sends it. See [`super::Node::ask`] for `extension`.
pub fn request(chain: &str, fields: &Fields, extension: Option<&[u8]>) -> Sum {
    let block_id = Some(block_id(fields.block_id()));
    let time = fields.timestamp();
    let timestamp = Some(proto::Timestamp { seconds: time.seconds(), nanos: time.nanos() });
    let chain_id = chain.to_owned();
    match fields {
        Fields::Vote(vote) => {
            let vote = proto::Vote {
                r#type: match vote.kind {
                    VoteKind::Prevote => 1,
                    VoteKind::Precommit => 2,
                },
                height: vote.height.get(),
                round: vote.round.get(),
                block_id,
                timestamp,
                validator_address: vec![0xad; 20],
                validator_index: 3,
                extension: extension.unwrap_or_default().to_vec(),
                ..proto::Vote::default()
            };
            let skip_extension_signing = fields.may_carry_extension() && extension.is_none();
            let vote = Some(vote);
            Sum::SignVoteRequest(proto::SignVoteRequest { vote, chain_id, skip_extension_signing })
        }
        Fields::Proposal(proposal) => {
            let proposal = Some(proto::Proposal {
                r#type: 32,
                height: proposal.height.get(),
                round: proposal.round.get(),
                pol_round: proposal.pol_round,
                block_id,
                timestamp,
                ..proto::Proposal::default()
            });
            Sum::SignProposalRequest(proto::SignProposalRequest { proposal, chain_id })
        }
    }
}

fn block_id(block_id: Option<&BlockId>) -> proto::BlockId {
    let Some(id) = block_id else {
        let part_set_header = Some(proto::PartSetHeader::default());
        return proto::BlockId { part_set_header, ..proto::BlockId::default() };
    };
    let bytes = |hash: Option<[u8; 32]>| hash.map_or_else(Vec::new, |hash| hash.to_vec());
    let (total, hash) = (id.parts_total, bytes(id.parts_hash));
    let part_set_header = Some(proto::PartSetHeader { total, hash });
    proto::BlockId { hash: bytes(id.hash), part_set_header }
}

/// The key in a reply.
pub fn public_key(reply: Option<Sum>) -> Result<PublicKey, Fault> {
    let Some(Sum::PubKeyResponse(response)) = reply else {
        return Err(Fault::Unexpected(format!("{reply:?}")));
    };
    let unexpected = || Fault::Unexpected(format!("{response:?}"));
    let algorithm = Algorithm::from_name(&response.pub_key_type).map_err(|_| unexpected())?;
    let old = match (response.pub_key.as_ref().and_then(|key| key.sum.as_ref()), algorithm) {
        (Some(PublicKeySum::Ed25519(bytes)), Algorithm::Ed25519)
        | (Some(PublicKeySum::Secp256k1(bytes)), Algorithm::Secp256k1)
        | (Some(PublicKeySum::Mldsa65(bytes)), Algorithm::MlDsa65)
        | (Some(PublicKeySum::Secp256k1eth(bytes)), Algorithm::Secp256k1Eth) => bytes,
        // v2 has another number for it.
        (Some(PublicKeySum::Mldsa65(bytes)), Algorithm::Secp256k1Eth) if bytes.len() == 65 => bytes,
        _ => return Err(unexpected()),
    };
    if *old != response.pub_key_bytes || response.error.is_some() {
        return Err(unexpected());
    }
    PublicKey::from_encoding(algorithm, old).map_err(|_| unexpected())
}

/// How a request to sign ended; an error means: try again.
pub fn outcome(reply: Option<Sum>) -> Result<Outcome, Fault> {
    let (error, signed) = match reply {
        None => return Err(Fault::Unexpected("of zero length".to_owned())),
        Some(Sum::SignedVoteResponse(response)) => {
            let signed = response.vote.map(|vote| Signed {
                signature: vote.signature,
                timestamp: vote.timestamp,
                extension_signature: vote.extension_signature,
                non_rp_signature: vote.non_rp_extension_signature,
            });
            (response.error, signed)
        }
        Some(Sum::SignedProposalResponse(response)) => {
            let signed = response.proposal.map(|proposal| Signed {
                signature: proposal.signature,
                timestamp: proposal.timestamp,
                extension_signature: Vec::new(),
                non_rp_signature: Vec::new(),
            });
            (response.error, signed)
        }
        Some(other) => return Err(Fault::Unexpected(format!("{other:?}"))),
    };
    match (error, signed) {
        (Some(proto::RemoteSignerError { code, description }), _) => {
            Ok(Outcome::Refused { code, description })
        }
        (None, Some(signed)) => Ok(Outcome::Signed(signed)),
        (None, None) => Err(Fault::Unexpected("with neither signature nor error".to_owned())),
    }
}

/// The same with bytes without replay protection, as v2 sends it.
pub fn request_v2(chain: &str, fields: &Fields, extension: &[u8], non_rp: &[u8]) -> Sum {
    let mut request = request(chain, fields, Some(extension));
    if let Sum::SignVoteRequest(proto::SignVoteRequest { vote: Some(vote), .. }) = &mut request {
        vote.non_rp_extension = non_rp.to_vec();
    }
    request
}

/// As [`verify`], for an extension of v2: both signatures must be there.
pub fn verify_v2(
    chain: &str,
    key: &PublicKey,
    fields: &Fields,
    (extension, non_rp): (&[u8], &[u8]),
    signed: &Signed,
) -> Result<(), WrongSignature> {
    let first = Signed { non_rp_signature: Vec::new(), ..signed.clone() };
    verify(chain, key, fields, Some(extension), &first)?;
    let hrs = fields.hrs();
    let (height, round) = (hrs.height.get(), hrs.round.get());
    match valid(key, non_rp, &signed.non_rp_signature) {
        true => Ok(()),
        false => Err(WrongSignature::Extension { height, round }),
    }
}

/// Checks a reply over the bytes that the node builds from what it asked: a vote with the returned
/// timestamp, a proposal with its own.
pub fn verify(
    chain: &str,
    key: &PublicKey,
    fields: &Fields,
    extension: Option<&[u8]>,
    signed: &Signed,
) -> Result<(), WrongSignature> {
    let invalid = |what: &dyn ToString| WrongSignature::Invalid(what.to_string());
    let chain = ChainId::new(chain).map_err(|error| invalid(&error))?;
    let hrs = fields.hrs();
    let (height, round) = (hrs.height.get(), hrs.round.get());
    let wrong = || WrongSignature::Signature { kind: fields.kind().to_string(), height, round };
    let covered = match (fields, &signed.timestamp) {
        (Fields::Vote(_), Some(time)) => {
            let time = Timestamp::new(time.seconds, time.nanos).map_err(|error| invalid(&error))?;
            fields.with_timestamp(time)
        }
        (Fields::Vote(_), None) => return Err(wrong()),
        (Fields::Proposal(_), _) => fields.clone(),
    };
    if !valid(key, &sign_bytes(&chain, &covered), &signed.signature) {
        return Err(wrong());
    }
    if !signed.non_rp_signature.is_empty() {
        return Err(WrongSignature::Presence { asked: false });
    }
    let extension = extension.filter(|_| fields.may_carry_extension());
    let there = !signed.extension_signature.is_empty();
    match extension {
        None if there => Err(WrongSignature::Presence { asked: false }),
        None => Ok(()),
        Some(_) if !there => Err(WrongSignature::Presence { asked: true }),
        Some(extension) => {
            let bytes = extension_sign_bytes(&chain, hrs.height, hrs.round, extension);
            if valid(key, &bytes, &signed.extension_signature) {
                Ok(())
            } else {
                Err(WrongSignature::Extension { height, round })
            }
        }
    }
}

/// Without the code under test.
fn valid(key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    match key.algorithm() {
        Algorithm::Ed25519 => {
            let key: Option<[u8; 32]> = key.as_bytes().try_into().ok();
            let key = key.and_then(|key| VerifyingKey::from_bytes(&key).ok());
            let signature = ed25519_dalek::Signature::from_slice(signature).ok();
            key.zip(signature)
                .is_some_and(|(key, signature)| key.verify_strict(message, &signature).is_ok())
        }
        Algorithm::Secp256k1 => ecdsa(key, &Sha256::digest(message), signature, None),
        Algorithm::Secp256k1Eth => {
            let digest = Keccak256::digest(message);
            signature.split_last().is_some_and(|(v, pair)| ecdsa(key, &digest, pair, Some(*v)))
        }
        Algorithm::MlDsa65 => {
            let key = EncodedVerifyingKey::<MlDsa65>::try_from(key.as_bytes()).ok();
            let signature = ml_dsa::Signature::<MlDsa65>::try_from(signature).ok();
            key.zip(signature).is_some_and(|(key, signature)| {
                ml_dsa::VerifyingKey::decode(&key).verify_with_context(message, &[], &signature)
            })
        }
    }
}

/// With the lower s, and the v that gives this key.
fn ecdsa(key: &PublicKey, digest: &[u8], pair: &[u8], v: Option<u8>) -> bool {
    let Ok(pair) = k256::ecdsa::Signature::from_slice(pair) else { return false };
    let Ok(key) = k256::ecdsa::VerifyingKey::from_sec1_bytes(key.as_bytes()) else { return false };
    let recovered = v.is_none_or(|v| {
        let v = RecoveryId::from_byte(v).filter(|_| v <= 1);
        let found = v.map(|v| k256::ecdsa::VerifyingKey::recover_from_prehash(digest, &pair, v));
        found.is_some_and(|found| found.is_ok_and(|found| found == key))
    });
    recovered && pair.normalize_s() == pair && key.verify_prehash(digest, &pair).is_ok()
}

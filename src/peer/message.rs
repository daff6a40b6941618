//! What cosigners say to each other, as checked values. The protobuf forms never leave this room.

use std::collections::BTreeMap;

use super::raw::{RawAnswer, RawOrder};
use crate::frost::{RawCommitment, RawShare};
use crate::privval::{Extension, ExtensionSignature, Fields};
use crate::types::{ChainId, Incarnation, KeyId, MemberId, SetupHash, Signature, Timestamp};
use crate::watermark::Denial;

/// Names one attempt of one coordinator at one request. Random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub [u8; 16]);

/// Names a forwarded request towards the member that forwarded it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// The first message in both directions of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Version of this protocol.
    pub protocol: u32,
    /// `CARGO_PKG_VERSION`.
    pub software: String,
    /// Edition of the member list.
    pub serial: u64,
    /// Hash of the member list.
    pub members: SetupHash,
    /// The sender's incarnation. Nothing is recorded from it (I8).
    pub incarnation: Incarnation,
}

/// Everything after the hello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Coordinator to member: sign these fields.
    Order(Order),
    /// Coordinator to member: grant that a whole key signs these fields.
    AskGrant(AskGrant),
    /// Member to coordinator: shares or a grant, or why not.
    Answer(Answer),
    /// Coordinator to member: sign these raw bytes.
    RawOrder(RawOrder),
    /// Member to coordinator: shares over raw bytes, or why not.
    RawAnswer(RawAnswer),
    /// Fresh nonce commitments of the sender, to be used by the receiver's coordinator.
    Commitments(Vec<RawCommitment>),
    /// The receiver's pool of the sender's commitments is short of this many.
    NeedCommitments(u32),
    /// A request of a validator that the sender holds, for the receiver to coordinate.
    Forward(Forward),
    /// The end of a forwarded request.
    Forwarded(Forwarded),
    /// What is your watermark for this key? Asked by a new leader.
    AskWatermark {
        /// The chain.
        chain: ChainId,
        /// The key.
        key: KeyId,
    },
    /// The answer: a hint, never a denial.
    Watermark(Report),
    /// Measures the round trip.
    Ping(u64),
    /// Answers a ping with its number, at once.
    Pong(u64),
}

/// One message about one request to one member: the fields, and every signing set that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The attempt.
    pub session: SessionId,
    /// The chain.
    pub chain: ChainId,
    /// The key.
    pub key: KeyId,
    /// Hash of the members and of this chain's key.
    pub setup: SetupHash,
    /// What is to be signed.
    pub fields: Fields,
    /// Sets over the fields' sign bytes. May be empty where only a fresh extension is wanted.
    pub sets: Vec<SigningSet>,
    /// The extension that travels with a precommit.
    pub extension: Option<Carried>,
    /// Sets over the extension's sign bytes.
    pub extension_sets: Vec<SigningSet>,
    /// Sets over the extension's bytes without replay protection.
    pub non_rp_sets: Vec<SigningSet>,
}

/// An extension on its way to a member. Its bytes travel as often as needed: who has them is sent their
/// name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carried {
    /// The bytes.
    Whole(Extension),
    /// [`Extension::digest`] of bytes that this link has carried before, in either direction.
    Named([u8; 32]),
}

/// One message about one request to one member where the key is whole: grant it to me (I7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskGrant {
    /// The set of grants that is collected. Each attempt at one has its own.
    pub session: SessionId,
    /// The chain.
    pub chain: ChainId,
    /// The key.
    pub key: KeyId,
    /// Hash of the members and of this chain's key.
    pub setup: SetupHash,
    /// What is to be signed.
    pub fields: Fields,
    /// The extension that travels with a precommit.
    pub extension: Option<Carried>,
    /// Everyone who is asked in this session, and which life of its disk (I8).
    pub asked: BTreeMap<MemberId, Incarnation>,
}

/// Who signs together, and with which nonces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningSet {
    /// Number of the set within its session.
    pub id: u32,
    /// Exactly t signers.
    pub signers: BTreeMap<MemberId, Signer>,
}

/// One signer of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signer {
    /// Which life of that member's disk is asked (I8).
    pub incarnation: Incarnation,
    /// Which of its nonces is used.
    pub commitment: RawCommitment,
}

/// A member's answer to one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The attempt.
    pub session: SessionId,
    /// The sets of the order that this answers; none where a grant was asked for.
    pub sets: Vec<u32>,
    /// Shares, or why not.
    pub body: AnswerBody,
}

/// What a member gives, or why it gives nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerBody {
    /// One share for each set, of the vote or proposal and of both kinds of extension.
    Shares {
        /// Shares over the fields' sign bytes.
        shares: Vec<SetShare>,
        /// Shares over the extension's sign bytes.
        extension_shares: Vec<SetShare>,
        /// Shares over the extension's bytes without replay protection.
        non_rp_shares: Vec<SetShare>,
    },
    /// A whole key may be used.
    Grant(Grant),
    /// The rule said no.
    Denied(Denial),
    /// It could not.
    Failed(Failure),
}

/// A member's word that its rule has agreed to these bytes and that its watermark is on disk (I7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Who asked, by the certificate of the link that the order came by.
    pub coordinator: MemberId,
    /// Hash of the key, the sign bytes and the extension.
    pub content: [u8; 32],
    /// The granter's incarnation (I8).
    pub incarnation: Incarnation,
}

/// A share and the set that it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetShare {
    /// Number of the set.
    pub set: u32,
    /// The share.
    pub share: RawShare,
}

/// Why a member could not sign, though the rule did not say no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The order names a nonce that this link does not know: used, foreign, or of an earlier link.
    UnknownNonce,
    /// The order names another incarnation of this member than the present one (I8).
    OtherIncarnation,
    /// The order names an incarnation of another signer below the one recorded here (I8).
    SupersededSigner,
    /// The order is about a chain or key that this member does not hold.
    UnknownKey,
    /// The members disagree about the member list or this key.
    OtherSetup,
    /// The order does not make sense.
    Malformed,
    /// The watermark could not be written.
    State,
    /// Too much is in flight.
    Busy,
    /// The order names an extension whose bytes this link has not carried, or not lately.
    UnknownExtension,
    /// This member's settings or the bytes themselves forbid an extension without replay protection.
    RefusedExtension,
}

/// A validator's request on its way to the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Comes back in the answer.
    pub id: RequestId,
    /// The chain.
    pub chain: ChainId,
    /// What is to be signed.
    pub fields: Fields,
    /// Vote extension to be signed with a precommit.
    pub extension: Option<Extension>,
    /// Milliseconds until nobody waits for the answer any more.
    pub deadline_ms: u32,
    /// The receiver coordinates this even if it does not lead.
    pub deputy: bool,
}

/// The answer to a forwarded request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// Of the request.
    pub id: RequestId,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// `signed`
    Signed(Signed),
    /// `repeated`: the old signature was sent again.
    Repeated(Signed),
    /// `denied`: the double-sign rule spoke.
    Denied(Denial),
    /// `failed`: no leader, no quorum or no time. The validator may ask again.
    Failed(String),
    /// The receiver does not lead; perhaps this one does.
    NotLeader(Option<MemberId>),
    /// `failed` at the receiver alone: its way to the whole key is broken, another member's may work.
    KeyUnavailable(String),
}

/// Signatures, and the timestamp that they cover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Over the fields' sign bytes with this timestamp.
    pub signature: Signature,
    /// The timestamp signed: the request's, or an earlier one of the same vote.
    pub timestamp: Timestamp,
    /// Of the extension, exactly if one was asked for.
    pub extension_signature: Option<ExtensionSignature>,
}

/// One member's watermark for one key, as a hint to a new leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The chain.
    pub chain: ChainId,
    /// The key.
    pub key: KeyId,
    /// What it last agreed to sign, if it knows.
    pub fields: Option<Fields>,
    /// The signature that came of it, if it knows.
    pub signature: Option<Signature>,
    /// Whether it could sign with a whole key now, as far as it knows; true for its share.
    pub key_ready: bool,
}

impl Message {
    /// The bytes of an extension that it brings.
    #[must_use]
    pub const fn extension(&self) -> Option<&Extension> {
        let carried = match self {
            Self::Forward(forward) => return forward.extension.as_ref(),
            Self::Order(order) => order.extension.as_ref(),
            Self::AskGrant(ask) => ask.extension.as_ref(),
            _ => None,
        };
        match carried {
            Some(Carried::Whole(extension)) => Some(extension),
            Some(Carried::Named(_)) | None => None,
        }
    }

    /// Whether it names an extension that was brought before: it must not overtake that.
    #[must_use]
    pub const fn names_extension(&self) -> bool {
        let carried = match self {
            Self::Order(order) => order.extension.as_ref(),
            Self::AskGrant(ask) => ask.extension.as_ref(),
            _ => None,
        };
        matches!(carried, Some(Carried::Named(_)))
    }
}

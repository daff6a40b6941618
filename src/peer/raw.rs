//! What cosigners say to each other about raw bytes, as checked values.

use super::message::{Failure, SessionId, SetShare, SigningSet};
use crate::privval::RawMessage;
use crate::types::{ChainId, KeyId, SetupHash};

/// One message about one request for raw bytes to one member: the request as the validator made it.
/// Each member builds the bytes itself, and decides by its own settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawOrder {
    /// The attempt.
    pub session: SessionId,
    /// The chain.
    pub chain: ChainId,
    /// The key.
    pub key: KeyId,
    /// Hash of the members and of this chain's key.
    pub setup: SetupHash,
    /// What is to be signed.
    pub message: RawMessage,
    /// Who signs together.
    pub sets: Vec<SigningSet>,
}

/// A member's answer to one [`RawOrder`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawAnswer {
    /// The attempt.
    pub session: SessionId,
    /// The sets of the order that this answers.
    pub sets: Vec<u32>,
    /// Shares, or why not.
    pub body: RawAnswerBody,
}

/// What a member gives for raw bytes, or why it gives nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawAnswerBody {
    /// One share for each set.
    Shares(Vec<SetShare>),
    /// It signs no such bytes: its settings, or what they could be, forbid it.
    Refused(String),
    /// It could not.
    Failed(Failure),
}

//! Raw bytes: a path of its own beside votes, with no watermark, no Raft and no leader.
//!
//! The member that holds the validator's connection coordinates. Every member whose share is asked for
//! gets the request as the validator made it, builds the bytes itself, and makes the receipt itself
//! ([`RawAllowed`], by its own settings): what could be a vote is refused by each of them, whatever
//! the coordinator says. A whole key takes the same receipt.
//!
//! [`RawAllowed`]: crate::privval::RawAllowed

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::key::ChainKey;
use crate::frost::{FrostError, NonceCommitment, RawShare, SigningPackage};
use crate::peer::{SessionId, SetShare};
use crate::privval::{RawAllowed, RawMessage};
use crate::types::{ChainId, MemberId, Signature};

/// How a request for raw bytes ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawVerdict {
    /// `signed`
    Signed(Signature),
    /// `refused`: such bytes are not signed, and asking again changes nothing.
    Refused(String),
    /// `failed`, and the validator is to ask again.
    NotNow(String),
}

/// The answer to a request for raw bytes.
#[derive(Debug)]
pub struct RawReply {
    /// Name of the request.
    pub ticket: u64,
    /// What to answer.
    pub verdict: RawVerdict,
    /// For the log line.
    pub account: RawAccount,
}

/// What the log line of a request for raw bytes says. Never the bytes.
#[derive(Clone, Debug)]
pub struct RawAccount {
    /// The chain.
    pub chain: ChainId,
    /// Length of what is signed, in bytes; 0 where that was not built.
    pub length: usize,
    /// SHA-256 of what is signed.
    pub digest: Option<[u8; 32]>,
    /// When the request was received here.
    pub received: Instant,
    /// When the signature was complete.
    pub settled: Option<Instant>,
    /// Whose shares are in it.
    pub signers: Vec<MemberId>,
    /// Signing sets opened.
    pub sets: u32,
    /// Who sent a bad share.
    pub culprits: Vec<MemberId>,
}

/// A request as the coordinator received it.
pub(super) struct RawAsk {
    pub(super) ticket: u64,
    pub(super) chain: ChainId,
    pub(super) message: RawMessage,
    pub(super) received: Instant,
    pub(super) deadline: Instant,
}

/// All requests that are being signed, and what was last said about members.
#[derive(Default)]
pub(super) struct RawDesk {
    pub(super) attempts: Vec<RawAttempt>,
    pub(super) told: BTreeMap<MemberId, String>,
}

/// One request being signed.
pub(super) struct RawAttempt {
    pub(super) session: SessionId,
    pub(super) ticket: u64,
    pub(super) key: Arc<ChainKey>,
    pub(super) message: RawMessage,
    /// What the signature has to verify over (I5).
    pub(super) bytes: Vec<u8>,
    pub(super) deadline: Instant,
    pub(super) sets: Vec<RawSet>,
    /// Members that cannot help any more.
    pub(super) excluded: BTreeSet<MemberId>,
    /// Members that sign no such bytes, and why.
    pub(super) refusals: BTreeMap<MemberId, String>,
    pub(super) hedge_at: Option<Instant>,
    pub(super) account: RawAccount,
}

/// A signing set that waits for shares.
pub(super) struct RawSet {
    pub(super) id: u32,
    pub(super) commitments: BTreeMap<MemberId, NonceCommitment>,
    pub(super) shares: BTreeMap<MemberId, RawShare>,
    /// A member refused, failed or cheated: this set cannot complete.
    pub(super) dead: bool,
}

/// What came of a share.
pub(super) enum Offered {
    /// More are needed, or it was not asked for.
    Nothing,
    /// The signature, verified.
    Complete([u8; 64]),
    /// The set is lost, and these members' shares are why.
    Bad(BTreeSet<MemberId>),
}

impl RawVerdict {
    /// The word of logs and status.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Signed(_) => "signed",
            Self::Refused(_) => "refused",
            Self::NotNow(_) => "failed",
        }
    }
}

impl RawAccount {
    pub(super) fn of(ask: &RawAsk, allowed: Option<&RawAllowed>) -> Self {
        use sha2::{Digest as _, Sha256};
        let bytes = allowed.map(RawAllowed::as_bytes);
        Self {
            chain: ask.chain.clone(),
            length: bytes.map_or(0, <[u8]>::len),
            digest: bytes.map(|bytes| Sha256::digest(bytes).into()),
            received: ask.received,
            settled: None,
            signers: Vec::new(),
            sets: 0,
            culprits: Vec::new(),
        }
    }
}

impl RawAttempt {
    pub(super) fn has_live_set(&self) -> bool {
        self.sets.iter().any(|set| !set.dead)
    }

    /// Members of live sets that have not answered.
    pub(super) fn late(&self) -> BTreeSet<MemberId> {
        let live = self.sets.iter().filter(|set| !set.dead);
        let waiting = live.flat_map(|set| {
            set.commitments.keys().filter(|member| !set.shares.contains_key(member))
        });
        waiting.copied().collect()
    }

    /// Whether the member was asked, and for one of these sets (any, where none is named). Those of
    /// them cannot complete any more.
    pub(super) fn lose(&mut self, member: MemberId, sets: &[u32]) -> bool {
        let mut was_asked = false;
        for set in &mut self.sets {
            let named = sets.is_empty() || sets.contains(&set.id);
            if named && set.commitments.contains_key(&member) {
                set.dead = true;
                was_asked = true;
            }
        }
        was_asked
    }

    /// Takes one share of a live set. I5: `frost` gives the aggregate out only after it verified over
    /// the bytes built here.
    pub(super) fn offer(&mut self, member: MemberId, share: SetShare) -> Offered {
        let live = self.sets.iter_mut().find(|set| !set.dead && set.id == share.set);
        let Some(set) = live.filter(|set| set.commitments.contains_key(&member)) else {
            return Offered::Nothing;
        };
        set.shares.entry(member).or_insert(share.share);
        if set.shares.len() < set.commitments.len() {
            return Offered::Nothing;
        }
        match set.aggregate(&self.key, &self.bytes) {
            Ok(signature) => {
                self.account.signers = set.commitments.keys().copied().collect();
                Offered::Complete(signature)
            }
            Err(why) => {
                set.dead = true;
                Offered::Bad(why.culprits().clone())
            }
        }
    }
}

impl RawSet {
    fn aggregate(&self, key: &ChainKey, bytes: &[u8]) -> Result<[u8; 64], FrostError> {
        let split = key.split.as_ref().ok_or(FrostError::NoSigners)?;
        let package = SigningPackage::new(&split.verifying_key, &self.commitments, bytes)?;
        package.aggregate(&self.shares, &split.verifying_shares)
    }
}

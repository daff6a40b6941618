//! One attempt at one request: the signing sets that are open and what has come back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::coordinator::{Content, Origin};
use super::key::ChainKey;
use super::verified::Verified;
use crate::backend::GrantSet;
use crate::frost::{FrostError, NonceCommitment, RawCommitment, RawShare, SigningPackage};
use crate::peer::SessionId;
use crate::privval::{Fields, Kind, extension_sign_bytes, sign_bytes};
use crate::types::{Algorithm, ChainId, Hrs, MemberId, Signature};
use crate::watermark::Denial;

/// A request as the coordinator received it.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) origin: Origin,
    pub(super) fields: Fields,
    pub(super) extension: Option<Vec<u8>>,
    pub(super) received: Instant,
    pub(super) deadline: Instant,
}

/// What the log line of a request says: when what happened, and who took part.
#[derive(Clone, Debug)]
pub struct Account {
    /// The chain.
    pub chain: ChainId,
    /// Kind of signature.
    pub kind: Kind,
    /// Where.
    pub hrs: Hrs,
    /// First 8 hex digits of the block hash, empty for nil.
    pub block: String,
    /// When the request was received here.
    pub received: Instant,
    /// When the first order left.
    pub ordered: Option<Instant>,
    /// When the signature was complete.
    pub settled: Option<Instant>,
    /// Whose shares are in it.
    pub signers: Vec<MemberId>,
    /// Signing sets opened.
    pub sets: u32,
    /// Who sent a bad share.
    pub culprits: Vec<MemberId>,
}

/// One request, or several for the same thing, being signed.
pub(super) struct Attempt {
    pub(super) session: SessionId,
    pub(super) key: Arc<ChainKey>,
    pub(super) fields: Fields,
    pub(super) extension: Option<Vec<u8>>,
    pub(super) asks: Vec<Ask>,
    pub(super) sets: Vec<OpenSet>,
    pub(super) next_set: u32,
    /// Where the key is whole: the grants that are collected.
    pub(super) grants: Option<OpenGrants>,
    pub(super) vote: Option<Verified>,
    /// The vote's signature was there before; only the extension is signed.
    pub(super) is_repeat: bool,
    pub(super) extension_signature: Option<Signature>,
    pub(super) refusals: BTreeMap<MemberId, Denial>,
    pub(super) excluded: BTreeSet<MemberId>,
    pub(super) hedge_at: Option<Instant>,
    pub(super) hedges: u32,
    pub(super) account: Account,
}

/// A signing set that waits for shares.
pub(super) struct OpenSet {
    pub(super) members: BTreeSet<MemberId>,
    pub(super) answered: BTreeSet<MemberId>,
    pub(super) vote: Option<Round>,
    pub(super) extension: Option<Round>,
    /// A member refused, failed or cheated: this set cannot complete.
    pub(super) dead: bool,
}

/// The grants of one session, on their way to the key.
pub(super) struct OpenGrants {
    /// Who was asked.
    pub(super) asked: BTreeSet<MemberId>,
    /// Who will not grant in this session.
    pub(super) refused: BTreeSet<MemberId>,
    /// `None` once they were complete: the key is being used.
    pub(super) set: Option<GrantSet>,
}

/// One FROST round: one message, one nonce commitment of each signer.
pub(super) struct Round {
    pub(super) id: u32,
    pub(super) commitments: BTreeMap<MemberId, NonceCommitment>,
    package: Option<SigningPackage>,
    shares: BTreeMap<MemberId, RawShare>,
}

impl Account {
    pub(super) fn of(chain: &ChainId, fields: &Fields, received: Instant) -> Self {
        let hash = fields.block_id().and_then(|block| block.hash);
        let block = hash.map(|hash| hex::encode(hash.split_at(4).0)).unwrap_or_default();
        Self {
            chain: chain.clone(),
            kind: fields.kind(),
            hrs: fields.hrs(),
            block,
            received,
            ordered: None,
            settled: None,
            signers: Vec::new(),
            sets: 0,
            culprits: Vec::new(),
        }
    }
}

impl Attempt {
    pub(super) fn new(
        session: SessionId,
        key: Arc<ChainKey>,
        fields: Fields,
        vote: Option<Verified>,
        ask: Ask,
    ) -> Self {
        let account = Account::of(&key.chain, &fields, ask.received);
        Self {
            session,
            key,
            fields,
            extension: ask.extension.clone(),
            asks: vec![ask],
            sets: Vec::new(),
            next_set: 0,
            grants: None,
            is_repeat: vote.is_some(),
            vote,
            extension_signature: None,
            refusals: BTreeMap::new(),
            excluded: BTreeSet::new(),
            hedge_at: None,
            hedges: 0,
            account,
        }
    }

    pub(super) const fn wants_vote(&self) -> bool {
        self.vote.is_none()
    }

    pub(super) const fn wants_extension(&self) -> bool {
        self.extension.is_some() && self.extension_signature.is_none()
    }

    pub(super) const fn is_complete(&self) -> bool {
        !self.wants_vote() && !self.wants_extension()
    }

    /// Members of live sets that have not answered.
    pub(super) fn late(&self) -> BTreeSet<MemberId> {
        if let Some(grants) = &self.grants {
            return grants.late();
        }
        let waiting = self.sets.iter().flat_map(|set| set.members.difference(&set.answered));
        waiting.copied().collect()
    }

    pub(super) fn has_live_set(&self) -> bool {
        let needed = usize::from(self.key.threshold.t());
        if let Some(grants) = &self.grants {
            return grants.is_live(needed);
        }
        self.sets.iter().any(|set| !set.dead)
    }

    /// Whether the whole key is being used for this attempt, with exactly this content.
    pub(super) fn waits_for(&self, content: &Content) -> bool {
        self.grants.as_ref().is_some_and(|grants| grants.set.is_none())
            && self.fields == content.fields
            && self.wants_vote() == content.wants_vote
            && self.extension.as_ref().filter(|_| self.wants_extension())
                == content.extension.as_ref()
    }

    /// A decoded commitment of one of the open sets.
    pub(super) fn known(&self, raw: &RawCommitment) -> Option<NonceCommitment> {
        let rounds = self.sets.iter().flat_map(|set| set.vote.iter().chain(&set.extension));
        let mut commitments = rounds.flat_map(|round| round.commitments.values());
        commitments.find(|commitment| commitment.raw() == *raw).cloned()
    }

    /// Takes one share. Returns the members whose shares turned out bad.
    pub(super) fn offer(
        &mut self,
        member: MemberId,
        set: u32,
        share: RawShare,
        package: Option<SigningPackage>,
    ) -> BTreeSet<MemberId> {
        let wanted = (self.wants_vote(), self.wants_extension());
        for open in &mut self.sets {
            let is_vote = open.vote.as_ref().is_some_and(|round| round.id == set);
            let is_extension = open.extension.as_ref().is_some_and(|round| round.id == set);
            let (round, wanted) = match (&mut open.vote, &mut open.extension) {
                (Some(round), _) if is_vote => (round, wanted.0),
                (_, Some(round)) if is_extension => (round, wanted.1),
                _ => continue,
            };
            if !round.commitments.contains_key(&member) {
                return BTreeSet::new();
            }
            round.shares.entry(member).or_insert(share);
            if package.is_some() {
                round.package = package;
            }
            let is_ready = wanted && round.shares.len() >= round.commitments.len();
            open.note_answer(member);
            let round = if is_vote { &mut open.vote } else { &mut open.extension };
            let Some(round) = round.as_mut().filter(|_| is_ready) else { return BTreeSet::new() };
            return match round.aggregate(
                &self.key,
                &self.fields,
                self.extension.as_deref(),
                is_vote,
            ) {
                Ok(aggregate) => {
                    let signers = round.commitments.keys().copied().collect();
                    self.take_aggregate(aggregate, is_vote, signers);
                    BTreeSet::new()
                }
                Err(error) => {
                    open.dead = true;
                    error.culprits().clone()
                }
            };
        }
        BTreeSet::new()
    }

    fn take_aggregate(&mut self, aggregate: [u8; 64], is_vote: bool, signers: Vec<MemberId>) {
        if is_vote {
            self.vote = Some(Verified::aggregate(self.fields.clone(), aggregate));
        } else {
            self.extension_signature = Some(Signature::new(Algorithm::Ed25519, aggregate));
        }
        self.account.signers = signers;
    }
}

impl OpenSet {
    /// Only who has given a share in every round has answered: one that gives the vote's and keeps
    /// the extension's back is late.
    fn note_answer(&mut self, member: MemberId) {
        let mut rounds = self.vote.iter().chain(&self.extension);
        if rounds.all(|round| round.shares.contains_key(&member)) {
            self.answered.insert(member);
        }
    }
}

impl OpenGrants {
    fn late(&self) -> BTreeSet<MemberId> {
        let Some(set) = &self.set else { return BTreeSet::new() };
        let silent = self.asked.difference(&self.refused);
        silent.filter(|member| !set.granted().contains(member)).copied().collect()
    }

    /// Whether it can still complete, or has.
    fn is_live(&self, needed: usize) -> bool {
        let willing = self.asked.difference(&self.refused).count();
        let Some(set) = &self.set else { return true };
        willing >= needed && !self.refused.contains(&set.coordinator())
    }
}

impl Round {
    pub(super) const fn new(id: u32, commitments: BTreeMap<MemberId, NonceCommitment>) -> Self {
        Self { id, commitments, package: None, shares: BTreeMap::new() }
    }

    /// I5: `frost` gives the aggregate out only after it verified over the message built here.
    fn aggregate(
        &mut self,
        key: &ChainKey,
        fields: &Fields,
        extension: Option<&[u8]>,
        is_vote: bool,
    ) -> Result<[u8; 64], FrostError> {
        let split = key.split.as_ref().ok_or(FrostError::NoSigners)?;
        let package = match self.package.take() {
            Some(package) => package,
            None => {
                let hrs = fields.hrs();
                let message = if is_vote {
                    sign_bytes(&key.chain, fields)
                } else {
                    let extension = extension.unwrap_or_default();
                    extension_sign_bytes(&key.chain, hrs.height, hrs.round, extension)
                };
                SigningPackage::new(&split.verifying_key, &self.commitments, &message)?
            }
        };
        let aggregate = package.aggregate(&self.shares, &split.verifying_shares);
        self.package = Some(package);
        aggregate
    }
}
